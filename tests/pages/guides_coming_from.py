"""What "Coming from" is run in: a ResNet-20 in torch that normalises its input, and ten images of its classes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa


def names(data: Path) -> dict[str, Any]:
    for package in ("torch", "foolbox", "art", "torchattacks"):
        pytest.importorskip(package, exc_type=ImportError)
    import torch

    from torch_networks import MEAN, STD, resnet20

    class Normalised(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = resnet20(data)

        def forward(self, batch: Any) -> Any:
            mean, std = (torch.tensor(each).reshape(1, 3, 1, 1) for each in (MEAN, STD))
            return self.network((batch - mean) / std)

    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:10], file["labels"][:10].astype(np.int64)
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    return {
        "dfa": dfa,
        "model": Normalised().eval(),
        "loss": torch.nn.CrossEntropyLoss(),
        "images": images,
        "labels": labels,
        "x": x,
        "y": torch.from_numpy(labels),
    }


def check(names: dict[str, Any]) -> None:
    assert names["result"].summary().TSR == 1
    assert names["robust_accuracy"] == 0
    assert names["report"].summary().SR > 0.5
    assert names["success"].all()
