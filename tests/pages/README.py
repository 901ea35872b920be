"""What the README's five lines are run in: a ResNet-20 in torch, and five images that it classifies correctly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa


def names(data: Path) -> dict[str, Any]:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:5], file["labels"][:5]
    return {"dfa": dfa, "load_my_model": lambda: networks.resnet20(data), "images": images, "labels": labels}


def check(names: dict[str, Any]) -> None:
    assert names["result"].summary().attacked == 5
    assert names["result"].summary().TSR > 0.5
    assert dfa.Result.load("runs/mine").summary().TSR == names["result"].summary().TSR
