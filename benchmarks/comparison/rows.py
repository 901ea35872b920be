"""What the cells of a setting say together: a row per attack, over all its seeds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparison.cells import Asked, Cell

_MARKS = (10, 100, 1_000, 2_000, 10_000)


@dataclass
class Row:
    """An attack in a setting, over all its seeds.

    Attributes:
        attack: Its name.
        queries: float64, (seeds, N): per image, failures at the budget.
        is_success: bool, (seeds, N).
        seeds: In the order of the rows.
        wall: Seconds per seed.
        utilisation: Seconds inside the oracle over all seconds.
        budget: Of every image.
        asked: Which images they are, and the budget they were measured with.
        ratio: Mean queries over those of the best Square with the same seeds; nan without one.
    """

    attack: str
    queries: NDArray[np.float64]
    is_success: NDArray[np.bool_]
    seeds: list[int]
    wall: float
    utilisation: float
    budget: int
    asked: Asked
    ratio: float = field(default=math.nan)

    @classmethod
    def of(cls, cells: Sequence[Cell], within: int | None = None) -> Row:
        """Return the row of an attack's cells, one per seed; of so many queries, where the budget was no less."""
        cells = sorted(cells, key=lambda cell: cell.key.seed)
        outcomes = [cell.outcome for cell in cells]
        budget = min(cells[0].parameters["budget"], within or math.inf)
        hits = np.array([[hit or np.nan for hit in each.queries] for each in outcomes], dtype=np.float64)
        hits[hits > budget] = np.nan
        return cls(
            attack=cells[0].key.attack,
            queries=np.where(np.isnan(hits), budget, hits),
            is_success=~np.isnan(hits),
            seeds=[cell.key.seed for cell in cells],
            wall=sum(each.wall for each in outcomes) / len(outcomes),
            utilisation=sum(each.oracle for each in outcomes) / sum(each.wall for each in outcomes),
            budget=budget,
            asked=Asked.of(cells[0].parameters),
        )

    @property
    def mean(self) -> float:
        """Mean queries."""
        return float(self.queries.mean())

    def success_within(self, queries: int) -> float:
        """Return the share of images that had their success within so many queries."""
        return float((self.is_success & (self.queries <= queries)).mean())

    def mean_of(self, seeds: Iterable[int]) -> float:
        """Return the mean queries over some of the seeds."""
        return float(self.queries[[self.seeds.index(seed) for seed in seeds]].mean())

    def as_dict(self) -> dict[str, Any]:
        """Return the figures."""
        return {
            "attack": self.attack,
            "seeds": self.seeds,
            "images": self.queries.shape[1],
            "success": {str(mark): self.success_within(mark) for mark in marks_within(self.budget)},
            "mean": self.mean,
            "mean_per_seed": self.queries.mean(axis=1),
            "median": float(np.median(self.queries)),
            "p90": float(np.quantile(self.queries, 0.9)),
            "wall_per_seed": self.wall,
            "utilisation": self.utilisation,
            "ratio_to_best_square": self.ratio,
        }


def rows_of(cells: Iterable[Cell], setting: str, within: int | None = None) -> list[Row]:
    """Return the rows of a setting, ascending by mean, each held against the best Square.

    A row is over the seeds that were measured with the parameters of the attack's newest cell; with `within`, as if so
    many queries had been the budget.
    """
    by_attack: dict[str, list[Cell]] = {}
    for cell in cells:
        if cell.key.setting == setting:
            by_attack.setdefault(cell.key.attack, []).append(cell)
    rows = sorted((Row.of(_alike(group), within) for group in by_attack.values()), key=lambda row: row.mean)
    best = best_square(rows)
    if best is not None:
        for row in rows:
            common = set(row.seeds) & set(best.seeds)
            if common:
                row.ratio = row.mean_of(common) / best.mean_of(common)
    return rows


def _alike(cells: Sequence[Cell]) -> list[Cell]:
    """Return those of an attack's cells that have the parameters of the newest: others are of other images, say."""
    newest = max(cells, key=lambda cell: cell.date)
    return [cell for cell in cells if cell.parameters == newest.parameters]


def best_square(rows: Sequence[Row]) -> Row | None:
    """Return the variant of Square with the lowest mean, out of rows that ascend."""
    return next((row for row in rows if row.attack.startswith("square-")), None)


def geometric_means(tables: dict[str, list[Row]]) -> dict[str, tuple[float, int]]:
    """Return per attack the geometric mean of its ratios to the best Square, and over how many settings."""
    ratios: dict[str, list[float]] = {}
    for rows in tables.values():
        for row in rows:
            if not math.isnan(row.ratio):
                ratios.setdefault(row.attack, []).append(row.ratio)
    return {attack: (float(np.exp(np.mean(np.log(some)))), len(some)) for attack, some in ratios.items()}


def marks_within(budget: int) -> list[int]:
    """Return the numbers of queries at which success is told, the last of them the budget."""
    return [*(mark for mark in _MARKS if mark < budget), budget]
