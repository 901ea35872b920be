"""What the page for defenders is run in: a linear classifier, and images with its classes as labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import guides_oracles


def names(data: Path) -> dict[str, Any]:
    prepared = guides_oracles.names(data)
    labels = prepared["ask_for_labels"](prepared["images"])
    labels[0] = (labels[0] + 1) % 10
    return {"dfa": prepared["dfa"], "oracle": prepared["model"], "images": prepared["images"], "labels": labels}


def check(names: dict[str, Any]) -> None:
    assert names["summary"].clean_accuracy == 2 / 3
    assert names["summary"].robust_accuracy <= names["summary"].clean_accuracy
