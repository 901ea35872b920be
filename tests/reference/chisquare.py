"""Chi-square tests of whole outcomes, with rare outcomes pooled so that the approximation holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import numpy as np
from scipy import stats  # type: ignore[import-untyped]

Outcome = tuple[int, ...]

MINIMUM = 10.0
"""Expected count below which an outcome goes to the pool of rare ones."""


def _pooled(rows: list[list[float]]) -> list[list[float]]:
    """Rows of (expected, others...) with the rarest summed into one, until that one is not rare either."""
    pool, *rest = sorted(rows)
    while rest and (pool[0] < MINIMUM or rest[0][0] < MINIMUM):
        pool = [a + b for a, b in zip(pool, rest.pop(0), strict=True)]
    return [pool, *rest]


def against_distribution(counts: Counter[Outcome], exact: Mapping[Outcome, float]) -> float:
    """The p-value of a sample under an exact distribution; 0.0 where an impossible outcome was drawn."""
    if not counts.keys() <= exact.keys():
        return 0.0
    total = counts.total()
    rows = _pooled([[weight * total, float(counts[outcome])] for outcome, weight in exact.items()])
    statistic = sum((observed - expected) ** 2 / expected for expected, observed in rows)
    return float(stats.chi2.sf(statistic, len(rows) - 1))


def two_samples(first: Counter[Outcome], second: Counter[Outcome]) -> float:
    """The p-value of two samples having come from one distribution."""
    share = first.total() / (first.total() + second.total())
    rows = _pooled(
        [
            [
                min(share, 1 - share) * (first[outcome] + second[outcome]),
                float(first[outcome]),
                float(second[outcome]),
            ]
            for outcome in first.keys() | second.keys()
        ]
    )
    return float(stats.chi2_contingency(np.array(rows)[:, 1:], correction=False).pvalue)
