"""The search around one vector, written plainly: the core's `LatticeBatch` must equal it bit for bit.

Sources: paper, section 3.1.1; `dfa.auditing.repair` says what the stages are.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from reference.philox import WORD, Stream

Image = NDArray[np.uint8]

OUTWARD, STOCHASTIC, BLOCKS, COORDINATES = "outward", "stochastic", "blocks", "coordinates"
NUMBERS = {"nearest": 0, OUTWARD: 1, STOCHASTIC: 2, BLOCKS: 3, COORDINATES: 4}
"""Of the stages; they name random streams."""

SLACK = 1e-3
FIRST_BLOCKS = 4


@dataclass(frozen=True)
class Box:
    """The images around one vector.

    Attributes:
        original: uint8, (H, W, C).
        levels: float64, (H, W, C): the vector, within epsilon of the original.
        low: uint8, (H, W, C): the vector rounded down.
        high: uint8, (H, W, C): rounded up; equal to `low` where there is no choice.
    """

    original: Image
    levels: NDArray[np.float64]
    low: Image
    high: Image

    @classmethod
    def around(cls, levels: NDArray[np.float64], original: Image, epsilon: int) -> Box:
        """Return the box of a vector's levels, (H, W, C), within epsilon of the original."""
        nearest = np.rint(levels)
        exact = np.where(np.abs(levels - nearest) <= SLACK, nearest, levels)
        exact = np.clip(exact, original.astype(np.int64) - epsilon, original.astype(np.int64) + epsilon)
        return cls(original, exact, np.floor(exact).astype(np.uint8), np.ceil(exact).astype(np.uint8))

    @property
    def nearest(self) -> Image:
        """The vector rounded to nearest."""
        return np.rint(self.levels).astype(np.uint8)

    @property
    def outward(self) -> Image:
        """Every coordinate rounded away from the original."""
        return np.where(self.levels >= self.original, self.high, self.low)

    @property
    def free(self) -> NDArray[np.int64]:
        """The coordinates with a choice, by their place in the flattened image."""
        return np.flatnonzero(self.low != self.high)


Search = Generator[tuple[str, Image], float, None]
"""Yields candidates and takes their degrees."""


def search(
    box: Box, degree: float, *, stages: tuple[str, ...], num_stochastic: int, seed: int, image_id: int
) -> Search:
    """Search the box of one vector from its nearest image, of the given degree, until nothing is left to try."""
    best, least = box.nearest, degree
    for stage in stages:
        if stage in (BLOCKS, COORDINATES):
            best, least = yield from _greedy(box, best, least, stage, seed, image_id)
            continue
        candidates = iter((box.outward,)) if stage == OUTWARD else _stochastic(box, num_stochastic, seed, image_id)
        for candidate in candidates:
            if np.array_equal(candidate, best):
                continue
            found = yield stage, candidate
            if found < least:
                best, least = candidate, found


def _stochastic(box: Box, number: int, seed: int, image_id: int) -> Iterator[Image]:
    """Yield images whose coordinates are up with the probability of their fraction."""
    low, high, levels = box.low.reshape(-1), box.high.reshape(-1), box.levels.reshape(-1)
    for candidate in range(number):
        stream = Stream(seed, image_id, NUMBERS[STOCHASTIC], candidate)
        image = low.copy()
        for place in box.free:
            if stream.next() < (levels[place] - low[place]) * WORD:
                image[place] = high[place]
        yield image.reshape(box.low.shape)


def _greedy(
    box: Box, image: Image, least: float, stage: str, seed: int, image_id: int
) -> Generator[tuple[str, Image], float, tuple[Image, float]]:
    """Flip blocks of coordinates while that helps, then smaller ones, down to one at a time; or one from the start.

    Ends with an image that no single flip improves.
    """
    free = box.free
    both = box.low.reshape(-1).astype(np.int64) + box.high.reshape(-1)
    size = 1 if stage == COORDINATES else max(1, len(free) // FIRST_BLOCKS)
    moved = np.abs(box.levels - np.rint(box.levels)).reshape(-1)[free]
    by_distance = free[np.argsort(-moved, kind="stable")]
    passes = 0
    while len(free):
        improved = False
        order = by_distance if stage == COORDINATES else _shuffled(free, seed, image_id, passes)
        passes += 1
        for start in range(0, len(order), size):
            block = order[start : start + size]
            candidate = image.copy()
            flat = candidate.reshape(-1)
            flat[block] = both[block] - flat[block]
            found = yield stage, candidate
            if found < least:
                image, least, improved = candidate, found, True
        if size == 1 and not improved:
            break
        size = max(1, size // 2)
    return image, least


def _shuffled(free: NDArray[np.int64], seed: int, image_id: int, passes: int) -> NDArray[np.int64]:
    """Return the coordinates in the order of a pass (Fisher and Yates, from the end)."""
    stream = Stream(seed, image_id, NUMBERS[BLOCKS], passes)
    order: NDArray[np.int64] = free.copy()
    for last in range(len(order), 1, -1):
        other = stream.below(last)
        order[last - 1], order[other] = order[other], order[last - 1]
    return order
