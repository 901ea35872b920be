"""The gate: the only way to a model, so that counts, budgets, times and checks have one truth."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from enum import Enum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.errors import (
    BudgetExceededError,
    DfaError,
    InvalidInputError,
    OracleError,
    PartialAnswer,
    told,
    told_with_place,
)
from dfa.oracle.answers import Answer, reader_of
from dfa.oracle.base import Oracle
from dfa.oracle.parts import Part, partial_answer
from dfa.types import Indices, Scores

_OF_SHAPES: Final = re.compile(r"shape|dimension|axis|axes|matmul|broadcast|size", re.IGNORECASE)

_OF_TENSORS: Final = re.compile(
    r"(?s)numpy\.ndarray.*Parameter|Tensor.*numpy\.ndarray"
    r"|numpy\.ndarray' object has no attribute '(?:permute|to|float)'"
)
"""What torch says where its functions are given an array."""

_OF_ESTIMATORS: Final = re.compile(r"Found array with dim")
"""What scikit-learn says where an estimator is given more than a table."""


class Purpose(Enum):
    """Why an image is asked; only attack queries are held to the budget."""

    ATTACK = "attack"
    CLEAN = "clean"
    VERIFICATION = "verification"
    WATCH = "watch"


class Gate:
    """Asks an oracle, and counts, times and checks every answer.

    A query is one image sent to the oracle. It counts from the moment it is sent, whether or not the oracle
    answers. `ask` is `send` and then `check`. `send` may be called from as many threads at a time as the oracle takes
    calls; `check` may run beside it in another one, so that the oracle need not wait for it.

    Attributes:
        sent: int64, (N,): attack queries sent so far per image of the run; only to be read, and set by `restore_sent`.
        counts: Images sent per purpose.
        calls: Batches sent per purpose.
        seconds: Seconds spent inside the oracle per purpose, its answer brought to the host included, of all threads.
        sent_again: Images sent once more, because the worker that had them is gone; in no other count.
        max_queries: The most attack queries per image.
    """

    def __init__(
        self, oracle: Oracle, *, num_images: int, max_queries: int, budgets: NDArray[np.int64] | None = None
    ) -> None:
        """Put a gate before an oracle.

        Args:
            oracle: The oracle.
            num_images: N, the images of the run.
            max_queries: The most attack queries per image.
            budgets: int64, (N,), of each image, at most these; None for these.

        Raises:
            InvalidInputError: If either number is negative, or the oracle does not declare what its answers need.
        """
        if num_images < 0 or max_queries < 0:
            raise InvalidInputError(f"num_images and max_queries must be 0 or more, got {num_images} and {max_queries}")
        self.sent: Indices = np.zeros(num_images, dtype=np.int64)
        self.counts: dict[Purpose, int] = dict.fromkeys(Purpose, 0)
        self.calls: dict[Purpose, int] = dict.fromkeys(Purpose, 0)
        self.seconds: dict[Purpose, float] = dict.fromkeys(Purpose, 0.0)
        self.sent_again = 0
        self.max_queries = max_queries
        self._budgets = budgets
        self._books = threading.Lock()
        self._oracle = oracle
        self._reader = reader_of(oracle)

    @property
    def num_classes(self) -> int | None:
        """K: as declared, or else fixed by the first answer and None before it."""
        return self._reader.num_classes

    @num_classes.setter
    def num_classes(self, number: int | None) -> None:
        self._reader.num_classes = number

    def save(self) -> dict[str, Any]:
        """Return the state, but for `sent`, in plain JSON types: what the searches can tell need not be kept twice."""
        return {
            "num_classes": self.num_classes,
            "counts": {
                purpose.value: number for purpose, number in self.counts.items() if purpose is not Purpose.ATTACK
            },
            "seconds": {purpose.value: seconds for purpose, seconds in self.seconds.items()},
        }

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what `save` returned."""
        self.num_classes = document["num_classes"]
        self.counts |= {Purpose(name): number for name, number in document["counts"].items()}
        self.seconds |= {Purpose(name): seconds for name, seconds in document["seconds"].items()}

    def restore_sent(self, index: int, number: int) -> None:
        """Set how many attack queries had been sent for an image when the state was saved."""
        self.sent[index] = number

    def changed_batch(self) -> OracleError:
        """Return the error of an oracle that wrote into a batch that it was given."""
        return OracleError(
            f"the oracle {self._oracle.name!r} must leave the batch that it is given as it is, and has changed it; let "
            "it work on a copy (batch = batch.copy(); of torch: torch.from_numpy(batch.copy()))"
        )

    def who_answered(self) -> str:
        """Return what to call whoever answered the last call of the thread that asks."""
        return self._oracle.who_answered()

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready for batches of up to `batch_size` images of `shape`; no query is sent.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one `ask` will hold.

        Raises:
            InvalidInputError: If the oracle cannot take such images.
            OracleError: If the oracle fails otherwise.
        """
        try:
            self._oracle.prepare(shape, batch_size)
        except DfaError:
            raise
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also what asks the process to exit: a run does not end without its result
            raise OracleError(
                f"the oracle {self._oracle.name!r} could not get ready for batches of up to {batch_size} "
                f"images of shape {shape}: {told_with_place(error)}"
            ) from error

    def ask(self, images: NDArray[Any], indices: Indices, purpose: Purpose) -> Scores:
        """Return the probabilities of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255; of an oracle of vectors, what it takes.
            indices: int64, (n,), 0..N-1: the image of the run that each row belongs to.
            purpose: Why they are asked. Only `Purpose.ATTACK` adds to `sent` and is held to the budget.

        Returns:
            float64, (n, K), C-contiguous and the caller's own: finite, >= 0, rows summing to 1 within the
            oracle's tolerance, whatever the oracle shows; `dfa.oracle.answers` says how.

        Raises:
            BudgetExceededError: If an image would pass `max_queries`; then nothing was sent.
            InvalidInputError: If images and indices do not fit together; then nothing was sent.
            OracleError: If the oracle fails, its answer cannot be used, or it has changed `images` (which of attack
                queries is not looked at here).
        """
        return self.check(self.send(images, indices, purpose), indices)

    def send(
        self,
        images: NDArray[Any],
        indices: Indices,
        purpose: Purpose,
        known: Part | None = None,
        *,
        copies: Mapping[int, int] | None = None,
        is_again: bool = False,
    ) -> Answer:
        """Return the oracle's answer to a batch, counted and timed, but not yet checked.

        Takes and raises what `ask` does, except that an answer that cannot be used is for `check` to refuse.

        Args:
            images: As of `ask`.
            indices: As of `ask`.
            purpose: As of `ask`.
            known: Answers of before, to rows that count as any, but need not be sent again.
            copies: Rows that count as any, and are the same image as another row, which is sent for both.
            is_again: The same was sent before, to a worker that is gone.

        Raises:
            PartialAnswer: The oracle answered some rows only; it holds these, and those that are known, as arrays.
        """
        num_rows = len(images)
        takes = self._oracle.takes
        if not np.issubdtype(images.dtype, takes) or indices.shape != (num_rows,):
            raise InvalidInputError(
                f"the gate needs {takes.__name__} images and one index per image, got "
                f"{images.dtype} images of shape {images.shape} and indices of shape {indices.shape}"
            )
        if num_rows == 0:
            return ()
        with self._books:
            if is_again:
                self.sent_again += num_rows - (0 if known is None else len(known.rows))
            else:
                if purpose is Purpose.ATTACK:
                    self._spend(indices)
                self.counts[purpose] += num_rows
                self.calls[purpose] += 1
        if known is None and not copies:
            return self._answer(images, purpose)
        none = Part(np.zeros(0, dtype=np.int64), ())
        return self._answer_rest(images, purpose, none if known is None else known, copies or {})

    def check(self, answer: Answer, indices: Indices) -> Scores:
        """Return the probabilities that an answer of `send` holds, as `ask` returns them.

        Args:
            answer: What `send` returned; it belongs to the gate from now on.
            indices: Those given to `send`.

        Raises:
            OracleError: If the answer cannot be used.
        """
        if len(indices) == 0:
            return np.empty((0, self.num_classes or 0), dtype=np.float64)
        # One that was kept in a file may be of whatever somebody has written there.
        if len(answer) != self._reader.num_arrays:
            wanted = counted(self._reader.num_arrays, "array")
            raise OracleError(
                f"an answer of the oracle {self._oracle.name!r} must be of {wanted}, and one that was kept is of "
                f"{len(answer)}; begin the run anew"
            )
        return self._reader.scores(answer, indices)

    def _spend(self, indices: Indices) -> None:
        """Add one attack query per row to the books, or none at all where the budget does not allow it."""
        if indices.min() < 0 or indices.max() >= len(self.sent):
            raise InvalidInputError(f"indices must be 0..{len(self.sent) - 1}, got {indices.min()}..{indices.max()}")
        np.add.at(self.sent, indices, 1)
        sent = self.sent[indices]
        most = self.max_queries if self._budgets is None else self._budgets[indices]
        if (beyond := sent - most).max() > 0:
            row = int(np.argmax(beyond))
            np.subtract.at(self.sent, indices, 1)
            raise BudgetExceededError(
                f"image {indices[row]} may be asked {sent[row] - beyond[row]} times, and this batch would make it "
                f"{sent[row]}; nothing was sent"
            )

    def _answer(self, images: NDArray[Any], purpose: Purpose) -> Answer:
        """Return the oracle's raw answer as arrays, and time it."""
        # The oracle is given a copy, so that the caller's images stay what they are; but attack queries are many, and
        # whoever sends them writes anew what is kept of them.
        given = images if purpose is Purpose.ATTACK else images.copy()
        started = time.perf_counter()
        try:
            # Inside the clock: a framework may only compute when its answer is read.
            answer = self._reader.arrays(self._oracle.scores(given))
        except PartialAnswer as error:
            self._check_unchanged(given, images)
            raise partial_answer(error, self._reader, len(images), self._oracle.name) from error
        except (DfaError, KeyboardInterrupt):
            raise
        except BaseException as error:  # also what asks the process to exit: a run does not end without its result
            raise OracleError(
                f"the oracle {self._oracle.name!r} failed on a batch of shape {images.shape}: {told_with_place(error)}"
                f"{_cure(error, self._oracle)}"
            ) from error
        finally:
            with self._books:
                self.seconds[purpose] += time.perf_counter() - started
        self._check_unchanged(given, images)
        return answer

    def _answer_rest(self, images: NDArray[Any], purpose: Purpose, known: Part, copies: Mapping[int, int]) -> Answer:
        """Return the answer to a batch of which some rows are known, or are others once more."""
        rest = np.setdiff1d(np.arange(len(images)), [*known.rows.tolist(), *copies])
        if not rest.size:
            return known.with_copies(copies).in_order()
        try:
            whole = known.with_part(Part(rest, self._answer(images[rest], purpose)))
            return whole.with_copies(copies).in_order()
        except PartialAnswer as error:
            part = known.with_part(Part(rest[error.rows], error.answers))
            raise PartialAnswer(*part, error.cause, message=str(error)) from error

    def _check_unchanged(self, given: NDArray[Any], images: NDArray[Any]) -> None:
        if given is not images and not np.array_equal(given, images, equal_nan=images.dtype.kind == "f"):
            raise self.changed_batch()


def _cure(error: BaseException, oracle: Oracle) -> str:
    """Return what helps against an error that functions of a batch often raise, as the end of a message."""
    text = told(error)
    if "read-only" in text:
        return "; the batch must not be changed, so work on a copy: batch = batch.copy()"
    if oracle.kind == "callable" and _OF_TENSORS.search(text):
        return (
            "; the batch is an array of NumPy, (n, H, W, C): pass the torch module itself to dfa.as_oracle, which "
            "takes mean= and std=, or make a tensor of it"
        )
    if oracle.kind == "callable" and _OF_ESTIMATORS.search(text):
        return (
            "; pass the estimator itself, which is given a row per image: dfa.as_oracle(estimator, value_range=(0, 1))"
        )
    if oracle.kind == "callable" and _OF_SHAPES.search(text):
        return "; it is given a batch (n, H, W, C); a function of one image goes in as dfa.OneByOne(function)"
    return ""
