"""The charts of one run, as a page shows them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from dfa.results.profile import Profile
from dfa.results.record import Status
from dfa.results.result import Result
from dfa.results.summary import Summary
from dfa.views.charts import Figure, calls_chart, class_chart, images_chart, success_chart, time_chart, to_svg

FEW: Final = 24
"""Attacked images up to which each has a bar of its own, and no curve is drawn of them."""

PER_CLASS: Final = 2
"""Attacked images per class, on average, from which on classes are compared."""

_TITLES: Final = {
    "queries": "success against queries",
    "seconds": "success against time per image",
    "images": "queries of each image",
    "classes": "which classes fell",
    "time": "time split",
    "calls": "images per call",
}
"""What charts show, for those who do not see them."""


def charts_of(result: Result, summary: Summary, *, name: str, key: str) -> dict[str, str]:
    """Return charts as SVG, by name; one that would show nothing is left out.

    Args:
        result: What a run found.
        summary: Its figures.
        name: What to call it.
        key: What the ids of its charts begin with.
    """
    figures = _figures(result, summary)
    return {what: to_svg(figure, f"{name}: {_TITLES[what]}", f"{key}-{what}") for what, figure in figures.items()}


def _figures(result: Result, summary: Summary) -> dict[str, Figure]:
    figures = {}
    if summary.attacked > FEW:
        figures["queries"] = success_chart([result.curve()], unit="queries")
        figures["seconds"] = success_chart([result.curve(of="seconds")], unit="seconds of the run's time per image")
    elif summary.attacked:
        figures["images"] = _images_chart(result)
    counts = _counts_by_class(result)
    if len(counts) > 1 and summary.attacked >= PER_CLASS * len(counts):
        figures["classes"] = class_chart(counts, result.class_name)
    profile = result.profile
    if profile.wall:
        figures["time"] = time_chart(_parts(profile))
    if profile.batches:
        over_time = profile.calls_over_time
        calls = np.array(over_time.calls, dtype=np.float64)
        rows = np.divide(over_time.rows, calls, out=np.full_like(calls, np.nan), where=calls > 0)
        figures["calls"] = calls_chart(over_time.seconds, rows, profile.rows_capacity / profile.batches)
    return figures


def _images_chart(result: Result) -> Any:
    attacked = [each for each in result.records if each.status in (Status.SUCCESS, Status.FAILURE)]
    queries = {each.index: max(1, each.queries if each.verified else each.queries_sent) for each in attacked}
    attacked.sort(key=lambda each: (not each.verified, queries[each.index], each.index))
    return images_chart(
        [queries[each.index] for each in attacked],
        [each.verified for each in attacked],
        [f"{each.index}: {result.class_name(each.class_before)}" for each in attacked],
    )


def _parts(profile: Profile) -> dict[str, float]:
    names = ("wait", *(["prior"] if profile.prior else []), "propose", "score", "update", "other")
    return {name: max(0.0, getattr(profile, name)) for name in names}


def _counts_by_class(result: Result) -> dict[int, tuple[int, int]]:
    """Return how many fell and how many were attacked, by class of the original."""
    counts: dict[int, tuple[int, int]] = {}
    for record in result.records:
        if record.status in (Status.SUCCESS, Status.FAILURE) and record.class_before is not None:
            fell, attacked = counts.get(record.class_before, (0, 0))
            counts[record.class_before] = (fell + record.verified, attacked + 1)
    return counts
