"""A run's folder while the run is under way: written so that no kill and no full disk costs what was paid for.

    <folder>/run.json               what is attacked, how, and by what: written before the first query
    <folder>/journal.sqlite         records, and now and then the exact state of everything in progress
    <folder>/images/000017.png      an adversarial image
    <folder>/originals/000017.png   the image that it was made from
    <folder>/epsilon.npy            only where epsilon is not one number

Knows plain data, bytes and files; the runner decides what a state is made of. When the run has ended, `folder` adds
results.json and records.csv.

Three rules make a kill harmless. Files are written under a temporary name and renamed. Every image is counted in the
journal before it is sent to the oracle. A resumed run goes on from the last checkpoint as if nothing had happened: what
was sent after it is sent again, which the interval of the checkpoints bounds, and a record that was written after it
is kept.

An adversarial image is written as soon as it is confirmed, unless files have taken more than a fiftieth of the run's
time: small images fall faster than a file system takes them. It then lies in the journal, in the transaction of its
record, and becomes a file when there is time, at the latest at the end of the run. Readers find it in either place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import sqlite3
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfa.errors import StoreError
from dfa.runs.folder import (
    EPSILON,
    FORMAT_VERSION,
    IMAGES,
    JOURNAL,
    JOURNAL_FILES,
    ORIGINALS,
    RUN,
    Plain,
    begin_document,
    check_folder,
    clear_folder,
    image_file,
    plain,
    read_document,
    read_image,
    remove_other_images,
    write_epsilon,
    write_image,
    write_json,
)
from dfa.types import Image

RUN_VERSION: Final = 2
"""Version of the journal and of run.json; counted up when a reader of the old one would go wrong."""

_READABLE: Final = (1, RUN_VERSION)
"""Version 1 had every image in a file."""

DEFAULT_INTERVAL: Final = 100_000
"""Images sent to the oracle between two checkpoints, at most."""

_FORMAT: Final = "dfa-run"
_LOCK: Final = "journal.lock"

_SECONDS: Final = 60.0
"""A checkpoint is also due this long after the last, so that a slow oracle's hours are not lost either ..."""

_TIMES: Final = 100.0
"""... but not before so many times what the last one took: states of large images are large."""

_SHARE: Final = 0.02
"""Of a run's time, what writing image files may take before the journal takes the images."""

_PICTURES: Final = """
CREATE TABLE IF NOT EXISTS pictures (
    place INTEGER PRIMARY KEY, form TEXT NOT NULL, image BLOB NOT NULL, original BLOB NOT NULL
)"""

_SCHEMA: Final = f"""
CREATE TABLE about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE sent (purpose TEXT PRIMARY KEY, images INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE inputs (place INTEGER PRIMARY KEY, digest BLOB);
CREATE TABLE records (place INTEGER PRIMARY KEY, record TEXT NOT NULL);
CREATE TABLE checkpoint (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
{_PICTURES};
"""


@dataclass(frozen=True)
class Checkpoint:
    """The exact state of a run between two steps of its loop.

    Attributes:
        document: Plain data.
        blobs: Bytes by name: states of the core, images.
    """

    document: dict[str, Any]
    blobs: dict[str, bytes] = field(default_factory=dict)


class Picture(NamedTuple):
    """An adversarial image and what it was made from: uint8, (H, W, C), or a user's arrays of one shape and dtype."""

    image: Image
    original: Image


@dataclass(frozen=True)
class SavedRun:
    """What a folder says of a run, finished or not.

    Attributes:
        folder: The folder.
        config: The run's settings, versions and build.
        num_images: N.
        rows: By place, as results.json has them; until the run has ended only of images that are finished.
        profile: Where the time went; empty until the run has ended.
        is_complete: Whether the run had ended, and was written down as a whole.
        pictures: What `picture` returns, as the journal has it; none once the run has ended.
    """

    folder: Path
    config: dict[str, Any]
    num_images: int
    rows: dict[int, dict[str, Any]]
    profile: dict[str, Any]
    is_complete: bool
    pictures: dict[int, tuple[str, bytes, bytes]] = field(default_factory=dict)

    def picture(self, index: int) -> Picture | None:
        """Return the adversarial image of a place, with its original, if it is not a file yet."""
        return _picture_of(*self.pictures[index]) if index in self.pictures else None


