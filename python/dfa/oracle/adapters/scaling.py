"""What becomes of grey levels before a model that was trained on other numbers sees them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_number
from dfa.errors import InvalidInputError
from dfa.oracle.raw import on_host

HOW_TO_SCALE: Final = (
    "value_range=(0, 255) if it takes grey levels as they are, value_range=(0, 1) or (-1, 1) if it takes them so, "
    "mean= and std= if it takes (x / 255 - mean) / std, or preprocess=, a function from float32 grey levels to what it "
    "takes"
)
"""The ways to say what a model takes, for messages that ask for one."""

HOW_TO_SCALE_ARRAYS: Final = (
    "value_range=(0, 255) for grey levels as they are, value_range=(0, 1) for images / 255, or preprocess=, a function "
    "from float32 grey levels to what it was fitted on"
)
"""Likewise of models that know no channels."""


_MOST_MEAN: Final = 2.0
"""Statistics beyond it are not of images in 0..1."""


def checked_statistics(mean: Any, std: Any) -> tuple[Any, Any]:
    """Return mean and std as floats or lists of floats, or None twice.

    Raises:
        InvalidInputError: One comes without the other, or they are no numbers, or in grey levels.
    """
    if (mean is None) != (std is None):
        raise InvalidInputError(f"mean and std go together, got mean={mean!r} and std={std!r}")
    if mean is None:
        return None, None
    read = [_numbers(given) for given in (mean, std)]
    if any(each is None for each in read):
        raise InvalidInputError(
            f"mean and std must be one finite number, or one per channel, got mean={mean!r} and std={std!r}"
        )
    means, stds = np.array(read[0]), np.array(read[1])
    if (stds <= 0).any():
        raise InvalidInputError(f"std must be above 0, got {std!r}")
    if (np.abs(means) > _MOST_MEAN).any() or (stds > _MOST_MEAN).any():
        raise InvalidInputError(
            f"mean and std are of images in 0..1, and look like grey levels: mean={mean!r}, std={std!r}; divide both "
            "by 255"
        )
    return read[0], read[1]


def _numbers(given: Any) -> Any:
    """Return a number as a float, a row of them as a list, and None of anything else."""
    if is_number(given):
        return float(given) if np.isfinite(given) else None
    try:
        array = np.asarray(on_host(given), dtype=np.float64)
    except (TypeError, ValueError):
        return None
    if array.size == 0 or array.size != max(array.shape, default=1) or not np.isfinite(array).all():
        return None
    return array.reshape(-1).tolist()


def check_channels(statistics: tuple[Any, Any], channels: int) -> None:
    """Refuse a mean or std for another number of channels.

    Args:
        statistics: Of `checked_statistics`.
        channels: C of the images.

    Raises:
        InvalidInputError: One is a list of another length.
    """
    for given in statistics:
        if isinstance(given, list) and len(given) not in (1, channels):
            raise InvalidInputError(
                f"mean and std must be one number, or one per channel, {channels} of these images, got {given}"
            )


@dataclass(frozen=True)
class Scaling:
    """x / divisor - mean, divided by std: of a grey level x, in this order, each step rounded.

    Attributes:
        divisor: One number.
        mean: One number, or one per channel.
        std: Likewise.
    """

    divisor: float
    mean: float | list[float] = 0.0
    std: float | list[float] = 1.0

    def apply(self, values: NDArray[Any], channels: int) -> None:
        """Scale floats in place.

        Args:
            values: (n, ...), float32 or float64: grey levels.
            channels: The axis of the channels, 1 or -1.
        """
        if self.divisor != 1.0:
            values /= values.dtype.type(self.divisor)
        if self.mean != 0.0:
            values -= _along(self.mean, values, channels)
        if self.std != 1.0:
            values /= _along(self.std, values, channels)


def scaling_of(mean: Any, std: Any, value_range: Any) -> Scaling | None:
    """Return what a user asked for, or None where nothing was.

    Args:
        mean: Of images in 0..1: one number, one per channel, or None.
        std: Likewise, of what is left.
        value_range: What 0 and 255 become, or None.

    Raises:
        InvalidInputError: They are no such numbers, or say the same thing twice.
    """
    mean, std = checked_statistics(mean, std)
    if value_range is None:
        return None if mean is None else Scaling(255.0, mean, std)
    if mean is not None:
        raise InvalidInputError(
            "mean and std are of images in 0..1, and come instead of value_range, got "
            f"value_range={value_range!r}, mean={mean!r}, std={std!r}"
        )
    if not _is_range(value_range):
        raise InvalidInputError(
            "value_range must be two numbers, what 0 and 255 become, such as (0, 255), (0, 1) or (-1, 1), got "
            f"{value_range!r}"
        )
    low, high = (float(end) for end in value_range)
    # So that the usual ranges are made as is usual: x / 255, and x / 127.5 - 1.
    return Scaling(255.0 / (high - low), 0.0 - low)


def _is_range(given: Any) -> bool:
    """Tell whether something is two finite numbers, the smaller first."""
    ends = list(given) if isinstance(given, list | tuple | np.ndarray) else []
    return len(ends) == 2 and all(is_number(end) and np.isfinite(end) for end in ends) and bool(ends[0] < ends[1])


def _along(given: float | Sequence[float], values: NDArray[Any], channels: int) -> NDArray[Any]:
    """Return a statistic so that it meets each value of its channel, in the dtype of the values."""
    row = np.asarray(given, dtype=values.dtype)
    if row.ndim == 0:
        return row
    if channels == 1:
        return row.reshape(-1, *[1] * (values.ndim - 2))
    # A whole line of pixels: NumPy is forty times slower along three numbers at a time.
    return np.ascontiguousarray(np.broadcast_to(row, values.shape[-2:]))
