"""The rows of Tables 6 to 10 on ImageNet pictures, through two small networks in the place of the paper's two.

MobileNetV2-224 stands for ResNet50, and SqueezeNet 1.1 for InceptionV3. As in the paper each is the other's
substitute: one trained on the answers about a hundred pictures would know little of a thousand classes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from typing import Any, Final

import numpy as np

from systems.context import Context, Result, Subject
from systems.counting import audit_of, figures_of
from systems.parts import Attack, in_parts
from systems.rows import IMAGENET, Row, key_of
from systems.smallest_distance import Minimal, boundary_attack, zoo_by_tiles
from systems.within_epsilon import BUDGET, bandits, carlini_wagner, fgsm, nes_pgd, run_dfa

STANDS_FOR: Final = {"mobilenet": "ResNet50", "squeezenet": "InceptionV3"}
"""The paper's model in whose place each is."""

RANK: Final = 11
"""Of the targets' likelihood, as the paper has it on ImageNet."""

_OTHER = {"mobilenet": "squeezenet", "squeezenet": "mobilenet"}
_TABLES = (("6", None), ("7", RANK), ("8", None), ("9", RANK))
_DFA_FIRST_IN = {"8": "6", "9": "7"}
"""Where the same black box is measured that another table has again."""

_GOALS = (("untargeted", None, "8", "6"), ("targeted", RANK, "9", "7"))
"""Of Table 10, with the tables that measure NES-PGD and DFA."""

_BY_GRADIENTS = ("C&W", "SModel+C&W")
"""What is faster for a few images at once."""

_REMARKS = {
    ("6", "FGSM", "mobilenet"): (
        "It is the network: of steps of 1, 2, 3, 4, 6, 8 and 10 grey levels, the best for each image breaks 17 of 20."
    ),
    **{
        (table, "C&W", which): (
            "In the mean its vectors move a value by a fraction of a grey level (their L2, in the table of repairs, "
            "over the root of 150,528 values), so that the nearest image is nearly the original."
        )
        for table in ("6", "7")
        for which in IMAGENET
    },
    **{
        (table, system, which): "The paper's T is 10,000 iterations, about 100,000 queries; an image has 10,000 here."
        for table in ("7", "9")
        for system in ("DFA, paper's setting", "DFA, paper's setting as printed")
        for which in IMAGENET
    },
    **{("9", "NES-PGD", which): "The paper's mean is 13,421 queries; an image has 10,000 here." for which in IMAGENET},
}
"""What differs from the paper's row, where it was looked for."""

_QUERIES = {
    "NES-PGD": {"untargeted": 4741, "targeted": 13421},
    "Bandits": {"untargeted": 3255},
    "DFA": {"untargeted": 2660, "targeted": 11364},
}
"""The paper's Table 10, of InceptionV3."""


def imagenet_rows(published: Mapping[tuple[str, str, str], Mapping[str, Any]]) -> list[Row]:
    """Return the rows of Tables 6 to 10.

    Args:
        published: What the paper reports, by table, model and system.
    """
    rows = []
    for table, rank in _TABLES:
        for which, model in IMAGENET.items():
            for system in _systems(table, rank):
                same = _DFA_FIRST_IN.get(table) if system.startswith("DFA") else None
                paper = published.get((table, STANDS_FOR[which], system.partition(",")[0]), {})
                same_as = "" if same is None else key_of(same, system, model)
                rows.append(_row(table, system, which, rank, paper, same_as))
    for goal, rank, black, ours in _GOALS:
        for which, model in IMAGENET.items():
            for system in ("NES-PGD", "Bandits", *_dfa(rank)):
                queries = _QUERIES[system.partition(",")[0]].get(goal)
                if system == "Bandits" and rank is not None:
                    continue
                paper = {"queries": queries, "model": STANDS_FOR[which]} if which == "squeezenet" else {}
                table = ours if system.startswith("DFA") else black
                same_as = "" if system == "Bandits" else key_of(table, system, model)
                rows.append(_row("10", f"{system}, {goal}", which, rank, paper, same_as))
    return rows


