"""The audit's time over the bare oracle's for the same queries, on the wall and on the processors, in turns.

1,000 images of 224x224x3 are 100 pictures with ten perturbations each, of at most 8.5 grey levels, which rounding
moves. The bare side asks the same model about the same numbers of images and vectors at the same batch size, and does
nothing else. Both work through the vectors in parts, in turns, so that other work on the machine falls on both; what is
told are ratios of sums over all parts. Where the machine is shared, trust that of processor time.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import dfa
from harness.arguments import make_parser
from harness.inputs import load_images, load_model
from harness.printing import print_table, verdict
from harness.results import write_results

_BAR = 1.2


def main() -> None:
    """Measure and print."""
    parser = make_parser("audit", __doc__, repeats=1)
    parser.add_argument("--images", type=int, default=1000, help="vectors to audit")
    parser.add_argument("--parts", type=int, default=8, help="turns of each repeat")
    parser.add_argument("--batch-size", type=int, default=128, help="of the oracle")
    parser.add_argument("--threads", type=int, default=2, help="of the audit")
    parser.add_argument("--codec", nargs="+", default=["png"], help="codecs of one audit")
    arguments = parser.parse_args()
    pictures, labels = load_images(arguments.data, "imagenet100_224.npz")
    places = np.arange(arguments.images) % len(pictures)
    originals = pictures[places]
    rng = np.random.default_rng(0)
    vectors = np.empty(originals.shape, dtype=np.float32)
    for row, image in enumerate(originals):
        noise = rng.uniform(-8.5, 8.5, image.shape)
        vectors[row] = np.clip(image + noise, 0, 255) / 255
    oracle = dfa.as_oracle(load_model(arguments.data, "mobilenet_v2_224.keras"))
    size = arguments.batch_size
    oracle.prepare(originals.shape[1:], size)
    for warm_up in (originals[:size], vectors[:size] * 255):
        oracle.scores(warm_up)

    def bare(counts: dict[str, int]) -> tuple[float, float]:
        seconds = processors = 0.0
        for name, number in counts.items():
            for start in range(0, number, size):
                rows = slice(start, min(start + size, number))
                batch: Any = vectors[rows] * np.float32(255) if name == "vectors" else originals[rows]
                started, began = time.perf_counter(), time.process_time()
                oracle.scores(batch)
                seconds += time.perf_counter() - started
                processors += time.process_time() - began
        return seconds, processors

    rows = []
    for turn in range(arguments.repeats * arguments.parts):
        part = np.array_split(np.arange(arguments.images), arguments.parts)[turn % arguments.parts]
        began = time.process_time()
        report = dfa.audit(
            oracle,
            originals[part],
            vectors[part],
            labels[places[part]],
            codec=arguments.codec,
            epsilon=8.5,
            batch_size=size,
            threads=arguments.threads,
        )
        # "vectors_clean" is no part: a Keras model's vectors need no such check.
        counts = {name: report.queries[name] for name in ("clean", "vectors", "images")}
        processors = time.process_time() - began
        alone, alone_processors = bare(counts)
        rows.append(
            {
                "queries": sum(counts.values()),
                "audit": report.seconds["wall"],
                "audit_processors": processors,
                "inside": report.seconds["oracle"],
                "bare": alone,
                "bare_processors": alone_processors,
            }
        )
        print(rows[-1], flush=True)
    total = {name: sum(row[name] for row in rows) for name in rows[0]}
    ratios = {
        "ratio": total["audit"] / total["bare"],
        "ratio_processors": total["audit_processors"] / total["bare_processors"],
        "ratio_to_its_own_oracle_time": total["audit"] / total["inside"],
    }
    print_table(
        ["audit of", "queries", "audit (s)", "bare (s)", "ratio", "processors (s)", "bare (s)", "ratio"],
        [
            [
                f"{arguments.images:,} vectors, {' '.join(arguments.codec)}",
                f"{total['queries']:,}",
                f"{total['audit']:.1f}",
                f"{total['bare']:.1f}",
                f"{ratios['ratio']:.3f}",
                f"{total['audit_processors']:.1f}",
                f"{total['bare_processors']:.1f}",
                f"{ratios['ratio_processors']:.3f}",
            ]
        ],
    )
    print(f"outside its own oracle calls the audit spent {total['audit'] - total['inside']:.1f} s", flush=True)
    on_wall, on_processors = (verdict(ratios[name] < _BAR) for name in ("ratio", "ratio_processors"))
    print(
        f"less than {_BAR} times the bare oracle: {on_wall} on the wall, {on_processors} on the processors", flush=True
    )
    write_results(arguments.out, arguments, {"rows": rows, "total": total, **ratios})


if __name__ == "__main__":
    main()
