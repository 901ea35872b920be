"""Writing a result: every image as a file, read back and asked about before the folder is called complete."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from dfa.errors import DfaError, InvalidInputError, OracleError
from dfa.oracle import as_oracle
from dfa.oracle.base import Oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.originals import Form, difference, largest
from dfa.results.class_names import name_columns
from dfa.results.rates import NO_ANSWERS, FreshAnswers, ratio
from dfa.results.record import FIELDS, Record
from dfa.results.result import Result
from dfa.results.summary import distance_names
from dfa.runs import door
from dfa.runs.folder import (
    Plain,
    begin_document,
    check_folder,
    complete_document,
    plain,
    remove_images,
    write_epsilon,
    write_image,
    write_records,
)
from dfa.runs.image_files import ORIGINALS, files_of, image_file, listed_files_of, original_of, read_image
from dfa.runs.journal import held_alone
from dfa.runs.loading import epsilon_of
from dfa.runs.saved_run import check_replaceable
from dfa.search.confirmation import Confirmation
from dfa.search.objectives import found_class, predicted
from dfa.types import Classes, Image, Indices, Scores

_COLUMNS = (*FIELDS, "file", "png_verified", "png_problem", "png_agreeing", "png_answers")


class Verdict(NamedTuple):
    """What reading an adversarial image back from its file showed.

    Attributes:
        verified: The file, read back, is the image of the run to the byte, lies as far from the original as
            the record says, and the oracle finds it adversarial. None if no oracle could be asked.
        problem: What is wrong where `verified` is not True.
        answers: What the oracle said of it; none where it was not asked.
    """

    verified: bool | None = None
    problem: str = ""
    answers: FreshAnswers = NO_ANSWERS


@dataclass(frozen=True)
class _Files:
    """Image files of a result that lie in its folder.

    Attributes:
        indices: Of their images, ascending.
        name: Path inside the folder, of an index.
    """

    indices: Sequence[int]
    name: Callable[[int], str]


@dataclass(frozen=True)
class SaveReport:
    """What `Result.save` wrote.

    Attributes:
        folder: Where.
        written: Image files written.
        verified: Those that were read back, asked about, and found adversarial.
        refuted: Those that were not what they should be, as (index, why).
        unchecked: Those that no oracle was asked about.
        TSR: True success rate on the files: verified files of attacked images over attacked images, nan if
            some file is unchecked or no image was attacked.
    """

    folder: Path
    written: int
    verified: int
    refuted: tuple[tuple[int, str], ...]
    unchecked: int
    TSR: float

    def __str__(self) -> str:
        """Return one line."""
        text = f"{self.written:,} images in {self.folder}, {self.verified:,} verified from their files"
        if self.refuted:
            text += f", {len(self.refuted):,} refuted (first: image {self.refuted[0][0]}, {self.refuted[0][1]})"
        return text + (f", {self.unchecked:,} not checked" if self.unchecked else "")


def save(result: Result, folder: str | Path, *, oracle: object | None = None, overwrite: bool = False) -> SaveReport:
    """Write a result to a folder, read every image back, and ask the oracle about it; `Result.save` says how.

    Raises:
        StoreError: As in `Result.save`.
        OracleError: As in `Result.save`.
    """
    checker = result.oracle if oracle is None else as_oracle(oracle).taking(_form(result).takes)
    return _save(result, folder, checker, {}, overwrite=overwrite)


def save_checked(
    result: Result, folder: str | Path, checked: Mapping[int, Verdict], *, overwrite: bool = False
) -> SaveReport:
    """Write a result whose images were read back from other files, and asked about, before; no oracle is asked.

    Args:
        result: The result.
        folder: As in `save`.
        checked: What that showed, by index; a file that differs from its image now is refuted all the same.
        overwrite: As in `save`.

    Raises:
        StoreError: As in `save`.
    """
    return _save(result, folder, None, checked, overwrite=overwrite)


def _save(
    result: Result,
    folder: str | Path,
    checker: Oracle | None,
    checked: Mapping[int, Verdict],
    *,
    overwrite: bool,
) -> SaveReport:
    folder = check_folder(folder, overwrite=overwrite)
    with held_alone(folder):
        before = check_replaceable(folder)
        # The result may have been loaded from this very folder: nothing goes before all of it could be read.
        epsilon = epsilon_of(result)
        for index in result.images.held():
            _held(result, index)
        begin_document(folder, sorted(before | files_of(result.images.held())))
        write_epsilon(folder, epsilon)
        files = {index: _write_image(result, folder, index) for index in result.images.held()}
        remove_images(folder, before - set(files.values()) - _write_originals(result, folder, files))
        named = _Files(list(files), files.__getitem__)
        return _complete(result, folder, named, checker, checked, again="save again with overwrite=True")


def complete_run(result: Result, folder: Path, *, oracle: Oracle | None) -> SaveReport:
    """Complete the folder of a stored run, most of whose images lie there already.

    Args:
        result: What the run found.
        folder: The folder, which `Store` has begun and still holds.
        oracle: Asked about the files, if given.

    Raises:
        StoreError: The folder cannot be written.
        OracleError: As in `save`.
    """
    indices = result.images.held()
    begin_document(folder, listed_files_of(indices), is_run=True)
    # All images of a run are of one form. Their names are made when they are needed, since there may be many.
    files = _Files(indices, partial(image_file, _held(result, indices[0])) if indices else str)
    for index in indices:
        file = files.name(index)
        # What was not confirmed was not stored on the way.
        if not (result.records[index].verified and door.holds(folder, file) and door.holds(folder, original_of(file))):
            _write_image(result, folder, index)
            _write_originals(result, folder, [index])
    # Overwriting would throw away what was paid for.
    again = "resume the run, with resume=True or `dfa resume`; only the files are asked about again"
    return _complete(result, folder, files, oracle, {}, again=again)


def _complete(
    result: Result,
    folder: Path,
    files: _Files,
    oracle: Oracle | None,
    checked: Mapping[int, Verdict],
    *,
    again: str,
) -> SaveReport:
    """Check the image files, and write what the folder says of them.

    Args:
        result: The result that the files are of.
        folder: The folder.
        files: The files.
        oracle: What to ask, if anything.
        checked: What was known before of the same images in other files.
        again: How the files are asked about again where the oracle failed.

    Raises:
        StoreError: The folder cannot be written.
        OracleError: The oracle failed; everything is written.
    """
    verdicts, failure = _check_files(result, folder, files, oracle)
    for index, before in checked.items():
        verdict = verdicts[index]
        if verdict is not None and verdict.verified is None:
            verdicts[index] = before
    report = _report(result, folder, verdicts)
    result.refuted = dict(report.refuted)
    result.fresh = {
        record.index: verdict.answers
        for record, verdict in zip(result.records, verdicts, strict=True)
        if verdict is not None and verdict.answers.number
    }
    names = distance_names(result.records)
    of_classes = name_columns(result.config)
    table = (
        {
            **row,
            **{column: result.class_name(getattr(record, name)) for column, name in of_classes.items()},
            **{f"distance_{name}": (record.distances or {}).get(name) for name in names},
        }
        for row, record in zip(_rows(result, files, verdicts), result.records, strict=True)
    )
    columns = [name for name in _COLUMNS if name not in ("trace", "distances")]
    write_records(folder, [*columns, *of_classes, *(f"distance_{name}" for name in names)], table)
    complete_document(
        folder,
        {
            "config": result.config,
            "summary": result.summary(),
            "saved": {
                "written": report.written,
                "verified": report.verified,
                "refuted": len(report.refuted),
                "unchecked": report.unchecked,
                "TSR": report.TSR,
            },
            "profile": result.profile.save(),
            "records": _rows(result, files, verdicts),
        },
    )
    if failure is not None:
        raise OracleError(
            f"the files are written, but {report.unchecked} of them are not checked, because the oracle "
            f"failed: {failure}; mend the oracle and {again}",
            result=result,
        ) from failure
    return report


def _form(result: Result) -> Form:
    """Return what the run's originals are."""
    return Form.recorded(result.config)


