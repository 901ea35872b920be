"""A user's own space: intervals and a vectorised renderer, for images and for what is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.errors import InvalidInputError, SpaceError, told
from dfa.originals import Form
from dfa.search.racos import Racos
from dfa.space.base import Array, BoundSpace, Limits, Space
from dfa.space.boxes import small_box

Render: TypeAlias = Callable[[Array, NDArray[np.int16]], Array]
Measure: TypeAlias = Callable[[Array, Array, NDArray[np.int16]], Mapping[str, float]]


@dataclass(frozen=True, eq=False)
class Custom(Space):
    """A box of the user's, and what its vectors make of the originals.

    Originals may be any arrays of finite integers or floats of one shape and dtype, (N, ...): images, rows of a table,
    counts of words. Results keep what was found as .npy files, unless it is a uint8 image.

    Attributes:
        low: The least value of each integer of x: integers of -32,768..32,767, (D,), or (N, D) for one box per
            original.
        high: The largest, likewise; not below `low`, and above it somewhere.
        render: A function of originals (n, ...) and x, int16 (n, D), that returns what the oracle is asked: an array
            like the originals, of the same shape and dtype. Row i must depend on row i of both alone.
        measure: A function of an original, what it became, and x, int16 (D,), that returns numbers by name; they are
            reported with the record. None: nothing beside L0, L2 and L-infinity.
    """

    low: ArrayLike
    high: ArrayLike
    render: Render
    measure: Measure | None = None

    form: ClassVar[Form] = Form.ARRAYS

    def bind(self, num_images: int, shape: tuple[int, ...]) -> BoundCustom:
        """Check the box.

        Args:
            num_images: N.
            shape: Of every original.

        Raises:
            InvalidInputError: `low` and `high` are not as described, or `render` is no function.
        """
        low, high = (_checked(name, getattr(self, name), num_images) for name in ("low", "high"))
        if low.shape[-1] != high.shape[-1]:
            raise InvalidInputError(f"low and high must be of one length, got {low.shape[-1]} and {high.shape[-1]}")
        for name in ("render", "measure"):
            value = getattr(self, name)
            if not callable(value) and not (name == "measure" and value is None):
                raise InvalidInputError(f"{name} must be a function, got {value!r}")
        bound = BoundCustom(self, low, high)
        for index in range(num_images if low.ndim == 2 or high.ndim == 2 else 1):
            bound.limits(index)
        return bound

    def optimizer(self) -> Racos:
        """Return RACOS as the paper has it, but for one changed integer at a time and the log degree."""
        return small_box()


class BoundCustom(BoundSpace):
    """A user's space, for the originals of one run."""

    def __init__(self, space: Custom, low: NDArray[np.int16], high: NDArray[np.int16]) -> None:
        """Take a checked box."""
        self.size = low.shape[-1]
        # The core writes x itself, two bytes for each integer.
        self.row_shape = (1, self.size, 2)
        self._space = space
        self._low, self._high = low, high
        self._shared: _core.Box | None = None
        self._nothing = np.zeros(self.row_shape, dtype=np.uint8)

    def limits(self, index: int) -> Limits:
        """Return the box of original `index` as the core takes it."""
        if self._shared is not None:
            return self._shared
        low, high = (np.ascontiguousarray(each if each.ndim == 1 else each[index]) for each in (self._low, self._high))
        try:
            box = _core.Box("values", self.row_shape, {}, low, high)
        except ValueError as error:
            raise InvalidInputError(f"low and high, original {index}: {error}") from error
        if self._low.ndim == self._high.ndim == 1:
            self._shared = box
        return box

    def base(self, original: Array) -> NDArray[np.uint8]:
        """Return nothing: the core needs no original to write x."""
        return self._nothing

    def show(self, rows: NDArray[np.uint8], originals: Callable[[], Array]) -> Array:
        """Return what the user's renderer makes of the vectors, in memory that the renderer has no part of."""
        given = originals()
        try:
            # It may write into what it is given, and use the memory of what it returns again.
            shown = np.array(self._space.render(given.copy(), rows.reshape(len(rows), -1).view(np.int16).copy()))
        except Exception as error:  # a user's function may raise anything
            raise SpaceError(f"the space's renderer failed: {told(error)}") from error
        if shown.shape != given.shape or shown.dtype != given.dtype:
            raise SpaceError(
                f"the space's renderer must return what is like the originals, {given.dtype} of shape {given.shape}, "
                f"and returned {shown.dtype} of shape {shown.shape}"
            )
        return shown

    def describe(self) -> dict[str, Any]:
        """Return the box, and what the functions are called."""
        box = {"kind": "Custom", "form": self._space.form.value, "low": self._low, "high": self._high}
        return {"epsilon": None, "space": {**box, "render": self._space.render, "measure": self._space.measure}}

    def why_broken(
        self, index: int, original: Array, shown: Array, distances: Mapping[str, float] | None
    ) -> str | None:
        """Tell nothing: what the user promises is not known."""
        return None

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Ask the user's function."""
        if self._space.measure is None:
            return {}
        try:
            given = (each.copy() for each in (original, shown, x))
            return {str(name): float(value) for name, value in self._space.measure(*given).items()}
        except Exception as error:  # a user's function may raise anything
            raise SpaceError(f"the space's measure failed: {told(error)}") from error


def _checked(name: str, values: ArrayLike, num_images: int) -> NDArray[np.int16]:
    wanted = f"{name} must be integers of -32768..32767, one for each of x (D,), or (N, D) with N = {num_images}"
    try:
        array = np.asarray(values)
    except ValueError as error:  # a ragged list
        raise InvalidInputError(f"{wanted}; {error}") from error
    if array.dtype.kind not in "iu" or array.ndim not in (1, 2) or array.size == 0:
        raise InvalidInputError(f"{wanted}; got {array.dtype} of shape {array.shape}")
    if array.ndim == 2 and len(array) != num_images:
        raise InvalidInputError(f"{wanted}; got shape {array.shape}")
    if array.min() < -(2**15) or array.max() >= 2**15:
        raise InvalidInputError(f"{wanted}; got {array.min()}..{array.max()}")
    return array.astype(np.int16)
