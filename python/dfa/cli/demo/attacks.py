"""The demo's attacks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from dfa.search.goals import Rank, rank
from dfa.search.racos import Racos

EPSILON: Final = 64
"""Grey levels; the paper's distance for handwritten digits (Table 5)."""

TARGET_RANK: Final = 4
"""The paper's target for handwritten digits: the 4th likeliest class (Table 5)."""


@dataclass(frozen=True)
class Attack:
    """One row of the demo's table.

    Attributes:
        name: Of its folder.
        optimizer: How it searches.
        setting: What the table calls that.
        targets: What it aims at, None for any other class.
        goal: What the table calls that.
    """

    name: str
    optimizer: Racos
    setting: str
    targets: Rank | None
    goal: str


def attacks() -> tuple[Attack, ...]:
    """Return the attacks of the demo: the paper's setting and the default, untargeted and targeted."""
    rows = []
    for targets, goal in ((None, "untargeted"), (rank(TARGET_RANK), "targeted")):
        paper = Racos.paper(targeted=targets is not None)
        rows.append(Attack(f"paper-{goal}", paper, "paper", targets, goal))
        rows.append(Attack(f"default-{goal}", Racos(), "default", targets, goal))
    return tuple(rows)
