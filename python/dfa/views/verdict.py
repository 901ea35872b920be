"""What a run found, in a sentence, and what it was allowed: words for whoever reads nothing else."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from dfa.checks import as_text, counted, counted_queries
from dfa.originals import Form
from dfa.results.rates import Interval, clopper_pearson, percent
from dfa.results.result import Result
from dfa.results.setting import goal_words, short_words
from dfa.results.summary import Summary
from dfa.runs.documents import RunDocument
from dfa.space import read_space

_MONTHS: Final = (
    *("January", "February", "March", "April", "May", "June", "July"),
    *("August", "September", "October", "November", "December"),
)


@dataclass(frozen=True)
class Words:
    """What a page says first.

    Attributes:
        verdict: What was found, in a sentence.
        not_broken: What is to be said of the images that did not fall.
        noun: What an original is called.
        allowed: What the run was allowed to do.
        goal: What it aimed at.
        model: Name of the model.
        data: Name of the data set; empty where nobody told it.
        date: The day.
    """

    verdict: str
    not_broken: str
    noun: str
    allowed: str
    goal: str
    model: str
    data: str
    date: str


def words_of(result: Result, summary: Summary, about: RunDocument | None = None) -> Words:
    """Return what is said first of a run."""
    data = _data_name(result, about)
    return Words(
        verdict=_verdict(result, summary, data),
        not_broken=_not_broken(summary),
        noun=_noun_of(result),
        allowed=allowed(result.config),
        goal=goal_words(result.config.get("targets")),
        model=_model_name(result.config),
        data=data,
        date=_when(about),
    )


def span(interval: Interval) -> str:
    """Return an interval of shares in words, such as "17.8 to 30.0 %"."""
    low, high = interval
    return "-" if low != low else f"{100 * low:.1f} to {100 * high:.1f} %"


def interval_of(summary: Summary) -> Interval:
    """Return the 95 % interval of a run's TSR, as if its images had been drawn at random."""
    return clopper_pearson(summary.verified, summary.attacked)


def _verdict(result: Result, summary: Summary, data: str) -> str:
    """Return what was broken, by what and at which price; of what was not broken nothing follows but that."""
    noun = _noun_of(result)
    if not summary.attacked:
        return f"None of {counted(summary.total, noun)} was attacked."
    # A file may be called as what it holds is: images.npz.
    of_data = f" of {data}" if data and data.casefold() not in (noun, counted(2, noun).partition(" ")[2]) else ""
    images = f"{counted(summary.attacked, noun)}{of_data}"
    number = f"{summary.verified:,}" if summary.verified else "None"
    is_targeted = result.config.get("targets") is not None
    became = (
        ("was" if summary.verified < 2 else "were") + " taken for the class aimed at, by" if is_targeted else "fell to"
    )
    budget = summary.max_queries
    within = "" if budget is None else f" within {counted_queries(budget)}"
    so_far = "So far " if summary.unfinished else ""
    number = number.lower() if so_far else number
    rate = f"{percent(summary.TSR)} ({span(interval_of(summary))})"
    return f"{so_far}{number} of {images} {became} {allowed(result.config)}{within}: {rate}."


def _not_broken(summary: Summary) -> str:
    """Return what is to be said of the images that did not fall."""
    return "not broken" if summary.max_queries is None else f"not broken by {counted_queries(summary.max_queries)}"


def _noun_of(result: Result) -> str:
    """Return what the originals of a run are called, one of them."""
    return "input" if Form.recorded(result.config) is Form.ARRAYS else "image"


def allowed(config: Mapping[str, Any]) -> str:
    """Return what a run was allowed to do to an image, such as "changes of at most 8 grey levels"."""
    described = config.get("space")
    if isinstance(described, Mapping):
        space = read_space(described)
        if space is None:
            return f"changes within {short_words(described.get('kind'))}"
        return _IN_WORDS[type(space).__name__](space)
    epsilon = config.get("epsilon")
    return "changes" if epsilon is None else f"changes of at most {_levels(epsilon)}"


def epsilon_of(config: Mapping[str, Any]) -> int | None:
    """Return by how many grey levels every value might change; None where a run was allowed anything else."""
    epsilon = config.get("epsilon")
    is_one = isinstance(epsilon, int) and not isinstance(epsilon, bool) and 1 <= epsilon <= 255
    return epsilon if is_one and not config.get("space") else None


def _levels(epsilon: Any) -> str:
    words = short_words(epsilon)
    return f"{words} grey level{'' if words == '1' else 's'}" if words[:1].isdigit() else f"an epsilon {words}"


def _in_pixels(*numbers: Any) -> str:
    return f"{' x '.join(map(short_words, numbers))} pixels"


def _of(number: Any, noun: str) -> str:
    words = short_words(number)
    return f"{words} {noun}{'' if words == '1' else 's'}"


_IN_WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "Pixels": lambda space: f"changes of at most {_of(space.number, 'pixel')}",
    "Patch": lambda space: f"a patch of {_in_pixels(space.size, space.size)}",
    "Frame": lambda space: f"a frame that is {_of(space.width, 'pixel')} wide",
    "Rectangle": lambda space: f"one rectangle of at most {_in_pixels(space.height, space.width)}",
    "TinyRectangles": lambda space: f"{_of(space.number, 'rectangle')} of {_size(space.size)}",
    "Lighting": lambda space: (
        f"other lighting (brightness by at most {_of(space.brightness, 'grey level')}, contrast by at most "
        f"{_of(space.contrast, 'step')}, gamma by at most {_of(space.gamma, 'step')})"
    ),
    "Tiled": lambda space: (
        f"tiles of {_in_pixels(space.factor, space.factor)}, each changed by at most {_levels(space.base.epsilon)}"
    ),
    "Shift": lambda space: f"shifts by at most {_of(space.rows, 'row')} and {_of(space.columns, 'column')}",
}


def _size(size: Any) -> str:
    return _in_pixels(*(size if isinstance(size, tuple | list) and len(size) == 2 else (size, size)))


def _model_name(config: Mapping[str, Any]) -> str:
    """Return what was attacked, with its framework where that is known."""
    oracle = config.get("oracle") or {}
    parts = [str(oracle[name]) for name in ("framework", "backend") if oracle.get(name)]
    framework = f" ({' on '.join(parts)})" if parts else ""
    return f"{oracle.get('name', 'the oracle')}{framework}"


def _data_name(result: Result, about: RunDocument | None) -> str:
    """Return what the data set is called: as the command line was told, or the folder of its files; else nothing."""
    command = about.command if about is not None else None
    words = command.get("images") if isinstance(command, dict) else None
    if isinstance(words, str):
        name = os.path.basename(words.rstrip("/\\")) or words
        return as_text(os.path.splitext(name)[0] or name)
    parents = {os.path.dirname(record.source) for record in result.records if record.source}
    try:
        return as_text(os.path.basename(os.path.commonpath(parents))) if parents else ""
    except ValueError:  # some are absolute and others are not
        return ""


def _when(about: RunDocument | None) -> str:
    """Return the day on which a run was begun; where that is not known, the day of the report."""
    try:
        begun = None if about is None else datetime.fromisoformat(about.created)
    except (TypeError, ValueError):
        begun = None
    if begun is None:
        return f"reported on {_day(date.today())}"
    return _day(begun)


def _day(day: date) -> str:
    # strftime would take the names of months from the locale.
    return f"{day.day} {_MONTHS[day.month - 1]} {day.year}"