def _held(result: Result, index: int) -> Image:
    image = result.images[index]
    if image is None:
        raise InvalidInputError(f"images.held() names image {index}, which is None")
    return image


def _write_image(result: Result, folder: Path, index: int) -> str:
    return write_image(folder, index, _held(result, index))


def _write_originals(result: Result, folder: Path, indices: Iterable[int]) -> set[str]:
    """Write the originals of images, and return their files; one that cannot be read again is left out."""
    files = set()
    for index in indices if result.originals is not None else ():
        assert result.originals is not None
        try:
            original = result.originals[index]
        except Exception:  # a user's sequence may raise anything, and the rest is still worth saving
            continue
        files.add(write_image(folder, index, original, place=ORIGINALS))
    return files


def _check_files(
    result: Result, folder: Path, files: _Files, oracle: Oracle | None
) -> tuple[list[Verdict | None], DfaError | None]:
    """Read every image back, compare it, and ask the oracle about it.

    Args:
        result: The result that the files are of.
        folder: The folder.
        files: The files.
        oracle: What to ask, if anything.

    Returns:
        What came of it for each image of the run, None where it has no file; and the oracle's first error, after which
        it was not asked again.
    """
    verdicts: list[Verdict | None] = [None] * len(result.records)
    # There may be many, of which most are alike, and are kept once.
    alike: dict[Verdict, Verdict] = {}
    failure: DfaError | None = None
    # A gate of its own, so that checking spends no image's budget; attack queries it would refuse.
    gate = None if oracle is None else Gate(oracle, num_images=len(result.records), max_queries=0)
    is_prepared = False
    batch_size = int(result.config.get("batch_size", 256))
    for batch in _batches(files.indices, batch_size):
        read = {index: read_image(folder, files.name(index), _held(result, index).shape) for index in batch}
        differences = {index: _why_not_the_same(result, index, pixels) for index, pixels in read.items()}
        for index, problem in differences.items():
            verdict = Verdict(False if problem else None, problem)
            verdicts[index] = alike.setdefault(verdict, verdict)
        asked = [index for index in batch if not differences[index]]
        if gate is None or failure is not None or not asked:
            continue
        images = np.stack([read[index] for index in asked])
        confirmation = Confirmation.parse(result.config.get("confirmations", 1))
        try:
            if not is_prepared:
                gate.prepare(images.shape[1:], batch_size)
                is_prepared = True
            indices = np.array(asked, dtype=np.int64)
            answers = [
                _found_classes(result, indices, gate.ask(images, indices, Purpose.VERIFICATION))
                for _ in range(confirmation.of)
            ]
        except DfaError as error:
            failure = error
            continue
        for index, found in zip(asked, np.stack(answers, axis=1).tolist(), strict=True):
            problems = [why for each in found if (why := _why_not_adversarial(result.records[index], each))]
            agreeing = len(found) - len(problems)
            problem = problems[0] if problems and agreeing < confirmation.needed else ""
            if problem and confirmation.is_repeated:
                problem = f"adversarial in {agreeing} of {len(found)} answers, of which {confirmation.needed} must be"
            verdict = Verdict(not problem, problem, FreshAnswers(agreeing, len(found)))
            verdicts[index] = alike.setdefault(verdict, verdict)
    return verdicts, failure


