"""What dfa asks of every oracle, held to one of yours: `check_oracle`."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_number, require_count
from dfa.errors import ContractError, DfaError, InvalidInputError, told_with_place
from dfa.oracle.answers import Answer, Reader, reader_of
from dfa.oracle.base import Oracle, ScoreKind, checked_tolerance, declare_shown
from dfa.oracle.choice import as_oracle
from dfa.types import Scores

__all__ = ["ContractError", "check_oracle"]

_SIZES: Final = 12
"""Of batches between two images and all, at most so many are tried."""

_PATIENCE: Final = 300.0
"""Seconds that another process may take to load an oracle."""


def check_oracle(
    oracle: Any,
    images: NDArray[Any],
    *,
    batch_size: int | None = None,
    atol: float = 0.0,
    twin: Any = None,
) -> None:
    """Hold an oracle to what dfa relies on; every image is sent some forty times.

    - declaration: `returns`, `num_classes`, `num_shown`, `tolerance` and `name` are such, and stay what they are (only
      a `num_classes` of None may become K).
    - answers: of the shape, the dtype and the range that `returns` names, and of K classes every time; `class_names`
      are None or K texts.
    - order: an answer's row is its image's, whatever the order of the images, also where the ends of a batch stay.
    - batch: an image's answer is the same alone, as the first and the last of two, among any number up to the batch
      size (of many numbers twelve), and beside neighbours of the least and of the largest value; a paler image's as
      well, which reaches neither. Batches of more than `batch_size` images are not asked.
    - input: the batch is left as it is, and may be read-only.
    - thread: answers are the same in another thread: a run asks from one of its own.
    - state: the same images get the same answers again, also after other images. An oracle that is randomised breaks
      this on purpose; `dfa.Confirmation` is for it.
    - memory: an answer stays what it is when the batch's memory is used again and the next batch is asked. (A run
      copies answers before that, but a wrapper may not.)
    - prepare: may be called again, also for another batch size, and answers stay the same; of images of another shape
      it says nothing or raises a `DfaError`, and the oracle answers as before afterwards.
    - fingerprint: None, or a text that stays the same, in a copy of the oracle and in another process as well. The
      latter is looked at only of an oracle that can be pickled, and loaded there, as most that hold a framework's
      objects cannot; hold one that you make there yourself against this one's.
    - describe: plain JSON with what `Oracle.describe` holds, and always the same.

    Args:
        oracle: An `Oracle`, or what `as_oracle` takes.
        images: uint8, (N, H, W, C), N of at least 2, that are told apart by their answers. (Of an oracle that takes
            vectors: what it takes.)
        batch_size: The most images that are asked at once, at least 2; None: N.
        atol: How far the probabilities of an image may lie apart from one call to another, 0..1. By default they must
            not at all: answers are equal to the bit, as they are where a model is given batches of one size. A
            framework on batches as they come is good for about 1e-6, in float32.
        twin: The same model as an oracle that was made anew: its fingerprint and its description must be the same.

    Raises:
        ContractError: Clauses are broken; it lists each with what was expected and what came.
        InvalidInputError: An argument is not as described.

    Example:
        >>> import numpy as np
        >>> def brightness(images):
        ...     bright = images.mean(axis=(1, 2, 3)) / 255
        ...     return np.stack([1 - bright, bright], axis=1)
        >>> check_oracle(brightness, np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3))
    """
    model = as_oracle(oracle)
    subject = _Subject(
        model, _checked_images(images, model), _checked_size(batch_size, len(images)), _checked_atol(atol)
    )
    broken = _broken(subject, "declaration") or _broken(subject, "answers")
    if not broken:
        _refuse_alike(subject)
        broken = _broken(subject, *(clause for clause in _CLAUSES if clause not in ("declaration", "answers")))
    if twin is not None and not broken:
        _check_twin(subject, as_oracle(twin), broken)
    if broken:
        raise ContractError(model.name, broken)


def _broken(subject: _Subject, *clauses: str) -> dict[str, str]:
    """Return what was expected and what came, by the name of the clause that is broken."""
    broken = {}
    for clause in clauses:
        try:
            _CLAUSES[clause](subject)
        except (_BreachError, DfaError) as error:
            broken[clause] = str(error)
        except Exception as error:  # an oracle may raise anything
            broken[clause] = told_with_place(error)
    return broken


class _BreachError(Exception):
    """A clause is broken; the message says what was expected and what came."""


class _Subject:
    """An oracle under examination, and what it said first.

    Attributes:
        oracle: The oracle.
        images: What it is asked about, (N, ...).
        batch_size: The most of them at once.
        atol: How far apart probabilities may lie.
        others: Images of the same form and other values.
        answers: What it said of `images` when it was first asked.
    """

    def __init__(self, oracle: Oracle, images: NDArray[Any], batch_size: int, atol: float) -> None:
        self.oracle = oracle
        self.images = images
        self.batch_size = batch_size
        self.atol = atol
        self.others: NDArray[Any] = images.max() - images + images.min()
        self.answers: Answer = ()
        self._declared = _declaration(oracle)
        self._reader: Reader | None = None

    @property
    def shape(self) -> Any:
        """(H, W, C), or whatever else the inputs are."""
        return self.images.shape[1:]

    @property
    def reader(self) -> Reader:
        """Reads the answers, and knows K once there was one.

        Raises:
            InvalidInputError: The oracle does not declare what its answers need.
        """
        if self._reader is None:
            self._reader = reader_of(self.oracle)
        return self._reader

    def declared_otherwise(self) -> str:
        """Return which of the oracle's declarations have changed, in words; nothing where none has."""
        now = _declaration(self.oracle)
        changed = [
            f"{name} was {before!r} and is {now[name]!r}"
            for name, before in self._declared.items()
            if now[name] != before and not (name == "num_classes" and before is None)
        ]
        return ", ".join(changed)

    def ask(self, images: NDArray[Any]) -> Answer:
        """Return the checked answer to images, asked a batch at a time, as arrays of their own."""
        batches = [
            self.read(self.oracle.scores(batch.copy()), len(batch))
            for batch in (images[start : start + self.batch_size] for start in range(0, len(images), self.batch_size))
        ]
        return tuple(np.concatenate(parts) for parts in zip(*batches, strict=True))

    def read(self, answer: Any, number: int) -> Answer:
        """Return an answer to a number of images as arrays of their own.

        Raises:
            OracleError: It is not what the oracle declares.
        """
        arrays = self.reader.arrays(answer)
        self.scores(arrays, number)
        return arrays

    def scores(self, answer: Answer, number: int) -> Scores:
        """Return the probabilities that an answer to a number of images holds, whatever it shows."""
        return self.reader.scores(tuple(array.copy() for array in answer), np.arange(number))

    def compare(self, found: Answer, rows: Any, what: str, of: Answer | None = None) -> None:
        """Refuse an answer that is not that of before.

        Args:
            found: The answer.
            rows: The images of `images` that it is about.
            what: Which answers these are, as the subject of a sentence.
            of: What was said before of all images, or of what was made of them; None: `answers`.

        Raises:
            OracleError: It cannot be read.
            _BreachError: It is another.
        """
        before = tuple(array[rows] for array in (self.answers if of is None else of))
        if all(map(np.array_equal, found, before)):
            return
        number = len(before[0])
        apart = np.abs(self.scores(found, number) - self.scores(before, number)).max(axis=1)
        if self.atol > 0.0 and apart.max() <= self.atol:
            return
        row = int(apart.argmax())
        wanted = "equal to the bit" if self.atol == 0.0 else f"at most {self.atol:g} apart"
        raise _BreachError(
            f"{what} must be those given when the images were first asked, {wanted}; probabilities of image "
            f"{np.arange(len(self.images))[rows][row]} lie up to {apart[row]:.3g} apart"
            + ("" if apart.max() > 0 else " (the numbers returned differ, though no probability does)")
        )


