"""Tables and pictures of the rows."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from comparison.rows import Row, best_square, geometric_means, marks_within
from harness.printing import print_table


def print_tables(tables: dict[str, list[Row]]) -> None:
    """Print a table per setting, and the geometric means."""
    for setting, rows in tables.items():
        if not rows:
            continue
        first = rows[0]
        part = f", of which the first {first.budget:,} count" if first.budget < first.asked.budget else ""
        print(f"{setting}: {first.asked}{part}")
        marks = marks_within(first.budget)
        headers = [setting, *(f"<= {mark:,}" for mark in marks)]
        headers += ["mean", "per seed", "median", "90 %", "ratio", "seconds", "utilisation", "seeds", "images"]
        print_table(
            headers,
            (
                [
                    row.attack,
                    *(f"{100 * row.success_within(mark):.1f} %" for mark in marks),
                    f"{row.mean:,.1f}",
                    "..".join(f"{mean:,.1f}" for mean in sorted({*_ends(row.queries.mean(axis=1))})),
                    f"{np.median(row.queries):,.1f}",
                    f"{np.quantile(row.queries, 0.9):,.1f}",
                    "-" if math.isnan(row.ratio) else f"{row.ratio:.2f}",
                    f"{row.wall:,.0f}",
                    f"{row.utilisation:.2f}",
                    len(row.seeds),
                    row.queries.shape[1],
                ]
                for row in rows
            ),
        )
        print()
    means = sorted(geometric_means(tables).items(), key=lambda entry: entry[1])
    if means:
        print_table(
            ["geometric mean of the ratios to the best Square", "", "settings"],
            ([attack, f"{mean:.3f}", number] for attack, (mean, number) in means),
        )


def draw(tables: dict[str, list[Row]], folder: Path) -> None:
    """Draw success against queries, a picture per setting."""
    try:
        figures: Any = importlib.import_module("matplotlib.figure")
    except ImportError:
        print("no pictures: they need matplotlib, pip install --group benchmarks")
        return

    for setting, rows in tables.items():
        if not rows:
            continue
        figure = figures.Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        best = best_square(rows)
        for row in rows:
            if row.attack.startswith("square-") and row is not best:
                continue
            queries = np.sort(row.queries[row.is_success])
            share = np.arange(1, len(queries) + 1) / row.queries.size
            steps = (np.r_[1, queries, row.budget], 100 * np.r_[0, share, share[-1:] if len(share) else 0])
            is_own = row.attack.startswith("dfa")
            axes.step(*steps, where="post", label=row.attack, linewidth=2.2 if is_own else 1.3)
        axes.set_xscale("log")
        axes.set_xlim(1, max(row.budget for row in rows))
        axes.set_ylim(0, 100)
        axes.set_xlabel("queries")
        axes.set_ylabel("success, % of correctly classified images")
        axes.set_title(setting)
        axes.grid(alpha=0.3)
        axes.legend(loc="best", fontsize="small")
        figure.savefig(folder / f"{setting}.png", dpi=120)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    return float(values.min()), float(values.max())