def _why_not_the_same(result: Result, index: int, pixels: Image) -> str:
    """Return in what an image read back is not what the run recorded, or nothing if it is."""
    image = result.images[index]
    if image is None or not np.array_equal(pixels, image):
        return "the file differs from the image in memory"
    if result.originals is None or result.records[index].linf is None:
        return ""
    try:
        distance = largest(difference(pixels, result.originals[index]))
    except Exception as error:  # a user's sequence may raise anything, and the rest is still worth saving
        return f"the original cannot be read again: {type(error).__name__}: {error}"
    if distance == result.records[index].linf:
        return ""
    return f"it is {distance} grey levels from the original, not {result.records[index].linf}"


def _report(result: Result, folder: Path, verdicts: Sequence[Verdict | None]) -> SaveReport:
    written = [verdict for verdict in verdicts if verdict is not None]
    unchecked = sum(verdict.verified is None for verdict in written)
    summary = result.summary()
    confirmed = sum(
        record.verified
        for record, verdict in zip(result.records, verdicts, strict=True)
        if verdict is not None and verdict.verified
    )
    return SaveReport(
        folder=folder,
        written=len(written),
        verified=sum(verdict.verified is True for verdict in written),
        refuted=tuple(
            (index, verdict.problem)
            for index, verdict in enumerate(verdicts)
            if verdict is not None and verdict.verified is False
        ),
        unchecked=unchecked,
        TSR=math.nan if unchecked else ratio(confirmed, summary.attacked),
    )


def _rows(result: Result, files: _Files, verdicts: Sequence[Verdict | None]) -> Iterator[dict[str, Plain]]:
    """Yield what the files say about each image."""
    for record, verdict in zip(result.records, verdicts, strict=True):
        fields = [plain(getattr(record, name)) for name in FIELDS]
        on_disk: tuple[Plain, ...] = (None, None, "", 0, 0)
        if verdict is not None:
            on_disk = (files.name(record.index), verdict.verified, verdict.problem, *verdict.answers)
        yield dict(zip(_COLUMNS, [*fields, *on_disk], strict=True))


def _found_classes(result: Result, indices: Indices, scores: Scores) -> Classes:
    """Return the class of each image, a tie counted against the attack."""
    classes = predicted(scores)
    for row, index in enumerate(indices.tolist()):
        record = result.records[index]
        # A kept record may name a class that this oracle does not have; then it is no success.
        if record.goal is not None and 0 <= record.goal < scores.shape[1]:
            goal = np.array([record.goal], dtype=np.int64)
            classes[row] = found_class(scores[row, np.newaxis], goal, is_targeted=record.target is not None)[0]
    return classes


def _why_not_adversarial(record: Record, found: int) -> str:
    """Return why an image of class `found` is not adversarial, or nothing if it is.

    Source: section 3.1 (untargeted: not the original class; targeted: the target class).
    """
    if record.target is not None:
        return "" if found == record.target else f"class {found}, not the target {record.target}"
    return f"still of class {found}" if found == record.goal else ""


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))