def _declaration(oracle: Oracle) -> dict[str, Any]:
    return {name: getattr(oracle, name) for name in ("returns", "num_classes", "num_shown", "tolerance", "name")}


def _checked_images(images: Any, oracle: Oracle) -> NDArray[Any]:
    if not isinstance(images, np.ndarray) or not np.issubdtype(images.dtype, oracle.takes) or images.ndim < 2:
        given = f"{images.dtype} of shape {images.shape}" if isinstance(images, np.ndarray) else type(images).__name__
        raise InvalidInputError(
            f"images must be an array of {np.dtype(oracle.takes).name}, (N, H, W, C), which is what the oracle "
            f"{oracle.name!r} takes, got {given}"
        )
    if len(np.unique(images, axis=0)) < max(2, len(images)):
        raise InvalidInputError(f"images must be at least 2, each another, got {len(images)} of which some are alike")
    return np.ascontiguousarray(images)


def _checked_size(batch_size: int | None, number: int) -> int:
    return number if batch_size is None else require_count("batch_size", batch_size, 2)


def _checked_atol(atol: float) -> float:
    if not is_number(atol) or not 0 <= atol <= 1:
        raise InvalidInputError(f"atol must be a number of 0..1, the distance allowed of probabilities, got {atol!r}")
    return float(atol)


