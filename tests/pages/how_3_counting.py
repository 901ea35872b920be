"""What the page on counting is run in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages.linear import linear


def names(data: Path) -> dict[str, Any]:
    return linear()


def check(names: dict[str, Any]) -> None:
    profile = names["profile"]
    assert min(profile.rows_sent, profile.clean, profile.verification, profile.files) > 0
