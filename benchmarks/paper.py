"""The DFA rows of the paper's Tables 6 to 10, with its settings, and the default optimizer on the same images.

LeNet-1 is the paper's own model, on its images: the first 200 of MNIST's test set. The paper attacks ImageNet pictures
through ResNet50 (224x224x3) and InceptionV3 (299x299x3); here it is MobileNetV2-224 and other pictures, so those rows
show what to expect of a model of that kind, not the paper's figures again. Budgets are the paper's iterations,
T = 10,000, counted in queries: s + k + T s. Its timeouts (3 and 30 minutes per image, one image at a time) are not
repeated. The default optimizer gets the same budget.

Every row is written to the JSON as soon as it is finished. An image that the model misclassifies is skipped, and no
rate counts it.
"""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

import dfa
from harness.arguments import make_parser
from harness.inputs import load_images, load_model
from harness.printing import percent, print_table
from harness.results import write_results

_ITERATIONS = 10_000
_OPTIMIZERS = ("paper", "default", "paper-log")


@dataclass(frozen=True)
class Published:
    """What the paper reports for DFA.

    Attributes:
        model: Attacked model.
        tables: Where.
        SR: Success rate, 0..1.
        TSR: True success rate, 0..1.
        GAP: (SR - TSR) / SR.
        ATC: Average time cost, seconds.
        queries_mean: Over successes, or None.
    """

    model: str
    tables: str
    SR: float
    TSR: float
    GAP: float
    ATC: float
    queries_mean: int | None = None


@dataclass(frozen=True)
class Experiment:
    """A model, its images, and the paper's setting for them.

    Attributes:
        model: Name of the model, for the table.
        model_file: In the data folder.
        images_file: In the data folder.
        epsilon: Grey levels.
        rank: The target is the rank-th likeliest class; None in an untargeted attack.
        coordinates: |Y|.
        published: The paper's rows to stand beside.
    """

    model: str
    model_file: str
    images_file: str
    epsilon: int
    rank: int | None
    coordinates: int
    published: tuple[Published, ...]

    def optimizer(self, name: str) -> dfa.Racos:
        """Return the paper's setting, the default, or the paper's setting with the log degree."""
        if name == "default":
            return dfa.Racos()
        paper = dfa.Racos.paper(targeted=self.rank is not None, coordinates=self.coordinates)
        return replace(paper, objective=dfa.objectives.LOG) if name == "paper-log" else paper

    @property
    def budget(self) -> int:
        """Queries that the paper's iterations take."""
        optimizer = self.optimizer("paper")
        return optimizer.population + _ITERATIONS * optimizer.samples


_LENET = ("LeNet-1", "lenet1.keras", "mnist_test2000.npz", 64)
_MOBILENET = ("MobileNetV2-224", "mobilenet_v2_224.keras", "imagenet100_224.npz", 10)
EXPERIMENTS = {
    "lenet-untargeted": Experiment(
        *_LENET,
        rank=None,
        coordinates=2,
        published=(Published("LeNet-1", "6, 8", 1, 1, 0, 1.2),),
    ),
    "lenet-targeted": Experiment(
        *_LENET,
        rank=4,
        coordinates=2,
        published=(Published("LeNet-1", "7, 9", 1, 1, 0, 3),),
    ),
    "mobilenet-untargeted": Experiment(
        *_MOBILENET,
        rank=None,
        coordinates=600,
        published=(
            Published("ResNet50", "6", 0.90, 0.90, 0, 65),
            Published("ResNet50", "8", 0.97, 0.97, 0, 150.66),
            Published("InceptionV3", "6, 8, 10", 0.93, 0.93, 0, 106.8, 2_660),
        ),
    ),
    "mobilenet-targeted": Experiment(
        *_MOBILENET,
        rank=11,
        coordinates=600,
        published=(
            Published("ResNet50", "7", 0.90, 0.90, 0, 118),
            Published("ResNet50", "9", 0.87, 0.87, 0, 211.32),
            Published("InceptionV3", "7, 9, 10", 0.72, 0.72, 0, 375, 11_364),
        ),
    ),
}