class Store:
    """The folder of a run that is under way. One process at a time; closing it lets the next one in.

    Attributes:
        folder: The folder.
        interval: The most images that are sent to the oracle without being covered by a checkpoint.
        checkpoint: The state to go on from, or None at the start.
        kept: Records written before, by place; empty at the start.
        digests: Digests of the images read before, by place; None for one that could not be read.
        resumes: How often the run has been taken up again.
    """

    def __init__(self, folder: Path, interval: int, lock: sqlite3.Connection, journal: sqlite3.Connection) -> None:
        """Take over an opened journal; `begin` and `resume` are the ways in."""
        self.folder = folder
        self.interval = interval
        self.checkpoint: Checkpoint | None = None
        self.kept: dict[int, dict[str, Any]] = {}
        self.digests: dict[int, bytes | None] = {}
        self.resumes = 0
        self._lock = lock
        self._journal = journal
        self._uncovered = 0
        self._began = self._covered_at = self._due_at = time.monotonic()
        self._took = 0.0
        self._pending: list[tuple[int, str]] = []
        self._read: list[tuple[int, bytes | None]] = []
        self._writing = 0.0
        self._found: dict[int, Picture] = {}
        self._waiting: deque[int] = deque()
        self._written: list[int] = []

    @classmethod
    def begin(
        cls,
        folder: str | Path,
        about: Mapping[str, object],
        *,
        epsilon: object = None,
        interval: int = DEFAULT_INTERVAL,
        overwrite: bool = False,
    ) -> Store:
        """Begin a run in a folder.

        Args:
            folder: Made if absent.
            about: What run.json is to say.
            epsilon: Kept in a file of its own where it is an array.
            interval: The most images sent between two checkpoints.
            overwrite: A run or result there may be replaced.

        Raises:
            StoreError: The folder holds a run or a result and `overwrite` is False, belongs to another process, holds
                files under the names needed here that no run wrote, or cannot be written.
        """
        folder = check_folder(folder, overwrite=overwrite)
        lock = _locked(folder)
        try:
            clear_folder(folder)
            write_epsilon(folder, epsilon)
            journal = _connect(folder)
            with _writing_to(folder / JOURNAL), journal:
                journal.execute("PRAGMA journal_mode = WAL")
                journal.executescript(_SCHEMA)
            # Last, because its presence says that the rest is there.
            write_json(folder / RUN, {"format": _FORMAT, "version": RUN_VERSION, **about})
        except BaseException:
            lock.close()
            raise
        return cls(folder, interval, lock, journal)

    @classmethod
    def resume(cls, folder: str | Path, about: Mapping[str, object], *, interval: int = DEFAULT_INTERVAL) -> Store:
        """Take up a run that was cut short.

        Args:
            folder: Its folder.
            about: What run.json said; every difference is refused by name.
            interval: The most images sent between two checkpoints.

        Raises:
            StoreError: The folder holds no run, one of another version, one that another process is at, one that has
                ended, or one that was not begun like this.
        """
        folder = Path(folder)
        check_alike(folder, about)
        lock = _locked(folder)
        try:
            journal = _connect(folder)
            store = cls(folder, interval, lock, journal)
            with _writing_to(folder / JOURNAL), journal:
                store._take_up()
        except BaseException:
            lock.close()
            raise
        return store

    def _take_up(self) -> None:
        rows = self._journal.execute("SELECT place, record FROM records")
        self.kept = {place: json.loads(record) for place, record in rows}
        self.digests = dict(self._journal.execute("SELECT place, digest FROM inputs"))
        saved = dict(self._journal.execute("SELECT name, value FROM checkpoint"))
        if saved:
            self.checkpoint = Checkpoint(json.loads(saved.pop("document")), saved)
        self._journal.execute(_PICTURES)
        self._waiting.extend(place for (place,) in self._journal.execute("SELECT place FROM pictures"))
        resumes = self._journal.execute("SELECT value FROM about WHERE name = 'resumes'").fetchone()
        self.resumes = 1 + (int(resumes[0]) if resumes else 0)
        self._journal.execute("INSERT OR REPLACE INTO about VALUES ('resumes', ?)", (str(self.resumes),))

    def go_on(self) -> None:
        """Clear away what the run had left when it was cut short, now that it is known to go on.

        Raises:
            StoreError: The folder cannot be written.
        """
        # From here on the journal says how far the run has got, and no partial result of before.
        begin_document(self.folder, is_run=True)
        files = [row["file"] for row in self.kept.values() if row["file"] is not None]
        remove_other_images(self.folder, keep={*files, *(file.replace(IMAGES, ORIGINALS, 1) for file in files)})

    def read(self, place: int, digest: bytes | None) -> None:
        """Note what image was read at a place, or None for one that could not be.

        Raises:
            StoreError: Before the run was cut short there was another image at that place.
        """
        if place in self.digests:
            if self.digests[place] != digest:
                raise StoreError(
                    f"image {place} must be what it was when the run in {self.folder} began, and "
                    f"{'can no longer be read' if digest is None else 'has changed'}; put it back, or start a new run "
                    "in another folder"
                )
            return
        self.digests[place] = digest
        self._read.append((place, digest))

    def finished(self, row: Mapping[str, Plain], picture: Picture | None = None) -> None:
        """Keep a record, and the adversarial image with its original where there is one.

        They are on disk when the next batch is about to be sent. A record that was kept before the run was cut short
        stays.
        """
        place = row["index"]
        assert isinstance(place, int)
        if place in self.kept:
            return
        file = None
        if picture is not None:
            file = image_file(picture.image, place)
            self._found[place] = picture
        self._pending.append((place, json.dumps({**row, "file": file})))

    def kept_image(self, place: int) -> Image | None:
        """Return the adversarial image of a record in `kept`, or None if it has none.

        Raises:
            StoreError: Its file is gone.
        """
        file = self.kept[place]["file"]
        if file is None:
            return None
        picture = self._picture(place)
        return read_image(self.folder / file) if picture is None else picture.image

    def sending(self, purpose: str, images: int) -> None:
        """Count images that are about to be sent to the oracle, and write down what has been finished.

        Raises:
            StoreError: The folder cannot be written; then nothing is to be sent.
        """
        while self._writing <= _SHARE * (time.monotonic() - self._began) and self._write_next():
            pass
        with self._transaction():
            self._journal.execute(
                "INSERT INTO sent VALUES (?, ?) ON CONFLICT (purpose) DO UPDATE SET images = images + excluded.images",
                (purpose, images),
            )
        self._uncovered += images

    def flush(self) -> None:
        """Write down what has been finished, all images as files, before anything else says so.

        Raises:
            StoreError: The folder cannot be written.
        """
        # First to the journal, where it takes least time and room.
        with self._transaction():
            pass
        while self._write_next():
            pass
        with self._transaction():
            pass

    def is_due(self, images: int) -> bool:
        """Tell whether a checkpoint must come before so many images more are sent."""
        if self._uncovered == 0:
            return False
        self._due_at = time.monotonic()
        is_late = self._due_at - self._covered_at >= max(_SECONDS, _TIMES * self._took)
        return is_late or self._uncovered + images > self.interval

    def cover(self, checkpoint: Checkpoint, *, under_way: int) -> None:
        """Write a checkpoint, in place of the last one.

        Args:
            checkpoint: The state of the run.
            under_way: Images sent whose answers are not part of it.

        Raises:
            StoreError: The journal cannot be written; the last checkpoint stands.
        """
        with self._transaction():
            self._journal.execute("DELETE FROM checkpoint")
            entries = [("document", json.dumps(checkpoint.document).encode()), *checkpoint.blobs.items()]
            self._journal.executemany("INSERT INTO checkpoint VALUES (?, ?)", entries)
        self._uncovered = under_way
        self._covered_at = time.monotonic()
        self._took = self._covered_at - self._due_at

    def sent(self) -> int:
        """Return how many images have been sent to the oracle, for whatever purpose, before and after every resume."""
        (number,) = self._journal.execute("SELECT COALESCE(SUM(images), 0) FROM sent").fetchone()
        return int(number)

    def end(self) -> None:
        """Write down that the run has ended, and let go of the state that nobody will go on from.

        Raises:
            StoreError: The journal cannot be written.
        """
        assert not self._found
        assert not self._waiting
        with self._transaction():
            self._journal.execute("DELETE FROM checkpoint")
            self._journal.execute("DELETE FROM pictures")
            self._journal.execute("INSERT OR REPLACE INTO about VALUES ('ended', '1')")
        with _writing_to(self.folder / JOURNAL):
            self._journal.execute("VACUUM")
            # Nobody writes any more, so readers need no file beside it, not even on a read-only disk.
            self._journal.execute("PRAGMA journal_mode = DELETE")

    def close(self) -> None:
        """Let other processes at the folder. What was not written is lost; closing twice does nothing."""
        # A full disk shows again here, where there is nothing left to save.
        with contextlib.suppress(sqlite3.Error):
            self._journal.close()
        self._lock.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write down, with what the context writes, what has been finished and is not yet written down."""
        with _writing_to(self.folder / JOURNAL), self._journal:
            self._journal.executemany("INSERT OR REPLACE INTO inputs VALUES (?, ?)", self._read)
            self._journal.executemany("INSERT OR IGNORE INTO records VALUES (?, ?)", self._pending)
            self._journal.executemany("DELETE FROM pictures WHERE place = ?", ((place,) for place in self._written))
            self._journal.executemany(
                "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)",
                (
                    (place, json.dumps([image.dtype.str, image.shape]), image.tobytes(), original.tobytes())
                    for place, (image, original) in self._found.items()
                ),
            )
            yield
        self._waiting.extend(self._found)
        self._found.clear()
        self._read.clear()
        self._pending.clear()
        self._written.clear()

    def _write_next(self) -> bool:
        """Write the files of one image that is not written yet, and tell whether there was one."""
        started = time.monotonic()
        if self._found:
            place = next(iter(self._found))
            self._write(place, self._found[place])
            del self._found[place]
        elif self._waiting:
            place = self._waiting[0]
            with _writing_to(self.folder / JOURNAL):
                picture = self._picture(place)
            # An interrupt between a transaction and what follows it may leave a place here twice.
            if picture is not None:
                self._write(place, picture)
            self._written.append(self._waiting.popleft())
        else:
            return False
        self._writing += time.monotonic() - started
        return True

    def _write(self, place: int, picture: Picture) -> None:
        # The original first, so that no image is there without it.
        write_image(self.folder, place, picture.original, place=ORIGINALS)
        write_image(self.folder, place, picture.image)

    def _picture(self, place: int) -> Picture | None:
        row = self._journal.execute("SELECT form, image, original FROM pictures WHERE place = ?", (place,)).fetchone()
        return None if row is None else _picture_of(*row)


def digest_of(image: Image) -> bytes:
    """Return 16 bytes that name the pixels of an image."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _picture_of(form: str, image: bytes, original: bytes) -> Picture:
    dtype, shape = json.loads(form)
    return Picture(*(np.frombuffer(each, np.dtype(dtype)).reshape(shape) for each in (image, original)))


