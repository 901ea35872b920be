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

_CLOSE: Final = 1e-14

CONFIDENCE: Final = 0.95
"""Of the intervals."""


def ratio(part: float, whole: float) -> float:
    """Return part / whole; nan of nothing."""
    return part / whole if whole else math.nan


def percent(rate: float) -> str:
    """Return a share in percent; "-" of none."""
    return "-" if math.isnan(rate) else f"{100 * rate:.1f} %"


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


def clopper_pearson(part: int, whole: int, confidence: float = CONFIDENCE) -> Interval:
    """Return the exact interval of a proportion of independent draws; (nan, nan) of nothing.

    It holds the true share with at least the given confidence, whatever that share is.

    Source:
        Clopper and Pearson, Biometrika 26, 1934: the quantiles of two Beta distributions.
    """
    if whole == 0:
        return math.nan, math.nan
    tail = (1 - confidence) / 2
    low = 0.0 if part == 0 else _beta_quantile(tail, part, whole - part + 1)
    high = 1.0 if part == whole else 1 - _beta_quantile(tail, whole - part, part + 1)
    return low, high


def _beta_quantile(chance: float, a: int, b: int) -> float:
    """Return where the Beta distribution reaches `chance`, of which it is known to be far from 1, by halving."""
    low, high = 0.0, 1.0
    while (middle := (low + high) / 2) not in (low, high):
        low, high = (middle, high) if _beta_below(middle, a, b) < chance else (low, middle)
    return middle


def _beta_below(x: float, a: int, b: int) -> float:
    """Return the chance of a Beta distribution's variable to be below x, 0 < x < 1, by its continued fraction."""
    if x > (a + 1) / (a + b + 2):
        return 1 - _beta_below(1 - x, b, a)
    scale = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x))
    # Lentz's way of evaluating it from its first term on.
    upper, lower = 1.0, 1 / (1 - (a + b) * x / (a + 1))
    total = lower
    m = 0
    while True:
        m += 1
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            lower = 1 / (1 + term * lower)
            upper = 1 + term / upper
            total *= upper * lower
        if abs(upper * lower - 1) < _CLOSE:
            return scale * total / a


def chance_of(right: int, number: int, each: float) -> float:
    """Return how likely guessing gets at least so many right: the tail of a binomial distribution.

    Args:
        right: 0..number.
        number: Guesses.
        each: How likely one is right, above 0 and below 1.
    """
    whole = math.lgamma(number + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(hits + 1)
            - math.lgamma(number - hits + 1)
            + hits * math.log(each)
            + (number - hits) * math.log1p(-each)
        )
        for hits in range(right, number + 1)
    )


def mcnemar(only_a: int, only_b: int) -> float:
    """Return how likely chance alone parts two paired shares at least so far: McNemar's exact test, two-sided.

    Where neither of a pair is the likelier one, what only one of them did is a toss of a fair coin. 1 without any.

    Args:
        only_a: Pairs of which only the first did it.
        only_b: Pairs of which only the second did.

    Source:
        McNemar, Psychometrika 12, 1947; the exact form is the binomial test of the pairs that differ.
    """
    number = only_a + only_b
    return min(1.0, 2 * chance_of(max(only_a, only_b), number, 0.5))