def measure(name: str, optimizer: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one row."""
    experiment = EXPERIMENTS[name]
    limit = arguments.lenet_images if name.startswith("lenet") else arguments.mobilenet_images
    images, labels = load_images(arguments.data, experiment.images_file)
    budget = min(experiment.budget, arguments.max_queries or experiment.budget)
    result = dfa.run(
        load_model(arguments.data, experiment.model_file),
        images[:limit],
        labels[:limit],
        targets=None if experiment.rank is None else dfa.rank(experiment.rank),
        epsilon=experiment.epsilon,
        optimizer=experiment.optimizer(optimizer),
        max_queries=budget,
        batch_size=arguments.batch_size,
        seed=arguments.seed,
    )
    return {
        "experiment": name,
        "optimizer": optimizer,
        "model": experiment.model,
        "images": len(images[:limit]),
        "summary": asdict(result.summary()),
        "profile": result.profile.as_dict(),
        "config": result.config,
        "published": experiment.published,
        "records": [
            {"status": record.status.value, "reason": record.reason, "queries": record.queries}
            for record in result.records
        ],
    }


def print_row(row: dict[str, Any]) -> None:
    """Print a row above those of the paper."""
    summary = row["summary"]
    setting = f"dfa, {row['optimizer']} setting"
    cells = [
        [
            f"{row['experiment']}: {setting} on {row['model']}",
            summary["attacked"],
            *(percent(summary[rate]) for rate in ("SR", "TSR", "GAP")),
            _number(summary["ATC"], 2),
            _number(summary["queries_mean"]),
            _number(summary["queries_median"]),
            f"{summary['max_queries']:,}",
            f"{summary['wall']:,.0f}",
        ]
    ]
    for published in row["published"]:
        queries = "-" if published.queries_mean is None else f"{published.queries_mean:,}"
        rates = (percent(rate) for rate in (published.SR, published.TSR, published.GAP))
        number = 200 if row["experiment"].startswith("lenet") else 100
        name = f"    paper, Table {published.tables}: {published.model}"
        cells.append([name, number, *rates, published.ATC, queries, "-", "T = 10,000", "-"])
    headers = ["", "attacked", "SR", "TSR", "GAP", "ATC (s)", "queries", "median", "budget", "wall (s)"]
    print_table(headers, cells)
    print(flush=True)


def _number(value: float, digits: int = 0) -> str:
    return "-" if math.isnan(value) else f"{value:,.{digits}f}"


def main() -> None:
    """Run the chosen rows, writing each down when it is finished."""
    parser = make_parser("paper", __doc__)
    parser.add_argument(
        "--only", nargs="+", choices=list(EXPERIMENTS), default=list(EXPERIMENTS), help="experiments to run"
    )
    parser.add_argument(
        "--optimizers", nargs="+", choices=_OPTIMIZERS, default=["paper", "default"], help="settings to run"
    )
    parser.add_argument("--lenet-images", type=int, default=200, help="the first of MNIST's test set")
    parser.add_argument("--mobilenet-images", type=int, default=100, help="the first of the 100 pictures")
    parser.add_argument("--max-queries", type=int, help="cap on the paper's budget")
    parser.add_argument("--batch-size", type=int, default=256, help="rows of the oracle's batch")
    parser.add_argument("--seed", type=int, default=0, help="of the searches")
    arguments = parser.parse_args()
    print(__doc__)
    rows: list[dict[str, Any]] = []
    for name in arguments.only:
        for optimizer in arguments.optimizers:
            print(f"{name}, {optimizer} ...", file=sys.stderr, flush=True)
            rows.append(measure(name, optimizer, arguments))
            print_row(rows[-1])
            write_results(arguments.out, arguments, rows)


if __name__ == "__main__":
    main()
