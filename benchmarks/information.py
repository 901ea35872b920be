"""Success and queries of `dfa.run` against what the oracle shows: everything, the likeliest classes, or a label alone.

One model, the same correctly classified images and the same targets on every level; what is hidden is hidden by
`dfa.top_k`, `dfa.top_1` and `dfa.label_only`. Every image sent counts, also those that a label-only search asks beside
its candidates, and the count is compared with the images that the model saw. A failure counts as the whole budget.

The MobileNet settings take few images and short budgets by default, since a CPU answers some hundred queries a second.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np

import dfa
from harness.arguments import make_parser
from harness.inputs import CountingOracle
from harness.printing import print_table, verdict
from harness.promises import Ball
from harness.results import read_results, write_results
from harness.settings import Setting, Subject, load_setting

_MARKS: Final = (10, 100, 1_000, 10_000)
_MOST_TOP_1: Final = 1.5
_LEAST_LABEL: Final = 0.9


@dataclass(frozen=True, kw_only=True)
class LogitSetting(Setting):
    """A setting whose model shows its logits too, with a budget of its own.

    Attributes:
        logits: The layer whose output are the model's logits.
        budget: Queries per image.
    """

    logits: str
    budget: int


_LENET = partial(LogitSetting, model="lenet1.keras", logits="before_softmax", images="mnist_test2000.npz")
_V1 = partial(
    LogitSetting, model="mobilenet_v1_160.keras", logits="logits", images="imagenet100_160.npz", batch_size=32
)
SETTINGS: Final = {
    "lenet1-eps64": _LENET(promise=Ball(64), rank=None, number=200, budget=10_000),
    "mobilenetv1-eps4": _V1(promise=Ball(4), rank=None, number=30, budget=2_000),
    "mobilenetv1-eps10-targeted": _V1(promise=Ball(10), rank=11, number=10, budget=1_000),
    "lenet1-eps64-targeted": _LENET(promise=Ball(64), rank=4, number=100, budget=2_000),
}
LEVELS: Final[dict[str, Callable[[Any], dfa.Oracle]]] = {
    "probabilities": dfa.as_oracle,
    "logits": lambda oracle: oracle,
    "top_5": lambda oracle: dfa.top_k(oracle, 5),
    "top_1": dfa.top_1,
    "label": dfa.label_only,
}
"""What is made of the model's oracle (of its logits, on the level of that name)."""


def oracle_of(subject: Subject, setting: LogitSetting, level: str) -> tuple[dfa.Oracle, CountingOracle]:
    """Return the oracle of a level, and what counts the images that the model behind it sees."""
    if level == "logits":
        keras = importlib.import_module("keras")
        layer = subject.model.get_layer(setting.logits).output
        logits = keras.Model(subject.model.inputs, keras.layers.Flatten()(layer))
        counted = CountingOracle(dfa.as_oracle(logits, returns="logits"))
    else:
        counted = CountingOracle(dfa.as_oracle(subject.model))
    return LEVELS[level](counted), counted


def measure(subject: Subject, name: str, level: str, budget: int, seed: int) -> dict[str, Any]:
    """Attack on one level.

    Raises:
        RuntimeError: The records do not agree with what the model saw, or pass the budget.
    """
    setting = SETTINGS[name]
    oracle, counted = oracle_of(subject, setting, level)
    result = dfa.run(
        oracle,
        subject.images,
        targets=subject.targets,
        space=setting.promise.space(),
        max_queries=budget,
        batch_size=setting.batch_size,
        seed=seed,
        progress=False,
    )
    records, profile = result.records, result.profile
    sent = sum(record.queries_sent for record in records)
    if counted.images != sent + profile.clean + profile.verification:
        raise RuntimeError(f"the model saw {counted.images} images, and the records hold {sent} queries")
    if max(record.queries_sent for record in records) > budget:
        raise RuntimeError("the budget was exceeded")
    queries = np.array([record.queries if record.verified else budget for record in records], dtype=np.float64)
    is_success = np.array([record.verified for record in records])
    return {
        "setting": name,
        "level": level,
        "seed": seed,
        "images": len(records),
        "budget": budget,
        "success": float(is_success.mean()),
        "within": {str(mark): float((is_success & (queries <= mark)).mean()) for mark in _MARKS if mark <= budget},
        "mean": float(queries.mean()),
        "median": float(np.median(queries)),
        "sent": sent,
        "seconds": profile.wall,
        "queries": [record.queries if record.verified else None for record in records],
    }


def bars(cells: list[dict[str, Any]]) -> list[tuple[str, bool]]:
    """Return what was to be reached, with the figures, and whether it was."""
    found = {(cell["setting"], cell["level"]): cell for cell in cells}
    judged = []
    for name in ("lenet1-eps64", "mobilenetv1-eps4"):
        full, top = found.get((name, "probabilities")), found.get((name, "top_1"))
        if full and top:
            ratio = top["mean"] / full["mean"]
            text = (
                f"{name}: top_1 takes {ratio:.2f} times the queries of probabilities (at most {_MOST_TOP_1}), success "
                f"{top['success']:.1%} and {full['success']:.1%} (equal)"
            )
            judged.append((text, ratio <= _MOST_TOP_1 and top["success"] >= full["success"]))
    label = found.get(("lenet1-eps64", "label"))
    if label:
        text = f"lenet1-eps64: label {label['success']:.1%} within {label['budget']:,} (at least {_LEAST_LABEL:.0%})"
        judged.append((text, label["success"] >= _LEAST_LABEL))
    return judged


def show(cells: list[dict[str, Any]]) -> None:
    """Print the table and the bars."""
    print_table(
        ["setting", "shown", "images", "budget", "success", "mean", "median", *(f"@{mark:,}" for mark in _MARKS)],
        [
            [
                cell["setting"],
                cell["level"],
                cell["images"],
                f"{cell['budget']:,}",
                f"{cell['success']:.1%}",
                f"{cell['mean']:,.1f}",
                f"{cell['median']:,.1f}",
                *(f"{cell['within'][str(mark)]:.0%}" if str(mark) in cell["within"] else "" for mark in _MARKS),
            ]
            for cell in cells
        ],
    )
    for text, is_met in bars(cells):
        print(f"{verdict(is_met):<6}  {text}")


def main() -> None:
    """Measure every cell, or show what was measured."""
    parser = make_parser("information", __doc__)
    parser.add_argument("--only", nargs="+", choices=list(SETTINGS), default=list(SETTINGS), help="settings")
    parser.add_argument("--levels", nargs="+", choices=list(LEVELS), default=list(LEVELS), help="what is shown")
    parser.add_argument("--images", type=int, help="of every setting, instead of its own number")
    parser.add_argument("--budget", type=int, help="of every setting, instead of its own")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--print", action="store_true", dest="only_prints", help="show the JSON and measure nothing")
    arguments: argparse.Namespace = parser.parse_args()
    if arguments.only_prints:
        show(read_results(arguments.out, []))
        return
    measured = read_results(arguments.out, [])
    # What is not measured now stays in the JSON, so that a long run may be cut into several.
    cells: list[dict[str, Any]] = [
        cell for cell in measured if cell["setting"] not in arguments.only or cell["level"] not in arguments.levels
    ]
    for name in arguments.only:
        setting = SETTINGS[name]
        subject = load_setting(setting, arguments.data, arguments.images)
        for level in arguments.levels:
            cells.append(measure(subject, name, level, arguments.budget or setting.budget, arguments.seed))
            # After every cell, so that what is finished survives an interruption.
            write_results(arguments.out, arguments, cells, bars=bars(cells))
    show(cells)


if __name__ == "__main__":
    main()