def holds_run(folder: Path) -> bool:
    """Tell whether a run was begun in a folder."""
    return (folder / RUN).exists()


def has_ended(folder: Path) -> bool:
    """Tell whether the run in a folder has ended.

    Raises:
        StoreError: The folder holds no run that can be read.
    """
    with _reading(folder) as journal:
        return journal.execute("SELECT 1 FROM about WHERE name = 'ended'").fetchone() is not None


def check_alike(folder: Path, about: Mapping[str, object]) -> None:
    """Refuse to go on with a run that was begun otherwise.

    Args:
        folder: Its folder.
        about: What run.json would say now.

    Raises:
        StoreError: Something that may change results differs; it is named.
    """
    differences = list(_differences("", read_run_json(folder), json.loads(json.dumps(plain(about)))))
    if differences:
        raise StoreError(
            f"the run in {folder} must be resumed as it was begun, and this differs: {'; '.join(differences)}; "
            "put it back, or start a new run in another folder"
        )


def read_run_json(folder: Path) -> dict[str, Any]:
    """Return what run.json says beside its format and version.

    Raises:
        StoreError: It is absent, unreadable, or of another version.
    """
    path = folder / RUN
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} must hold a run, and {path.name} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != _FORMAT:
        raise StoreError(f"{path} must be that of a run, and is another file")
    version = document.pop("version", None)
    if version not in _READABLE:
        raise StoreError(
            f"{folder} must hold a run of version {RUN_VERSION} of the layout, got version {version!r}; use the dfa "
            "that began it"
        )
    return document


