"""What the guide to models is run in: a ResNet-20 in torch with five images, and small models of other frameworks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

SHAPE = (32, 32, 3)


class Net:
    """A network of JAX, as flax applies one."""

    def apply(self, variables: Any, x: Any, *, train: bool) -> Any:
        return x.reshape(len(x), -1) @ variables


def names(data: Path) -> dict[str, Any]:
    for package in ("torch", "onnx", "onnxruntime", "jax", "sklearn"):
        pytest.importorskip(package, exc_type=ImportError)
    import torch
    from sklearn.ensemble import RandomForestClassifier

    from onnx_models import classifier
    from torch_networks import MEAN, STD, resnet20

    def load_my_model() -> Any:
        classifier(Path("model.onnx"), ("n", 3, 32, 32))  # where the page is run
        return resnet20(data)

    with np.load(data / "cifar10_correct500.npz") as file:
        images, labels = file["images"][:5], file["labels"][:5].astype(np.int64)
    return {
        "torch": torch,
        "load_my_model": load_my_model,
        "images": images,
        "labels": torch.from_numpy(labels),
        "mean": torch.tensor(MEAN).reshape(1, 3, 1, 1),
        "std": torch.tensor(STD).reshape(1, 3, 1, 1),
        "net": Net(),
        "variables": np.zeros((np.prod(SHAPE), 10), np.float32),
        "forest": RandomForestClassifier(2, random_state=0).fit(images.reshape(5, -1) / 255, [0, 1, 2, 0, 1]),
    }


def check(names: dict[str, Any]) -> None:
    assert names["robust_accuracy"].item() == pytest.approx(names["result"].summary().robust_accuracy)
    assert names["oracle"].kind == "sklearn"
