"""Mean and std as users of several frameworks give them: of images in 0..1."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dfa.checks import is_number
from dfa.errors import InvalidInputError
from dfa.oracle.raw import on_host

_MOST: Final = 2.0
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
    if (np.abs(means) > _MOST).any() or (stds > _MOST).any():
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
