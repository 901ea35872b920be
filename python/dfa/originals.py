"""What an original of a run may be: an 8-bit image, or any array of a user's search space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError

_HALF: Final = 2**62 - 1
"""Integers up to which a difference fits into 64 bits."""

_CHANNELS: Final = (1, 3, 4)
"""Of grey, RGB and RGBA."""


class Form(Enum):
    """What the originals of a run are, as its search space has it."""

    IMAGES = "images"
    """uint8, (H, W, C)."""
    ARRAYS = "arrays"
    """Finite integers or floats of any shape: rows of a table, counts of words."""

    def why_not(self, original: NDArray[Any]) -> str:
        """Return why an array is no such original, or nothing if it is one."""
        if self is Form.ARRAYS:
            is_numeric = original.dtype.kind in "iuf" and original.ndim > 0 and original.size > 0
            if is_numeric and bool(np.isfinite(original).all()):
                return ""
            return f"must hold finite integers or floats, got {original.dtype} of shape {original.shape}"
        if original.dtype == np.uint8 and original.ndim == 3 and original.size != 0:
            return ""
        return f"must be uint8 of shape (H, W, C), got {original.dtype} of shape {original.shape}{_hints(original)}"

    @classmethod
    def recorded(cls, config: Mapping[str, Any]) -> Form:
        """Return what the originals of a run are, by the configuration that its folder keeps."""
        return cls((config.get("space") or {}).get("form", cls.IMAGES.value))

    @property
    def takes(self) -> type[np.generic]:
        """The scalar type that an oracle must take."""
        return np.number if self is Form.ARRAYS else np.uint8


def difference(changed: NDArray[Any], original: NDArray[Any]) -> NDArray[Any]:
    """Return changed - original, exactly where both hold integers.

    Args:
        changed: What became of the original.
        original: Integers or floats of any shape.

    Returns:
        int64; where the integers are too large for that, Python's own; of floats float64, or longer where they are.

    Raises:
        InvalidInputError: The two are not of one dtype and shape.
    """
    if changed.dtype != original.dtype or changed.shape != original.shape:
        raise InvalidInputError(
            f"what is compared must be of one dtype and shape, got {changed.dtype} of shape {changed.shape} and "
            f"{original.dtype} of shape {original.shape}"
        )
    exact: Any = np.promote_types(original.dtype, np.float64)
    if original.dtype.kind in "iu":
        is_small = original.dtype.itemsize < 8 or all(
            int(each.min()) >= -_HALF and int(each.max()) <= _HALF for each in (changed, original) if each.size
        )
        exact = np.int64 if is_small else object
    with np.errstate(over="ignore"):
        change: NDArray[Any] = changed.astype(exact) - original.astype(exact)
    return change


def largest(change: NDArray[Any]) -> int | float:
    """Return the largest of a difference's sizes; 0 where there are none."""
    found: Any = np.abs(change).max(initial=0)
    return found.item() if isinstance(found, np.generic) else found  # type: ignore[no-any-return]


def _hints(original: NDArray[Any]) -> str:
    turned = "; transpose (C, H, W) with image.transpose(1, 2, 0)" if is_channels_first(original.shape) else ""
    added = "; a grey image (H, W) needs its channel, image[..., None]" if original.ndim == 2 else ""
    return turned + added + conversion_hint(original)


def is_channels_first(shape: Sequence[int]) -> bool:
    """Tell whether an image of this shape is more likely (C, H, W) than (H, W, C).

    So where the first axis is as short as channels are (1, 3 or 4), the last is not, and the other two are longer.
    (3, 8, 4) may be either, and is taken as it stands.
    """
    if len(shape) != 3:
        return False
    first, *others = shape
    return first in _CHANNELS and shape[2] not in _CHANNELS and min(others) > first


def conversion_hint(images: NDArray[Any]) -> str:
    """Return how other numbers become 8-bit images, as the end of a message; nothing for 8-bit ones."""
    if images.dtype.kind not in "fiu" or images.dtype == np.uint8 or images.size == 0:
        return ""
    low, high = images.min(), images.max()
    if images.dtype.kind in "iu":
        if low >= 0 and high <= 255:
            return "; convert with images.astype('uint8')"
        return f"; values in {low}..{high} are no 8-bit pixels"
    if low < 0:
        return (
            f"; values in {low:.3g}..{high:.3g} are normalised, and rounding would lose the images; pass them as they "
            "were before (drop Normalize): the oracle normalises, dfa.as_oracle(model, mean=, std=)"
        )
    if high <= 1:
        return "; convert with (images * 255).round().astype('uint8') if they lie in [0, 1]"
    return "; convert with images.round().astype('uint8') if they lie in [0, 255]"
