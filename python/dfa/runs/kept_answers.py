"""Answers that are kept in the journal, so that what was asked is not asked again.

Each is about one image that was sent, known by why and for which image of the run it was sent, and by its pixels. A run
that goes on takes each once, and sends only what was not answered.

There are two ways. Most runs keep the answers that came before an oracle failed in the middle of a batch, until they
have used them. A run of a service, each of whose answers is paid for, keeps a record: every answer from the moment it
arrives, for good. What a checkpoint has of them is then told by their numbers.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from dfa.oracle.answers import Answer
from dfa.oracle.parts import Part
from dfa.oracle.raw import BFLOAT16
from dfa.results.parsing import MisfitError, fields_reader

_Row: TypeAlias = tuple[str, int, bytes, str, bytes]

_MOST: Final = 2**62
_ALIKE: Final = ("attack", "clean")
"""Purposes of which one may be answered with what was answered to the other: a model is asked what it says."""


class Sent(NamedTuple):
    """What was sent.

    Attributes:
        purpose: Why.
        place: For which image of the run.
        digest: Of its bytes.
    """

    purpose: str
    place: int
    digest: bytes


class KeptAnswers:
    """The answers that a journal keeps, of which each is taken once.

    Attributes:
        is_record: Whether all are kept for good.
        position_before: What the checkpoint that a run goes on from has of the record; None without one.
    """

    def __init__(self, *, is_record: bool = False) -> None:
        """Begin with none."""
        self.is_record = is_record
        self.position_before: Mapping[str, Any] | None = None
        self._waiting: defaultdict[Sent, deque[tuple[int, Answer]]] = defaultdict(deque)
        self._taken: list[int] = []
        self._last = 0
        self._places: dict[bytes, int] = {}
        self._said: dict[bytes, Answer] = {}

    def take_up(
        self, journal: sqlite3.Connection, position: Mapping[str, Any] | None = None, *, is_whole: bool = False
    ) -> None:
        """Read what a journal keeps.

        Args:
            journal: The journal.
            position: Of a record: what a checkpoint has of it, as of `position`. None: nothing.
            is_whole: Whether all is kept at hand, by the pixels too (`said_of`), as the journal may be closed then.

        Raises:
            ValueError: It is damaged.
        """
        self.position_before = position
        last, still_open = (0, frozenset()) if position is None else (position["last"], frozenset(position["open"]))
        for number, sent, answer in _rows_of(journal):
            # Whoever watches a service wants to know what it says now.
            if (number > last or number in still_open) and sent.purpose != "watch":
                self._waiting[sent].append((number, answer))
            self.note(number, sent)
            if is_whole:
                self._said.setdefault(sent.digest, answer)

    def __bool__(self) -> bool:
        """Tell whether any wait."""
        return bool(self._waiting)

    @property
    def is_empty(self) -> bool:
        """Whether there never was one."""
        return self._last == 0

    def take(self, asked: Sequence[Sent]) -> tuple[Part | None, list[int]]:
        """Return the answers to some rows of a batch that is about to be sent, or None, and the numbers of these."""
        known: Part | None = None
        numbers = []
        for row, each in enumerate(asked):
            if each in self._waiting:
                waiting = self._waiting[each]
                number, answer = waiting.popleft()
                if not waiting:
                    del self._waiting[each]
                numbers.append(number)
                known = with_row(known, row, answer)
        self._taken += numbers
        return known, numbers

    def put_down(self, journal: sqlite3.Connection, more: Iterable[tuple[Sent, Answer]] = ()) -> None:
        """Keep more answers, one row each, and let go of those that were taken; part of a transaction."""
        if not self.is_record:
            journal.executemany("DELETE FROM answers WHERE id = ?", [(number,) for number in self._taken])
        self._taken.clear()
        for sent, answer in more:
            self.add(journal, sent, answer)

    def add(self, journal: sqlite3.Connection, sent: Sent, answer: Answer) -> int:
        """Keep one answer more, and return its number; part of a transaction."""
        row = (*sent, *_packed(answer))
        added = journal.execute(
            "INSERT INTO answers (seal, purpose, place, digest, form, answer) VALUES (?, ?, ?, ?, ?, ?)",
            (_seal(row), *row),
        )
        assert added.lastrowid is not None
        return added.lastrowid

    def note(self, number: int, sent: Sent) -> None:
        """Take note of an answer that is kept, so that it can be found by the pixels alone."""
        self._last = max(self._last, number)
        if sent.purpose in _ALIKE:
            self._places.setdefault(sent.digest, number)

    def find(self, journal: sqlite3.Connection, digest: bytes) -> Answer | None:
        """Return what a record has of an image, whatever image of the run it was asked for, if it has it.

        What was asked to confirm something is not looked at: nothing would be confirmed by it.
        """
        number = self._places.get(digest)
        if number is None:
            return None
        ((_, _, answer),) = _rows_of(journal, number)
        return answer

    def said_of(self, digest: bytes) -> Answer | None:
        """Return an answer about an image of a record that was read whole, whatever it was asked for."""
        return self._said.get(digest)

    def position(self, used: Iterable[int]) -> dict[str, Any]:
        """Return what a checkpoint has of the record: all up to the last, without those that are still open.

        Args:
            used: Numbers of answers that came and are no part of the checkpoint.
        """
        waiting = [number for rows in self._waiting.values() for number, _ in rows]
        return {"last": self._last, "open": sorted([*used, *waiting])}


def with_row(part: Part | None, row: int, answer: Answer) -> Part:
    """Return a part, if there is any, with one row more."""
    more = Part(np.array([row]), tuple(array[np.newaxis] for array in answer))
    return more if part is None else part.with_part(more)


def _rows_of(journal: sqlite3.Connection, number: int | None = None) -> Iterator[tuple[int, Sent, Answer]]:
    """Yield the answers of a journal in the order in which they came, or one of them.

    Raises:
        ValueError: One is damaged.
    """
    which, values = ("", ()) if number is None else ("WHERE id = ?", (number,))
    columns = "id, seal, purpose, place, digest, form, answer"
    for each, seal, *row in journal.execute(f"SELECT {columns} FROM answers {which} ORDER BY id", values).fetchall():
        purpose, place, digest, form, answer = row
        if [type(value) for value in (seal, *row)] != [bytes, str, int, bytes, str, bytes]:
            raise ValueError("an answer that was kept is damaged: its values are of other types")
        # A number that is another would go unnoticed, as in a checkpoint.
        if seal != _seal((purpose, place, digest, form, answer)):
            raise ValueError("an answer that was kept is damaged: its digest does not match")
        yield each, Sent(purpose, place, digest), _answer_of(form, answer)


def read_position(document: object) -> Mapping[str, Any] | None:
    """Return what a checkpoint has of a record, as `KeptAnswers.position` wrote it, or None where it tells nothing.

    Raises:
        ValueError: It is none.
    """
    if document is None:
        return None
    position = _read_position(document)
    for name, number in position.items():
        if min(number, default=0) < 0 if isinstance(number, list) else not 0 <= number < _MOST:
            raise MisfitError("0 or more, and no more than can be", number, name)
    return position


_read_position: Final = fields_reader(
    {"last": int, "open": list[int], "from_record": int, "coalesced": int, "spared": int}
)


def _packed(answer: Answer) -> tuple[str, bytes]:
    """Return the dtypes and shapes of an answer, and its bytes."""
    forms = [["bfloat16" if array.dtype == BFLOAT16 else array.dtype.str, array.shape] for array in answer]
    return json.dumps(forms), b"".join(array.tobytes() for array in answer)


def _answer_of(form: str, content: bytes) -> Answer:
    try:
        return _arrays_of(form, content)
    except (TypeError, LookupError, OverflowError, RecursionError, SyntaxError) as error:
        raise ValueError(f"an answer that was kept must be of arrays, and is of {form[:60]!r}") from error


def _arrays_of(form: str, content: bytes) -> Answer:
    arrays = []
    begin = 0
    for name, shape in json.loads(form):
        dtype = BFLOAT16 if name == "bfloat16" else np.dtype(name)
        if dtype.kind not in "fiuV" or dtype.hasobject:
            raise ValueError(f"an answer that was kept must be of numbers, and is of {name}")
        number = math.prod(shape)
        if not 0 <= number * dtype.itemsize <= len(content) - begin:
            raise ValueError(f"an answer that was kept must be whole, and {shape} of {name} is not")
        arrays.append(np.frombuffer(content, dtype, number, begin).reshape(shape))
        begin += number * dtype.itemsize
    return tuple(arrays)


def _seal(row: _Row) -> bytes:
    purpose, place, digest, form, answer = row
    return hashlib.blake2b(json.dumps([purpose, place, form]).encode() + digest + answer, digest_size=16).digest()
