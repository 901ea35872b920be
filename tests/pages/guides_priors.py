"""What the guide to surrogates is run in: two small networks of torch, one of them the oracle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa


def names(data: Path) -> dict[str, Any]:
    networks = pytest.importorskip("torch_networks", reason="torch is not installed", exc_type=ImportError)
    return {
        "dfa": dfa,
        "np": np,
        "oracle": networks.small_network(),
        "surrogate": networks.small_network(seed=1),
        "images": np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), dtype=np.uint8),
    }


def check(names: dict[str, Any]) -> None:
    assert "darker" in names["result"].summary().prior
