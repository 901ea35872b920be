"""The record of a run that asks a service: every answer, and what the service was sent, from the moment that it is so.

It lies in the run's journal, so that a checkpoint and what it has of the record are written in one transaction. Unlike
all else that writes there, answers come from several threads.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any, Final

from dfa.checks import is_number
from dfa.errors import StoreError
from dfa.oracle.answers import Answer
from dfa.results.parsing import MisfitError, fields_reader, load_json
from dfa.runs import door
from dfa.runs.folder import JOURNAL
from dfa.runs.journal import reading, writing_to
from dfa.runs.kept_answers import KeptAnswers, Sent

_MOST: Final = 2**62
_BOOKS: Final = "books"
_CLASS: Final = "class "


class Record:
    """Keeps each answer as it arrives, the books of the service, and the names of its classes."""

    def __init__(self, folder: Path, journal: sqlite3.Connection, kept: KeptAnswers, writing: RLock) -> None:
        """Write into the journal of a run.

        Args:
            folder: The run's.
            journal: Its journal, open for writing.
            kept: The answers there.
            writing: Held by whoever has a transaction of the journal.
        """
        self._folder = folder
        self._journal = journal
        self._kept = kept
        self._writing = writing

    def write(self, answers: Sequence[tuple[Sent, Answer]], numbers: list[int]) -> None:
        """Keep answers, each about one image.

        Args:
            answers: What was sent and what came.
            numbers: Of the answers that belong to a question, of which these are more.

        Raises:
            StoreError: The journal cannot be written.
        """
        # As one, so that no checkpoint takes an answer that has just come for one that it has.
        with self._writing:
            with self._transaction():
                more = [self._kept.add(self._journal, *each) for each in answers]
            numbers += more
            for number, (sent, _) in zip(more, answers, strict=True):
                self._kept.note(number, sent)

    def drop(self, numbers: Sequence[int]) -> None:
        """Keep these answers no longer.

        Raises:
            StoreError: The journal cannot be written.
        """
        with self._transaction():
            self._journal.executemany("DELETE FROM answers WHERE id = ?", [(number,) for number in numbers])

    @property
    def is_empty(self) -> bool:
        """Whether no answer ever came."""
        return self._kept.is_empty

    def find(self, digest: bytes) -> Answer | None:
        """Return what the service said of an image when it was attacked, or asked about as it is; None: nothing."""
        with self._writing:
            return self._kept.find(self._journal, digest)

    def position(self, used: Iterable[int]) -> dict[str, Any]:
        """Return what a checkpoint that is made now has of the record, as of `KeptAnswers.position`."""
        with self._writing:
            return self._kept.position(used)

    @property
    def books(self) -> _Kept:
        """Keep the totals of the service's books."""
        return _Kept(self, _BOOKS)

    @property
    def classes(self) -> _Names:
        """Keep the names of the service's classes."""
        return _Names(self)

    def load(self, name: str) -> dict[str, Any] | None:
        """Return a document that is kept by name, or None.

        Raises:
            StoreError: It is damaged.
        """
        with self._writing:
            row = self._journal.execute("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        try:
            return None if row is None else load_json(row[0].encode())
        except ValueError as error:
            raise StoreError(f"{self._folder / JOURNAL} must tell its {name} in JSON, and does not: {error}") from error

    def load_names(self) -> list[str]:
        """Return the names of classes that are kept, in the order of their ids.

        Raises:
            StoreError: They are none.
        """
        with self._writing:
            return _names_in(self._journal, self._folder)

    def save(self, name: str, document: object) -> None:
        """Keep a document, in place of that of before.

        Raises:
            StoreError: The journal cannot be written.
        """
        with self._transaction():
            self._journal.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(document)))

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._writing, writing_to(self._folder / JOURNAL), self._journal:
            yield


class _Kept:
    """What `dfa.oracle.services.books.Books` is kept with."""

    def __init__(self, record: Record, name: str) -> None:
        self._record = record
        self._name = name

    def load(self) -> Mapping[str, float | str]:
        """Return the totals of before, or nothing.

        Raises:
            StoreError: They are none.
        """
        totals = self._record.load(self._name) or {}
        if not all(map(_is_total, totals.values())):
            raise StoreError(f"the {self._name} that a run keeps must be amounts by name, and are {totals!r:.60}")
        return totals

    def save(self, totals: Mapping[str, float | str]) -> None:
        """Keep totals."""
        self._record.save(self._name, dict(totals))


class _Names:
    """What `dfa.oracle.services.names.ClassTable` is kept with."""

    def __init__(self, record: Record) -> None:
        self._record = record

    def load(self) -> Sequence[str]:
        """Return the names of before, in the order of their ids.

        Raises:
            StoreError: They are none.
        """
        return self._record.load_names()

    def add(self, number: int, name: str) -> None:
        """Keep one name more."""
        self._record.save(f"{_CLASS}{number:09}", {"name": name})


class NamesOfRun:
    """The names of a service's classes that a run has kept, for whoever asks the service apart from the run."""

    def __init__(self, folder: Path) -> None:
        """Read them from the run's journal when they are asked for."""
        self._folder = folder

    def load(self) -> Sequence[str]:
        """Return the names, in the order of their ids; none where the run has kept none.

        Raises:
            StoreError: They are none.
        """
        if not door.holds(self._folder, JOURNAL):
            return []
        with reading(self._folder) as journal:
            return _names_in(journal, self._folder)

    def add(self, number: int, name: str) -> None:
        """Keep nothing: the run is over, or another's."""


def _names_in(journal: sqlite3.Connection, folder: Path) -> list[str]:
    """Return the names of classes that a journal has, in the order of their ids."""
    rows = journal.execute("SELECT name, value FROM about WHERE name GLOB ? ORDER BY name", (f"{_CLASS}[0-9]*",))
    names: list[str] = []
    try:
        for number, (row, value) in enumerate(rows):
            names.append(_read_name(load_json(str(value).encode()))["name"])
            if row != f"{_CLASS}{number:09}":
                raise MisfitError(f"{_CLASS}{number:09}", row, "the next class")
    except ValueError as error:
        raise StoreError(f"{folder / JOURNAL} must tell the names of classes, and does not: {error}") from error
    if len(set(names)) < len(names):
        raise StoreError(f"{folder / JOURNAL} must tell distinct names of classes, and has one twice")
    return names


_read_name: Final = fields_reader({"name": str})


def _is_total(value: object) -> bool:
    """Tell whether a value is a number of 0 or more, or the decimal digits of one."""
    if isinstance(value, str):
        return re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?(E[+-]?[0-9]{1,2})?", value) is not None
    return is_number(value) and 0 <= value < _MOST
