"""Critical epsilons by `dfa.frontier`, and by a run of its own for every epsilon with the same budget each.

Bars: in the mean within a tenth of those of the separate runs, with no more than a fifth of their queries; on LeNet-1
and ResNet-20 above them by no more than 2 levels in any image.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

import dfa
from harness.arguments import make_parser, matching, not_negative, positive
from harness.inputs import first_correct, load_images, load_model
from harness.printing import print_table
from harness.results import read_results, write_results


class _Setting(NamedTuple):
    model: str
    images: str
    largest: int
    number: int


SETTINGS = {
    "lenet1": _Setting("lenet1.keras", "mnist_test2000.npz", largest=128, number=200),
    "resnet20": _Setting("cifar_resnet20.keras", "cifar10_correct500.npz", largest=16, number=100),
    "mobilenetv1": _Setting("mobilenet_v1_160.keras", "imagenet100_160.npz", largest=16, number=50),
}
_HEADERS = ("", "images", "frontier", "separate", "ratio", "most above", "queries", "separate", "ratio", "rounds")


def measure(name: str, arguments: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the rows of a model: with the budget of a separate run, and with five times that."""
    setting = SETTINGS[name]
    largest, number = setting.largest, arguments.images or setting.number
    model = load_model(arguments.data, setting.model)
    given = load_images(arguments.data, setting.images)
    (images, labels), _ = first_correct(dfa.as_oracle(model), given, number, 256, skip=arguments.skip)
    settings: dict[str, Any] = {"seed": 0, "progress": False}
    critical = np.full(len(images), largest + 1)
    sent = 0
    for epsilon in range(largest, 0, -1):
        run = dfa.run(model, images, labels, epsilon=epsilon, max_queries=arguments.queries, **settings)
        critical[run.success] = epsilon
        sent += int(run.queries_sent.sum())
    for times in (1, 5):
        budget = times * arguments.queries
        found = dfa.frontier(model, images, labels, max_epsilon=largest, max_queries=budget, **settings)
        yield {"setting": name, "times": times} | row(found, critical, sent, arguments)


def row(found: dfa.Frontier, critical: Any, sent: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return a row: what was found, and what separate runs found, and sent in all."""
    return {
        "images": len(critical),
        "skip": arguments.skip,
        "largest": found.largest,
        "max_queries": arguments.queries,
        "critical": float(found.critical.mean()),
        "critical_separate": float(critical.mean()),
        "ratio": float(found.critical.mean() / critical.mean()),
        "most_above": int((found.critical - critical).max()),
        "above_by_more_than_2": int((found.critical - critical > 2).sum()),
        "queries": float(found.queries.mean()),
        "queries_separate": sent / len(critical),
        "ratio_of_queries": float(found.queries.sum() / sent),
        "rounds": found.rounds,
        "clean": found.clean / len(critical),
        "verification": found.verification / len(critical),
        "critical_of_images": found.critical.tolist(),
        "critical_separate_of_images": critical.tolist(),
    }


def main() -> None:
    """Measure, print and write."""
    parser = make_parser("frontier", __doc__)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SETTING", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--images", type=positive, help="of each setting; default: as the bars say")
    parser.add_argument("--skip", type=not_negative, default=0, help="images before them")
    parser.add_argument("--queries", type=positive, default=500, help="budget per image")
    arguments = parser.parse_args()
    rows = {(row["setting"], row["times"]): row for row in read_results(arguments.out, [])}
    for name in matching(arguments.only, SETTINGS):
        for measured in measure(name, arguments):
            rows[name, measured["times"]] = measured
            write_results(arguments.out, arguments, list(rows.values()))
    shown = ("images", "critical", "critical_separate", "ratio", "most_above", "queries", "queries_separate")
    print_table(
        _HEADERS,
        [
            (
                f"{name}, budget x {times}",
                *(f"{row[each]:.4g}" if isinstance(row[each], float) else row[each] for each in shown),
                f"{row['ratio_of_queries']:.3f}",
                row["rounds"],
            )
            for (name, times), row in rows.items()
        ],
    )


if __name__ == "__main__":
    main()
