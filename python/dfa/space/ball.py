"""The L-infinity ball: which perturbations of an image are allowed, coordinate by coordinate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.checks import as_array, refuse_masked
from dfa.errors import InvalidInputError
from dfa.search.racos import Racos
from dfa.space.base import Array, BoundSpace, Limits, Space, require_own_moves


@dataclass(frozen=True, eq=False)
class LinfBall(Space):
    """All images within epsilon of the original, coordinate by coordinate.

    Attributes:
        epsilon: Grey levels: one integer, 1..255; one per image, (N,); one per coordinate, (H, W, C), where 0
            leaves the coordinate as it is; or one per image and coordinate, (N, H, W, C).
        mask: Where the image may change: bool, (H, W), (H, W, C), or with one mask per image (N, H, W) or
            (N, H, W, C). None: everywhere.

    Source:
        Paper, section 4.2: the search space is the integers of [-epsilon, epsilon] at every coordinate.
    """

    epsilon: ArrayLike = 10
    mask: ArrayLike | None = None

    def bind(self, num_images: int, shape: tuple[int, ...]) -> BoundBall:
        """Check epsilon and mask against a run's images.

        Args:
            num_images: N.
            shape: (H, W, C).

        Raises:
            InvalidInputError: epsilon is no integer, out of range, of another shape, or 0 everywhere; or the mask is
                no bool, or of another shape.
        """
        assert len(shape) == 3
        epsilon = _checked(self.epsilon, num_images, shape)
        if self.mask is None:
            return BoundBall(epsilon, shape, self.epsilon)
        masked = _masked(epsilon, self.mask, num_images, shape)
        return BoundBall(masked, shape, masked)

    def optimizer(self) -> Racos:
        """Return the default optimizer."""
        return Racos()

    def check_optimizer(self, optimizer: Racos) -> None:
        """Take any but a space's own moves."""
        require_own_moves(self, optimizer)


class BoundBall(BoundSpace):
    """The balls around the images of one run."""

    def __init__(self, epsilon: NDArray[np.uint8], shape: tuple[int, int, int], given: Any = None) -> None:
        """Take a checked epsilon: (), (N,), (H, W, C) or (N, H, W, C); and as what records are to name it."""
        self.size = int(np.prod(shape))
        self.row_shape = shape
        self._epsilon = epsilon
        self._given = epsilon if given is None else given
        self._shared = _core.RadiusMap(epsilon) if epsilon.shape == shape else None

    def epsilon(self, index: int) -> NDArray[np.uint8]:
        """Return the largest change allowed to image `index`: uint8, () or (H, W, C), grey levels."""
        return self._epsilon if self._epsilon.ndim in (0, 3) else np.asarray(self._epsilon[index])

    def limits(self, index: int) -> Limits:
        """Return the radius of image `index` as the core takes it."""
        if self._shared is not None:
            return self._shared
        epsilon = self.epsilon(index)
        return int(epsilon) if epsilon.ndim == 0 else _core.RadiusMap(np.ascontiguousarray(epsilon))

    def describe(self) -> dict[str, Any]:
        """Return epsilon, which says it all."""
        return {"epsilon": self._given}

    def why_broken(
        self, index: int, original: Array, shown: Array, distances: Mapping[str, float] | None
    ) -> str | None:
        """Tell whether no value lies further than epsilon from the original's."""
        beyond = np.abs(shown.astype(np.int16) - original) > self.epsilon(index)
        return f"{int(beyond.sum())} values lie beyond epsilon" if beyond.any() else ""


def _masked(
    epsilon: NDArray[np.uint8], mask: ArrayLike, num_images: int, shape: tuple[int, int, int]
) -> NDArray[np.uint8]:
    """Return epsilon where the mask holds, and 0 elsewhere: (H, W, C) or (N, H, W, C)."""
    flat = shape[:2]
    wanted = f"mask must be bool, {flat}, {shape}, or one per image {(num_images, *flat)} or {(num_images, *shape)}"
    given = as_array("mask", mask)
    if given.dtype != np.bool_ or given.shape not in (flat, shape, (num_images, *flat), (num_images, *shape)):
        raise InvalidInputError(f"{wanted}; got {given.dtype} of shape {given.shape}")
    if given.shape in (flat, (num_images, *flat)):
        given = given[..., np.newaxis]
    levels = epsilon[:, np.newaxis, np.newaxis, np.newaxis] if epsilon.ndim == 1 else epsilon
    together = np.broadcast_shapes(levels.shape, given.shape, shape)
    return _checked(np.where(given, np.broadcast_to(levels, together), 0), num_images, shape)


def _checked(epsilon: Any, num_images: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    wanted = (
        f"epsilon must be in grey levels: one integer of 1..255, one per image ({num_images},), one per coordinate "
        f"{shape} or both {(num_images, *shape)}"
    )
    refuse_masked("epsilon", epsilon)
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