def _dfa(rank: int | None) -> tuple[str, ...]:
    printed = ("DFA, paper's setting as printed",) if rank is not None else ()
    return "DFA, paper's setting", *printed, "DFA, default"


def _systems(table: str, rank: int | None) -> tuple[str, ...]:
    if table in ("6", "7"):
        return "C&W", "FGSM", *_dfa(rank)
    return "SModel+C&W", "SModel+FGSM", "DBA", "ZOO", "NES-PGD", *_dfa(rank)


def _row(table: str, system: str, which: str, rank: int | None, paper: Mapping[str, Any], same_as: str) -> Row:
    model = IMAGENET[which]
    key = key_of(table, system, model)
    name = system.removesuffix(", untargeted").removesuffix(", targeted")
    # The default learns from the images before, so that all are one run, which goes on where it was cut.
    size = None if name == "DFA, default" else 4 if name in _BY_GRADIENTS else 1
    run = in_parts(key, which, _told(which, _attack(name, which, rank, key)), size)
    return Row(table, system, model, run, paper, _REMARKS.get((table, system, which), ""), same_as, in_parts=True)


def _told(which: str, attack: Attack) -> Attack:
    """Return an attack whose note says in whose place the model is."""

    def run(context: Context, part: Subject) -> Result:
        result = attack(context, part)
        return result | {"note": f"{result['note']}, in the place of {STANDS_FOR[which]}"}

    return run


def _attack(system: str, which: str, rank: int | None, key: str) -> Attack:
    """Return what a row does with a part of its images."""
    match system:
        case "C&W":
            return lambda _, part: carlini_wagner(part, rank=rank)
        case "FGSM":
            return lambda _, part: fgsm(part, rank=rank)
        case "SModel+C&W":
            return partial(_through_the_other, which, carlini_wagner, rank)
        case "SModel+FGSM":
            return partial(_through_the_other, which, fgsm, rank)
        case "DBA":
            more = "" if rank is None else "; a target of no picture is another picture, moved to it by gradients"
            return lambda _, part: _minimal(boundary_attack(1_000), part, rank, more)
        case "ZOO":
            return lambda _, part: _minimal(zoo_by_tiles(BUDGET), part, rank)
        case "NES-PGD":
            return lambda _, part: nes_pgd(part, rank=rank, max_queries=BUDGET)
        case "Bandits":
            return lambda _, part: bandits(part, max_queries=BUDGET)
        case "DFA, paper's setting as printed":
            return lambda _, part: run_dfa(part, rank=rank, setting="printed")
        case "DFA, paper's setting":
            return lambda _, part: run_dfa(part, rank=rank, setting="paper")
        case _:
            return partial(_default, rank, key)


def _default(rank: int | None, key: str, context: Context, part: Subject) -> Result:
    store = None if context.folder is None else context.folder / key / f"run-{len(part.images)}"
    return run_dfa(part, rank=rank, setting="default", store=store)


def _through_the_other(which: str, attack: Any, rank: int | None, context: Context, part: Subject) -> Result:
    other: Subject = getattr(context, _OTHER[which])
    result: Result = attack(part, rank=rank, model=other.module)
    return result | {"note": f"{result['note']}, through {other.name}"}


def _minimal(attack: Minimal, part: Subject, rank: int | None, more: str = "") -> Result:
    """Run an attack for the smallest distance, counted within epsilon, and at any distance beside it."""
    targets = None if rank is None else part.targets(rank)
    started = time.perf_counter()
    vectors = np.asarray(attack.run(part, targets))
    seconds = time.perf_counter() - started
    audited = audit_of(part, vectors, targets=targets)
    return figures_of(audited, seconds, epsilon=part.epsilon, note=f"{attack.note}; for the smallest L2 distance{more}")
