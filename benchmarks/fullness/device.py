"""An accelerator that is simulated: it takes its time for every call, and leaves the processor to others."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Images

Model = Callable[[Images], NDArray[np.float64]]
"""From uint8 (n, H, W, C) to scores (n, K)."""

_LAST_STRETCH = 2e-4
"""Seconds before the end of a call at which the device stops sleeping, since a sleep ends late, and yields instead."""


@dataclass(frozen=True)
class Timing:
    """What a call takes: `per_call + per_row * rows`.

    Attributes:
        per_call: Seconds.
        per_row: Seconds.
    """

    per_call: float = 2e-3
    per_row: float = 20e-6

    def seconds(self, rows: int) -> float:
        """Return what a call with so many rows takes."""
        return self.per_call + self.per_row * rows

    def ideal(self, rows: int, batch_size: int) -> float:
        """Return the seconds that so many rows would take in full batches, a last part of a batch pro rata."""
        return rows / batch_size * self.seconds(batch_size)


class SimulatedDevice:
    """Answers as a model does, at the end of the time that a call takes.

    Attributes:
        timing: What a call takes.
        due: Seconds that the calls so far should have taken.
        taken: Seconds that they took: more where the machine was too busy to end them in time.
    """

    def __init__(self, model: Model, timing: Timing) -> None:
        """Put a device around a model that is faster than the device."""
        self.timing = timing
        self.due = 0.0
        self.taken = 0.0
        self._model = model

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return the model's answer, (n, K), when the call's time is over."""
        started = time.perf_counter()
        scores = self._model(images)
        due = self.timing.seconds(len(images))
        _wait_until(started + due)
        self.due += due
        self.taken += time.perf_counter() - started
        return scores


def _wait_until(end: float) -> None:
    """Return at `end` of `time.perf_counter`, and let other threads work before."""
    time.sleep(max(0.0, end - time.perf_counter() - _LAST_STRETCH))
    while time.perf_counter() < end:
        time.sleep(0)
