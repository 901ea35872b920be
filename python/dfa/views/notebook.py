"""A result as a notebook shows it: the verdict, a few figures, some pictures. Plain HTML, without a script."""

from __future__ import annotations

import html
from typing import Final

from dfa.checks import counted_queries, printable
from dfa.results.rates import percent
from dfa.results.result import Result
from dfa.views.gallery import THUMBNAIL, Picture, amplification, fallen, first_strips
from dfa.views.verdict import words_of

_SHOWN: Final = 6


def escape(text: str) -> str:
    """Return a text of others as it may stand in a page."""
    return html.escape(printable(text))


def html_of(result: Result) -> str:
    """Return a result in HTML, to stand in somebody else's page; what files and classes are called is text in it."""
    summary = result.summary()
    words = words_of(result, summary)
    rows = [
        ("attacked", f"{summary.attacked:,} of {summary.total:,}, {words.goal}"),
        ("model", words.model),
        ("TSR (SR, GAP)", f"{percent(summary.TSR)} ({percent(summary.SR)}, {percent(summary.GAP)})"),
        ("queries, successes", f"{_count(summary.queries_median)} median, {_count(summary.queries_mean)} mean"),
        ("queries sent", f"{summary.queries_sent:,} in {summary.wall:.3g} s"),
    ]
    cells = "".join(
        f'<tr><td style="text-align:left">{escape(name)}</td><td style="text-align:left">{escape(value)}</td></tr>'
        for name, value in rows
    )
    chosen = fallen(result)
    strips = first_strips(result, chosen, _SHOWN, amplification(result, chosen[:_SHOWN]), THUMBNAIL)
    figures = "".join(_figure(result, picture) for picture in strips)
    pictures = f'<div style="display:flex;flex-wrap:wrap;gap:.6em">{figures}</div>' if figures else ""
    return f"<div><p><b>{escape(words.verdict)}</b></p><table>{cells}</table>{pictures}</div>"


def _figure(result: Result, picture: Picture) -> str:
    record = picture.record
    assert record is not None
    became = f"{result.class_name(record.class_before)} \N{RIGHTWARDS ARROW} {result.class_name(record.class_after)}"
    looks = "width:15em;max-width:100%" + (";image-rendering:pixelated" if picture.is_exact else "")
    return (
        f'<figure style="margin:0;max-width:15em;overflow-wrap:anywhere"><img src="{picture.data}" '
        f'alt="{escape(picture.text)}" style="{looks}"><figcaption>{escape(became)}, image {record.index}, '
        f"{counted_queries(record.queries)}</figcaption></figure>"
    )


def _count(number: float) -> str:
    return "-" if number != number else f"{number:,.0f}"
