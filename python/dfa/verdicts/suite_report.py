"""What a standard suite found, its files, and two reports held against each other."""

from __future__ import annotations

import dataclasses
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dfa.checks import counted, require_path
from dfa.errors import InvalidInputError, StoreError, told
from dfa.files import opened
from dfa.results.parsing import load_json, reader
from dfa.results.rates import percent
from dfa.results.setting import short_words
from dfa.runs.documents import MOST_RUN
from dfa.runs.folder import write_json, write_text
from dfa.runs.journal import held_alone
from dfa.verdicts.suite_cells import DEFAULT, EPSILONS, MAX_QUERIES, SEEDS, WITHIN, SuiteCell, SuitePair

JSON_FILE: Final = "suite.json"
TABLE_FILE: Final = "suite.md"
_FORMAT: Final = 1
_MOST_LISTED: Final = 80
"""Letters of several values that a message shows."""
_SAME: Final = 0.01
"""Probabilities of one model on several machines lie closer than this, and of two models most do not."""


@dataclass(frozen=True, kw_only=True)
class SuiteReport:
    """What `dfa.suite` found; `suite.json` holds all of it.

    Attributes:
        suite: Name and version of the standard settings: "dfa-suite 1".
        epsilons: Grey levels.
        seeds: Of the runs.
        max_queries: Budget per image.
        batch_size: The most images per call of the oracle.
        versions: Of dfa, NumPy, Python, and of the packages that the model and the optimizers are of.
        platform: System and processor.
        model: What a record keeps of the oracle.
        fingerprint: Of the model's parameters, where something names them.
        shape: (H, W, C) of the images.
        images_digest: SHA-256 of the images, in their order.
        classes: The model's class of each image as it is; None of one that could not be asked about.
        probabilities: The probability of that class; None where the model does not tell.
        margins: By how much it lies above that of the next class; None where the model does not tell.
        labels: Class ids that the images were given; None of one without.
        optimizers: What a record keeps of each optimizer, by its name: class and settings.
        cells: In the order of the table.
        note: What the suite left out, and why; or "".
    """

    suite: str
    epsilons: tuple[int, ...]
    seeds: tuple[int, ...]
    max_queries: int
    batch_size: int
    versions: dict[str, str]
    platform: str
    model: dict[str, Any]
    fingerprint: str | None
    shape: tuple[int, ...]
    images_digest: str
    classes: tuple[int | None, ...]
    probabilities: tuple[float | None, ...]
    margins: tuple[float | None, ...]
    labels: tuple[int | None, ...]
    optimizers: dict[str, Any]
    cells: tuple[SuiteCell, ...]
    note: str = ""

    @property
    def is_standard(self) -> bool:
        """Whether epsilons, seeds and budget are those of the suite."""
        return (self.epsilons, self.seeds, self.max_queries) == (EPSILONS, SEEDS, MAX_QUERIES)

    @property
    def wrong(self) -> int:
        """Images that the model gets wrong as they are, by their labels: they are skipped."""
        pairs = zip(self.labels, self.classes, strict=True)
        return sum(None not in (label, found) and label != found for label, found in pairs)

    @property
    def answers_digest(self) -> str:
        """SHA-256 of `classes`: of probabilities the last bits differ from machine to machine."""
        return f"sha256:{hashlib.sha256(repr(list(self.classes)).encode()).hexdigest()}"

    def cell(self, epsilon: int, optimizer: str = DEFAULT, *, target: int | None = None) -> SuiteCell:
        """Return a cell.

        Args:
            epsilon: Grey levels.
            optimizer: Its name.
            target: Rank of the target; None for the untargeted setting.

        Raises:
            InvalidInputError: There is none.
        """
        for each in self.cells:
            if (each.epsilon, each.optimizer, each.target) == (epsilon, optimizer, target):
                return each
        known = ", ".join(f"({each.epsilon}, {each.optimizer!r}, target={each.target})" for each in self.cells)
        raise InvalidInputError(
            f"no cell has epsilon {epsilon!r}, optimizer {optimizer!r} and target {target!r}; there are {known}"
        )

    def compare(self, other: SuiteReport) -> list[SuitePair]:
        """Hold another report against this one, setting by setting.

        Optimizers are paired by their names; those whose name is in one report alone, each with each of the other
        report's that are in that one alone.

        Args:
            other: Of the same suite, images, labels and model: another version of dfa, another optimizer, or the same
                once more.

        Raises:
            InvalidInputError: `other` is no report, or they are of other settings, images, labels or models; the
                message says which.
        """
        if not isinstance(other, SuiteReport):
            raise InvalidInputError(f"other must be a report, such as dfa.SuiteReport.load(folder), got {other!r:.80}")
        refuse_others(self, other)
        pairs = []
        for first in self.cells:
            for second in other.cells:
                if (first.epsilon, first.target) != (second.epsilon, second.target):
                    continue
                is_alone = first.optimizer not in other.optimizers and second.optimizer not in self.optimizers
                if first.optimizer == second.optimizer or is_alone:
                    pairs.append(SuitePair.of(first, second))
        return pairs

    def table(self) -> str:
        """Return the table of `suite.md`, in Markdown, with what it is of above it."""
        return "\n".join(_lines(self)) + "\n"

    def save(self, folder: str | Path) -> Path:
        """Write `suite.json` and `suite.md`, and return the path of the first. Files of these names are replaced.

        Args:
            folder: Made if it is not there.

        Raises:
            InvalidInputError: It is no path.
            StoreError: A file cannot be written, or a suite is at the folder.
        """
        folder = require_path("folder", folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be written: {told(error)}; choose another folder") from error
        with held_alone(folder):
            return write_files(self, folder)

    def document(self) -> dict[str, Any]:
        """Return what `suite.json` holds, in plain JSON types."""
        values = {each.name: getattr(self, each.name) for each in dataclasses.fields(self) if each.name != "cells"}
        return {
            "format": _FORMAT,
            **values,
            "is_standard": self.is_standard,
            "answers_digest": self.answers_digest,
            "cells": [{**dataclasses.asdict(cell), "figures": cell.figures()} for cell in self.cells],
        }

    @classmethod
    def load(cls, path: str | Path) -> SuiteReport:
        """Read a report back; its figures are counted anew from its queries.

        Args:
            path: `suite.json`, or the folder that it is in.

        Raises:
            InvalidInputError: `path` is no path.
            StoreError: It cannot be read, or is none, or contradicts itself.
        """
        path = require_path("path", path)
        file = path / JSON_FILE if path.is_dir() else path
        try:
            if file.stat().st_size > MOST_RUN:
                raise ValueError(f"it holds more than {MOST_RUN:,} bytes")
            with opened(file) as content:
                written = content.read()
            document = load_json(written)
            if document.get("format") != _FORMAT:
                raise ValueError(f"its format must be {_FORMAT}, got {document.get('format')!r:.20}")
            report: SuiteReport = _read(document)
            _refuse_contradictions(report)
        except OSError as error:
            raise StoreError(f"{file} cannot be read: {told(error)}; name suite.json, or its folder") from error
        except (ValueError, InvalidInputError) as error:
            raise StoreError(f"{file} is no report of a suite: {error}; write it with dfa.suite") from error
        return report


_read = reader(SuiteReport)


def write_files(report: SuiteReport, folder: Path) -> Path:
    """Write the files of a report, and return the path of `suite.json`; whoever calls holds the folder.

    Raises:
        StoreError: A file cannot be written.
    """
    write_json(folder / JSON_FILE, report.document())
    write_text(folder / TABLE_FILE, report.table())
    return folder / JSON_FILE


def refuse_others(first: SuiteReport, second: SuiteReport) -> None:
    """Refuse reports that say nothing of each other.

    Raises:
        InvalidInputError: They are of other settings, images, labels or models.
    """
    for name, words in (
        ("suite", "versions of the suite"),
        ("epsilons", "epsilons"),
        ("seeds", "seeds"),
        ("max_queries", "budgets"),
        ("shape", "images"),
        ("images_digest", "images"),
        ("labels", "labels"),
    ):
        a, b = getattr(first, name), getattr(second, name)
        if a != b:
            if name == "labels" and len(a) == len(b):
                place = next(index for index, pair in enumerate(zip(a, b, strict=True)) if pair[0] != pair[1])
                name, a, b = f"the label of image {place}", a[place], b[place]
            raise InvalidInputError(
                f"the reports must be of the same {words}, and {name} is {_listed(a)} in the first and {_listed(b)} in "
                "the second; run both alike"
            )
    answers = (first.classes, second.classes, first.probabilities, second.probabilities, first.margins)
    others = [index for index, each in enumerate(zip(*answers, strict=True)) if not is_same_answer(*each)]
    if others:
        index = others[0]
        told_answers = " and ".join(
            f"class {each.classes[index]} (probability {each.probabilities[index]})" for each in (first, second)
        )
        raise InvalidInputError(
            f"the reports must be of the same model, and {len(others):,} of {len(first.classes):,} images are answered "
            f"otherwise; image {index}: {told_answers}"
        )


def is_same_answer(a: int | None, b: int | None, of_a: float | None, of_b: float | None, margin: float | None) -> bool:
    """Return whether two answers about an image may be of one model, on whichever machines.

    Args:
        a: The class of the one.
        b: Of the other.
        of_a: The probability of that class, or None where it is not told.
        of_b: Likewise.
        margin: By how much `of_a` lies above the probability of the next class, or None.
    """
    if of_a is None or of_b is None:
        return a == b and of_a is of_b
    # Between two likeliest classes the last bits decide.
    return abs(of_a - of_b) <= _SAME and (a == b or (margin is not None and margin <= 2 * _SAME))


def _listed(value: Any) -> str:
    """Return a value, or all of several, in a few words."""
    words = ", ".join(map(str, value)) if isinstance(value, tuple) else short_words(value)
    return words if len(words) <= _MOST_LISTED else f"{words[: _MOST_LISTED - 3]}..."


def _refuse_contradictions(report: SuiteReport) -> None:
    number = len(report.classes)
    of_images = (report.probabilities, report.margins, report.labels)
    if any(len(each) != number for each in of_images) or not report.seeds:
        raise ValueError(f"its answers and labels must be one per image, and {number} classes are there")
    if not report.epsilons or not report.optimizers or len(report.seeds) % 2 == 0:
        raise ValueError("it must have epsilons, optimizers, and an odd number of seeds")
    for name, least, most in (("epsilons", 1, 255), ("seeds", 0, math.inf)):
        values = getattr(report, name)
        if len(set(values)) != len(values) or not all(least <= each <= most for each in values):
            raise ValueError(f"{name} must be different integers in {least}..{most}, got {_listed(values)}")
    for name in ("max_queries", "batch_size"):
        if getattr(report, name) < 1:
            raise ValueError(f"{name} must be 1 or more, got {getattr(report, name)}")
    _refuse_other_cells(report)
    for cell in report.cells:
        lengths = {len(cell.queries), len(cell.queries_sent), len(cell.calls)}
        if lengths != {len(report.seeds)} or any(len(each) != number for each in cell.queries):
            raise ValueError(f"a cell must have queries for {len(report.seeds)} seeds and {number} images")
        if cell.max_queries != report.max_queries or cell.optimizer not in report.optimizers:
            raise ValueError("a cell must have the report's budget, and one of its optimizers")
        found = [each for row in cell.queries for each in row if each is not None]
        if any(not 0 <= each <= cell.max_queries for each in found):
            raise ValueError(f"queries must be 0..{cell.max_queries}")
        most = cell.max_queries * number
        for row, sent, calls in zip(cell.queries, cell.queries_sent, cell.calls, strict=True):
            if not sum(filter(None, row)) <= sent <= most or calls < 0:
                raise ValueError(
                    f"a cell must have sent what its images took, up to {most:,} queries, in calls of 0 or more, got "
                    f"{sent} queries and {calls} calls"
                )


def _refuse_other_cells(report: SuiteReport) -> None:
    """Refuse a report that has not one cell for each setting and optimizer.

    Raises:
        ValueError: Cells are missing, double, or of settings that the report has not.
    """
    cells = [(each.epsilon, each.target, each.optimizer) for each in report.cells]
    targets = {each.target for each in report.cells if each.target is not None}
    settings = [(each, None) for each in report.epsilons] + [(max(report.epsilons), each) for each in targets]
    due = {(*setting, name) for setting in settings for name in report.optimizers}
    if any(each < 2 for each in targets):
        raise ValueError(f"the target of a cell must be a rank from 2 on, or null, got {min(targets)}")
    for words, wrong in (
        ("double", {each for each in cells if cells.count(each) > 1}),
        ("of a setting or an optimizer that it has not", set(cells) - due),
        ("missing", due - set(cells)),
    ):
        if wrong:
            epsilon, target, name = min(wrong, key=repr)
            raise ValueError(f"the cell of epsilon {epsilon}, target {target} and optimizer {name!r:.60} is {words}")


def _lines(report: SuiteReport) -> Iterator[str]:
    versions = ", ".join(f"{name} {version}" for name, version in report.versions.items())
    own = "" if report.is_standard else " with settings of its own"
    digests = f"{_text(report.images_digest[:19])}; answers {report.answers_digest[:19]}"
    yield (
        f"{_text(report.suite)}{own}, {_text(report.model.get('name'))}, {counted(len(report.classes), 'image')} of "
        f"{'x'.join(map(str, report.shape))} ({digests}), "
        f"of which {report.wrong:,} wrong before the attack and skipped. Seeds "
        f"{', '.join(map(str, report.seeds))}; {report.max_queries:,} queries an image, at which failures count. "
        f"{_text(versions)}."
    )
    if report.note:
        yield f"\n{_text(report.note)}"
    yield ""
    marks = [each for each in WITHIN if each <= report.max_queries]
    within = [f"within {mark:,}" for mark in marks]
    figures = ["queries, mean", "median", "calls", "queries / dfa's", "p of success"]
    yield _row(["setting", "optimizer", "attacked", "success", "95 % interval", *within, *figures])
    yield _row(["---", "---", *["---:"] * (8 + len(marks))])
    for cell in report.cells:
        low, high = cell.success_interval
        against = _against_default(report, cell)
        yield _row(
            [cell.setting, _text(cell.optimizer), f"{cell.attacked:,}", percent(cell.success)]
            + [f"{percent(low)} to {percent(high)}", *map(percent, cell.success_within.values())]
            + [_number(cell.queries_mean), _number(cell.queries_median), f"{sum(cell.calls):,}"]
            + (["", ""] if against is None else [f"{against.ratio:.2f}", f"{against.p_success:.2g}"])
        )


def _against_default(report: SuiteReport, cell: SuiteCell) -> SuitePair | None:
    if cell.optimizer == DEFAULT or DEFAULT not in report.optimizers:
        return None
    return SuitePair.of(report.cell(cell.epsilon, target=cell.target), cell)


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _text(value: object) -> str:
    """Return a text that somebody else may have written as one that no table and no markup comes of."""
    kept = "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(value).split()))
    return kept.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("`", "\\`")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.1f}"


def differing_versions(first: SuiteReport, second: SuiteReport) -> Mapping[str, tuple[str, str]]:
    """Return what two reports were made with, where that differs: versions by package."""
    names = sorted({*first.versions, *second.versions})
    both = {name: (first.versions.get(name, "none"), second.versions.get(name, "none")) for name in names}
    return {name: versions for name, versions in both.items() if versions[0] != versions[1]}
