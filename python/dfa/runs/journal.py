"""The journal of a run that is under way: one SQLite file, and the lock beside it.

What its tables mean is the store's; here is how they are opened, written and read, so that no kill and no full disk
costs what they hold.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from dfa.errors import StoreError
from dfa.runs import door
from dfa.runs.folder import JOURNAL, JOURNAL_FILES
from dfa.types import Image

_LOCK: Final = "journal.lock"

_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)
"""The second where SQLite's own message quotes damaged bytes."""

_SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sent (purpose TEXT PRIMARY KEY, images INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inputs (place INTEGER PRIMARY KEY, digest BLOB);
CREATE TABLE records (place INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE pictures (place INTEGER PRIMARY KEY, form TEXT NOT NULL, image BLOB NOT NULL, original BLOB NOT NULL);
"""


class Picture(NamedTuple):
    """An adversarial image and what it was made from: uint8, (H, W, C), or a user's arrays of one shape and dtype."""

    image: Image
    original: Image

    @property
    def row(self) -> tuple[str, bytes, bytes]:
        """Form, image and original, as the journal keeps them."""
        form = json.dumps([self.image.dtype.str, self.image.shape])
        return form, self.image.tobytes(), self.original.tobytes()

    @classmethod
    def of(cls, form: str, image: bytes, original: bytes) -> Picture:
        """Return the picture that a row of the journal keeps."""
        dtype, shape = json.loads(form)
        return cls(*(np.frombuffer(each, np.dtype(dtype)).reshape(shape) for each in (image, original)))


def make_journal(folder: Path) -> sqlite3.Connection:
    """Return a new journal, empty and open for writing.

    Raises:
        StoreError: It cannot be written.
    """
    journal = open_journal(folder)
    with writing_to(folder / JOURNAL), journal:
        journal.execute("PRAGMA journal_mode = WAL")
        journal.executescript(_SCHEMA)
    return journal


def open_journal(folder: Path) -> sqlite3.Connection:
    """Return a folder's journal, open for writing.

    Raises:
        StoreError: It cannot be opened.
    """
    with writing_to(folder / JOURNAL):
        door.require_regular(folder, JOURNAL_FILES)
        journal = sqlite3.connect(folder / JOURNAL, timeout=10, check_same_thread=False)
        # Survives the death of the process; only that of the machine can cost the last seconds, and no more.
        journal.execute("PRAGMA synchronous = NORMAL")
        return journal


def lock_folder(folder: Path) -> sqlite3.Connection:
    """Return what holds a folder for this process until it is closed, or the process is gone.

    A database of its own, held exclusively: the lock that SQLite takes is let go by the system even on a kill, and the
    journal beside it stays readable for everyone.

    Raises:
        StoreError: Another process is at the folder, or it cannot be written.
    """
    door.require_regular(folder, [_LOCK])
    try:
        lock = sqlite3.connect(folder / _LOCK, timeout=0, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise StoreError(
                f"{folder} must belong to one process at a time, and another one is at it; wait for it, or choose "
                "another folder"
            ) from error
        raise _cannot_write(folder / _LOCK, error) from error
    return lock


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Give a folder's journal, open for reading only, whoever is at it.

    Raises:
        StoreError: It is missing, or no journal.
    """
    path = folder / JOURNAL
    door.require_regular(folder, JOURNAL_FILES)
    if not path.exists():
        raise StoreError(f"{folder} must hold a run, and its {JOURNAL} is missing")
    with contextlib.ExitStack() as stack:
        try:
            journal = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
            stack.callback(journal.close)
            try:
                journal.execute("SELECT 1 FROM about").fetchone()
            except sqlite3.OperationalError:
                # Reading a journal that was not closed takes a file beside it, which a read-only folder refuses.
                copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                for name in JOURNAL_FILES[:3]:
                    if (folder / name).exists():
                        shutil.copy(folder / name, copy)
                journal = sqlite3.connect(copy / JOURNAL)
                stack.callback(journal.close)
            yield journal
        except _FAILURES as error:
            raise StoreError(f"{path} must be the journal of a run, and cannot be read: {error}") from error


@contextlib.contextmanager
def writing_to(path: Path) -> Iterator[None]:
    """Say in an error which file cannot be written, and what to do.

    Raises:
        StoreError: What is done in the context failed to write.
    """
    try:
        yield
    except (OSError, *_FAILURES) as error:
        if isinstance(error, StoreError):
            raise
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error}; make room, or make the folder writable, and resume the run (nothing that was "
        "finished is lost)"
    )
