"""What workers cost and bring: one run on 1 to 8 simulated devices, each in a process of its own.

A device takes 2 ms a call and 20 us a row and leaves the processor to others, so that two cores can carry eight. What
answers on it is a linear model of small digits (14x14), exact in whatever batch a row comes, that costs a microsecond a
row. All runs find the same, to the bit, or this ends. "none" is the same device asked in the process of the search.
Efficiency is the wall time of one worker over that of all, divided by their number; starting the workers is not in it
(profile.wall), and is told beside it. Overhead is what one worker takes beyond none, as the median of the turns.
"""

from __future__ import annotations

import statistics
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from fullness.device import SimulatedDevice, Timing
from fullness.models import LinearModel
from harness.arguments import make_parser, positive
from harness.arrays import Images
from harness.inputs import load_images
from harness.printing import print_table
from harness.results import write_results

_BATCH = 256
_SHIFTS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


def small_digits(data: Path, number: int) -> Images:
    """Return so many digits of 14x14: those of MNIST's test file, moved by a pixel, and with a little noise."""
    images, _ = load_images(data, "mnist_test2000.npz")
    moved = np.concatenate([_halved(np.roll(images, shift, axis=(1, 2))) for shift in _SHIFTS])
    noise = np.random.default_rng(0)
    copies = [moved]
    while sum(map(len, copies)) < number:
        copies.append(np.clip(moved.astype(np.int16) + noise.integers(-3, 4, moved.shape), 0, 255).astype(np.uint8))
    return np.concatenate(copies)[:number]


def make_device(data: str) -> dfa.Oracle:
    """Return a device with its model, as a worker makes it."""
    images, labels = load_images(Path(data), "mnist_test2000.npz")
    model = LinearModel.fitted(_halved(images), labels, scale=20.0)
    return dfa.as_oracle(SimulatedDevice(model, Timing()), returns="logits")


def _halved(images: Images) -> NDArray[np.uint8]:
    number, height, width, channels = images.shape
    blocks = images.reshape(number, height // 2, 2, width // 2, 2, channels)
    halved: NDArray[np.uint8] = blocks.mean(axis=(2, 4)).astype(np.uint8)
    return halved


def run_once(images: Images, data: Path, epsilon: int, workers: int) -> tuple[dfa.Result, dict[str, Any]]:
    """Return a run and its figures."""
    began, processors = time.perf_counter(), time.process_time()
    result = dfa.run(
        dfa.factory(make_device, str(data)),
        images,
        epsilon=epsilon,
        max_queries=1_000,
        batch_size=_BATCH,
        progress=False,
        workers=workers or None,
    )
    profile, whole = result.profile, time.perf_counter() - began
    ideal = Timing().ideal(profile.rows_sent + profile.clean + profile.verification, _BATCH)
    return result, {
        "workers": workers,
        "wall": profile.wall,
        "start": whole - profile.wall,
        "driver": time.process_time() - processors,
        "queries": profile.rows_sent,
        "calls": profile.batches,
        "rows per call": profile.rows_per_call,
        "at full batches": ideal / profile.wall / max(1, workers),
    }


def main() -> None:
    """Measure and print.

    Raises:
        SystemExit: Two runs did not find the same.
    """
    parser = make_parser("workers", __doc__, repeats=3)
    parser.add_argument("--images", type=positive, default=20_000)
    parser.add_argument("--epsilon", type=positive, nargs="+", default=[40, 30], help="grey levels")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2, 4, 8], help="0: none")
    arguments = parser.parse_args()
    images = small_digits(arguments.data, arguments.images)
    rows: list[dict[str, Any]] = []
    for epsilon in arguments.epsilon:
        first: dfa.Result | None = None
        for turn in range(arguments.repeats):
            for workers in arguments.workers:
                result, figures = run_once(images, arguments.data, epsilon, workers)
                first = result if first is None else first
                if not _same(first, result):
                    raise SystemExit(f"{workers} workers found otherwise than {arguments.workers[0]}")
                rows.append({"epsilon": epsilon, "turn": turn, "images": len(images), **figures})
                print(rows[-1], flush=True)
    print(__doc__)
    print_table(
        [
            "epsilon",
            "workers",
            "queries",
            "calls",
            "rows per call",
            "wall (s)",
            "start (s)",
            "driver (s)",
            "efficiency",
        ],
        (_line(rows, epsilon, workers) for epsilon in arguments.epsilon for workers in arguments.workers),
    )
    if {0, 1} <= set(arguments.workers):
        for epsilon in arguments.epsilon:
            print(f"overhead of one worker over none at {epsilon}: {_overhead(rows, epsilon):.1%}")
    write_results(arguments.out, arguments, rows)


def _same(one: dfa.Result, other: dfa.Result) -> bool:
    pairs = zip(one.records, other.records, strict=True)
    alike = all(
        (a.status, a.queries_sent, a.trace, a.id) == (b.status, b.queries_sent, b.trace, b.id) for a, b in pairs
    )
    pictures = ([None if image is None else image.tobytes() for image in each.images] for each in (one, other))
    return alike and next(pictures) == next(pictures)


def _walls(rows: list[dict[str, Any]], epsilon: int, workers: int) -> list[float]:
    return [row["wall"] for row in rows if (row["epsilon"], row["workers"]) == (epsilon, workers)]


def _overhead(rows: list[dict[str, Any]], epsilon: int) -> float:
    pairs = zip(_walls(rows, epsilon, 1), _walls(rows, epsilon, 0), strict=True)
    return statistics.median(with_one / without for with_one, without in pairs) - 1.0


def _line(rows: list[dict[str, Any]], epsilon: int, workers: int) -> list[str]:
    those = [row for row in rows if (row["epsilon"], row["workers"]) == (epsilon, workers)]
    ones = _walls(rows, epsilon, 1)
    pairs = zip(ones, _walls(rows, epsilon, workers), strict=False)
    ratios = [one / wall / workers for one, wall in pairs] if workers and ones else []
    middle = {
        name: statistics.median(row[name] for row in those) for name in those[0] if name not in ("epsilon", "turn")
    }
    return [
        str(epsilon),
        str(workers) if workers else "none",
        *(f"{middle[name]:,.0f}" for name in ("queries", "calls", "rows per call")),
        *(f"{middle[name]:.2f}" for name in ("wall", "start", "driver")),
        f"{statistics.median(ratios):.2f}" if ratios else "",
    ]


if __name__ == "__main__":
    main()
