"""Answers that came before an oracle failed in the middle of a batch: in the journal, until the run has used them.

Each is about one image that was sent, known by why and for which image of the run it was sent, and by its pixels. A run
that goes on takes each once, and sends only what was not answered.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

import numpy as np

from dfa.oracle.answers import Answer
from dfa.oracle.parts import Part
from dfa.oracle.raw import BFLOAT16

_Row: TypeAlias = tuple[str, int, bytes, str, bytes]


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
    """The answers that a journal keeps, of which each is taken once."""

    def __init__(self) -> None:
        """Begin with none."""
        self._waiting: defaultdict[Sent, deque[tuple[int, Answer]]] = defaultdict(deque)
        self._taken: list[int] = []

    def take_up(self, journal: sqlite3.Connection) -> None:
        """Read what a journal keeps.

        Raises:
            ValueError: It is damaged.
        """
        rows = journal.execute("SELECT id, seal, purpose, place, digest, form, answer FROM answers ORDER BY id")
        for number, seal, *row in rows.fetchall():
            purpose, place, digest, form, answer = row
            if [type(value) for value in (seal, *row)] != [bytes, str, int, bytes, str, bytes]:
                raise ValueError("an answer that was kept is damaged: its values are of other types")
            # A number that is another would go unnoticed, as in a checkpoint.
            if seal != _seal((purpose, place, digest, form, answer)):
                raise ValueError("an answer that was kept is damaged: its digest does not match")
            self._waiting[Sent(purpose, place, digest)].append((number, _answer_of(form, answer)))

    def __bool__(self) -> bool:
        """Tell whether any wait."""
        return bool(self._waiting)

    def take(self, asked: Sequence[Sent]) -> Part | None:
        """Return the answers to some rows of a batch that is about to be sent, or None if there are none."""
        known: Part | None = None
        for row, each in enumerate(asked):
            if each in self._waiting:
                waiting = self._waiting[each]
                number, answer = waiting.popleft()
                if not waiting:
                    del self._waiting[each]
                self._taken.append(number)
                part = Part(np.array([row]), tuple(array[np.newaxis] for array in answer))
                known = part if known is None else known.with_part(part)
        return known

    def put_down(self, journal: sqlite3.Connection, more: Iterable[tuple[Sent, Answer]] = ()) -> None:
        """Keep more answers, one row each, and let go of those that were taken; part of a transaction."""
        journal.executemany("DELETE FROM answers WHERE id = ?", [(number,) for number in self._taken])
        self._taken.clear()
        rows = [(*sent, *_packed(answer)) for sent, answer in more]
        journal.executemany(
            "INSERT INTO answers (seal, purpose, place, digest, form, answer) VALUES (?, ?, ?, ?, ?, ?)",
            [(_seal(row), *row) for row in rows],
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
