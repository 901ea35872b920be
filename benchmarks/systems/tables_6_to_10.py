"""The rows of the paper's Tables 6 to 10: attacks within one epsilon, and the queries of black boxes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from systems.context import Context, Result, Subject
from systems.imagenet import imagenet_rows
from systems.rows import MODELS, Row, cannot_run, key_of, on_subject, paper_rates
from systems.smallest_distance import measure_within
from systems.within_epsilon import BUDGET, carlini_wagner, fgsm, nes_pgd, run_dfa

_WHITE: dict[str, Any] = {"C&W": carlini_wagner, "FGSM": fgsm}
_BLACK: dict[str, Any] = {
    "SModel+C&W": carlini_wagner,
    "SModel+FGSM": fgsm,
    "DBA": "Boundary",
    "ZOO": "ZOO",
    "NES-PGD": partial(nes_pgd, max_queries=BUDGET),
}
_OURS: dict[str, Any] = {
    "DFA, paper's setting": partial(run_dfa, setting="paper"),
    "DFA, default": partial(run_dfa, setting="default"),
}
"""The systems of Tables 6 to 9: what to run, or the name of an attack for the smallest distance."""

PUBLISHED: list[tuple[str, str, str, float, float, float, float | None]] = [
    ("6", "LeNet-1", "C&W", 100, 85, 15, 14.3),
    ("6", "LeNet-1", "FGSM", 96.7, 96.7, 0, 0),
    ("6", "LeNet-1", "DFA", 100, 100, 0, 1.2),
    ("6", "ResNet50", "C&W", 99, 94, 5.05, 8.56),
    ("6", "ResNet50", "FGSM", 95, 95, 0, 0.08),
    ("6", "ResNet50", "DFA", 90, 90, 0, 65),
    ("6", "InceptionV3", "C&W", 100, 68, 32, 1.41),
    ("6", "InceptionV3", "FGSM", 79, 79, 0, 0.15),
    ("6", "InceptionV3", "DFA", 93, 93, 0, 106.8),
    ("7", "LeNet-1", "C&W", 100, 70, 0, 24.5),
    ("7", "LeNet-1", "FGSM", 3, 3, 0, 0),
    ("7", "LeNet-1", "DFA", 100, 100, 0, 3),
    ("7", "ResNet50", "C&W", 99, 62, 37.37, 19.85),
    ("7", "ResNet50", "FGSM", 0, 0, 0, None),
    ("7", "ResNet50", "DFA", 90, 90, 0, 118),
    ("7", "InceptionV3", "C&W", 100, 24, 76, 14.88),
    ("7", "InceptionV3", "FGSM", 0, 0, 0, None),
    ("7", "InceptionV3", "DFA", 72, 72, 0, 375),
    ("8", "LeNet-1", "SModel+C&W", 2.5, 2.5, 0, 28),
    ("8", "LeNet-1", "SModel+FGSM", 20, 20, 0, 1),
    ("8", "LeNet-1", "DBA", 99.5, 84, 15.58, 11.89),
    ("8", "LeNet-1", "ZOO", 100, 89.5, 10.5, 15.9),
    ("8", "LeNet-1", "DFA", 100, 100, 0, 1.2),
    ("8", "ResNet50", "SModel+C&W", 2, 1, 50, 1.29),
    ("8", "ResNet50", "SModel+FGSM", 24, 24, 0, 0.12),
    ("8", "ResNet50", "DBA", 100, 44, 56, 137.79),
    ("8", "ResNet50", "DFA", 97, 97, 0, 150.66),
    ("8", "InceptionV3", "SModel+C&W", 6, 6, 0, 24.32),
    ("8", "InceptionV3", "SModel+FGSM", 38, 38, 0, 0.37),
    ("8", "InceptionV3", "DBA", 100, 34, 66, 254.2),
    ("8", "InceptionV3", "ZOO", 73, 3, 95.79, 113),
    ("8", "InceptionV3", "NES-PGD", 100, 77, 23, 24),
    ("8", "InceptionV3", "DFA", 93, 93, 0, 106.8),
    ("9", "LeNet-1", "SModel+C&W", 1.5, 1.5, 0, 22),
    ("9", "LeNet-1", "SModel+FGSM", 3, 3, 0, 1),
    ("9", "LeNet-1", "DBA", 95.5, 79, 17.28, 12.17),
    ("9", "LeNet-1", "ZOO", 100, 94.5, 5.5, 17.4),
    ("9", "LeNet-1", "DFA", 100, 100, 0, 3),
    ("9", "ResNet50", "SModel+C&W", 2, 2, 0, 27.21),
    ("9", "ResNet50", "SModel+FGSM", 0, 0, 0, None),
    ("9", "ResNet50", "DBA", 95, 21, 77.89, 335),
    ("9", "ResNet50", "DFA", 87, 87, 0, 211.32),
    ("9", "InceptionV3", "SModel+C&W", 1, 1, 0, 41.66),
    ("9", "InceptionV3", "SModel+FGSM", 0, 0, 0, None),
    ("9", "InceptionV3", "DBA", 87, 25, 71.3, 544),
    ("9", "InceptionV3", "ZOO", 62, 6, 90.32, 716.04),
    ("9", "InceptionV3", "NES-PGD", 100, 47, 53, 56),
    ("9", "InceptionV3", "DFA", 72, 72, 0, 375),
]
"""What the paper reports: table, model, system, SR, TSR and GAP in per cent, and ATC in seconds."""


_REMARKS = {
    (
        "7",
        "C&W",
        "lenet",
    ): "The paper prints a GAP of 0 % beside its SR of 100 % and TSR of 70 %, which are a GAP of 30 %."
}
"""What is to be known of the paper's figures."""


