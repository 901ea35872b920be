"""How many images a margin of error needs."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

from dfa.checks import is_number
from dfa.errors import InvalidInputError
from dfa.results.rates import CONFIDENCE, clopper_pearson

_LEAST_MARGIN: Final = 0.001


def sample_size(margin: float, confidence: float = CONFIDENCE, share: float = 0.5) -> int:
    """Return how many images are needed to know a share, such as robust accuracy, within a margin.

    With one image less, Clopper and Pearson's exact interval reaches further than `margin` from the share that was
    measured; with so many it does not, on either side. The images must be drawn at random from those that the share
    is to be known of.

    Args:
        margin: 0.05 for 5 points more or less; from 0.001 on, below 1.
        confidence: How often such intervals hold the true share, at the least; above 0, below 1.
        share: About which share is expected, 0..1. 0.5 needs the most images, so it is the choice where nothing is
            known.

    Raises:
        InvalidInputError: A number is outside its range.

    Example:
        >>> sample_size(0.05)
        402
    """
    _require("margin", margin, _LEAST_MARGIN <= margin < 1 if is_number(margin) else False, "of 0.001 on, below 1")
    _require("confidence", confidence, 0 < confidence < 1 if is_number(confidence) else False, "above 0 and below 1")
    _require("share", share, 0 <= share <= 1 if is_number(share) else False, "of 0..1")
    # What the normal distribution says is near, and the exact interval a little wider.
    # By the lower tail: next to 1 the upper one would be rounded to 1, where the quantile is infinite.
    z = -NormalDist().inv_cdf((1 - confidence) / 2)
    high = max(1, math.ceil(share * (1 - share) * (z / margin) ** 2))
    step = max(1, high // 50)
    while not _is_within(margin, high, confidence, share):
        high, step = high + step, 2 * step
    low = max(0, high - step)
    while low > 0 and _is_within(margin, low, confidence, share):
        low, step = max(0, low - step), 2 * step
    # 0 images are too few, and those at `high` are enough.
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _is_within(margin, middle, confidence, share) else (middle, high)
    return high


def _is_within(margin: float, number: int, confidence: float, share: float) -> bool:
    """Tell whether the interval of the share, rounded to images either way, ends within the margin on both sides."""
    for part in {math.floor(share * number), math.ceil(share * number)}:
        low, high = clopper_pearson(part, number, confidence)
        if max(part / number - low, high - part / number) > margin:
            return False
    return True


def _require(name: str, value: object, holds: bool, range_of_it: str) -> None:
    if not holds:
        raise InvalidInputError(f"{name} must be a number {range_of_it}, got {value!r}")
