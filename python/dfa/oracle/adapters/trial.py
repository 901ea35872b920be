"""A trial on noise, before anything of a run is asked: whether a model answers twice alike, and in every place."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import RandomAnswersWarning
from dfa.oracle.raw import real

_FEW: Final = 2
"""Images of a trial of a model that is asked in batches as they come."""

_ROUNDING: Final = 1e-3
"""Of a score, and of 1: what threads and atomic sums may make of it from call to call."""


def rows_after_trial(
    rows: int | None, shape: tuple[int, ...], ask: Callable[[NDArray[np.uint8]], NDArray[Any]], name: str, *, free: bool
) -> int | None:
    """Return how many rows every batch is to have, after a trial: as many as were meant, or 1 where places matter.

    Convolutions do not mind an image's place in the batch, as far as we have seen; some products of float32 matrices of
    odd sides do, on CPUs, in the last bits.

    Args:
        rows: As many as were meant; None for batches as they come.
        shape: (H, W, C) of the images to come.
        ask: From a batch to answers, (n, ...), arrays of their own.
        name: What messages call the model.
        free: Whether another number may be chosen.

    Warns:
        RandomAnswersWarning: The model answers otherwise when it is asked again.
    """
    noise = np.random.default_rng(0).integers(0, 256, (rows or _FEW, *shape), dtype=np.uint8)
    first = ask(noise)
    if _differ(first, ask(noise), name) or not free:
        return rows
    steps = {1, len(noise) // 2, len(noise) - 1} - {0}
    minds = any(np.roll(ask(np.roll(noise, step, 0)), -step, 0).tobytes() != first.tobytes() for step in steps)
    return 1 if minds else rows


def _differ(first: NDArray[Any], again: NDArray[Any], name: str) -> bool:
    """Tell whether two answers to one batch differ in any bit, and warn where it is more than rounding."""
    # Bytes, so that what is no number is itself.
    if first.tobytes() == again.tobytes():
        return False
    one, other = real(first), real(again)
    if (
        one is None
        or other is None
        or one.shape != other.shape
        or not np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True)
    ):
        warnings.warn(
            f"the model {name!r} answers otherwise when it is asked again about the same images, so that a success may "
            "be luck; if it is meant to be random, pass confirmations= to dfa.run, such as dfa.Confirmation(8, of=10)",
            RandomAnswersWarning,
            stacklevel=2,
        )
    return True
