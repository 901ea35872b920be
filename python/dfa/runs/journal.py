"""The journal of a run that is under way: one SQLite file, and the lock beside it.

What its tables mean is told in `documents` and `store`; here is how they are opened, so that no kill, no full disk and
no loss of power costs what they hold, and so that a journal from elsewhere can do no harm.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from dfa.errors import StoreError
from dfa.results.parsing import MisfitError
from dfa.runs import door
from dfa.runs.folder import JOURNAL, JOURNAL_FILES, RUN
from dfa.types import Image

_LOCK: Final = "journal.lock"

_FAILURES: Final = (sqlite3.Error, UnicodeDecodeError)
"""The second where SQLite's own message quotes damaged bytes."""

_SCHEMA: Final = """
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sent (purpose TEXT PRIMARY KEY, images INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inputs (place INTEGER PRIMARY KEY, digest BLOB);
CREATE TABLE records (place INTEGER PRIMARY KEY, record TEXT NOT NULL, digest BLOB NOT NULL);
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE pictures (place INTEGER PRIMARY KEY, form TEXT NOT NULL, image BLOB NOT NULL, original BLOB NOT NULL,
    digest BLOB NOT NULL);
CREATE TABLE answers (
    id INTEGER PRIMARY KEY, seal BLOB NOT NULL, purpose TEXT NOT NULL, place INTEGER NOT NULL, digest BLOB NOT NULL,
    form TEXT NOT NULL, answer BLOB NOT NULL
);
"""

_ENDS_SUPER_JOURNAL: Final = bytes.fromhex("d9d505f920a163d7")
_STEPS: Final = 10_000
"""Of SQLite, between two looks at the clock."""

_SECONDS: Final = 2.0
"""What the checks of a journal may take that are made before it is trusted."""

_MOST_UNCHECKED: Final = 2**26
"""Bytes up to which a journal must be checked whole in that time. The pages of a larger one, of an honest run of many
images, are not: its rows have digests, and places that ascend, so that whoever reads them comes to an end."""

_MOST_COPIED: Final = 2**31
_MOST_BEYOND: Final = 2**16
"""Bytes that a rollback journal may hold beyond those of what it would put back."""


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
        """Return the picture that a row of the journal keeps.

        Raises:
            ValueError: It keeps none.
        """
        try:
            name, shape = json.loads(form)
            dtype = np.dtype(str(name))
            size = math.prod(shape) * dtype.itemsize
            is_one = dtype.kind in "uif" and all(type(number) is int and number > 0 for number in shape)
        except (ValueError, TypeError, RecursionError, SyntaxError) as error:
            raise MisfitError("a dtype and a shape", form, "the form of an image") from error
        if not is_one or {len(image), len(original)} != {size}:
            raise MisfitError(
                f"one of two arrays of {len(image)} and {len(original)} bytes", form, "the form of an image"
            )
        return cls(*(np.frombuffer(each, dtype).reshape(shape) for each in (image, original)))


def digest_of_row(place: int, *values: bytes) -> bytes:
    """Return 16 bytes that tell whether a row of the journal is as it was written."""
    digest = hashlib.blake2b(str(place).encode(), digest_size=16)
    for value in values:
        digest.update(f" {len(value)} ".encode())
        digest.update(value)
    return digest.digest()


def make_journal(folder: Path) -> sqlite3.Connection:
    """Return a new journal, empty and open for writing, whose tables lie on the disk.

    Raises:
        StoreError: It cannot be written.
    """
    journal = open_journal(folder)
    with writing_to(folder / JOURNAL):
        journal.execute("PRAGMA synchronous = FULL")
        # Before the log: a loss of power may cost what is in the log alone.
        journal.executescript(f"BEGIN; {_SCHEMA} COMMIT;")
        journal.execute("PRAGMA journal_mode = WAL")
        # Survives the death of the process; only that of the machine can cost the last seconds, and no more.
        journal.execute("PRAGMA synchronous = NORMAL")
        door.sync_folder(folder)
    return journal


def open_journal(folder: Path) -> sqlite3.Connection:
    """Return a folder's journal, open for writing, whatever it holds.

    Raises:
        StoreError: It cannot be opened.
    """
    with writing_to(folder / JOURNAL):
        _check_files(folder)
        journal = sqlite3.connect(folder / JOURNAL, timeout=10, check_same_thread=False)
        journal.execute("PRAGMA trusted_schema = OFF")
        journal.execute("PRAGMA synchronous = NORMAL")
        return journal


