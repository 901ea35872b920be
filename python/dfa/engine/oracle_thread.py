"""The oracle in a thread of its own, or in the caller's: all that is sent goes this way, noted before and timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.engine.stopwatch import Stopwatch
from dfa.errors import OracleError, PartialAnswer, StoreError
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from dfa.runs.kept_answers import KeptAnswers, Sent
from dfa.runs.store import Store, digest_of
from dfa.types import Images, Indices, Scores


@dataclass
class _Question:
    """A batch that is asked about, until what came of it is part of the run's state.

    Attributes:
        images: uint8, (n, H, W, C).
        indices: int64, (n,): the image of each row.
        purpose: Why.
        known: Answers of before the run was resumed.
        is_sent: Whether it went to the oracle.
        noted_at: When it was noted as a call for attack queries, in seconds of the run.
        is_taken_back: Whether the books no longer count it, since it was never sent.
        part: What is answered, the known rows included.
    """

    images: Images
    indices: Indices
    purpose: Purpose
    known: Part | None
    is_sent: bool = False
    noted_at: float | None = None
    is_taken_back: bool = False
    part: Part | None = None

    @property
    def number(self) -> int:
        """Images to be sent."""
        return len(self.indices) - (0 if self.known is None else len(self.known.rows))


class _Here(Executor):
    """Does what is submitted at once."""

    def submit(self, function: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(function(*arguments, **named))
        except BaseException as error:  # also an interrupt: it comes out where the answer is looked at
            future.set_exception(error)
        return future


class OracleThread:
    """Sends images through the gate, one batch after another.

    Attributes:
        failure: What the first call that failed raised, after which nothing is sent.
    """

    def __init__(
        self, gate: Gate, stopwatch: Stopwatch, store: Store | None, *, batch_size: int, in_callers_thread: bool
    ) -> None:
        """Begin the thread.

        Args:
            gate: Before the oracle.
            stopwatch: Keeps what the oracle takes.
            store: Counts what is sent, before it is sent.
            batch_size: The most images of one batch.
            in_callers_thread: Whether no thread is to begin: what is sent is then answered before `send` returns.
        """
        self._gate = gate
        self._stopwatch = stopwatch
        self._store = store
        self._batch_size = batch_size
        self.failure: BaseException | None = None
        self._kept: KeptAnswers | None = None
        self._open: list[_Question] = []
        self._is_closed = False
        self._executor: Executor = (
            _Here() if in_callers_thread else ThreadPoolExecutor(max_workers=1, thread_name_prefix="dfa-oracle")
        )

    def close(self) -> None:
        """End the thread. A call under way cannot be stopped; everything after it can."""
        self._is_closed = True
        self._executor.shutdown(wait=True, cancel_futures=True)

    def send(self, batches: Sequence[Images], indices: Indices) -> Future[list[Answer]]:
        """Send attack queries, and return at once; the answers are unchecked.

        Args:
            batches: uint8, (n, H, W, C) each: candidates, and what is asked besides them.
            indices: int64, (n,): the image of each row.
        """
        questions = self._questions(batches, indices, Purpose.ATTACK)
        for question in questions:
            question.noted_at = self._stopwatch.note_call(len(question.indices))
        return self._executor.submit(lambda: list(map(self._answer, questions)))

    def ask(self, images: Images, indices: Indices, purpose: Purpose) -> Scores:
        """Ask something that is no attack query, behind the batch that may be under way.

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        return self.ask_ahead(images, indices, purpose)()

    def ask_ahead(self, images: Images, indices: Indices, purpose: Purpose) -> Callable[[], Scores]:
        """Ask like `ask`, but return at once: what is returned waits for the answer, and raises what `ask` does."""
        (question,) = self._questions([images], indices, purpose)
        answer = self._executor.submit(self._answer, question)
        return lambda: self._gate.check(answer.result(), indices)

    def ask_repeatedly(self, images: Images, indices: Indices, purpose: Purpose, *, times: int) -> NDArray[np.float64]:
        """Return so many answers about each image, each from a call of its own: float64, (n, times, K).

        A randomised oracle may draw once per call, and repeats within one would then be one answer.

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        starts = range(0, len(images), self._batch_size)
        parts = [slice(start, start + self._batch_size) for start in starts]
        rounds = [
            np.concatenate([self.ask(images[part], indices[part], purpose) for part in parts]) for _ in range(times)
        ]
        return np.stack(rounds, axis=1)

    def forget(self, purpose: Purpose, number: int | None = None) -> None:
        """Take note that the answers to the oldest so many batches of a purpose, or to all, are part of the state."""
        those = [question for question in self._open if question.purpose is purpose][:number]
        self._open = [question for question in self._open if not any(question is each for each in those)]

    def recall(self, kept: KeptAnswers) -> None:
        """Use kept answers from now on, instead of sending the same again."""
        self._kept = kept
        self._open.clear()

    def counted(self) -> Counter[str]:
        """Return the images, by purpose, that the gate has counted and whose answers are not part of the state."""
        return _sums((question, len(question.indices)) for question in self._open if question.is_sent)

    def take_back(self) -> None:
        """Take out of the books what was written down and not sent, once the thread is closed.

        A store that cannot be written counts too much then, as after a kill.
        """
        those = [question for question in self._open if not question.is_sent and not question.is_taken_back]
        for question in those:
            question.is_taken_back = True
            if question.noted_at is not None:
                self._stopwatch.take_call_back(question.noted_at, len(question.indices))
        if self._store is not None:
            with suppress(StoreError):
                for purpose, number in _sums((question, question.number) for question in those).items():
                    self._store.sending(purpose, -number)

    def unused(self) -> list[tuple[Sent, Answer]]:
        """Return the usable answers that are not part of the state, row by row, once the thread is closed."""
        rows: list[tuple[Sent, Answer]] = []
        for question in self._open:
            part = question.part or question.known
            if part is None or not self._is_usable(part, question.indices):
                continue
            rows += part.by_row(_sent(question.images, question.indices, question.purpose))
        return rows

    def _questions(self, batches: Sequence[Images], indices: Indices, purpose: Purpose) -> list[_Question]:
        """Return what is about to be sent, written down."""
        questions = [_Question(images, indices, purpose, self._known(images, indices, purpose)) for images in batches]
        if self._store is not None:
            self._store.sending(purpose.value, sum(question.number for question in questions))
        self._open += questions
        return questions

    def _known(self, images: Images, indices: Indices, purpose: Purpose) -> Part | None:
        return self._kept.take(_sent(images, indices, purpose)) if self._kept else None

    def _answer(self, question: _Question) -> Answer:
        # What waited behind a call that failed would be paid for, and its answer never be looked at.
        # Whoever looks first, at whichever of them, sees why.
        if self.failure is not None:
            raise self.failure
        if self._is_closed:
            raise CancelledError
        try:
            with self._stopwatch.oracle_at_work(question.purpose.value):
                question.is_sent = True
                answer = self._gate.send(question.images, question.indices, question.purpose, question.known)
        except PartialAnswer as error:
            question.part = Part(error.rows, error.answers)
            self.failure = error
            raise
        except BaseException as error:
            self.failure = error
            raise
        if self._store is not None:
            # The gate's check overwrites what it is given.
            question.part = Part(np.arange(len(question.indices)), tuple(array.copy() for array in answer))
        return answer

    def _is_usable(self, part: Part, indices: Indices) -> bool:
        try:
            self._gate.check(tuple(array.copy() for array in part.answer), indices[part.rows])
        except OracleError:
            return False
        return True


def _sent(images: Images, indices: Indices, purpose: Purpose) -> list[Sent]:
    return [Sent(purpose.value, index, digest_of(image)) for image, index in zip(images, indices.tolist(), strict=True)]


def _sums(numbers: Iterable[tuple[_Question, int]]) -> Counter[str]:
    """Return the sums of numbers by purpose."""
    sums: Counter[str] = Counter()
    for question, number in numbers:
        sums[question.purpose.value] += number
    return sums


def mean_answer(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the second axis, which is exact where all answers are alike."""
    first: NDArray[np.float64] = answers[:, 0]
    mean: NDArray[np.float64] = first + (answers - answers[:, :1]).mean(axis=1)
    return mean
