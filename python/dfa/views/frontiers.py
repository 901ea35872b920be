"""Frontiers as people see them: the curve with its band, and a table in a notebook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from dfa.critical.found import Frontier
from dfa.errors import InvalidInputError
from dfa.results.rates import percent
from dfa.views.charts import Band, Figure, band_chart
from dfa.views.notebook import escape
from dfa.views.verdict import span


def plot(frontiers: Sequence[Frontier], names: Sequence[str] | None) -> Figure:
    """Return a chart of one or several frontiers; `Frontier.plot` says how.

    Raises:
        InvalidInputError: As in `Frontier.plot`.
        MissingDependencyError: matplotlib is not installed.
    """
    for each in frontiers:
        if not isinstance(each, Frontier):
            raise InvalidInputError(
                f"a chart must be of frontiers, such as dfa.Frontier.load(folder), got {each!r:.80}"
            )
    units = sorted({each.unit for each in frontiers})
    if len(units) > 1:
        raise InvalidInputError(f"frontiers of one chart must have sizes of one unit, got {' and '.join(units)}")
    if names is None:
        names = [str(number) for number in range(1, len(frontiers) + 1)]
    if isinstance(names, str) or not isinstance(names, Iterable):
        raise InvalidInputError(f"names must be a list of one for each of the frontiers, got {names!r:.80}")
    names = list(names)
    if len(names) != len(frontiers):
        raise InvalidInputError(f"names must hold one for each of the {len(frontiers)} frontiers, got {len(names)}")
    unit = "epsilon, grey levels" if units == ["epsilon"] else units[0]
    bands = [_band(each, str(name)) for each, name in zip(frontiers, names, strict=True)]
    return band_chart(bands, x=unit, y="images not broken", title=_cut_short(frontiers))


def _cut_short(frontiers: Sequence[Frontier]) -> str:
    """Return what a chart says of searches that had not ended, or nothing."""
    unfinished, number = sum(each.unfinished for each in frontiers), sum(len(each.records) for each in frontiers)
    return f"cut short: {unfinished:,} of {number:,} images not finished" if unfinished else ""


def _band(frontier: Frontier, name: str) -> Band:
    points = frontier.curve()
    low, high = np.array([point.interval for point in points]).T
    return Band(name, np.array([point.share for point in points]), low, high)


def html_of(frontier: Frontier) -> str:
    """Return a frontier in HTML, to stand in somebody else's page."""
    head, median, *_, cost = str(frontier).splitlines()
    rows = [
        (
            f"{frontier.unit} {point.size}",
            f"{percent(point.share)} ({span(point.interval)})",
            f"{point.unbroken:,} of {point.total:,}",
        )
        for point in frontier.marks()
    ]
    table = "".join(
        "<tr>" + "".join(f'<td style="text-align:left">{escape(cell)}</td>' for cell in row) + "</tr>"
        for row in [(frontier.unit, "not broken (95 % interval)", "images"), *rows]
    )
    return f"<div><p><b>{escape(head)}</b></p><p>{escape(median)}</p><table>{table}</table><p>{escape(cost)}</p></div>"
