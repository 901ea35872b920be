"""The search space: which perturbations of an image are allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.errors import InvalidInputError

Radius: TypeAlias = "int | _core.RadiusMap"
"""What the core takes: one radius for a whole image, or one per coordinate."""


@dataclass(frozen=True, eq=False)
class LinfBall:
    """All images within epsilon of the original, coordinate by coordinate.

    Attributes:
        epsilon: Grey levels: one integer, 1..255; one per image, (N,); one per coordinate, (H, W, C), where 0
            leaves the coordinate as it is; or one per image and coordinate, (N, H, W, C).

    Source:
        Paper, section 4.2: the search space is the integers of [-epsilon, epsilon] at every coordinate.
    """

    epsilon: ArrayLike = 10

    def bind(self, num_images: int, shape: tuple[int, int, int]) -> BoundBall:
        """Check epsilon against a run's images.

        Args:
            num_images: N.
            shape: (H, W, C).

        Raises:
            InvalidInputError: epsilon is no integer, out of range, of another shape, or 0 everywhere.
        """
        return BoundBall(_checked(self.epsilon, num_images, shape), shape)


class BoundBall:
    """The balls around the images of one run."""

    def __init__(self, epsilon: NDArray[np.uint8], shape: tuple[int, int, int]) -> None:
        """Take a checked epsilon: (), (N,), (H, W, C) or (N, H, W, C)."""
        self._epsilon = epsilon
        self._shared = _core.RadiusMap(epsilon) if epsilon.shape == shape else None

    def epsilon(self, index: int) -> NDArray[np.uint8]:
        """Return the largest change allowed to image `index`: uint8, () or (H, W, C), grey levels."""
        return self._epsilon if self._epsilon.ndim in (0, 3) else np.asarray(self._epsilon[index])

    def radius(self, index: int) -> Radius:
        """Return the radius of image `index` as the core takes it."""
        if self._shared is not None:
            return self._shared
        epsilon = self.epsilon(index)
        return int(epsilon) if epsilon.ndim == 0 else _core.RadiusMap(np.ascontiguousarray(epsilon))


def _checked(epsilon: Any, num_images: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    wanted = (
        f"epsilon must be in grey levels: one integer of 1..255, one per image ({num_images},), one per coordinate "
        f"{shape} or both {(num_images, *shape)}"
    )
    try:
        array = np.asarray(epsilon)
    except ValueError as error:  # a ragged list
        raise InvalidInputError(f"{wanted}; {error}") from error
    if array.dtype.kind not in "iu":
        hint = ""
        if array.dtype.kind == "f" and array.ndim == 0:
            value = float(array)
            if 0 < value < 1:
                hint = f" (did you mean {max(1, round(value * 255))}, for {max(1, round(value * 255))}/255?)"
            elif value.is_integer():
                hint = f" (pass {int(value)})"
        given = repr(epsilon) if array.ndim == 0 else f"dtype {array.dtype} of shape {array.shape}"
        raise InvalidInputError(f"{wanted}; got {given}{hint}")
    if array.shape not in ((), (num_images,), shape, (num_images, *shape)):
        raise InvalidInputError(f"{wanted}; got shape {array.shape}")
    least = 0 if array.ndim >= 3 else 1
    if array.min() < least or array.max() > 255:
        raise InvalidInputError(f"{wanted}; got values of {array.min()}..{array.max()}")
    if array.ndim >= 3 and not array.reshape(-1, *shape).any(axis=(1, 2, 3)).all():
        raise InvalidInputError("epsilon must leave at least one coordinate of every image to change, got only 0")
    return np.array(array, dtype=np.uint8, order="C")