def reopen_journal(folder: Path) -> sqlite3.Connection:
    """Return the journal of a run that goes on, open for writing.

    Raises:
        StoreError: It is none, or is damaged, or cannot be opened.
    """
    journal = open_journal(folder)
    try:
        with _telling(folder / JOURNAL):
            _check_content(folder, journal)
    except BaseException:
        journal.close()
        raise
    return journal


def count_sent(journal: sqlite3.Connection, purpose: str, images: int) -> None:
    """Count images as sent; part of a transaction."""
    journal.execute(
        "INSERT INTO sent VALUES (?, ?) ON CONFLICT (purpose) DO UPDATE SET images = images + excluded.images",
        (purpose, images),
    )


def number_sent(journal: sqlite3.Connection, purpose: str | None) -> int:
    """Return how many images are counted as sent, for a purpose or (None) for all."""
    total = "SELECT COALESCE(SUM(images), 0) FROM sent WHERE ? IN (purpose, '')"
    (number,) = journal.execute(total, (purpose or "",)).fetchone()
    return int(number)


def end_journal(journal: sqlite3.Connection, *, keeps_answers: bool = False) -> None:
    """Write down that a run has ended, and let go of what it would have gone on from; part of a transaction."""
    for table in ("checkpoint", "pictures", *(() if keeps_answers else ("answers",))):
        journal.execute(f"DELETE FROM {table}")
    journal.execute("INSERT OR REPLACE INTO about VALUES ('ended', '1')")


def make_readable_alone(journal: sqlite3.Connection) -> None:
    """Make a journal small, and one file: nobody writes any more, and readers may be on a read-only disk."""
    journal.execute("VACUUM")
    journal.execute("PRAGMA journal_mode = DELETE")


def lock_folder(folder: Path) -> sqlite3.Connection:
    """Return what holds a folder for this process until it is closed, or the process is gone.

    A database of its own, held exclusively: the lock that SQLite takes is let go by the system even on a kill, and the
    journal beside it stays readable for everyone.

    Raises:
        StoreError: Another process is at the folder, or it cannot be written, or the lock is no lock.
    """
    door.require_regular(folder, [_LOCK, f"{_LOCK}-journal", f"{_LOCK}-wal", f"{_LOCK}-shm"])
    # Of an empty database SQLite takes over nothing that lies beside it.
    if door.size_of(folder, _LOCK):
        raise StoreError(f"{folder / _LOCK} must be empty, and is not; remove it, unless another program needs it")
    try:
        lock = sqlite3.connect(folder / _LOCK, timeout=0, isolation_level=None, check_same_thread=False)
        lock.execute("BEGIN EXCLUSIVE")
    except sqlite3.Error as error:
        if not _has_locks(folder):
            raise StoreError(
                f"{folder} must lie on a file system that can lock files, and this one cannot ({error}), as some that "
                "are shared over a network; choose a folder on a local disk"
            ) from error
        if "locked" in str(error):
            raise StoreError(
                f"{folder} must belong to one process at a time, and another one is at it; wait for it, or choose "
                "another folder"
            ) from error
        raise _cannot_write(folder / _LOCK, error) from error
    return lock


def remove_lock(folder: Path) -> None:
    """Remove the file of a lock that this process holds, as the last of a run that goes.

    Raises:
        StoreError: It cannot be removed.
    """
    with writing_to(folder / _LOCK):
        door.remove_files(folder, [_LOCK])


@contextlib.contextmanager
def held_alone(folder: Path) -> Iterator[None]:
    """Hold a folder in which a run or a search of several was begun, so that none goes on there meanwhile.

    One in which none was begun needs no lock.

    Raises:
        StoreError: As of `lock_folder`.
    """
    if any(door.holds(folder, name) for name in (RUN, JOURNAL, _LOCK)):
        with contextlib.closing(lock_folder(folder)):
            yield
    else:
        yield


