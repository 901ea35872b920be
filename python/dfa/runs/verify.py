"""Whether a run's images are what its records say: told from the files alone, by code that had no part in making them.

Reads the records, the image files and the originals, and asks the oracle anew. Nothing of the optimizer or of the
loop is used, nor what they measured: distances and classes are computed here, and compared with what was recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_array, as_length, is_integer, require_count, require_path
from dfa.errors import InvalidInputError, StoreError
from dfa.oracle import as_oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.originals import Form, difference
from dfa.runs import door
from dfa.runs.image_files import IMAGES, decode_image, original_of
from dfa.runs.recorded import contradictions, recorded_epsilon, target_contradiction
from dfa.runs.saved_run import SavedRun, read_run
from dfa.search.confirmation import Confirmation
from dfa.space.constraints import why_broken
from dfa.types import Image, ImageSequence

CHECKS: Final = {
    "settings": "run.json, results.json, epsilon.npy and the number of records do not contradict one another",
    "record": "the record does not contradict itself, and names a file exactly if an image was found",
    "file": "the file decodes, without loss, to an 8-bit image (or an array, of a user's space) of the run's shape",
    "original": "the original is there, likewise and of the same shape",
    "epsilon": "no value lies further than epsilon from the original's",
    "space": "the image keeps the promise of its search space, as run.json has it",
    "distance": "L0, L2 and L-infinity are as recorded",
    "before": "the original has the class that was recorded",
    "alone": "asked alone, the image has the class that was recorded",
    "batch": "asked in a batch, the image has the class that was recorded",
    "adversarial": "that class is the target's, or in an untargeted run not the original's",
    "stray": "no image lies in the folder that no record names",
}
"""What is checked, by name."""

_DEFAULT_BATCH: Final = 64


@dataclass(frozen=True)
class Finding:
    """Something that does not hold.

    Attributes:
        index: Place of the image in the run; -1 for the run itself.
        check: Which of `CHECKS`.
        problem: What was expected and what was found.
    """

    index: int
    check: str
    problem: str

    @property
    def where(self) -> str:
        """What it is about, in words."""
        return "the run" if self.index < 0 else f"image {self.index}"


@dataclass(frozen=True)
class Verification:
    """What `verify` saw.

    Attributes:
        folder: The run.
        images: Adversarial images that were looked at.
        checked: How often each of `CHECKS` was made.
        findings: What does not hold, by image.
        notes: What could not be checked, and why.
        queries: Images sent to the oracle for this.
    """

    folder: Path
    images: int
    checked: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    queries: int = 0

    @property
    def holds(self) -> bool:
        """Whether everything that was checked holds."""
        return not self.findings

    def failed(self, check: str) -> int:
        """Return how often a check failed."""
        return sum(finding.check == check for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain JSON types."""
        return {
            "folder": str(self.folder),
            "holds": self.holds,
            "images": self.images,
            "checks": {
                name: {"what": CHECKS[name], "checked": number, "failed": self.failed(name)}
                for name, number in self.checked.items()
            },
            "findings": [vars(finding) for finding in self.findings],
            "notes": list(self.notes),
            "queries": self.queries,
        }

    def __str__(self) -> str:
        """Return a table of the checks, and a line for everything that does not hold."""
        lines = [f"{'check':<12} {'made':>8} {'failed':>8}  what must hold"]
        lines += [
            f"{name:<12} {number:>8,} {self.failed(name):>8,}  {CHECKS[name]}" for name, number in self.checked.items()
        ]
        lines += [f"{each.where}: {each.check}: {each.problem}" for each in self.findings]
        lines += [f"note: {note}" for note in self.notes]
        verdict = "everything holds" if self.holds else f"{len(self.findings):,} things do not hold"
        return "\n".join([*lines, f"{self.images:,} adversarial images in {self.folder}: {verdict}"])


