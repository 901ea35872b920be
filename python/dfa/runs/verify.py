"""Whether a run's images are what its records say: told from the files alone, by code that had no part in making them.

Reads the records, the image files and the originals, and asks the oracle anew. Nothing of the optimizer or of the
loop is used, nor what they measured: distances and classes are computed here, and compared with what was recorded.
What the folder alone can tell is believed, and said to be.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_length, is_integer, require_count, require_path
from dfa.errors import InvalidInputError, StoreError
from dfa.oracle import as_oracle
from dfa.oracle.base import Oracle
from dfa.originals import Form
from dfa.results.rates import FreshAnswers
from dfa.runs import door
from dfa.runs.asked import asked_otherwise
from dfa.runs.believed import believed
from dfa.runs.image_files import IMAGES, ORIGINALS, halves_in, original_of
from dfa.runs.measuring import Allowed, measure, read_allowed
from dfa.runs.opening import Pictures
from dfa.runs.questions import Questions, class_of, in_batches, mean_of, why_benign, why_not_rank
from dfa.runs.record import NamesOfRun
from dfa.runs.recorded import contradictions, recorded_epsilon, row_contradictions
from dfa.runs.replay import ReplayOracle
from dfa.runs.saved_run import SavedRun, read_run
from dfa.runs.tables import table_contradictions
from dfa.runs.verification import CHECKS, PROBABILITY_TOLERANCE, Finding, Verification
from dfa.search.confirmation import Confirmation
from dfa.space.constraints import WITHOUT_PROMISE, why_broken
from dfa.types import Image, ImageSequence

_DEFAULT_BATCH: Final = 64

_MOST_ANSWERS: Final = 100
"""Repeated answers that a folder may ask for unasked: each costs the user a query for every image."""

_INDEX: Final = re.compile(r"([0-9]{6,18})\.")


def verify(
    folder: str | Path,
    oracle: object,
    *,
    originals: ImageSequence | NDArray[np.uint8] | None = None,
    epsilon: object = None,
    confirmations: Confirmation | int | str | None = None,
    batch_size: int = _DEFAULT_BATCH,
) -> Verification:
    """Check every adversarial image of a run from its file, and ask the oracle about it, alone and in a batch.

    Nothing of the folder is believed that can be asked or measured; what is left is told in `Verification.believed`.
    Give `originals` and `epsilon` of a run that somebody sent you.

    Where several answers are to agree, each image is asked alone as often, its original too, and must be adversarial
    as often as there; single answers, which may differ, are not held against the record.

    Args:
        folder: A run folder, or what `Result.save` wrote; also of a run that has not ended.
        oracle: Anything that `dfa.as_oracle` takes: the model of the run, or one that should agree with it.
        originals: The run's images, instead of the copies in the folder: uint8, (N, H, W, C), or a sequence. Then
            images without a file are asked as well, whether they were rightly skipped.
        epsilon: The largest change allowed, instead of the recorded one: grey levels, shapes as in `dfa.run`.
        confirmations: How many of how many answers must find an image adversarial, as in `dfa.run`. None: as the run's
            settings have it, up to 100 answers.
        batch_size: Images per batch, fewer where they are large. Each image is also asked alone, so it takes two
            queries (where n answers are asked for, n), its original one (n).

    Raises:
        StoreError: The folder holds no run, or one of another version, or asks for more than 100 answers.
        InvalidInputError: `originals`, `epsilon` or `confirmations` do not fit the run.
        OracleError: The oracle failed.
    """
    batch_size = require_count("batch_size", batch_size, 1)
    run = read_run(require_path("folder", folder))
    try:
        Form.recorded(run.config)
        recorded = Confirmation.parse(run.config.get("confirmations", 1))
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"the settings of the run in {run.folder} must be as they were written: {error}") from error
    confirmation = recorded if confirmations is None else Confirmation.parse(confirmations)
    if confirmations is None and recorded.of > _MOST_ANSWERS:
        raise StoreError(
            f"the run in {run.folder} asks for {recorded.of:,} answers about each image, and no more than "
            f"{_MOST_ANSWERS} are asked for unless you say so; pass confirmations='{recorded.needed}/{recorded.of}' to "
            "follow it"
        )
    given = None if originals is None else as_length(originals)
    if originals is not None and given != run.num_images:
        raise InvalidInputError(
            f"originals must be the {run.num_images} images of the run in {run.folder}, got "
            f"{type(originals).__name__ if given is None else given}"
        )
    pictures = Pictures(run, originals)
    if isinstance(oracle, ReplayOracle):
        raise InvalidInputError(
            f"what the run in {run.folder} claims must be asked of the model itself, and a record of answers is none: "
            "pass the service, such as dfa.HttpOracle(...)"
        )
    asked = as_oracle(oracle).taking(pictures.form.takes)
    if asked.keeps_record:
        # A service that names its classes as they come has numbered them so in the run.
        asked.keep_with(None, NamesOfRun(run.folder))
    return _Verifier(run, asked, pictures, epsilon, confirmation, confirmations is not None, batch_size).verify()


@dataclass
class _Subject:
    """An image that could be read, with its record.

    Attributes:
        row: The record.
        image: The adversarial image; None where none was found, and the original alone is asked about.
        original: None where it cannot be had.
        clean: Its class, once it was asked.
    """

    row: Mapping[str, Any]
    image: Image | None
    original: Image | None
    clean: int | None = None

    @property
    def index(self) -> int:
        return int(self.row["index"])

    @property
    def largest(self) -> Image:
        """What tells how much memory its questions take."""
        found = self.image if self.image is not None else self.original
        return np.zeros(1, np.uint8) if found is None else found


@dataclass
class _Verifier:
    run: SavedRun
    oracle: Oracle
    pictures: Pictures
    epsilon: object
    confirmation: Confirmation
    has_confirmations: bool
    batch_size: int
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    fresh: list[FreshAnswers] = field(default_factory=list)

    def verify(self) -> Verification:
        rows = [self.run.rows[index] for index in sorted(self.run.rows)]
        allowed = self._check_settings(rows)
        named = [row for row in rows if row.get("file")]
        questions = Questions(
            self.oracle, num_images=self.run.num_images, batch_size=self.batch_size, times=self.confirmation.of
        )
        opened = ((each, each.largest) for row in named if (each := self._open(row, allowed)))
        for subjects in in_batches(opened, self.batch_size):
            self._ask(questions, subjects)
        if self.pictures.originals is not None:
            others = [row for row in rows if not row.get("file") and row["class_before"] is not None]
            given = ((each, each.largest) for row in others if (each := self._open_original(row)))
            for subjects in in_batches(given, self.batch_size):
                self._ask_clean(questions, subjects)
        self._look_for_strays({str(row["file"]) for row in named})
        self._note(len(rows), len(named))
        return Verification(
            folder=self.run.folder,
            images=len(named),
            checked={name: number for name, number in self.checked.items() if number},
            findings=tuple(sorted(self.findings, key=lambda each: each.index)),
            notes=tuple(self.notes),
            queries=questions.num_asked,
            records=len(rows),
            believed=believed(
                self.run,
                has_originals=self.pictures.originals is not None,
                has_epsilon=self.epsilon is not None,
                has_confirmations=self.has_confirmations,
            ),
            fresh=FreshAnswers(sum(each.agreeing for each in self.fresh), sum(each.number for each in self.fresh)),
            asked_otherwise=asked_otherwise(self.run.config.get("oracle"), self.oracle),
        )

    def _expect(self, check: str, index: int, problem: str) -> bool:
        """Count a check, and keep what is wrong, if anything is."""
        self.checked[check] += 1
        if problem:
            self.findings.append(Finding(index, check, problem))
        return not problem

    @property
    def space(self) -> Mapping[str, Any] | None:
        """What the run says of its search space; None: a ball, of which epsilon says all."""
        return self.run.config.get("space")

    def _check_settings(self, rows: Sequence[Mapping[str, Any]]) -> Allowed | None:
        """Hold what is told of the run against itself, and return the largest change allowed, if there is one."""
        for row in rows:
            self._expect("record", row["index"], "; ".join(row_contradictions(row, self.run.config)))
        shape = self.run.shape or ()
        allowed, problem = None, ""
        if self.epsilon is not None:
            allowed = read_allowed(self.epsilon, self.run.num_images, shape)
        else:
            recorded, problem = recorded_epsilon(self.run.folder, self.run.config, self.run.num_images)
            if recorded is not None:
                try:
                    allowed = read_allowed(recorded, self.run.num_images, shape)
                except InvalidInputError as error:
                    problem = str(error)
        self._expect("settings", -1, "; ".join([*contradictions(self.run), *([problem] if problem else [])]))
        if self.run.is_complete:
            self._expect("tables", -1, "; ".join(table_contradictions(self.run)))
        return allowed

    def _note(self, num_records: int, num_named: int) -> None:
        """Write down what could not be checked."""
        if self.confirmation.is_repeated:
            self.notes.append(
                "the oracle is randomised: its single answers and their probabilities are not compared with those on "
                "record"
            )
        elif not self._shows_the_same:
            self.notes.append(
                "this oracle does not show what the run's did, so the probabilities on record are not compared"
            )
        if self.space is not None and num_named and self.space["kind"] in WITHOUT_PROMISE:
            self.notes.append(f"what the space {self.space['kind']} promises cannot be told from images")
        if self.run.pictures:
            self.notes.append(
                f"{len(self.run.pictures):,} images lie in the journal, and become files when the run goes on"
            )
        if num_records < self.run.num_images:
            self.notes.append(
                f"{self.run.num_images - num_records:,} images were not finished when the run was cut short"
            )

    def _open(self, row: Mapping[str, Any], allowed: Allowed | None) -> _Subject | None:
        """Return the image of a record and its original, measured, or None where the image is not to be had."""
        image, problem = self.pictures.image(row)
        if not self._expect("file", row["index"], problem) or image is None:
            return None
        original, problem = self.pictures.original(row)
        if self._expect("original", row["index"], problem) and original is not None:
            problem_of_copy = self.pictures.why_not_copied(row, original)
            if problem_of_copy is not None:
                self._expect("copy", row["index"], problem_of_copy)
            self._measure(row, image, original, allowed)
        return _Subject(row, image, original)

    def _open_original(self, row: Mapping[str, Any]) -> _Subject | None:
        """Return the original of an image that has no file."""
        original, problem = self.pictures.original(row)
        return _Subject(row, None, original) if self._expect("original", row["index"], problem) else None

    def _measure(self, row: Mapping[str, Any], image: Image, original: Image, allowed: Allowed | None) -> None:
        index = row["index"]
        if self.space is not None:
            problem = why_broken(self.space, index, original, image, row.get("distances"))
            if problem is not None:
                self._expect("space", index, problem)
        found = measure(image, original, None if allowed is None else allowed.of(index, image.shape))
        if allowed is not None:
            beyond = f"{found.num_beyond:,} values lie beyond epsilon; the first, {found.first_beyond}"
            self._expect("epsilon", index, beyond if found.num_beyond else "")
        wrong = [
            f"{name} was recorded as {recorded}, and is {value}"
            for name in ("l0", "l2", "linf")
            if (recorded := row.get(name)) is not None
            and not np.isclose(recorded, value := getattr(found, name), rtol=1e-9, atol=0)
        ]
        self._expect("distance", index, "; ".join(wrong))

    def _ask(self, questions: Questions, subjects: Sequence[_Subject]) -> None:
        """Ask about adversarial images, once their originals have told what they must not be."""
        before = self._ask_clean(questions, [each for each in subjects if each.original is not None])
        images = [each.image for each in subjects if each.image is not None]
        indices = [each.index for each in subjects]
        if self.confirmation.is_repeated:
            for subject, image in zip(subjects, images, strict=True):
                (answers,) = questions.ask_repeatedly([image], [subject.index])
                agreeing = sum(not why_benign(_found(subject, each), **_goal(subject)) for each in answers)
                self.fresh.append(FreshAnswers(agreeing, len(answers)))
                needed = self.confirmation.needed
                problem = f"{agreeing} of {len(answers)} answers find it adversarial, of which {needed} must"
                self._expect("adversarial", subject.index, problem if agreeing < needed else "")
            return
        together = questions.ask(images, indices)
        for subject, image, in_batch in zip(subjects, images, together, strict=True):
            row = subject.row
            found = _found(subject, questions.ask([image], [subject.index])[0])
            # An image that was found and never asked about again has no class on record.
            if row["class_after"] is not None:
                self._expect("alone", subject.index, _other_class(row["class_after"], found))
                self._expect("batch", subject.index, _other_class(row["class_after"], _found(subject, in_batch)))
            self._expect("adversarial", subject.index, why_benign(found, **_goal(subject)))
            self._compare_probabilities(row, before.get(subject.index), in_batch)

    def _ask_clean(self, questions: Questions, subjects: Sequence[_Subject]) -> dict[int, NDArray[np.float64]]:
        """Ask about originals, hold them against the record, and return the answers, (K,), by place."""
        if not subjects:
            return {}
        answers = questions.ask_repeatedly(
            [each.original for each in subjects if each.original is not None], [each.index for each in subjects]
        )
        means = {}
        for subject, repeated in zip(subjects, answers, strict=True):
            means[subject.index] = mean_of(repeated)
            subject.clean = int(means[subject.index].argmax())
            recorded, target = subject.row["class_before"], subject.row["target"]
            if recorded is not None:
                self._expect("before", subject.index, _other_class(recorded, subject.clean))
            if target is not None:
                self._expect("target", subject.index, self._why_not_target(subject, repeated, target))
        return means

    def _why_not_target(self, subject: _Subject, answers: NDArray[np.float64], target: int) -> str:
        if target == subject.clean and subject.row["status"] != "skipped":
            return f"its target {target} is the class that the original has"
        targets = self.run.config.get("targets")
        rank = targets.get("j") if isinstance(targets, Mapping) else None
        if not is_integer(rank):
            return ""
        if self.oracle.num_ranked is not None and rank > self.oracle.num_ranked:
            return f"the class of rank {rank} cannot be told, since the oracle's answers rank {self.oracle.num_ranked}"
        return why_not_rank(answers, target, rank)

    def _compare_probabilities(
        self, row: Mapping[str, Any], before: NDArray[np.float64] | None, after: NDArray[np.float64]
    ) -> None:
        """Hold the probabilities of the recorded classes against the answers, where both are of one kind."""
        if not self._shows_the_same:
            return
        wrong = []
        for when, scores in (("before", before), ("after", after)):
            found, recorded = row[f"class_{when}"], row[f"probability_{when}"]
            # Another class is another finding.
            if scores is None or recorded is None or found != scores.argmax():
                continue
            if abs(scores[found] - recorded) > PROBABILITY_TOLERANCE:
                wrong.append(f"probability_{when} was recorded as {recorded:.6g}, and is {scores[found]:.6g}")
        self._expect("probability", row["index"], "; ".join(wrong))

    @property
    def _shows_the_same(self) -> bool:
        """Whether the oracle answers with what that of the run did, as far as the record tells."""
        shown = self.oracle.returns.value
        return bool((self.run.config.get("oracle") or {}).get("returns", shown) == shown)

    def _look_for_strays(self, named: set[str]) -> None:
        """Look for files that no record names; of a run that goes on, records may have come since it was read."""
        lying = {f"{place}/{name}" for place in (IMAGES, ORIGINALS) for name in door.names_in(self.run.folder, place)}
        lying -= halves_in(self.run.folder)
        known = named | {original_of(file) for file in named}
        if not self.run.is_complete and lying - known:
            now = {str(row["file"]) for row in read_run(self.run.folder).rows.values() if row.get("file")}
            known |= now | {original_of(file) for file in now}
        for file in sorted(lying):
            match = _INDEX.match(Path(file).name)
            index = int(match[1]) if match else -1
            self._expect("stray", index, "" if file in known else f"no record names {file}")


def _goal(subject: _Subject) -> dict[str, int | None]:
    """Return what an image must become or leave: by its original, if that could be asked, else by the record."""
    clean = subject.row["class_before"] if subject.clean is None else subject.clean
    return {"target": subject.row["target"], "clean": clean}


def _found(subject: _Subject, scores: NDArray[np.float64]) -> int:
    return class_of(scores, **_goal(subject))


def _other_class(recorded: int, found: int) -> str:
    return "" if recorded == found else f"class {recorded} was recorded, and it is {found}"
