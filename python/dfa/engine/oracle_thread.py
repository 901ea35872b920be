"""The oracle in threads of its own, or in the caller's: all that is sent goes this way, noted before and timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Executor, Future, ThreadPoolExecutor
from contextlib import suppress
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.engine.asking import Asked, Question
from dfa.engine.recall import Recall
from dfa.engine.stopwatch import Stopwatch
from dfa.errors import OracleError, PartialAnswer, StoreError, WorkerLost
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from dfa.runs.kept_answers import KeptAnswers
from dfa.runs.replay import ReplayOracle
from dfa.runs.store import Store
from dfa.types import Images, Indices, Scores

MOST_LOSSES: Final = 3
"""Workers that may be lost over one batch, before the run ends: it may be the batch that they die of."""


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
    """Sends images through the gate: one batch after another, or as many at once as the oracle takes.

    Attributes:
        calls_at_once: Batches that the oracle works on at the same time.
        asks_beside: Whether it may be given one while it has another.
        recall: Knows what need not be sent.
        answered: What was answered, or has failed, in that order; whoever sent it takes it out.
        open: What is asked about, and no part of the run's state yet.
        failure: What the first call that failed raised, after which nothing is sent.
        settled: Images, by purpose, whose answers are part of the run's state; to be set when that is loaded.
    """

    def __init__(
        self,
        gate: Gate,
        stopwatch: Stopwatch,
        store: Store | None,
        *,
        batch_size: int,
        in_callers_thread: bool,
        calls_at_once: int = 1,
        calls_in_line: int = 1,
        is_exact: bool = True,
        replay: ReplayOracle | None = None,
    ) -> None:
        """Begin the threads.

        Args:
            gate: Before the oracle.
            stopwatch: Keeps what the oracle takes.
            store: Counts what is sent, before it is sent.
            batch_size: The most images of one batch.
            in_callers_thread: Whether no thread is to begin: what is sent is then answered before `send` returns.
            calls_at_once: Otherwise, how many calls the oracle works on at the same time.
            calls_in_line: And how many it may be given for each of these; as many threads begin.
            is_exact: Whether an image that is asked about twice is to have the same answer.
            replay: Of a record that is replayed.
        """
        self.calls_at_once = calls_at_once
        self.asks_beside = calls_at_once * calls_in_line > 1
        self._gate = gate
        self._stopwatch = stopwatch
        self._store = store
        self.recall = Recall(store, replay, is_exact=is_exact)
        self._batch_size = batch_size
        self.answered: SimpleQueue[Asked] = SimpleQueue()
        self.failure: BaseException | None = None
        self.settled: Counter[str] = Counter()
        self.open: list[Question] = []
        self._is_closed = False
        self._executor: Executor = (
            _Here()
            if in_callers_thread
            else ThreadPoolExecutor(max_workers=calls_at_once * calls_in_line, thread_name_prefix="dfa-oracle")
        )

    def close(self) -> None:
        """End the threads. A call under way cannot be stopped; everything after it can."""
        self._is_closed = True
        self._executor.shutdown(wait=True, cancel_futures=True)

    def send(self, batches: Sequence[Images], indices: Indices) -> Asked:
        """Send attack queries, and return at once.

        Args:
            batches: uint8, (n, H, W, C) each: candidates, and what is asked besides them.
            indices: int64, (n,): the image of each row.
        """
        questions = self._questions(batches, indices, Purpose.ATTACK)
        for question in questions:
            question.noted_at = self._stopwatch.note_call(len(question.indices))
        return self._submit(questions)

    def ask_ahead(self, images: Images, indices: Indices, purpose: Purpose) -> Asked:
        """Send something that is no attack query, behind the batches that may be under way, and return at once."""
        return self._submit(self._questions([images], indices, purpose))

    def ask_in_parts_ahead(self, images: Images, indices: Indices, purpose: Purpose) -> list[Asked]:
        """Do as `ask_ahead` with as many images as there are, in calls of a batch each."""
        return [self.ask_ahead(*part, purpose) for part in self._parts(images, indices)]

    def answers(self, asked: Asked) -> list[Answer]:
        """Wait for what was sent, and return the answers, unchecked. What a lost worker had is sent again.

        Raises:
            OracleError: The oracle failed.
        """
        while True:
            try:
                answers = asked.future.result()
                break
            except WorkerLost as lost:
                self._send_again(asked, lost)
        for question in asked.questions:
            question.is_taken = True
        return answers

    def scores(self, asked: Asked) -> Scores:
        """Wait for the one batch that was sent, and return its scores, float64, (n, K).

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        (answer,) = self.answers(asked)
        return self._gate.check(answer, asked.questions[0].indices)

    def ask(self, images: Images, indices: Indices, purpose: Purpose) -> Scores:
        """Send and wait; arguments and errors as of `ask_ahead` and `scores`."""
        return self.scores(self.ask_ahead(images, indices, purpose))

    def ask_repeatedly(self, images: Images, indices: Indices, purpose: Purpose, *, times: int) -> NDArray[np.float64]:
        """Return so many answers about each image, each from a call of its own: float64, (n, times, K).

        A randomised oracle may draw once per call, and repeats within one would then be one answer.

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        if self.asks_beside:
            return self.ask_repeatedly_ahead(images, indices, purpose, times=times)()
        rounds = [[self.ask(*part, purpose) for part in self._parts(images, indices)] for _ in range(times)]
        return np.stack([np.concatenate(each) for each in rounds], axis=1)

    def ask_repeatedly_ahead(
        self, images: Images, indices: Indices, purpose: Purpose, *, times: int
    ) -> Callable[[], NDArray[np.float64]]:
        """Return what waits for the answers of `ask_repeatedly`; they are under way where others may be beside them."""
        if not self.asks_beside:
            return lambda: self.ask_repeatedly(images, indices, purpose, times=times)
        rounds = [self.ask_in_parts_ahead(images, indices, purpose) for _ in range(times)]
        return lambda: np.stack([np.concatenate([self.scores(asked) for asked in each]) for each in rounds], axis=1)

    def _parts(self, images: Images, indices: Indices) -> Iterator[tuple[Images, Indices]]:
        """Yield the batches that images make."""
        for start in range(0, len(images), self._batch_size):
            part = slice(start, start + self._batch_size)
            yield images[part], indices[part]

    def forget(self, purpose: Purpose) -> None:
        """Take note that the answers of a purpose that the run has are part of its state now."""
        those = [each for each in self.open if each.purpose is purpose and each.is_taken]
        self.settled += _sums((question, len(question.indices)) for question in those)
        self.open = [each for each in self.open if each.purpose is not purpose or not each.is_taken]

    def take_up(self, kept: KeptAnswers) -> None:
        """Use kept answers from now on, instead of sending the same again."""
        self.recall.take_up(kept)
        self.open.clear()

    def take_back(self) -> None:
        """Take out of the books what was written down and not sent, once the threads are closed.

        A store that cannot be written counts too much then, as after a kill.
        """
        those = [question for question in self.open if not question.is_sent and not question.is_taken_back]
        for question in those:
            question.is_taken_back = True
            if question.noted_at is not None:
                self._stopwatch.take_call_back(question.noted_at, len(question.indices))
        if self._store is not None:
            with suppress(StoreError):
                for purpose, number in _sums((question, question.number) for question in those).items():
                    self._store.sending(purpose, -number)

    def _questions(self, batches: Sequence[Images], indices: Indices, purpose: Purpose) -> list[Question]:
        """Return what is about to be sent, written down."""
        questions = [Question(images, indices, purpose) for images in batches]
        for question in questions:
            self.recall.look_up(question)
        if self._store is not None:
            self._store.sending(purpose.value, sum(question.number for question in questions))
        self.open += questions
        return questions

    def _submit(self, questions: list[Question]) -> Asked:
        asked = Asked(questions, self._executor.submit(self._answers_of, questions))
        if self.asks_beside:
            asked.future.add_done_callback(lambda _: self.answered.put(asked))
        return asked

    def _send_again(self, asked: Asked, lost: WorkerLost) -> None:
        """Send what was not answered once more, since the worker that had it is gone.

        Raises:
            OracleError: It is gone for the third time.
        """
        (question, *_) = [each for each in asked.questions if each.answer is None]
        question.losses += lost.is_begun
        if question.losses == MOST_LOSSES:
            ended = OracleError(
                f"{MOST_LOSSES} workers were lost over one batch of {len(question.indices)} images, the last so: "
                f"{lost}; look at what they wrote to the error stream; what was found is kept"
            )
            self.failure = self.failure or ended
            raise ended from lost
        if self._store is not None:
            self._store.sending(question.purpose.value, question.number)
        asked.future = self._submit(asked.questions).future

    def _answers_of(self, questions: list[Question]) -> list[Answer]:
        try:
            return [self._ask(question) for question in questions]
        finally:
            # Those behind one that failed as well: others may wait for them.
            for question in questions:
                if question.is_over is not None:
                    question.is_over.set()

    def _ask(self, question: Question) -> Answer:
        if question.answer is not None:
            return question.answer
        # What waited behind a call that failed would be paid for, and its answer never be looked at.
        # Whoever looks first, at whichever of them, sees why.
        if self.failure is not None:
            raise self.failure
        if self._is_closed:
            raise CancelledError
        try:
            known = self.recall.await_others(question)
            with self._stopwatch.oracle_at_work(question.purpose.value, self._gate.who_answered):
                is_again, question.is_sent = question.is_sent, True
                answer = self._gate.send(
                    question.images,
                    question.indices,
                    question.purpose,
                    known,
                    copies=question.copies,
                    is_again=is_again,
                )
            if self._store is not None:
                # The gate's check overwrites what it is given.
                question.part = Part(np.arange(len(question.indices)), tuple(array.copy() for array in answer))
                self.recall.note(question, question.part, known)
            question.answer = answer
        except WorkerLost:
            raise
        except PartialAnswer as error:
            question.part = Part(error.rows, error.answers)
            self.failure = self.failure or error
            self.recall.note(question, question.part, known)
            raise
        except BaseException as error:
            self.failure = self.failure or error
            raise
        return answer


def _sums(numbers: Iterable[tuple[Question, int]]) -> Counter[str]:
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