def read_run(folder: str | Path) -> SavedRun:
    """Return what a folder says of a run: from results.json once it is complete, before that from the journal.

    Raises:
        StoreError: It holds neither, or one of another version.
    """
    folder = Path(folder)
    document = read_document(folder) if (folder / "results.json").exists() or not holds_run(folder) else {}
    if document and document.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder} must hold a result saved in version {FORMAT_VERSION} of the layout, got version "
            f"{document.get('version')!r}; read it with the dfa that wrote it"
        )
    if document.get("complete") is True:
        try:
            rows = {row["index"]: row for row in document["records"]}
            return SavedRun(folder, document["config"], len(rows), rows, document["profile"], True)
        except (KeyError, TypeError) as error:
            raise StoreError(f"the result in {folder} must be as it was saved, and is not: {error!r}") from error
    if not holds_run(folder):
        raise StoreError(f"{folder} must hold a complete result, and its saving was cut off; save the result again")
    config = read_run_json(folder)["config"]
    with _reading(folder) as journal:
        # One moment of a run that may be going on.
        journal.execute("BEGIN")
        rows = {place: json.loads(record) for place, record in journal.execute("SELECT place, record FROM records")}
        pictures = {}
        if journal.execute("SELECT 1 FROM sqlite_master WHERE name = 'pictures'").fetchone():
            found = journal.execute("SELECT place, form, image, original FROM pictures")
            pictures = {place: (form, image, original) for place, form, image, original in found}
    return SavedRun(folder, config, config["num_images"], rows, {}, False, pictures)


