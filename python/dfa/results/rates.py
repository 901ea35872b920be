"""Shares of a whole, and how far a share is to be trusted."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final, NamedTuple, TypeAlias

Interval: TypeAlias = tuple[float, float]


class FreshAnswers(NamedTuple):
    """Answers about one image that had no part in choosing it.

    Attributes:
        agreeing: Those that found it adversarial.
        number: All of them.
    """

    agreeing: int
    number: int


NO_ANSWERS: Final = FreshAnswers(0, 0)

CONFIDENCE: Final = 0.95
"""Of the intervals."""


def ratio(part: float, whole: float) -> float:
    """Return part / whole; nan of nothing."""
    return part / whole if whole else math.nan


def wilson(part: int, whole: int) -> Interval:
    """Return Wilson's 95 % interval of a proportion; (nan, nan) of nothing."""
    if whole == 0:
        return math.nan, math.nan
    z = NormalDist().inv_cdf(0.5 + CONFIDENCE / 2)
    rate = part / whole
    scale = 1 + z * z / whole
    centre = (rate + z * z / (2 * whole)) / scale
    reach = z / scale * math.sqrt(rate * (1 - rate) / whole + z * z / (4 * whole * whole))
    # At the ends the formula gives 0 and 1 up to rounding.
    return (0.0 if part == 0 else centre - reach), (1.0 if part == whole else centre + reach)
