"""Settings of `_core.Config` that the fuzzer of the core begins with: each reaches other parts of the search."""

from __future__ import annotations

from typing import Any

PAPER = {
    "samples": 2,
    "positives": 1,
    "coordinates": 2,
    "region": "ordered",
    "shape": "scattered",
    "values": "uniform",
    "start": "uniform",
    "domain": "ball",
    "ties": "older",
    "window_share": 0.1,
    "window_halvings": [2, 6],
    "placements": 1,
    "starts": 0,
    "restart_after": 0,
    "rest_ratio": 0.95,
    "improvements": 0.0,
}
WINDOWS = PAPER | {
    "samples": 1,
    "region": "none",
    "shape": "window",
    "values": "textures",
    "start": "textures",
    "domain": "valid",
    "ties": "newer",
    "placements": 4,
    "starts": 5,
    "restart_after": 4,
}
CONFIGS: list[dict[str, Any]] = [
    PAPER,
    PAPER | {"positives": 2, "region": "per_coordinate", "starts": 8},
    PAPER | {"shape": "window", "positives": 2, "values": "extremes", "start": "stripes"},
    WINDOWS,
    WINDOWS | {"improvements": 1.0},
    WINDOWS | {"improvements": 64.0, "values": "extremes", "positives": 2, "domain": "ball"},
    WINDOWS | {"prior": True},
    WINDOWS | {"prior": True, "improvements": 1.0},
]