def verify(
    folder: str | Path,
    oracle: object,
    *,
    originals: ImageSequence | NDArray[np.uint8] | None = None,
    epsilon: object = None,
    batch_size: int = _DEFAULT_BATCH,
) -> Verification:
    """Check every adversarial image of a run from its file, and ask the oracle about it, alone and in a batch.

    Of a run whose `confirmations` ask for several answers each image is asked alone as often, and must be adversarial
    as often as there; single answers, which may differ, are not held against the record.

    Args:
        folder: A run folder, or what `Result.save` wrote; also of a run that has not ended.
        oracle: Anything that `dfa.as_oracle` takes: the model of the run, or one that should agree with it.
        originals: The run's images, instead of the copies in the folder: uint8, (N, H, W, C), or a sequence.
        epsilon: The largest change allowed, instead of the recorded one: grey levels, shapes as in `dfa.run`.
        batch_size: Images per batch. Each image is also asked alone, so it takes two queries (where the run asks for
            n answers, n + 1), its original one.

    Raises:
        StoreError: The folder holds no run, or one of another version.
        InvalidInputError: `originals` or `epsilon` do not fit the run.
        OracleError: The oracle failed.
    """
    batch_size = require_count("batch_size", batch_size, 1)
    run = read_run(require_path("folder", folder))
    try:
        Form.recorded(run.config)
        Confirmation.parse(run.config.get("confirmations", 1))
    except (ValueError, TypeError, AttributeError) as error:
        raise StoreError(f"the settings of the run in {run.folder} must be as they were written: {error}") from error
    given = None if originals is None else as_length(originals)
    if originals is not None and given != run.num_images:
        raise InvalidInputError(
            f"originals must be the {run.num_images} images of the run in {run.folder}, got "
            f"{type(originals).__name__ if given is None else given}"
        )
    return _Verifier(run, oracle, originals, epsilon, batch_size).verify()


@dataclass
class _Subject:
    """An adversarial image that could be read, with its record."""

    row: Mapping[str, Any]
    image: Image
    original: Image | None

    @property
    def index(self) -> int:
        return int(self.row["index"])