def _check_declaration(subject: _Subject) -> None:
    oracle = subject.oracle
    if not isinstance(oracle.returns, ScoreKind):
        raise _BreachError(f"returns must be a dfa.oracle.ScoreKind, got {oracle.returns!r}")
    declare_shown(oracle.returns, oracle.num_classes, oracle.num_shown)
    checked_tolerance(oracle.tolerance)
    if not isinstance(oracle.name, str) or not oracle.name:
        raise _BreachError(f"name must be a text that is not empty, got {oracle.name!r}")


def _check_answers(subject: _Subject) -> None:
    """Ask for the first time."""
    subject.oracle.prepare(subject.shape, subject.batch_size)
    answers = subject.ask(subject.images)
    subject.answers = answers
    if changed := subject.declared_otherwise():
        raise _BreachError(f"what an oracle declares must stay as it is; once it had answered, {changed}")
    names, number = subject.oracle.class_names, subject.scores(answers, len(subject.images)).shape[1]
    if names is not None and (len(names) != number or not all(isinstance(name, str) for name in names)):
        raise _BreachError(f"class_names must be one text per class, {number} of them, or None, got {names!r:.200}")


def _refuse_alike(subject: _Subject) -> None:
    number = len(subject.images)
    if len(np.unique(subject.scores(subject.answers, number), axis=0)) < 2:
        raise InvalidInputError(
            f"images must be told apart by their answers, and the oracle {subject.oracle.name!r} answers all "
            f"{number} alike, so nothing shows whether it mixes them up; pass images of several classes"
        )


def _check_order(subject: _Subject) -> None:
    """Change the order inside each batch alone, so that no image comes into a batch of another size."""
    places = np.arange(len(subject.images))
    batches = [places[start : start + subject.batch_size] for start in range(0, len(places), subject.batch_size)]
    for what, turned in (
        ("backwards", [batch[::-1] for batch in batches]),
        ("in another order", [np.roll(batch, 1) for batch in batches]),
        ("between the same ends", [np.r_[batch[:1], batch[-2:0:-1], batch[1:][-1:]] for batch in batches]),
    ):
        rows = np.concatenate(turned)
        subject.compare(subject.ask(subject.images[rows]), rows, f"answers to images {what}")


