"""The oracle of a run that is kept, asked about its image files at the end: no answer is lost there either."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any, Final

import numpy as np

from dfa.engine.oracle_thread import MOST_LOSSES
from dfa.errors import PartialAnswer, WorkerLost
from dfa.oracle.answers import Answer
from dfa.oracle.base import Oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from dfa.results.profile import Profile
from dfa.runs.kept_answers import Sent
from dfa.runs.record import Record
from dfa.runs.store import FILES, Store, digest_of
from dfa.types import Images, Indices

_FILE: Final = "file"

_MOST_HELD: Final = 2**24
"""Bytes of answers that are held before they go into the journal."""

_BESIDE: Final = 300
"""Bytes that a row's answer takes beside its numbers."""


class FileAnswers(Oracle):
    """An oracle whose answers are kept, should it fail in the middle of a batch, and used when the run is resumed.

    What it is sent is counted in the store and in the run's profile, before it is sent.
    """

    def __init__(self, oracle: Oracle, store: Store, profile: Profile) -> None:
        """Ask an oracle about the files of a store.

        Args:
            oracle: The oracle.
            store: Keeps the answers.
            profile: Of the run.
        """
        self.takes = oracle.takes  # type: ignore[misc]
        self.name = oracle.name
        self.returns = oracle.returns
        self.tolerance = oracle.tolerance
        self.num_classes, self.num_shown = oracle.num_classes, oracle.num_shown
        self._oracle = oracle
        self._store = store
        self._profile = profile
        self._gate = Gate(oracle, num_images=1, max_queries=0)
        self._answered: list[tuple[Sent, Answer]] = []
        self._held = 0

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready."""
        self._oracle.prepare(shape, batch_size)

    def scores(self, images: Images) -> Any:
        """Return what the oracle answers, or answered before the run was resumed.

        Raises:
            PartialAnswer: It failed in the middle of the batch; what it did answer is kept.
            StoreError: That cannot be kept, or what is about to be sent not be written down.
        """
        if self._held > _MOST_HELD:
            # Whoever asks once more has found what was answered before usable.
            self._store.keep(self._answered)
            self._answered.clear()
            self._held = 0
        if self._store.record is not None:
            return self._recorded(images, self._store.record)
        sent = _files(images)
        indices = np.zeros(len(images), dtype=np.int64)
        known, _ = self._store.answers.take(sent)
        number = len(images) - (0 if known is None else len(known.rows))
        try:
            answer = self._send(images, indices, known, number)
        except PartialAnswer as error:
            part = Part(error.rows, error.answers)
            self._gate.check(tuple(array.copy() for array in part.answer), indices[part.rows])
            self._answered += part.by_row(sent)
            self._store.keep(self._answered)
            raise
        self._answered += Part(np.arange(len(images)), answer).by_row(sent)
        self._held += sum(array.nbytes for array in answer) + _BESIDE * len(images)
        return answer if len(answer) > 1 else answer[0]

    def _recorded(self, images: Images, record: Record) -> Any:
        """Return what a service answers, as many calls at once as it takes, each written down as it comes."""
        most = self._oracle.rows_per_call or len(images)
        parts = [images[start : start + most] for start in range(0, len(images), most)]
        # Before others write: whoever takes an answer is alone.
        known = [self._store.answers.take(_files(part))[0] for part in parts]
        numbers = [len(part) - (0 if each is None else len(each.rows)) for part, each in zip(parts, known, strict=True)]
        self._store.sending(FILES, sum(numbers))
        self._profile.files += sum(numbers)
        try:
            with ThreadPoolExecutor(self._oracle.calls_at_once) as threads:
                answers = list(threads.map(partial(self._write_down, record), parts, known))
        finally:
            self._note(len(images), len(images) - sum(numbers))
        whole = tuple(map(np.concatenate, zip(*answers, strict=True)))
        return whole if len(whole) > 1 else whole[0]

    def _note(self, asked: int, from_record: int) -> None:
        """Count images in what the profile says of a service."""
        service = self._profile.service
        if service is not None:
            self._profile.service = replace(
                service,
                asked=service.asked + asked,
                from_record=service.from_record + from_record,
                use=self._oracle.books.use,
            )

    def _write_down(self, record: Record, images: Images, known: Part | None) -> Answer:
        indices = np.zeros(len(images), dtype=np.int64)
        try:
            answer = self._gate.send(images, indices, Purpose.VERIFICATION, known)
        except PartialAnswer as error:
            record.write(_but_for(known, Part(error.rows, error.answers), images), [])
            raise
        record.write(_but_for(known, Part(np.arange(len(images)), answer), images), [])
        return answer

    def _send(self, images: Images, indices: Indices, known: Part | None, number: int) -> Answer:
        """Send a batch, again where the worker that had it is gone."""
        losses = 0
        while True:
            self._store.sending(FILES, number)
            self._profile.files += number
            try:
                return self._gate.send(images, indices, Purpose.VERIFICATION, known)
            except WorkerLost:
                losses += 1
                if losses == MOST_LOSSES:
                    raise


def _files(images: Images) -> list[Sent]:
    """Return what images are to whoever keeps their answers: a file is known by its pixels alone."""
    return [Sent(_FILE, 0, digest_of(image)) for image in images]


def _but_for(known: Part | None, part: Part, images: Images) -> list[tuple[Sent, Answer]]:
    """Return the answers of a part, each with what was sent, without those that were known before."""
    before = frozenset() if known is None else frozenset(known.rows.tolist())
    rows = zip(part.rows.tolist(), part.by_row(_files(images)), strict=True)
    return [each for row, each in rows if row not in before]