@contextlib.contextmanager
def reading(folder: Path) -> Iterator[sqlite3.Connection]:
    """Give a folder's journal, open for reading only, whoever is at it.

    Raises:
        StoreError: It is missing, or no journal.
    """
    path = folder / JOURNAL
    if not door.holds(folder, JOURNAL):
        raise StoreError(f"{folder} must hold a run, and its {JOURNAL} is missing")
    with contextlib.ExitStack() as stack, _telling(path):
        _check_files(folder)
        journal = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=10)
        stack.callback(journal.close)
        try:
            _check_content(folder, journal)
        except sqlite3.OperationalError as error:
            # Reading a journal that was not closed takes a file beside it, which a read-only folder refuses.
            size = sum(door.size_of(folder, name) for name in JOURNAL_FILES[:3])
            if size > _MOST_COPIED:
                raise StoreError(
                    f"{path} must be readable where it lies, and is not; it is too large to be copied first "
                    f"({size:,} bytes): make {folder} writable, or copy it to where it is"
                ) from error
            copy = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            for name in JOURNAL_FILES[:3]:
                if door.holds(folder, name):
                    shutil.copyfile(folder / name, copy / name, follow_symlinks=False)
            journal = sqlite3.connect(copy / JOURNAL)
            stack.callback(journal.close)
            _check_content(copy, journal)
        journal.execute("PRAGMA query_only = ON")
        yield journal


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


def _check_files(folder: Path) -> None:
    """Refuse files that SQLite would follow elsewhere, or that would cost it more than they hold.

    Raises:
        StoreError: One is a link, no regular file, or names a file elsewhere.
    """
    door.require_regular(folder, JOURNAL_FILES)
    rollback = f"{JOURNAL}-journal"
    if door.size_of(folder, rollback) > door.size_of(folder, JOURNAL) + _MOST_BEYOND:
        raise StoreError(
            f"{folder / rollback} must be that of a run, and is larger than the journal that it would put back; start "
            "a new run in another folder"
        )
    if door.last_bytes(folder, rollback, len(_ENDS_SUPER_JOURNAL)) == _ENDS_SUPER_JOURNAL:
        # SQLite would remove the file that stands in front of these bytes, wherever that lies.
        raise StoreError(
            f"{folder / rollback} must be that of a run, and names a file elsewhere, which no run does; start a new "
            "run in another folder"
        )


def _check_content(folder: Path, journal: sqlite3.Connection) -> None:
    """Refuse a database that is no journal of a run, before any of its rows is looked at.

    Raises:
        sqlite3.Error: It is none, or is damaged.
    """
    journal.execute("PRAGMA trusted_schema = OFF")
    listed = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY name"
    with contextlib.closing(sqlite3.connect(":memory:")) as ours:
        ours.executescript(_SCHEMA)
        expected = ours.execute(listed).fetchall()
    ends = time.monotonic() + _SECONDS
    # By the clock, and not by the size, which costs nothing to claim: a tree of pages that lead to one another can be
    # longer than the file by any factor.
    journal.set_progress_handler(lambda: time.monotonic() > ends, _STEPS)
    is_ours = False
    try:
        if journal.execute(listed).fetchmany(len(expected) + 1) != expected:
            raise sqlite3.DatabaseError("its tables are not those of a journal of this version")
        is_ours = True
        (found,) = journal.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"it is damaged: {' '.join(found.split())}")
    except sqlite3.OperationalError as error:
        if time.monotonic() <= ends:
            raise
        if not is_ours or door.size_of(folder, JOURNAL) <= _MOST_UNCHECKED:
            raise sqlite3.DatabaseError(f"looking at it takes more than {_SECONDS:g} seconds") from error
    finally:
        journal.set_progress_handler(None, 0)


@contextlib.contextmanager
def _telling(path: Path) -> Iterator[None]:
    try:
        yield
    except (FileNotFoundError, *_FAILURES) as error:
        raise StoreError(f"{path} must be the journal of a run, and cannot be read: {error}") from error


def _has_locks(folder: Path) -> bool:
    """Tell whether the file system of a folder can lock a file that nobody else knows; True where none can be made."""
    try:
        with (
            tempfile.NamedTemporaryFile(dir=folder, prefix=".dfa-probe.") as probe,
            contextlib.closing(sqlite3.connect(probe.name, timeout=0, isolation_level=None)) as lock,
        ):
            lock.execute("BEGIN EXCLUSIVE")
    except OSError:
        return True
    except sqlite3.Error:
        return False
    return True


def _cannot_write(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error}; make room, or make the folder writable, and resume the run (nothing that was "
        "finished is lost)"
    )