def tables_6_to_9() -> list[Row]:
    """Return the rows of Tables 6 to 9, and those of Table 10 on ImageNet pictures."""
    published = {
        (table, model, system): paper_rates(sr, tsr, gap, model, ATC=atc)
        for table, model, system, sr, tsr, gap, atc in PUBLISHED
    }
    rows = []
    for table, is_black, rank in (("6", False, None), ("7", False, 4), ("8", True, None), ("9", True, 4)):
        systems = _BLACK if is_black else _WHITE
        for which, stands_for in (("lenet", "LeNet-1"), ("resnet", "ResNet50")):
            for system, run in (systems | _OURS).items():
                paper = published.get((table, stands_for, system.partition(",")[0]), {})
                made = _made(system, which, run, rank)
                # DFA is the same black box in the tables of white boxes.
                same = {"8": "6", "9": "7"}.get(table) if system in _OURS else None
                same_as = "" if same is None else key_of(same, system, MODELS[which])
                remark = _REMARKS.get((table, system, which), "")
                rows.append(Row(table, system, MODELS[which], made, paper, remark, same_as=same_as))
    return rows + imagenet_rows(published)


def table_10() -> list[Row]:
    """Return mean queries of successes: untargeted, and towards the 4th likeliest class (the paper: the 11th)."""
    rows = []
    for goal, tables in (("untargeted", ("8", "6")), ("targeted", ("9", "7"))):
        for system, published in (
            ("NES-PGD", {"untargeted": 4741, "targeted": 13421}),
            ("Bandits", {"untargeted": 3255}),
            ("DFA, paper's setting", {"untargeted": 2660, "targeted": 11364}),
            ("DFA, default", {"untargeted": 2660, "targeted": 11364}),
        ):
            made = cannot_run("its authors give no targeted setting; the paper has no figure either")
            same_as = key_of(tables[system in _OURS], system, "ResNet-20")
            if system == "Bandits":
                same_as = key_of("4", system, "ResNet-20") if goal in published else ""
            paper = {"queries": published.get(goal), "model": "InceptionV3"}
            rows.append(Row("10", f"{system}, {goal}", "ResNet-20", made, paper, same_as=same_as))
    return rows


def _made(system: str, which: str, run: Any, rank: int | None) -> Callable[[Context], Result]:
    """Return a row's function."""
    if isinstance(run, str):
        return partial(measure_within, which, run, rank=rank)
    return _of_substitute(which, run, rank) if "SModel" in system else on_subject(which, run, rank=rank)


def _of_substitute(which: str, run: Any, rank: int | None) -> Callable[[Context], Result]:
    """Return a row's function: an attack on a substitute of the subject."""

    def of(context: Context) -> Result:
        subject: Subject = getattr(context, which)
        result: Result = run(subject, rank=rank, model=context.substitute(subject.name))
        return result

    return of
