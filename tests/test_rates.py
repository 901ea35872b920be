"""Shares of a whole, and how far they are to be trusted."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from dfa.results.rates import clopper_pearson

CASES = [
    (part, whole)
    for whole in (1, 2, 10, 50, 200, 1_000, 1_000_000)
    for part in sorted({0, 1, whole // 7, whole // 2, whole - 1, whole})
]


@pytest.mark.parametrize(("part", "whole"), CASES)
@pytest.mark.parametrize("confidence", [0.95, 0.999])
def test_clopper_and_pearsons_interval_is_that_of_the_beta_distribution(
    part: int, whole: int, confidence: float
) -> None:
    tail = (1 - confidence) / 2
    low = 0.0 if part == 0 else stats.beta.ppf(tail, part, whole - part + 1)
    high = 1.0 if part == whole else stats.beta.ppf(1 - tail, part + 1, whole - part)
    assert clopper_pearson(part, whole, confidence) == pytest.approx((low, high), rel=1e-8)


def test_of_nothing_nothing_is_known() -> None:
    assert all(math.isnan(end) for end in clopper_pearson(0, 0))
