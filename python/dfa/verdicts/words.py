"""What is said of a run's images and figures, in one line each, whoever named the images and the classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dfa.checks import counted_queries, printable
from dfa.results.rates import CONFIDENCE, clopper_pearson, percent, ratio
from dfa.results.record import Record, Status
from dfa.results.result import Result


def shown(text: object) -> str:
    """Return a text of others as one line: what does not print, line ends included, becomes an escape.

    What is left may stand in XML, in JSON and on a terminal.
    """
    return printable(text, kept="")


def told_share(part: int, whole: int) -> str:
    """Return so many of so many, their share, and how far it is to be trusted."""
    low, high = clopper_pearson(part, whole)
    interval = f"{100 * CONFIDENCE:.0f} % interval {percent(low)} to {percent(high)}"
    return f"{part:,} of {whole:,} ({percent(ratio(part, whole))}, {interval})"


def budget_words(config: Mapping[str, Any]) -> str:
    """Return what an attack might spend on an image, such as "2,000 queries": what did not break it, and no more."""
    queries, seconds, rest = (config.get(name) for name in ("max_queries", "max_seconds", "give_up_after"))
    words = [counted_queries(queries) if isinstance(queries, int) else "the queries that were sent"]
    if seconds is not None:
        words.append(f"{seconds:g} s")
    if rest is not None:
        words.append(f"where nothing moved {counted_queries(rest)}")
    return " or ".join(words)


def named(record: Record) -> str:
    """Return what an image is called: its file or other name, else its place."""
    return f"image {record.index}" if record.source is None else shown(record.source)


def told_ending(result: Result, record: Record) -> str:
    """Return how the attack on an image ended."""
    before, after = (shown(result.class_name(each)) for each in (record.class_before, record.class_after))
    if record.status is Status.SUCCESS:
        return f"broken by {counted_queries(record.queries)}: {before} became {after}"
    if record.status is Status.FAILURE:
        rest = ", and given up at rest" if record.at_rest else ""
        return f"not broken by {counted_queries(record.queries_sent)}{rest}"
    if record.status is Status.SKIPPED and is_wrong(record):
        return f"wrong before the attack: {before}, and its label is {shown(result.class_name(record.label))}"
    if record.status is Status.SKIPPED:
        return "not attacked: of the target class already"
    what = "could not be attacked" if record.status is Status.ERROR else "not finished"
    return f"{what}: {shown(record.reason)}"


def is_wrong(record: Record) -> bool:
    """Tell whether the model got an image wrong before any attack."""
    return record.label is not None and record.class_before is not None and record.label != record.class_before
