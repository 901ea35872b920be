"""What pages about dfa itself are run in: a linear classifier, and images that it tells apart."""

from __future__ import annotations

from typing import Any

import numpy as np

import dfa


def linear() -> dict[str, Any]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 8, 8, 3), dtype=np.uint8)
    weights = rng.normal(size=(8 * 8 * 3, 5))

    def model(batch: Any) -> Any:
        logits = (batch.reshape(len(batch), -1) / 255) @ weights
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)

    return {"dfa": dfa, "np": np, "model": model, "images": images}