def _check_batch(subject: _Subject) -> None:
    number = len(subject.images)
    for row in range(number):
        for rows, what in (
            ([row], "answers to images alone"),
            ([row, (row + 1) % number], "answers to images two at a time"),
        ):
            subject.compare(subject.ask(subject.images[rows]), rows, what)
    for size in np.unique(np.linspace(3, min(number, subject.batch_size), _SIZES).astype(int)).tolist():
        sized = np.arange(size)
        subject.compare(subject.ask(subject.images[sized]), sized, f"answers to images {size} at a time")
    _check_neighbours(subject)


def _check_neighbours(subject: _Subject) -> None:
    """Ask about images, and where they are 8-bit ones about paler ones too, beside neighbours of one value."""
    low, high = (0, 255) if subject.images.dtype == np.uint8 else (subject.images.min(), subject.images.max())
    looks = [(subject.images, "images")]
    if subject.images.dtype == np.uint8:
        looks.append((subject.images // 2 + 64, "paler images"))
    for images, named in looks:
        alone = [subject.ask(images[row : row + 1]) for row in range(len(images))]
        before = tuple(np.concatenate(parts) for parts in zip(*alone, strict=True))
        for level, which in ((low, "the least"), (high, "the largest")):
            for row in range(len(images)):
                beside = np.stack([images[row], np.full_like(images[row], level)])
                found = tuple(array[:1] for array in subject.ask(beside))
                subject.compare(found, [row], f"answers to {named} beside one of {which} value", of=before)


def _check_input(subject: _Subject) -> None:
    part = slice(0, subject.batch_size)
    given = subject.images[part].copy()
    subject.oracle.scores(given)
    if not np.array_equal(given, subject.images[part], equal_nan=given.dtype.kind == "f"):
        raise _BreachError(
            "the batch must be left as it is, and the oracle has changed it; let it work on a copy: "
            "batch = batch.copy()"
        )
    given.flags.writeable = False
    try:
        answer = subject.read(subject.oracle.scores(given), len(given))
    except Exception as error:
        raise _BreachError(
            f"a batch that may not be written to must be answered like any other; {told_with_place(error)}"
        ) from error
    subject.compare(answer, part, "answers to a batch that may not be written to")


def _check_state(subject: _Subject) -> None:
    rows = np.arange(len(subject.images))
    subject.ask(subject.others)
    subject.compare(subject.ask(subject.images), rows, "answers to the same images, after other ones were asked,")


def _check_memory(subject: _Subject) -> None:
    part = slice(0, subject.batch_size)
    given = subject.images[part].copy()
    answer = subject.oracle.scores(given)
    before = subject.read(answer, len(given))
    given[:] = subject.others[part]
    if not all(map(np.array_equal, subject.reader.arrays(answer), before)):
        raise _BreachError(
            "an answer must have memory of its own, and this one lies in the batch's and changes with it; return a copy"
        )
    subject.oracle.scores(given)
    if not all(map(np.array_equal, subject.reader.arrays(answer), before)):
        raise _BreachError(
            "an answer must have memory of its own, and this one was changed when the next batch was asked; return a "
            "copy"
        )


def _check_prepare(subject: _Subject) -> None:
    oracle, shape, rows = subject.oracle, subject.shape, np.arange(len(subject.images))
    oracle.prepare(shape, subject.batch_size)
    subject.compare(subject.ask(subject.images), rows, "answers after `prepare` was called again")
    oracle.prepare(shape, subject.batch_size + 3)
    subject.compare(subject.ask(subject.images), rows, "answers after `prepare` for another batch size")
    try:
        oracle.prepare((*(side + 1 for side in shape[:-1]), shape[-1]), subject.batch_size)
    except DfaError:
        pass
    except Exception as error:
        raise _BreachError(
            "of images of another shape `prepare` must say nothing, or raise a dfa.InvalidInputError; "
            f"{told_with_place(error)}"
        ) from error
    oracle.prepare(shape, subject.batch_size)
    subject.compare(subject.ask(subject.images), rows, "answers after `prepare` was called for another shape")


def _check_thread(subject: _Subject) -> None:
    found: list[Answer] = []
    failed: list[BaseException] = []

    def ask() -> None:
        try:
            found.append(subject.ask(subject.images))
        except BaseException as error:  # an oracle may raise anything; it is told of where it was asked
            failed.append(error)

    thread = threading.Thread(target=ask, name="check_oracle")
    thread.start()
    thread.join()
    if failed:
        raise _BreachError(
            f"an oracle must answer in another thread than it was made and first asked in, since a run asks from one "
            f"of its own; {told_with_place(failed[0])}"
        ) from failed[0]
    subject.compare(found[0], np.arange(len(subject.images)), "answers in another thread")


def _check_fingerprint(subject: _Subject) -> None:
    found = subject.oracle.fingerprint()
    if found is not None and (not isinstance(found, str) or not found):
        raise _BreachError(f"a fingerprint must be None or a text that is not empty, got {found!r}")
    subject.ask(subject.images)
    again = {"asked again": subject.oracle.fingerprint()}
    # What holds a session or a graph often cannot be copied, or its copy not be used.
    with contextlib.suppress(Exception):
        again["of a copy of the oracle"] = copy.deepcopy(subject.oracle).fingerprint()
    if found is not None and (elsewhere := _fingerprint_elsewhere(subject.oracle)) is not None:
        again["in another process"] = elsewhere
    for when, now in again.items():
        if now != found:
            raise _BreachError(f"a fingerprint must stay the same; it was {found!r}, and {when} it is {now!r}")


def _fingerprint_elsewhere(oracle: Oracle) -> str | None:
    """Return the fingerprint in another process, or None where the oracle cannot be taken there."""
    try:
        pickled = pickle.dumps(oracle)
    except Exception:  # what cannot be pickled raises anything
        return None
    code = "import pickle, sys; print(pickle.load(sys.stdin.buffer).fingerprint())"
    # Texts have other hashes there.
    path = {"PYTHONPATH": os.pathsep.join(sys.path), "PYTHONHASHSEED": "random"}
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], input=pickled, capture_output=True, timeout=_PATIENCE, env=os.environ | path
        )
    except (OSError, subprocess.SubprocessError):
        return None
    lines = done.stdout.decode(errors="replace").splitlines()
    return lines[-1] if done.returncode == 0 and lines else None