def read_epsilon(folder: Path, config: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """Return the largest change that a run allowed, grey levels: (), (N,), (H, W, C) or (N, H, W, C).

    Returns:
        None where the folder does not tell, because it was too large to be part of a saved result.
    """
    path = folder / EPSILON
    try:
        if path.exists():
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.int64)
        return np.asarray(config.get("epsilon"), dtype=np.int64)
    except (OSError, ValueError, TypeError):
        return None


def _locked(folder: Path) -> sqlite3.Connection:
    """Return what holds a folder for this process until it is closed, or the process is gone.

    A database of its own, held exclusively: the lock that SQLite takes is let go by the system even on a kill, and the
    journal beside it stays readable for everyone.
    """
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


def _connect(folder: Path) -> sqlite3.Connection:
    with _writing_to(folder / JOURNAL):
        journal = sqlite3.connect(folder / JOURNAL, timeout=10, check_same_thread=False)
        # Survives the death of the process; only that of the machine can cost the last seconds, and no more.
        journal.execute("PRAGMA synchronous = NORMAL")
        return journal


@contextlib.contextmanager
def _reading(folder: Path) -> Iterator[sqlite3.Connection]:
    path = folder / JOURNAL
    if not path.exists():
        raise StoreError(f"{folder} must hold a run, and its {JOURNAL} is missing")
    read_run_json(folder)
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
        except sqlite3.Error as error:
            raise StoreError(f"{path} must be the journal of a run, and cannot be read: {error}") from error


@contextlib.contextmanager
def _writing_to(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, StoreError):
            raise
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: Exception) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error}; make room, or make the folder writable, and resume the run (nothing that was "
        "finished is lost)"
    )


def _differences(where: str, begun: Any, now: Any) -> Iterator[str]:
    """Yield, in words, what of run.json is no longer as it was."""
    if isinstance(begun, dict) and isinstance(now, dict):
        for name in sorted({*begun, *now}):
            yield from _differences(f"{where}.{name}" if where else name, begun.get(name), now.get(name))
    elif begun != now and where not in _MAY_DIFFER:
        yield f"{where} was {_short(begun)}, and is {_short(now)}"


_MAY_DIFFER: Final = {
    "command",
    "config.oracle.name",
    "config.threads",
    "config.versions.numpy",
    "config.versions.python",
    "created",
}
"""What decides nothing about the results, or is only told."""


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
