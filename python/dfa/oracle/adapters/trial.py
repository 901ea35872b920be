"""A trial on noise, before anything of a run is asked: whether a model answers alike whatever else is asked."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
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
    """Return how many rows every batch is to have, after a trial: as many as were meant, or 1 where the others matter.

    Convolutions do not mind an image's place in the batch, nor its neighbours, as far as we have seen. Some products of
    float32 matrices of odd sides round a row by its place, on CPUs; a model that is quantised as it goes along, or
    normalises by its batch, minds the neighbours.

    Args:
        rows: As many as were meant; None for batches as they come.
        shape: (H, W, C) of the images to come.
        ask: From a batch to answers, (n, ...), arrays of their own.
        name: What messages call the model.
        free: Whether another number may be chosen.

    Warns:
        RandomAnswersWarning: The model answers otherwise, and not by rounding alone, when it is asked again, or beside
            other images where these cannot be left out.
    """
    noise = np.random.default_rng(0).integers(0, 256, (rows or _FEW, *shape), dtype=np.uint8)
    first, again = ask(noise), ask(noise)
    # Bytes, so that what is no number is itself.
    if first.tobytes() != again.tobytes():
        if not _are_near(first, again):
            _warn(
                f"the model {name!r} answers otherwise when it is asked again about the same images, so that a success "
                "may be luck; if it is meant to be random, pass confirmations= to dfa.run, such as "
                "dfa.Confirmation(8, of=10)"
            )
        return rows
    others = [answers for answers in _elsewhere(ask, noise) if answers.tobytes() != first[: len(answers)].tobytes()]
    if others and free:
        return 1
    if not all(_are_near(first[: len(answers)], answers) for answers in others):
        _warn(
            f"the model {name!r} answers otherwise about an image when others are in its batch, so that results depend "
            "on the batches; static_batch=1 asks row by row"
        )
    return rows


def _elsewhere(ask: Callable[[NDArray[np.uint8]], NDArray[Any]], noise: NDArray[np.uint8]) -> Iterator[NDArray[Any]]:
    """Yield the answers to the first images of a batch, or to all, in other places and beside others."""
    if len(noise) > 1:
        for step in {1, len(noise) // 2}:
            yield np.roll(ask(np.roll(noise, step, 0)), -step, 0)
        for level in (0, 255):
            beside = noise.copy()
            beside[1:] = level
            yield ask(beside)[:1]


def _are_near(first: NDArray[Any], again: NDArray[Any]) -> bool:
    """Tell whether answers differ by no more than rounding."""
    one, other = real(first), real(again)
    return (
        one is not None
        and other is not None
        and one.shape == other.shape
        and np.allclose(one, other, rtol=_ROUNDING, atol=_ROUNDING, equal_nan=True)
    )


def _warn(text: str) -> None:
    warnings.warn(text, RandomAnswersWarning, stacklevel=3)