@dataclass
class _Verifier:
    run: SavedRun
    oracle: object
    originals: ImageSequence | NDArray[np.uint8] | None
    epsilon: object
    batch_size: int
    checked: dict[str, int] = field(default_factory=lambda: dict.fromkeys(CHECKS, 0))
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def verify(self) -> Verification:
        rows = [self.run.rows[index] for index in sorted(self.run.rows)]
        for row in rows:
            self._expect("record", row["index"], "; ".join(_contradictions(row, self.run.config)))
        named = [row for row in rows if row.get("file")]
        if self.confirmation.is_repeated:
            self.notes.append("the oracle is randomised: its single answers are not compared with those on record")
        allowed, problem = self._allowed()
        self._expect("settings", -1, "; ".join([*contradictions(self.run), *([problem] if problem else [])]))
        oracle = as_oracle(self.oracle).taking(self.form.takes)
        gate = Gate(oracle, num_images=self.run.num_images, max_queries=0)
        is_prepared = False
        for start in range(0, len(named), self.batch_size):
            subjects = [each for row in named[start : start + self.batch_size] if (each := self._open(row))]
            for subject in subjects:
                self._measure(subject, allowed)
            if subjects:
                if not is_prepared:
                    gate.prepare(subjects[0].image.shape, self.batch_size)
                    is_prepared = True
                self._ask(gate, subjects)
        if self.space is not None and named and not self.checked["space"]:
            self.notes.append(f"what the space {self.space['kind']} promises cannot be told from images")
        # Until a run has ended, an image may be there a moment before its record.
        if self.run.is_complete:
            self._look_for_strays({str(row["file"]) for row in named})
        if self.run.pictures:
            self.notes.append(
                f"{len(self.run.pictures):,} images lie in the journal, and become files when the run goes on"
            )
        if len(rows) < self.run.num_images:
            self.notes.append(
                f"{self.run.num_images - len(rows):,} images were not finished when the run was cut short"
            )
        return Verification(
            folder=self.run.folder,
            images=len(named),
            checked={name: number for name, number in self.checked.items() if number},
            findings=tuple(sorted(self.findings, key=lambda each: each.index)),
            notes=tuple(self.notes),
            queries=gate.counts[Purpose.VERIFICATION],
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

    @property
    def form(self) -> Form:
        """What the run's originals are."""
        return Form.recorded(self.run.config)

    def _expect_promise(self, subject: _Subject, original: Image, space: Mapping[str, Any]) -> None:
        """Hold an image to what its space promises, if anything."""
        given = subject.row.get("distances")
        problem = why_broken(space, subject.index, original, subject.image, given)
        if problem is not None:
            self._expect("space", subject.index, problem)

    def _allowed(self) -> tuple[NDArray[np.int64] | None, str]:
        """Return the largest change allowed, if there is one, and what is wrong with its record."""
        if self.epsilon is None:
            return recorded_epsilon(self.run.folder, self.run.config, self.run.num_images)
        shape = tuple(self.run.config.get("shape", ()))
        allowed = as_array(self.epsilon)
        if allowed.dtype.kind not in "iu" or allowed.shape not in (
            (),
            (self.run.num_images,),
            shape,
            (self.run.num_images, *shape),
        ):
            raise InvalidInputError(
                f"epsilon must be one number, one per image ({self.run.num_images},), one per coordinate {shape}, or "
                f"both, in integers; got {allowed.dtype} of shape {allowed.shape}"
            )
        return allowed.astype(np.int64), ""

    def _open(self, row: Mapping[str, Any]) -> _Subject | None:
        """Return the image of a record and its original, or None where the image is not to be had."""
        picture = self.run.picture(row["index"])
        image, problem = self._decode(row["file"]) if picture is None else (picture.image, "")
        shape = tuple(self.run.config.get("shape", ())) or (None if image is None else image.shape)
        if image is not None and image.shape != shape:
            problem = f"it must have the run's shape {shape}, and has {image.shape}"
        if not self._expect("file", row["index"], problem) or image is None:
            return None
        original, problem = self._original(row)
        if original is not None and original.shape != image.shape:
            problem = f"it must have the shape of the image, {image.shape}, and has {original.shape}"
        has_original = self._expect("original", row["index"], problem)
        return _Subject(row, image, original if has_original else None)

    def _original(self, row: Mapping[str, Any]) -> tuple[Image | None, str]:
        if self.originals is None:
            picture = self.run.picture(row["index"])
            if picture is not None:
                return picture.original, ""
            return self._decode(original_of(row["file"]))
        try:
            original = np.asarray(self.originals[row["index"]])
        except Exception as error:  # a user's sequence may raise anything
            return None, f"it cannot be read: {type(error).__name__}: {error}"
        return original, self.form.why_not(original)

    def _decode(self, file: str) -> tuple[Image | None, str]:
        """Return what a file holds, as the run's form has it, or why it cannot be used."""
        image, problem = decode_image(self.run.folder, file, self.run.shape)
        if image is not None and self.form.why_not(image):
            return None, f"{Path(file).name} holds {image.dtype} of shape {image.shape}"
        return image, problem

    def _measure(self, subject: _Subject, allowed: NDArray[np.int64] | None) -> None:
        if subject.original is None:
            return
        change = difference(subject.image, subject.original)
        if self.space is not None:
            self._expect_promise(subject, subject.original, self.space)
        if allowed is not None:
            per_image = allowed.ndim in (1, 4)
            limit = np.broadcast_to(allowed[subject.index] if per_image else allowed, change.shape)
            beyond = np.argwhere(np.abs(change) > limit)
            problem = ""
            if len(beyond):
                place = tuple(beyond[0].tolist())
                problem = (
                    f"{len(beyond):,} values lie beyond epsilon; the first, at {place}, {abs(change[place])} grey "
                    f"levels away, where {limit[place]} are allowed"
                )
            self._expect("epsilon", subject.index, problem)
        measured = {
            "l0": int((change != 0).sum()),
            "l2": float(np.linalg.norm(change.astype(np.float64))),
            "linf": np.abs(change).max().item(),
        }
        wrong = [
            f"{name} was recorded as {recorded}, and is {value}"
            for name, value in measured.items()
            if (recorded := subject.row.get(name)) is not None and not np.isclose(recorded, value, rtol=1e-9, atol=0)
        ]
        self._expect("distance", subject.index, "; ".join(wrong))

    def _ask(self, gate: Gate, subjects: Sequence[_Subject]) -> None:
        in_batch = _classes_after(gate, [each.image for each in subjects], subjects)
        alone = [self._answers(gate, each) for each in subjects]
        whole = [each for each in subjects if each.original is not None]
        originals = [each.original for each in whole if each.original is not None]
        before = dict(zip([each.index for each in whole], _classes(gate, originals, whole), strict=True))
        if self.confirmation.is_repeated:
            for subject, answers in zip(subjects, alone, strict=True):
                # Not a single answer: what a randomised oracle said of the original may be another class by now.
                benign = [why for found in answers if (why := _why_benign(subject.row, found, None))]
                agreeing, needed = len(answers) - len(benign), self.confirmation.needed
                problem = f"{agreeing} of {len(answers)} answers find it adversarial, of which {needed} must"
                self._expect("adversarial", subject.index, problem if agreeing < needed else "")
            return
        for subject, found_in_batch, (found_alone,) in zip(subjects, in_batch, alone, strict=True):
            row = subject.row
            clean = before.get(subject.index)
            if clean is not None and row["class_before"] is not None:
                self._expect("before", subject.index, _other_class(row["class_before"], clean))
            # An image that was found and never asked about again has no class on record.
            if row["class_after"] is not None:
                self._expect("alone", subject.index, _other_class(row["class_after"], found_alone))
                self._expect("batch", subject.index, _other_class(row["class_after"], found_in_batch))
            self._expect("adversarial", subject.index, _why_benign(row, found_alone, clean))

    def _answers(self, gate: Gate, subject: _Subject) -> list[int]:
        """Return the class of an image, asked alone as often as the run asks."""
        return [_classes_after(gate, [subject.image], [subject])[0] for _ in range(self.confirmation.of)]

    @property
    def confirmation(self) -> Confirmation:
        return Confirmation.parse(self.run.config.get("confirmations", 1))

    def _look_for_strays(self, named: set[str]) -> None:
        for path in map(Path, door.names_in(self.run.folder, IMAGES)):
            if path.suffix in (".png", ".npy") and not path.name.startswith("."):
                is_named = f"{IMAGES}/{path.name}" in named
                index = int(path.stem) if path.stem.isascii() and path.stem.isdigit() else -1
                self._expect("stray", index, "" if is_named else f"no record names {path.name}")


def _classes(gate: Gate, images: Sequence[Image], subjects: Sequence[_Subject]) -> list[int]:
    """Return the class of each original: that of the largest score, the smaller id on a tie."""
    if not images:
        return []
    indices = np.array([each.index for each in subjects], dtype=np.int64)
    scores = gate.ask(np.stack(images), indices, Purpose.VERIFICATION)
    return [int(each) for each in scores.argmax(axis=1)]


def _classes_after(gate: Gate, images: Sequence[Image], subjects: Sequence[_Subject]) -> list[int]:
    """Return the class of each image, where a tie with the class to be reached or left counts against the attack."""
    indices = np.array([each.index for each in subjects], dtype=np.int64)
    classes = []
    for subject, scores in zip(subjects, gate.ask(np.stack(images), indices, Purpose.VERIFICATION), strict=True):
        target, original = subject.row["target"], subject.row["class_before"]
        goal = original if target is None else target
        if not (is_integer(goal) and 0 <= goal < len(scores)):
            # The record is at fault, and is found to be.
            classes.append(int(scores.argmax()))
            continue
        others = scores.copy()
        others[goal] = -np.inf
        rival = int(others.argmax())
        is_goal = scores[goal] >= scores[rival] if target is None else scores[goal] > scores[rival]
        classes.append(int(goal) if is_goal else rival)
    return classes


def _other_class(recorded: int, found: int) -> str:
    return "" if recorded == found else f"class {recorded} was recorded, and it is {found}"


def _why_benign(row: Mapping[str, Any], found: int, clean: int | None) -> str:
    """Return why an image of class `found` is not adversarial, or nothing if it is."""
    if row["target"] is not None:
        return "" if found == row["target"] else f"it must be of the target class {row['target']}, and is {found}"
    original = row["class_before"] if clean is None else clean
    return f"it is still of class {found}" if found == original else ""


def _contradictions(row: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[str]:
    """Yield in what a record contradicts itself, or the run's settings, or leaves out what is to be checked."""
    budget = config.get("max_queries")
    if (row["status"] == "success") != bool(row["verified"]):
        yield f"its status is {row['status']} and verified is {row['verified']}"
    if row["status"] == "success" and not row.get("file"):
        yield "it is a success without a file"
    if row.get("file") and not row["found"]:
        yield "it names a file, and nothing was found"
    needed = (("l0", "l2", "linf") if row.get("file") else ()) + (
        ("class_before", "class_after") if row["status"] == "success" else ()
    )
    missing = [name for name in needed if row.get(name) is None]
    if missing:
        yield f"it does not tell {', '.join(missing)}"
    problem = target_contradiction(row, config.get("targets"))
    if problem:
        yield problem
    if not 0 <= row["queries"] <= row["queries_sent"]:
        yield f"it counts {row['queries']} queries, of {row['queries_sent']} that were sent"
    if is_integer(budget) and row["queries_sent"] > budget:
        yield f"{row['queries_sent']} queries were sent, of a budget of {budget}"
