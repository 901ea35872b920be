"""A small batch of the core, and what its errors are tested with."""

from __future__ import annotations

from typing import Any

import numpy as np

from core_driver import ask, make_batch, population_of, rows_of, tell
from dfa import _core
from reference.settings import Settings

SIZE = (4, 3, 2)
IMAGE = np.arange(24, dtype=np.uint8).reshape(SIZE) * 11
PAPER = Settings()
NO_MATCH = r"incompatible (function|constructor) arguments"  # what the binding says of arguments of a wrong type


def started(iterations: int = 1) -> tuple[_core.Batch, list[int]]:
    """Two searches; the second is one iteration behind, and one of its candidates has been told."""
    batch = make_batch(PAPER, IMAGE)
    slots = [batch.add(IMAGE, i, 20) for i in range(2)]
    for iteration in range(iterations):
        for slot in slots[: 2 if iteration + 1 < iterations else 1]:
            ask(batch, rows_of(batch, slot), SIZE)
            tell(batch, rows_of(batch, slot), [float(i) for i in range(batch.iteration_size(slot))])
    ask(batch, [(slots[0], 0), (slots[0], 1), (slots[1], 0), (slots[1], 1)], SIZE)
    tell(batch, [(slots[1], 1)], [0.5])
    return batch, slots


def states(batch: _core.Batch, slots: list[int]) -> list[Any]:
    return [(batch.save(slot), batch.iteration(slot), population_of(batch, slot)) for slot in slots]


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)
