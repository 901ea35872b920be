"""What the guide to runs in folders is run in: a linear classifier and three images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dfa


def names(data: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8 * 8, 10))
    oracle = dfa.as_oracle(lambda batch: (batch.reshape(len(batch), -1) / 255) @ weights, returns="logits")
    return {"dfa": dfa, "oracle": oracle, "images": rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8)}


def check(names: dict[str, Any]) -> None:
    assert names["verification"].holds
    assert names["again"].summary().TSR == names["result"].summary().TSR > 0
    assert Path("runs/y/results.json").exists()
