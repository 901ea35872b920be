"""What the guide to defended models is run in: a linear classifier and three images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import guides_oracles


def names(data: Path) -> dict[str, Any]:
    prepared = guides_oracles.names(data)
    return {name: prepared[name] for name in ("dfa", "model", "images")}


def check(names: dict[str, Any]) -> None:
    assert names["result"].summary().attacked == 3
    assert names["result"].profile.verification > 3
