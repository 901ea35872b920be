"""The demo's table: one line per attack."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dfa.cli.demo.attacks import Attack
from dfa.results.result import Result

HEADINGS: Final = ("setting", "goal", "budget", "TSR", "mean", "median", "all", "s/image", "queries/s", "oracle")
_TEXT_COLUMNS: Final = 2
_LEGEND: Final = """\
setting    paper: Algorithm 1 with Table 5 (s = 3, targeted 10; k = 2; 2 values at a time) and, targeted, the degree of
           its authors' code, 1 - P(target); default: dfa.Racos()
budget     queries per image at most
TSR        share of the attacked images with a confirmed adversarial image
mean       queries, over successes; median likewise; all: mean with a failure counted at the whole budget
s/image    seconds of wall time
oracle     share of the wall time in which the classifier was answering"""


def format_table(rows: Sequence[tuple[Attack, Result]]) -> str:
    """Return the demo's table: one line per attack, figures as `Summary` and `Profile` define them."""
    lines = [HEADINGS]
    for attack, result in rows:
        summary, profile = result.summary(), result.profile
        lines.append(
            (
                attack.setting,
                attack.goal,
                f"{summary.max_queries:,}",
                f"{100 * summary.TSR:.1f} %",
                f"{summary.queries_mean:,.1f}",
                f"{summary.queries_median:,.1f}",
                f"{summary.queries_mean_with_failures:,.1f}",
                f"{profile.wall / max(1, summary.attacked):.4f}",
                f"{profile.queries_per_second:,.0f}",
                f"{100 * profile.oracle_share:.0f} %",
            )
        )
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            f"{cell:<{width}}" if i < _TEXT_COLUMNS else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join([text[0], "-" * len(text[0]), *text[1:], "", _LEGEND])
