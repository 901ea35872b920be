"""The DFA rows of the paper's Tables 6 to 10: its settings as printed and as run, and the default, on the same images.

As printed, a targeted search ranks by top1 - P(target); the code that the authors have published ranks by P(target)
alone, and `dfa.Racos.paper(targeted=True)` does too. `paper-printed` and `paper-code` are the two, everything else as
in Table 5; `paper-code-...` are further differences between code and print, one at a time.

LeNet-1 is the paper's own model, on its images: the first 200 of MNIST's test set. The paper attacks ImageNet pictures
through ResNet50 (224x224x3) and InceptionV3 (299x299x3); here it is ResNet-20, MobileNetV1-160 and MobileNetV2-224 and
other pictures, so those rows show what to expect of models of that kind, not the paper's figures again. Budgets are the
paper's iterations, T = 10,000, counted in queries: s + k + T s, where `--max-queries` does not cap them. Its timeouts
(3 and 30 minutes per image, one image at a time) are not repeated. The default optimizer gets the same budget.

Every row is written to the JSON as soon as it is finished. An image that the model misclassifies is skipped, and no
rate counts it.
"""

from __future__ import annotations

import argparse
import itertools
import math
import sys
from dataclasses import asdict, dataclass, replace
from typing import Any

import dfa
from dfa.search.objectives import LOG, PAPER, PAPER_CODE
from dfa.search.racos import PAPER_SHARE
from harness.arguments import make_parser, not_negative, positive
from harness.inputs import load_images, load_model
from harness.printing import percent, print_table
from harness.results import write_results

_ITERATIONS = 10_000
_VARIANTS: dict[str, dict[str, Any]] = {
    "paper-printed": {"objective": PAPER},
    "paper-code": {"objective": PAPER_CODE},
    "paper-code-150": {"objective": PAPER_CODE, "starts": 150},  # the best s + k of 150 starts
    "paper-code-newer": {"objective": PAPER_CODE, "ties": "newer"},
    "paper-code-s3": {"objective": PAPER_CODE, "samples": 3},  # its default, targeted too
    "paper-log": {"objective": LOG},
}
_OPTIMIZERS = (*_VARIANTS, "default")


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
        number: Of images, unless `--images` gives fewer.
        rank: The target is the rank-th likeliest class; None in an untargeted attack.
        coordinates: |Y|.
        published: The paper's rows to stand beside.
    """

    model: str
    model_file: str
    images_file: str
    epsilon: int
    number: int
    rank: int | None
    coordinates: int | float
    published: tuple[Published, ...]

    def optimizer(self, name: str) -> dfa.Racos:
        """Return the default, or a variant of the paper's setting."""
        if name == "default":
            return dfa.Racos()
        paper = dfa.Racos.paper(targeted=self.rank is not None, coordinates=self.coordinates)
        return replace(paper, **_VARIANTS[name])

    @property
    def budget(self) -> int:
        """Queries that the paper's iterations take."""
        optimizer = self.optimizer("paper-code")
        return optimizer.population + _ITERATIONS * optimizer.samples


_LENET = ("LeNet-1", "lenet1.keras", "mnist_test2000.npz", 64, 200)
_RESNET = ("ResNet-20", "cifar_resnet20.keras", "cifar10_correct500.npz", 8, 100)
_MOBILENET_V1 = ("MobileNetV1-160", "mobilenet_v1_160.keras", "imagenet100_160.npz", 10, 100)
_MOBILENET_V2 = ("MobileNetV2-224", "mobilenet_v2_224.keras", "imagenet100_224.npz", 10, 100)
_IMAGENET_UNTARGETED = (
    Published("ResNet50", "6", 0.90, 0.90, 0, 65),
    Published("ResNet50", "8", 0.97, 0.97, 0, 150.66),
    Published("InceptionV3", "6, 8, 10", 0.93, 0.93, 0, 106.8, 2_660),
)
_IMAGENET_TARGETED = (
    Published("ResNet50", "7", 0.90, 0.90, 0, 118),
    Published("ResNet50", "9", 0.87, 0.87, 0, 211.32),
    Published("InceptionV3", "7, 9, 10", 0.72, 0.72, 0, 375, 11_364),
)
EXPERIMENTS = {
    "lenet-untargeted": Experiment(*_LENET, None, 2, (Published("LeNet-1", "6, 8", 1, 1, 0, 1.2),)),
    "lenet-targeted": Experiment(*_LENET, 4, 2, (Published("LeNet-1", "7, 9", 1, 1, 0, 3),)),
    "resnet-untargeted": Experiment(*_RESNET, None, PAPER_SHARE, _IMAGENET_UNTARGETED),
    "resnet-targeted": Experiment(*_RESNET, 4, PAPER_SHARE, _IMAGENET_TARGETED),
    "mobilenetv1-untargeted": Experiment(*_MOBILENET_V1, None, 600, _IMAGENET_UNTARGETED),
    "mobilenetv1-targeted": Experiment(*_MOBILENET_V1, 11, 600, _IMAGENET_TARGETED),
    "mobilenetv2-untargeted": Experiment(*_MOBILENET_V2, None, 600, _IMAGENET_UNTARGETED),
    "mobilenetv2-targeted": Experiment(*_MOBILENET_V2, 11, 600, _IMAGENET_TARGETED),
}


def measure(name: str, optimizer: str, seed: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one row."""
    experiment = EXPERIMENTS[name]
    limit = min(experiment.number, arguments.images or experiment.number)
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
        seed=seed,
    )
    return {
        "experiment": name,
        "optimizer": optimizer,
        "seed": seed,
        "model": experiment.model,
        "images": len(images[:limit]),
        "summary": asdict(result.summary()),
        "profile": result.profile.as_dict(),
        "config": result.config,
        "published": experiment.published,
        # Of each attacked image, null of a failure.
        "queries": [
            record.queries if record.verified else None
            for record in result.records
            if record.status in (dfa.Status.SUCCESS, dfa.Status.FAILURE)
        ],
    }


def print_row(row: dict[str, Any]) -> None:
    """Print a row above those of the paper."""
    summary = row["summary"]
    setting = f"dfa, {row['optimizer']}, seed {row['seed']},"
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
        "--optimizers",
        nargs="+",
        choices=_OPTIMIZERS,
        default=["paper-printed", "paper-code", "default"],
        help="settings to run",
    )
    parser.add_argument("--images", type=positive, help="no more than so many, the first of the file")
    parser.add_argument("--max-queries", type=positive, help="cap on the paper's budget")
    parser.add_argument("--batch-size", type=positive, default=256, help="rows of the oracle's batch")
    parser.add_argument("--seeds", type=not_negative, nargs="+", default=[0], help="of the searches")
    arguments = parser.parse_args()
    print(__doc__)
    rows: list[dict[str, Any]] = []
    for name in arguments.only:
        for optimizer, seed in itertools.product(arguments.optimizers, arguments.seeds):
            print(f"{name}, {optimizer}, seed {seed} ...", file=sys.stderr, flush=True)
            rows.append(measure(name, optimizer, seed, arguments))
            print_row(rows[-1])
            write_results(arguments.out, arguments, rows)


if __name__ == "__main__":
    main()
