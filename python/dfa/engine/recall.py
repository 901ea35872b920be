"""What need not be sent: what was answered before the run was cut short, and, in a run with a record, anything known.

Only whoever sends looks here; what is answered is written down by whichever thread has the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from threading import Event
from typing import Any, Final

from dfa.engine.asking import Question, sent_rows
from dfa.errors import OracleError, StoreError
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from dfa.runs.kept_answers import KeptAnswers, Sent, with_row
from dfa.runs.replay import ReplayOracle
from dfa.runs.store import Store

_ALIKE: Final = (Purpose.ATTACK, Purpose.CLEAN)
"""What an image is asked for with the same answer. What is to confirm an answer, or to watch, is always sent."""


class Recall:
    """Answers what it can, and keeps what comes.

    Attributes:
        from_record: Images whose answers were there already.
        coalesced: Images that were under way already, whose answers did for both.
        spared: Images that were never sent, of these and of those that the record knew of another image of the run.
    """

    def __init__(self, store: Store | None, replay: ReplayOracle | None = None, *, is_exact: bool) -> None:
        """Begin with nothing known, or with all that a record has.

        Args:
            store: Keeps answers; None: nothing is known.
            replay: Of a record that is replayed.
            is_exact: Whether an image that is asked about twice is to have the same answer.
        """
        self.from_record = self.coalesced = self.spared = 0
        self._store = store
        self._record = None if store is None else store.record
        find = None if self._record is None else self._record.find
        if replay is not None:
            find = replay.answers.said_of
        self._find = find if is_exact else None
        self._kept: KeptAnswers | None = None if replay is None else replay.answers
        self._under_way: dict[bytes, tuple[Question, int]] = {}

    def take_up(self, kept: KeptAnswers) -> None:
        """Use kept answers from now on, each once, instead of sending the same again."""
        self._kept = kept
        if self._record is not None and (before := kept.position_before) is not None:
            self.from_record = before["from_record"]
            self.coalesced = before["coalesced"]
            self.spared = before["spared"]

    def look_up(self, question: Question) -> None:
        """Give a question what is known of its answers."""
        if not self._kept and self._record is None and self._find is None:
            return
        question.sent = sent_rows(question.images, question.indices, question.purpose)
        if question.purpose is Purpose.WATCH:
            return
        try:
            self._look_up(question)
        except (ValueError, TypeError) as error:
            raise StoreError(f"the answers that are kept of the run do not fit together: {error}") from error

    def _look_up(self, question: Question) -> None:
        if self._kept:
            question.known, question.numbers = self._kept.take(question.sent)
            if self._record is not None and question.known is not None:
                self.from_record += len(question.known.rows)
        if self._find is not None and question.purpose in _ALIKE:
            self._share(question, self._find)

    def await_others(self, question: Question) -> Part | None:
        """Return what is known of a question's answers, once others have theirs that it shares.

        Raises:
            OracleError: One of the others failed.
        """
        known = question.known
        for row, (other, there) in question.awaited.items():
            assert other.is_over is not None
            other.is_over.wait()
            if other.answer is None:
                raise OracleError("the same image was under way already, and the oracle failed over it")
            known = with_row(known, row, tuple(array[there] for array in other.answer))
        return known

    def note(self, question: Question, part: Part, known: Part | None) -> None:
        """Write down what was answered, in a run with a record, but for what was known.

        Raises:
            StoreError: It cannot be written.
        """
        if self._record is None:
            return
        before = {*question.copies, *(() if known is None else known.rows.tolist())}
        rows = [
            each for row, each in zip(part.rows.tolist(), part.by_row(question.sent), strict=True) if row not in before
        ]
        if rows:
            self._record.write(rows, question.numbers)
        for sent in question.sent:
            self._under_way.pop(sent.digest, None)

    def drop_unusable(self, still_open: Iterable[Question], gate: Gate) -> None:
        """Let go of what the record has of questions whose answers cannot be used, so that they are asked again.

        Raises:
            StoreError: The record cannot be written.
        """
        if self._record is None:
            return
        for question in still_open:
            part = question.part or question.known
            if part is not None and question.numbers and not _is_usable(part, question, gate):
                self._record.drop(question.numbers)

    def position(self, still_open: Iterable[Question]) -> dict[str, Any] | None:
        """Return what a checkpoint has of the record, where questions are no part of it; None without a record."""
        if self._record is None:
            return None
        still_open = list(still_open)
        position = self._record.position(number for question in still_open for number in question.numbers)
        return position | {
            "from_record": self.from_record,
            "coalesced": self.coalesced,
            "spared": self.spared - sum(question.spared for question in still_open),
        }

    def _share(self, question: Question, find: Callable[[bytes], Answer | None]) -> None:
        """Give a question the answers that others have, or are about to have."""
        known_rows = frozenset() if question.known is None else frozenset(question.known.rows.tolist())
        mine: dict[bytes, tuple[Question, int]] = {}
        for row, sent in enumerate(question.sent):
            if row in known_rows:
                continue
            # In this order: what is answered meanwhile leaves the one when it is in the other.
            other = self._under_way.get(sent.digest)
            answer: Answer | None = None if other is not None else find(sent.digest)
            if sent.digest in mine:
                question.copies[row] = mine[sent.digest][1]
                self.coalesced += 1
                question.spared += 1
            elif other is not None:
                question.awaited[row] = other
                self.coalesced += 1
                question.spared += 1
            elif answer is not None:
                question.known = with_row(question.known, row, answer)
                self.from_record += 1
                question.spared += 1
            else:
                mine[sent.digest] = question, row
        if mine:
            question.is_over = Event()
        self._under_way |= mine
        self.spared += question.spared


def usable_rows(questions: Iterable[Question], gate: Gate) -> list[tuple[Sent, Answer]]:
    """Return the answers of questions that can be used, row by row."""
    rows: list[tuple[Sent, Answer]] = []
    for question in questions:
        part = question.part or question.known
        if part is not None and _is_usable(part, question, gate):
            rows += part.by_row(sent_rows(question.images, question.indices, question.purpose))
    return rows


def _is_usable(part: Part, question: Question, gate: Gate) -> bool:
    try:
        gate.check(tuple(array.copy() for array in part.answer), question.indices[part.rows])
    except OracleError:
        return False
    return True
