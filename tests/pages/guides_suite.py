"""What the guide to the suite is run in: a linear classifier, and grey images that little makes others of."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import dfa


def names(data: Path | None) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = rng.integers(126, 130, (2, 8, 8, 3), dtype=np.uint8)
    weights = rng.normal(size=(8 * 8 * 3, 5))

    def model(batch: Any) -> Any:
        logits = (batch.reshape(len(batch), -1) / 255 - 0.5) @ weights
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    labels = model(images).argmax(axis=1)
    return {"dfa": dfa, "np": np, "dataclass": dataclass, "model": model, "images": images, "labels": labels}


def check(names: dict[str, Any]) -> None:
    report = names["report"]
    assert report.is_standard
    assert names["pair"].ratio == 1
    assert [len(each.cells) for each in (report, names["again"])] == [9, 6]
    assert Path("suites/mine/suite.md").read_text() == report.table()
