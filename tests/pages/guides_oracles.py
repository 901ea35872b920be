"""What the guide to oracles is run in: a service that answers about one image, and a model of all its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

import dfa


def names(data: Path) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(8 * 8, 10))

    def model(batch: Any) -> Any:
        logits = (batch.reshape(len(batch), -1) / 255) @ weights
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    return {
        "dfa": dfa,
        "model": model,
        "ask_for_labels": lambda batch: model(batch).argmax(axis=1),
        "ask_about_one": lambda image: model(image[np.newaxis])[0],
        "images": rng.integers(0, 256, (3, 8, 8, 1), dtype=np.uint8),
    }


def check(names: dict[str, Any]) -> None:
    assert names["result"].summary().attacked == 3
    assert Path("runs/service/results.json").exists()
    shown = [names[name].returns.value for name in ("five", "one", "labels_alone")]
    assert shown == ["top_k", "top_1", "label"]
    assert len(names["ask_in_parts"](names["images"])) == 3
