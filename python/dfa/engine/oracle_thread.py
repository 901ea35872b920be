"""The oracle in a thread of its own: whatever is sent to it goes this way, is written down before and timed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dfa.engine.stopwatch import Stopwatch
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate, Purpose
from dfa.runs.store import Store
from dfa.types import Images, Indices, Scores


class OracleThread:
    """Sends images through the gate, one batch after another."""

    def __init__(self, gate: Gate, stopwatch: Stopwatch, store: Store | None, *, batch_size: int) -> None:
        """Begin the thread.

        Args:
            gate: Before the oracle.
            stopwatch: Keeps what the oracle takes.
            store: Counts what is sent, before it is sent.
            batch_size: The most images of one batch.
        """
        self._gate = gate
        self._stopwatch = stopwatch
        self._store = store
        self._batch_size = batch_size
        self._failure: BaseException | None = None
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dfa-oracle")

    def close(self) -> None:
        """End the thread. A call under way cannot be stopped; everything after it can."""
        self._executor.shutdown(wait=True, cancel_futures=True)

    def send(self, batches: Sequence[Images], indices: Indices) -> Future[list[Answer]]:
        """Send attack queries, and return at once; the answers are unchecked.

        Args:
            batches: uint8, (n, H, W, C) each: candidates, and what is asked besides them.
            indices: int64, (n,): the image of each row.
        """
        self._write_down(Purpose.ATTACK, len(batches) * len(indices))
        for _ in batches:
            self._stopwatch.note_call(len(indices))
        return self._executor.submit(lambda: [self._answer(images, indices, Purpose.ATTACK) for images in batches])

    def ask(self, images: Images, indices: Indices, purpose: Purpose) -> Scores:
        """Ask something that is no attack query, behind the batch that may be under way.

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        return self.ask_ahead(images, indices, purpose)()

    def ask_ahead(self, images: Images, indices: Indices, purpose: Purpose) -> Callable[[], Scores]:
        """Ask like `ask`, but return at once: what is returned waits for the answer, and raises what `ask` does."""
        self._write_down(purpose, len(images))
        answer = self._executor.submit(self._answer, images, indices, purpose)
        return lambda: self._gate.check(answer.result(), indices)

    def ask_repeatedly(self, images: Images, indices: Indices, purpose: Purpose, *, times: int) -> NDArray[np.float64]:
        """Return so many answers about each image: float64, (n, times, K).

        Raises:
            OracleError: The oracle failed or its answer cannot be used.
        """
        rows = np.repeat(np.arange(len(images)), times)
        parts = (rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size))
        scores = np.concatenate([self.ask(images[part], indices[part], purpose) for part in parts])
        return scores.reshape(len(images), times, -1)

    def _answer(self, images: Images, indices: Indices, purpose: Purpose) -> Answer:
        # What waited behind a call that failed would be paid for, and its answer never be looked at.
        # Whoever looks first, at whichever of them, sees why.
        if self._failure is not None:
            raise self._failure
        try:
            with self._stopwatch.oracle_at_work(purpose.value):
                return self._gate.send(images, indices, purpose)
        except BaseException as failure:
            self._failure = failure
            raise

    def _write_down(self, purpose: Purpose, number: int) -> None:
        if self._store is not None:
            self._store.sending(purpose.value, number)


def mean_answer(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the second axis, which is exact where all answers are alike."""
    first: NDArray[np.float64] = answers[:, 0]
    mean: NDArray[np.float64] = first + (answers - answers[:, :1]).mean(axis=1)
    return mean
