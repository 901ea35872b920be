"""What several runs differ in: figures side by side, settings, and which images fell to which."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dfa.results.rates import percent
from dfa.results.record import Status
from dfa.results.result import Result
from dfa.views.charts import rates_chart, success_chart, to_svg
from dfa.views.run_view import RunView
from dfa.views.verdict import span


@dataclass(frozen=True)
class Pair:
    """Two runs on the same images, by what became of those that both attacked.

    Attributes:
        first: Name of the one.
        second: Name of the other.
        both: Images that fell in both.
        only_first: In the first alone.
        only_second: In the second alone.
        neither: In none.
    """

    first: str
    second: str
    both: int
    only_first: int
    only_second: int
    neither: int


@dataclass(frozen=True)
class Comparison:
    """What several runs differ in.

    Attributes:
        sentence: The verdict.
        same_images: Whether they had the same images.
        settings: Of each setting that differs, what each run had.
        pairs: Of each run after the first, on which images it and the first differ; empty where images differ.
        charts: By name.
    """

    sentence: str
    same_images: bool
    settings: dict[str, list[str]]
    pairs: list[Pair]
    charts: dict[str, str]


def compare(views: Sequence[RunView]) -> Comparison:
    """Return what several runs differ in."""
    flat = [dict(_flat("", view.config)) for view in views]
    names = sorted({name for each in flat for name in each})
    values = {name: [json.dumps(each.get(name)) for each in flat] for name in names}
    ids = [sorted(record.id for record in view.result.records) for view in views]
    same_images = all(each == ids[0] for each in ids)
    return Comparison(
        sentence=_sentence(views),
        same_images=same_images,
        settings={name: each for name, each in values.items() if len(set(each)) > 1},
        pairs=[_pair(views[0], view) for view in views[1:]] if same_images else [],
        charts=_charts(views),
    )


def _sentence(views: Sequence[RunView]) -> str:
    """Return which run broke most and which least, in a sentence."""
    told = [view for view in views if view.summary.attacked]
    if not told:
        return f"{len(views)} runs, of which none attacked an image."
    most = max(told, key=lambda view: view.summary.TSR)
    least = min(told, key=lambda view: view.summary.TSR)
    if most.summary.TSR == least.summary.TSR:
        return f"In each of {len(told)} runs {percent(most.summary.TSR)} of the attacked images fell."
    return f"Of {len(told)} runs, {_share(most)} broke most, and {_share(least)} least."


def _share(view: RunView) -> str:
    summary = view.summary
    return (
        f"{view.name} ({summary.verified:,} of {summary.attacked:,} images, {percent(summary.TSR)}, "
        f"{span(view.interval)})"
    )


def _pair(first: RunView, second: RunView) -> Pair:
    ones, others = _fallen(first.result), _fallen(second.result)
    both = [(ones[each], others[each]) for each in ones.keys() & others.keys()]
    return Pair(
        first.name,
        second.name,
        both=both.count((True, True)),
        only_first=both.count((True, False)),
        only_second=both.count((False, True)),
        neither=both.count((False, False)),
    )


def _fallen(result: Result) -> dict[int, bool]:
    """Return whether each attacked image fell, by its id."""
    attacked = (Status.SUCCESS, Status.FAILURE)
    return {record.id: record.verified for record in result.records if record.status in attacked}


def _charts(views: Sequence[RunView]) -> dict[str, str]:
    """Return the curves of all runs."""
    queries = [view.result.curve(view.name) for view in views]
    seconds = [view.result.curve(view.name, of="seconds") for view in views]
    nothing = (np.nan, np.nan)
    rates = [(view.name, view.summary.TSR, view.interval if view.summary.attacked else nothing) for view in views]
    return {
        "rates": to_svg(rates_chart(rates), "share that fell in each run", "rates"),
        "queries": to_svg(success_chart(queries, unit="queries"), "success against queries", "queries"),
        "seconds": to_svg(
            success_chart(seconds, unit="seconds of the run's time per image"),
            "success against time per image",
            "seconds",
        ),
    }


def _flat(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _flat(f"{where}.{name}" if where else str(name), each)
    else:
        yield where, value
