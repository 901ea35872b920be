"""What "Inside Foolbox ..." is run in: what "Coming from" is, and a MAITE model and dataset of the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pages import guides_coming_from


def names(data: Path) -> dict[str, Any]:
    pytest.importorskip("maite", reason="maite is not installed")
    prepared = guides_coming_from.names(data)
    import torch

    class Model:
        def __init__(self) -> None:
            self.metadata = {"id": "ResNet-20"}

        def __call__(self, batch: Any) -> Any:
            with torch.no_grad():
                return list(prepared["model"](torch.stack([torch.as_tensor(each) for each in batch])))

    class Dataset:
        def __init__(self) -> None:
            self.metadata = {"id": "ten images"}

        def __len__(self) -> int:
            return len(prepared["x"])

        def __getitem__(self, index: int) -> Any:
            return prepared["x"][index], np.eye(10)[prepared["labels"][index]], {"id": index}

    return prepared | {"maite_model": Model(), "dataset": Dataset()}


def check(names: dict[str, Any]) -> None:
    assert names["success"][1].all()
    assert names["by_eps"][0] > names["by_eps"][1] > 0
    assert names["robust_accuracy"] == 0
    assert names["found"].shape == names["x"].shape
    assert names["result"].summary().TSR == 1
    predicted = [int(answer.argmax()) for batch in names["predictions"] for answer in batch]
    assert not np.equal(predicted, names["labels"]).any()
