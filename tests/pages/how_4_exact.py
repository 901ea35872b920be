"""What the page on exactness is run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages.linear import linear


def names(data: Path) -> dict[str, Any]:
    return linear()


def check(names: dict[str, Any]) -> None:
    assert names["one"].summary().queries_sent > 3 * len(names["images"])
    assert names["forwards"].summary().TSR > 0.5
