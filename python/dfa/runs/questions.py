"""What `verify` asks the oracle, in batches that fit into memory, and what its answers say of an image."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from dfa.oracle.base import Oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.types import Image, Scores

T = TypeVar("T")

MOST_BYTES: Final = 2**26
"""Of the images of a batch: what a folder takes on disk tells nothing of what it takes in memory."""

_NEAR: Final = 1e-3
"""Scores that differ by less than this share of themselves may have either rank: another batch may turn them round."""


class Questions:
    """Asks an oracle about images of one shape."""

    def __init__(self, oracle: Oracle, *, num_images: int, batch_size: int, times: int) -> None:
        """Begin without a question.

        Args:
            oracle: The oracle.
            num_images: N.
            batch_size: The most images of a batch.
            times: How often an answer is repeated where it is to be told from luck.
        """
        self._gate = Gate(oracle, num_images=num_images, max_queries=0)
        self._batch_size = batch_size
        self._times = times
        self._is_prepared = False

    @property
    def num_asked(self) -> int:
        """Images sent so far."""
        return self._gate.counts[Purpose.VERIFICATION]

    def ask(self, images: Sequence[Image], indices: Sequence[int]) -> Scores:
        """Return the answer to a batch, float64, (n, K).

        Raises:
            OracleError: The oracle failed.
        """
        batch = np.stack(images)
        if not self._is_prepared:
            self._gate.prepare(batch.shape[1:], size_of_batch(batch[0], self._batch_size))
            self._is_prepared = True
        return self._gate.ask(batch, np.array(indices, dtype=np.int64), Purpose.VERIFICATION)

    def ask_repeatedly(self, images: Sequence[Image], indices: Sequence[int]) -> NDArray[np.float64]:
        """Return the repeated answers to a batch, float64, (n, times, K)."""
        return np.stack([self.ask(images, indices) for _ in range(self._times)], axis=1)


def size_of_batch(image: NDArray[Any], batch_size: int) -> int:
    """Return how many images like this one are asked together."""
    return max(1, min(batch_size, MOST_BYTES // image.nbytes))


def in_batches(items: Iterable[tuple[T, NDArray[Any]]], batch_size: int) -> Iterator[list[T]]:
    """Yield items in batches that the images they come with may be asked in, no more of them than one at a time."""
    batch: list[T] = []
    for item, image in items:
        batch.append(item)
        if len(batch) >= size_of_batch(image, batch_size):
            yield batch
            batch = []
    if batch:
        yield batch


def mean_of(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the first axis, exact where all answers are alike."""
    mean: NDArray[np.float64] = answers[0] + (answers - answers[0]).mean(axis=0)
    return mean


def class_of(scores: NDArray[np.float64], *, target: int | None, clean: int | None) -> int:
    """Return the class of what an attack made of an image, a tie counted against the attack.

    Args:
        scores: float64, (K,).
        target: The class to be reached; None for any but `clean`.
        clean: Class of the original, if known.
    """
    goal = clean if target is None else target
    if goal is None or not 0 <= goal < len(scores):
        return int(scores.argmax())
    others = scores.copy()
    others[goal] = -np.inf
    rival = int(others.argmax())
    is_goal = scores[goal] >= scores[rival] if target is None else scores[goal] > scores[rival]
    return goal if is_goal else rival


def why_benign(found: int, *, target: int | None, clean: int | None) -> str:
    """Return why an image of class `found` is not adversarial, or nothing if it is; arguments as of `class_of`."""
    if target is not None:
        return "" if found == target else f"it must be of the target class {target}, and is {found}"
    return f"it is still of class {found}" if found == clean else ""


def why_not_rank(answers: NDArray[np.float64], target: int, rank: int) -> str:
    """Return why a class is not the one of a rank on the original, or nothing if it may be.

    Args:
        answers: float64, (n, K), to the original.
        target: The class.
        rank: 1 for the likeliest one.
    """
    if not 0 <= target < answers.shape[1]:
        return f"its target {target} is no class of the oracle's {answers.shape[1]}"
    rows = np.concatenate([answers, mean_of(answers)[np.newaxis]])
    score = rows[:, [target]]
    first = int(1 + (rows > score * (1 + _NEAR)).sum(axis=1).min())
    last = int((rows >= score * (1 - _NEAR)).sum(axis=1).max())
    if first <= rank <= last:
        return ""
    found = f"{first}" if first == last else f"{first} to {last}"
    return f"its target {target} must be the class of rank {rank} of the original, and is of rank {found}"
