"""What the page on spaces of one's own is run in: a linear classifier, and images that it tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import dfa
from pages import how_4_exact


class CoreSpace:
    """Stands for the class of that name, each of whose subclasses is a space that the command line offers."""


def names(data: Path) -> dict[str, Any]:
    shown = {"dataclass": dataclass, "ClassVar": ClassVar, "CoreSpace": CoreSpace}
    return how_4_exact.names(data) | shown


def check(names: dict[str, Any]) -> None:
    result: dfa.Result = names["result"]
    assert result.summary().TSR > 0
    for found, original in zip(result.adversarial(), names["images"], strict=True):
        assert abs(found.astype(int) - original).max() <= 40
