"""A standard suite's settings, one cell of it, and two cells held against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.results.rates import Interval, clopper_pearson, mcnemar, percent, ratio
from dfa.results.setting import goal_words, short_words
from dfa.search.goals import Rank

SUITE: Final = "dfa-suite 1"
"""Name and version of the settings below: whoever changes one of them raises the number."""
EPSILONS: Final = (4, 8)
SEEDS: Final = (0, 1, 2)
MAX_QUERIES: Final = 1_000
TARGET: Final = Rank(4)
WITHIN: Final = (10, 100, 1_000)
"""Queries within which a share of the images was broken."""

DEFAULT: Final = "dfa"
"""The optimizer that the others are held against."""


@dataclass(frozen=True)
class SuiteCell:
    """One optimizer in one setting, with every seed.

    An image counts as broken where it was broken with more than half of the seeds, so that each image counts once and
    the exact interval is one of independent images, as far as these are drawn at random. Means and medians of queries
    are over all images and seeds, a failure at the budget.

    Attributes:
        epsilon: Grey levels.
        target: Rank of the class that images are to become: 4 for the 4th likeliest; None in an untargeted setting.
        optimizer: Its name.
        max_queries: Budget per image.
        queries: For each seed and image the queries up to the success; 0 where there was none, None where the image was
            not attacked.
        queries_sent: Attack queries sent with each seed.
        calls: Of the oracle for attack queries, with each seed. They depend on the batch size.
    """

    epsilon: int
    target: int | None
    optimizer: str
    max_queries: int
    queries: tuple[tuple[int | None, ...], ...]
    queries_sent: tuple[int, ...]
    calls: tuple[int, ...]

    @cached_property
    def _table(self) -> NDArray[np.float64]:
        return np.array(self.queries, dtype=np.float64)  # None becomes nan

    @cached_property
    def costs(self) -> NDArray[np.float64]:
        """Queries with failures at the budget: float64, (seeds, N), nan where an image was not attacked."""
        table = self._table
        return np.where(table == 0, float(self.max_queries), table)

    @cached_property
    def is_attacked(self) -> NDArray[np.bool_]:
        """Whether each image was attacked with every seed: bool, (N,)."""
        return np.asarray(~np.isnan(self._table).any(axis=0))

    def is_broken(self, within: int | None = None) -> NDArray[np.bool_]:
        """Return whether each image was broken with more than half of the seeds: bool, (N,).

        Args:
            within: By at most so many queries; None: by the budget.
        """
        hits = (self._table > 0) & (self._table <= (self.max_queries if within is None else within))
        return np.asarray(self.is_attacked & (2 * hits.sum(axis=0) > len(self._table)))

    @property
    def attacked(self) -> int:
        """Images that count."""
        return int(self.is_attacked.sum())

    @property
    def broken(self) -> int:
        """Of these, the images that were broken."""
        return int(self.is_broken().sum())

    @property
    def success(self) -> float:
        """Share of the attacked images that was broken; nan of none."""
        return ratio(self.broken, self.attacked)

    @property
    def success_interval(self) -> Interval:
        """Clopper and Pearson's 95 % interval of `success`."""
        return clopper_pearson(self.broken, self.attacked)

    @property
    def success_within(self) -> dict[int, float]:
        """The share that was broken by at most 10, 100 and 1,000 queries, as far as the budget reaches."""
        marks = [each for each in WITHIN if each <= self.max_queries]
        return {mark: ratio(int(self.is_broken(mark).sum()), self.attacked) for mark in marks}

    @property
    def queries_mean(self) -> float:
        """Mean queries, failures at the budget; nan of none."""
        return float(self.costs[:, self.is_attacked].mean()) if self.attacked else math.nan

    @property
    def queries_median(self) -> float:
        """Median queries, failures at the budget; nan of none."""
        return float(np.median(self.costs[:, self.is_attacked])) if self.attacked else math.nan

    @property
    def setting(self) -> str:
        """What it was to do, in words."""
        return f"epsilon {self.epsilon}, {goal_words(None if self.target is None else Rank(self.target))}"

    def figures(self) -> dict[str, Any]:
        """Return what suite.json says of it beside its queries; None where a figure is of nothing."""
        found: dict[str, Any] = {
            "attacked": self.attacked,
            "broken": self.broken,
            "success": self.success,
            "success_low": self.success_interval[0],
            "success_high": self.success_interval[1],
            **{f"success_within_{mark}": share for mark, share in self.success_within.items()},
            "queries_mean": self.queries_mean,
            "queries_median": self.queries_median,
        }
        return {name: None if math.isnan(value) else value for name, value in found.items()}


@dataclass(frozen=True)
class SuitePair:
    """Two cells of one setting, image by image.

    Attributes:
        first: The one.
        second: The other.
        ratio: Mean queries of the second over those of the first, failures at the budget, of the images that both
            attacked: below 1 where the second needs fewer.
        only_first: Images that were broken in the first alone.
        only_second: In the second alone.
        p_success: How likely chance alone parts the two so far in success, by McNemar's exact test, two-sided.
        p_queries: Likewise in queries: the exact sign test of which of the two needs fewer for each image, its mean
            over the seeds.
    """

    first: SuiteCell
    second: SuiteCell
    ratio: float
    only_first: int
    only_second: int
    p_success: float
    p_queries: float

    @classmethod
    def of(cls, first: SuiteCell, second: SuiteCell) -> SuitePair:
        """Hold two cells of the same images against each other."""
        both = first.is_attacked & second.is_attacked
        broken = [each.is_broken()[both] for each in (first, second)]
        costs = [each.costs[:, both].mean(axis=0) for each in (first, second)]
        only = [int((broken[place] & ~broken[1 - place]).sum()) for place in (0, 1)]
        fewer = [int((costs[place] < costs[1 - place]).sum()) for place in (0, 1)]
        return cls(
            first=first,
            second=second,
            ratio=ratio(float(costs[1].sum()), float(costs[0].sum())),
            only_first=only[0],
            only_second=only[1],
            p_success=mcnemar(*only),
            p_queries=mcnemar(*fewer),
        )

    def __str__(self) -> str:
        """Return a sentence."""
        one, other = (short_words(each.optimizer) for each in (self.first, self.second))
        return (
            f"{self.first.setting}: {other} (second) needs {self.ratio:.2f} times the queries of {one} (first), p = "
            f"{self.p_queries:.2g}; success {percent(self.second.success)} after {percent(self.first.success)}, "
            f"{counted(self.only_second, 'image')} in the second alone and {self.only_first:,} in the first alone, p = "
            f"{self.p_success:.2g}"
        )