def _check_describe(subject: _Subject) -> None:
    found = subject.oracle.describe()
    try:
        read_back = json.loads(json.dumps(found, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise _BreachError(f"describe() must be plain JSON, got {found!r} ({error})") from error
    if not isinstance(found, dict) or read_back != found:
        raise _BreachError(
            f"describe() must be a dict that JSON gives back as it is (lists and no tuples, texts as keys), got "
            f"{found!r}, and back comes {read_back!r}"
        )
    for name, value in Oracle.describe(subject.oracle).items():
        if name not in found or found[name] != value:
            raise _BreachError(
                f"describe() must say {name}: {value!r}, as `super().describe()` does, got {found.get(name)!r}"
            )
    subject.ask(subject.images)
    again = subject.oracle.describe()
    if again != found:
        raise _BreachError(f"describe() must stay the same; it was {found!r}, and is {again!r}")


def _check_twin(subject: _Subject, twin: Oracle, broken: dict[str, str]) -> None:
    for clause in ("fingerprint", "describe"):
        found, other = (getattr(each, clause)() for each in (subject.oracle, twin))
        if found != other:
            broken[clause] = f"{clause}() must be the same of an oracle made anew; it is {found!r}, and anew {other!r}"


_CLAUSES: Final[dict[str, Callable[[_Subject], None]]] = {
    "declaration": _check_declaration,
    "answers": _check_answers,
    "order": _check_order,
    "batch": _check_batch,
    "input": _check_input,
    "thread": _check_thread,
    "state": _check_state,
    "memory": _check_memory,
    "prepare": _check_prepare,
    "fingerprint": _check_fingerprint,
    "describe": _check_describe,
}
