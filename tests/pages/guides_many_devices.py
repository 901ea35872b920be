"""What the guide to many devices is run in: its own module, a small network in a file, and images."""

from __future__ import annotations

import importlib
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa

NETWORK = """
import torch


class Net(torch.nn.Sequential):
    def __init__(self):
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(8 * 8 * 3, 5))
"""
PAGE = Path(__file__).parents[2] / "docs" / "guides" / "many-devices.md"


def names(data: Path) -> dict[str, Any]:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    folder = Path(tempfile.mkdtemp())
    (module,) = re.findall(r":caption: mymodels.py\n\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (folder / "mymodels.py").write_text(module, encoding="utf-8")
    sys.path.insert(0, str(folder))
    (folder / "mynet.py").write_text(NETWORK, encoding="utf-8")
    torch.manual_seed(0)
    path = folder / "net.pt"
    torch.save(importlib.import_module("mynet").Net().state_dict(), path)
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
    factory = dfa.factory

    # The page names the file as one of the current folder.
    def from_there(function: Any, name: str, **named: Any) -> Any:
        assert name == path.name
        return factory(function, str(path), **named)

    pretended = type(
        "", (), {**{name: getattr(dfa, name) for name in dfa.__all__}, "factory": staticmethod(from_there)}
    )
    return {"dfa": pretended, "images": images, "__name__": "__main__"}


def check(names: dict[str, Any]) -> None:
    result = names["result"]
    assert result.config["workers"]["devices"] == ["cpu", "cpu"]
    assert result.success.any()
