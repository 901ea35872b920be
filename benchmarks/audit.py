"""The audit's time over the bare oracle's for the same queries, on the wall and on the processors, in turns.

1,000 images of 224x224x3 are 100 pictures with ten perturbations each, of at most 8.5 grey levels, which rounding
moves. The bare side asks the same model about the same numbers of images and vectors at the same batch size, and does
nothing else. What is told are ratios of medians; where other work shares the machine, trust that of processor time.
"""

from __future__ import annotations

import time

import numpy as np

import dfa
from common import load_images, load_model, make_parser, print_table, write_report


def main() -> None:
    """Measure and print."""
    parser = make_parser("audit", (__doc__ or "").splitlines()[0], repeats=3)
    parser.add_argument("--images", type=int, default=1000, help="vectors to audit")
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
                batch = vectors[rows] * np.float32(255) if name == "vectors" else originals[rows]
                started, began = time.perf_counter(), time.process_time()
                oracle.scores(batch)
                seconds += time.perf_counter() - started
                processors += time.process_time() - began
        return seconds, processors

    rows = []
    for _ in range(arguments.repeats):
        began = time.process_time()
        report = dfa.audit(
            oracle,
            originals,
            vectors,
            labels[places],
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
                "audit": report.seconds["wall"],
                "audit_processors": processors,
                "inside": report.seconds["oracle"],
                "bare": alone,
                "bare_processors": alone_processors,
            }
        )
        print(rows[-1], counts, flush=True)
    middle = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    ratio = middle["audit"] / middle["bare"]
    ratio_processors = middle["audit_processors"] / middle["bare_processors"]
    print_table(
        ["audit of", "queries", "audit (s)", "bare (s)", "ratio", "processors (s)", "bare (s)", "ratio"],
        [
            [
                f"{arguments.images:,} vectors, {' '.join(arguments.codec)}",
                f"{sum(counts.values()):,}",
                f"{middle['audit']:.1f}",
                f"{middle['bare']:.1f}",
                f"{ratio:.3f}",
                f"{middle['audit_processors']:.1f}",
                f"{middle['bare_processors']:.1f}",
                f"{ratio_processors:.3f}",
            ]
        ],
    )
    write_report(
        arguments.out,
        arguments,
        {"rows": rows, "queries": counts, "ratio": ratio, "ratio_processors": ratio_processors},
    )


if __name__ == "__main__":
    main()
