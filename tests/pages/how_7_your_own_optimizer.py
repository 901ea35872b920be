"""What the page on optimizers of one's own is run in: a linear classifier, and images that it tells apart."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pages.linear import linear


def names(data: Path | None) -> dict[str, Any]:
    return {"bisect": bisect, "itertools": itertools, "math": math, "dataclass": dataclass} | linear()


def check(names: dict[str, Any]) -> None:
    assert names["result"].summary().TSR > 0.5
    assert names["square"].summary().TSR > 0.5
    assert names["search"].ask().shape == (0, 8, 8, 3)
    assert names["queries"].min() > 0
    assert len(set(names["owners"].tolist())) < len(names["images"]) / 2
