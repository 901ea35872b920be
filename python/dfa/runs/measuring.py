"""How far an image lies from its original, measured by `verify`: exact, and in parts that fit into memory."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_array
from dfa.errors import InvalidInputError
from dfa.originals import difference, largest
from dfa.types import Image

_PART: Final = 2**20
"""Values that are measured at once."""


@dataclass(frozen=True)
class Allowed:
    """The largest change that is allowed.

    Attributes:
        levels: int64, (), (N,), (H, W, C) or (N, H, W, C).
        is_per_image: Whether its first axis is that of the images.
    """

    levels: NDArray[np.int64]
    is_per_image: bool

    def of(self, index: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
        """Return what is allowed in each value of an image."""
        return np.broadcast_to(self.levels[index] if self.is_per_image else self.levels, shape)


def read_allowed(epsilon: object, num_images: int, shape: tuple[int, ...]) -> Allowed:
    """Return the largest change allowed, of one number, one per image, one per coordinate, or both.

    Raises:
        InvalidInputError: It is of another shape, or may be of two, or holds no integers of 0 or more and of 64 bits.
    """
    levels = as_array("epsilon", epsilon)
    per_image = ((num_images,), (num_images, *shape))
    is_known = levels.shape in ((), shape, *per_image)
    is_integral = levels.dtype.kind in "iu" and levels.size > 0
    if not (is_known and is_integral and levels.min() >= 0 and levels.max() <= np.iinfo(np.int64).max):
        raise InvalidInputError(
            f"epsilon must be one number, one per image ({num_images},), one per coordinate {shape}, or "
            f"both, in integers of 0 or more and of 64 bits; got {levels.dtype} of shape {levels.shape}"
        )
    if levels.shape == shape == (num_images,):
        raise InvalidInputError(
            f"epsilon of shape {shape} may be one per image or one per coordinate; give one per image and coordinate, "
            f"of shape ({num_images}, {num_images})"
        )
    return Allowed(levels.astype(np.int64), levels.shape in per_image and levels.shape != shape)


@dataclass(frozen=True)
class Measured:
    """What `measure` found.

    Attributes:
        l0: Values that differ.
        l2: Euclidean length of the difference.
        linf: The largest difference.
        num_beyond: Values that lie further away than is allowed.
        first_beyond: The first of them, in words; empty if there is none.
    """

    l0: int
    l2: float
    linf: int | float
    num_beyond: int
    first_beyond: str


def measure(image: Image, original: Image, allowed: NDArray[np.int64] | None) -> Measured:
    """Return how far an image lies from its original.

    Args:
        image: Of any shape, integers or finite floats.
        original: Of the same shape and dtype.
        allowed: int64, of that shape: the largest change in each value; None for any.

    Raises:
        InvalidInputError: The two are not of one dtype and shape.
    """
    l0, squares, linf, num_beyond, first = 0, 0.0, 0, 0, ""
    rows = max(1, _PART * len(image) // image.size)
    for start in range(0, len(image), rows):
        part = slice(start, start + rows)
        if image.dtype == original.dtype and np.array_equal(image[part], original[part]):
            continue
        change = difference(image[part], original[part])
        sizes = np.abs(change)
        l0 += int(np.count_nonzero(change))
        with np.errstate(over="ignore"):
            squares += float(np.square(change.astype(np.float64)).sum())
        linf = max(linf, largest(change))  # type: ignore[assignment]
        if allowed is None:
            continue
        beyond: NDArray[Any] = np.argwhere(sizes > allowed[part])
        if len(beyond) and not first:
            place = tuple(beyond[0].tolist())
            at = (place[0] + start, *place[1:])
            first = f"at {at}, {sizes[place]} grey levels away, where {allowed[at]} are allowed"
        num_beyond += len(beyond)
    return Measured(l0, math.sqrt(squares), linf, num_beyond, first)
