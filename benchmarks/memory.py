"""Peak memory of a run over many images that are made when they are read, with an oracle that costs nothing.

Each setting runs in a process of its own, which imports no framework. Reported is the peak of its resident memory,
less the peak right after the imports. The oracle's answer depends on the bytes of the image, so that most images are
adversarial after some tens of queries: the adversarial images found, which outweigh everything else, are part of what
is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import dfa
from harness.results import make_parser, print_table, write_report

_SETTINGS = {"paper": dfa.Racos.paper(coordinates=600), "default": dfa.Racos()}
_BAR = 1e9


class LazyImages:
    """Images that exist only while somebody holds them: noise, uint8, (H, W, C)."""

    def __init__(self, number: int, shape: tuple[int, int, int]) -> None:
        """Make nothing yet."""
        self._number = number
        self._shape = shape

    def __len__(self) -> int:
        """Return N."""
        return self._number

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Make image `index`."""
        if not 0 <= index < self._number:
            raise IndexError(index)
        return np.random.default_rng(index).integers(0, 256, self._shape, dtype=np.uint8)


def answer(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return probabilities: class 1 for one image in 16, by the sum of some of its bytes."""
    sums = images.reshape(len(images), -1)[:, ::37].sum(axis=1, dtype=np.int64)
    first = np.where(sums % 16 == 0, 0.25, 0.75)
    return np.stack([first, 1 - first], axis=1)


def peak_bytes() -> int:
    """Return the peak of this process's resident memory."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Unlike ru_maxrss, this does not remember the process that started this one.
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one setting in this process and return its figures."""
    imported = peak_bytes()
    started = time.perf_counter()
    result = dfa.run(
        answer,
        LazyImages(arguments.images, (arguments.side, arguments.side, 3)),
        optimizer=_SETTINGS[arguments.setting],
        max_queries=arguments.max_queries,
        batch_size=arguments.batch_size,
        progress=False,
    )
    return {
        "setting": arguments.setting,
        "imported": imported,
        "peak": peak_bytes(),
        "above_imports": peak_bytes() - imported,
        "successes": int(result.success.sum()),
        "queries_sent": result.profile.rows_sent,
        "seconds": time.perf_counter() - started,
    }


def main() -> None:
    """Run every setting in a process of its own and print the table."""
    parser = make_parser("memory", (__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=10_000, help="images of the run")
    parser.add_argument("--side", type=int, default=224, help="height and width of an image")
    parser.add_argument("--max-queries", type=int, default=100, help="budget per image")
    parser.add_argument("--batch-size", type=int, default=256, help="rows of the oracle's batch")
    parser.add_argument("--setting", choices=list(_SETTINGS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.setting is not None:
        print(json.dumps(run_here(arguments)))
        return
    results = []
    for setting in _SETTINGS:
        command = [sys.executable, *sys.argv, "--setting", setting]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        results.append(json.loads(output))
    print(__doc__)
    print(f"{arguments.images:,} images of {arguments.side}x{arguments.side}x3, batch {arguments.batch_size}")
    print_table(
        ["peak memory, MB", "after imports", "peak", "difference", "successes", "queries", "seconds"],
        (
            [
                r["setting"],
                *(f"{r[figure] / 1e6:,.0f}" for figure in ("imported", "peak", "above_imports")),
                f"{r['successes']:,}",
                f"{r['queries_sent']:,}",
                f"{r['seconds']:.0f}",
            ]
            for r in results
        ),
    )
    for result in results:
        verdict = "met" if result["above_imports"] < _BAR else "MISSED"
        print(f"bar: {result['setting']}: below 1 GB: {result['above_imports'] / 1e9:.2f} GB, {verdict}")
    write_report(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
