"""Images as other libraries hold them: floats between two bounds, of which 256 stand for the grey levels."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dfa.checks import is_number
from dfa.errors import InvalidInputError
from dfa.oracle.raw import on_host
from dfa.originals import is_channels_first
from dfa.types import Images

_ROUNDING: Final = 2.0**-24
"""What one operation of float32 may be off by, as a share of its result."""

_OPERATIONS: Final = 8
"""On the way of an image to whoever attacks it: divided by 255, moved to the bounds, normalised and back."""

_TOO_FAR: Final = 0.25
"""Grey levels; where floats may be off by more than that, two levels cannot be told apart for certain."""


def is_single(value: Any) -> bool:
    """Tell whether a value is one thing and not several, as an array or a tensor without dimensions is."""
    return not isinstance(value, Iterable) or getattr(value, "shape", None) == ()


@dataclass(frozen=True)
class Grid:
    """The 256 floats between two bounds, evenly spaced, that stand for the grey levels 0..255.

    Attributes:
        low: Stands for 0.
        high: Stands for 255.
        channels_first: Images are (N, C, H, W), and not (N, H, W, C).

    Raises:
        InvalidInputError: The bounds are not finite, not in order, or so close together, for their size, that float32
            does not tell 256 values between them apart.
    """

    low: float
    high: float
    channels_first: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        low, high = float(self.low), float(self.high)
        if not (math.isfinite(low) and math.isfinite(high) and low < high and self.tolerance < _TOO_FAR):
            raise InvalidInputError(
                "bounds must be two finite numbers, the lower one first, with room for 256 values of float32 between "
                f"them, got {low:g} and {high:g}; name those that the images have, such as (0, 1)"
            )

    @classmethod
    def of(cls, bounds: Any, shape: Sequence[int], channels_first: bool | None = None) -> Grid:
        """Return the grid of a model's bounds.

        Args:
            bounds: Two numbers, or two arrays that hold one number each.
            shape: (N, ...) of the images.
            channels_first: None: as the shape suggests.

        Raises:
            InvalidInputError: The bounds are none, or differ from one coordinate to another.
        """
        try:
            ends = [np.unique(np.asarray(each, dtype=np.float64)) for each in bounds]
        except (TypeError, ValueError):  # no several things, or no numbers
            ends = []
        if len(ends) != 2 or any(end.size != 1 for end in ends):
            raise InvalidInputError(
                f"a model and its images must have two bounds, the same for all values, got {bounds!r}; name "
                "those that the images have, such as (0, 1)"
            )
        first = is_channels_first(tuple(shape)[1:]) if channels_first is None else channels_first
        return cls(float(ends[0][0]), float(ends[1][0]), first)

    @property
    def tolerance(self) -> float:
        """How far a float may lie from its grey level, in grey levels: eight roundings of float32; 0.00012 in 0..1."""
        largest = max(abs(self.low), abs(self.high), self.high - self.low)
        return _OPERATIONS * _ROUNDING * largest * 255 / (self.high - self.low)

    @cached_property
    def _levels(self) -> NDArray[np.float64]:
        """What stands for each grey level, rounded once: float64, (256,)."""
        low, high = Fraction(self.low), Fraction(self.high)
        return np.array([float(low + level * (high - low) / 255) for level in range(256)])

    def images(self, values: NDArray[Any]) -> Images:
        """Return the 8-bit images that floats stand for: uint8, (N, H, W, C).

        Args:
            values: float32 or float64, or integers where each grey level is one, as in 0..255; (N, C, H, W) or
                (N, H, W, C), as the grid has it.

        Raises:
            InvalidInputError: They are no such array, or a value lies outside the bounds or between two grey levels.
        """
        is_precise = values.dtype.kind in "iu" or (values.dtype.kind == "f" and values.dtype.itemsize >= 4)
        if values.ndim != 4 or not is_precise:
            wanted = "(N, C, H, W)" if self.channels_first else "(N, H, W, C)"
            raise InvalidInputError(
                f"images must be float32 of shape {wanted}, got {values.dtype} of shape {values.shape}"
            )
        if values.dtype.kind in "iu" and not self._is_of_integers(np.iinfo(values.dtype)):
            raise InvalidInputError(
                f"images must lie within the bounds {self.low:g}..{self.high:g} as float32, got {values.dtype}, which "
                f"does not hold what stands for the 256 grey levels; pass floats, 8-bit images x as {self._expression}"
            )
        images = np.empty(values.shape, dtype=np.uint8)
        for index, value in enumerate(values):
            levels = (value.astype(np.float64) - self.low) * (255 / (self.high - self.low))
            whole = np.clip(np.rint(levels), 0, 255)
            # A NaN makes the comparison false.
            off = ~(np.abs(levels - whole) <= self.tolerance)
            if off.any():
                place = np.unravel_index(int(off.argmax()), off.shape)
                raise InvalidInputError(self._refusal(index, value[place], levels[place]))
            images[index] = whole
        return np.ascontiguousarray(np.moveaxis(images, 1, -1)) if self.channels_first else images

    def values(self, images: Images, dtype: DTypeLike) -> NDArray[Any]:
        """Return the floats of a dtype nearest to what 8-bit images stand for: (N, C, H, W) or (N, H, W, C)."""
        laid = np.moveaxis(images, -1, 1) if self.channels_first else images
        values: NDArray[Any] = self._levels.astype(dtype)[np.ascontiguousarray(laid)]
        return values

    def epsilon(self, eps: Any) -> int:
        """Return how many whole grey levels a largest change, in units of the bounds, leaves room for: 1..255.

        Args:
            eps: A number, or an array or tensor without dimensions that is one.

        Raises:
            InvalidInputError: It is no number, less than one grey level, or more than from one bound to the other.
        """
        width = self.high - self.low
        number = np.asarray(on_host(eps))[()] if is_single(eps) else eps
        levels = float(number) / width * 255 if is_number(number) else math.nan
        if not 1 <= levels + self.tolerance <= 255 + 2 * self.tolerance:
            raise InvalidInputError(
                f"eps must be a number in the units of the bounds {self.low:g}..{self.high:g}, from one grey level, "
                f"{width / 255:.3g}, to all of {width:g}, got {eps!r}; eight grey levels are {8 * width / 255:.3g}"
            )
        return min(255, math.floor(levels + self.tolerance))

    def _is_of_integers(self, kind: np.iinfo[Any]) -> bool:
        """Tell whether every grey level is an integer of a kind, so that what is found can be given back as such."""
        is_whole = bool((self._levels == np.rint(self._levels)).all())
        return is_whole and kind.min <= self.low and self.high <= kind.max

    @property
    def _expression(self) -> str:
        """What makes floats between the bounds of 8-bit images x."""
        width = self.high - self.low
        moved = f" * {width:g}" if width != 1 else ""
        return f"x / 255{moved}" + (f" + {self.low:g}" if self.low else "")

    def _refusal(self, index: int, value: Any, level: float) -> str:
        if not (0 <= level <= 255):
            return (
                f"images must lie within the bounds {self.low:g}..{self.high:g}, and image {index} holds {value}; name "
                "the bounds that the images have, or clip the images to these"
            )
        moved = "x" if self.low == 0 else f"(x - {self.low:g})"
        step = "255" if self.high - self.low == 1 else f"{255 / (self.high - self.low):g}"
        back = f"({moved} * {step}).round() / {step}" + (f" + {self.low:g}" if self.low else "")
        return (
            f"images must be 8-bit images between the bounds {self.low:g}..{self.high:g}, and image {index} holds "
            f"{value}, which is grey level {level:.4f}; quantise them first: {back}"
        )
