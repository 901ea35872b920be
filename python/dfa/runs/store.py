"""A run's folder while the run is under way: written so that no kill and no full disk costs what was paid for.

    <folder>/run.json               what is attacked, how, and by what: written before the first query
    <folder>/journal.sqlite         records, and now and then the exact state of everything in progress
    <folder>/images/000017.png      an adversarial image
    <folder>/originals/000017.png   the image that it was made from
    <folder>/epsilon.npy            only where epsilon is not one number

Knows plain data, bytes and files; the engine decides what a state is made of. When the run has ended, `saving` adds
results.json and records.csv.

Three rules make a kill harmless. Files are written under a temporary name and renamed. Every image is counted in the
journal before it is sent to the oracle. A resumed run goes on from the last checkpoint as if nothing had happened: what
was sent after it is sent again, which the interval of the checkpoints bounds, and a record that was written after it
is kept. Where an oracle fails in the middle of a batch, and says so, not even that is sent again: the state at that
moment is written down, with the answers that are not part of it.

An adversarial image lies in the journal first, in the transaction of its record, and becomes a file while files have
taken less than a fiftieth of the run's time: small images fall faster than a file system takes them. It leaves the
journal when its file is known to lie on the disk, at the latest at the end of the run. Readers find it in either place.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import RLock
from typing import Any, Final

import numpy as np

from dfa.errors import StoreError
from dfa.oracle.answers import Answer
from dfa.originals import difference, largest
from dfa.results.parsing import load_json
from dfa.runs.backlog import Backlog
from dfa.runs.documents import Config, JournalRows, parse_config, read_journal
from dfa.runs.due import Due
from dfa.runs.folder import (
    JOURNAL,
    RUN,
    Plain,
    check_folder,
    clear_folder,
    take_back,
    write_epsilon,
    write_json,
)
from dfa.runs.image_files import image_file, original_of, read_image
from dfa.runs.journal import (
    Picture,
    count_sent,
    digest_of_row,
    end_journal,
    lock_folder,
    make_journal,
    make_readable_alone,
    number_sent,
    reopen_journal,
    writing_to,
)
from dfa.runs.kept_answers import KeptAnswers, Sent, read_position
from dfa.runs.record import Record
from dfa.runs.saved_run import (
    RUN_FORMAT,
    RUN_VERSION,
    check_alike,
    check_replaceable,
    holds_nothing_paid,
    read_run,
    read_run_json,
)
from dfa.types import Image

DEFAULT_INTERVAL: Final = 100_000
"""Images sent to the oracle between two checkpoints, at most."""


FILES: Final = "files"
"""The purpose of what is sent when a run is over: to see that its image files are adversarial."""


@dataclass(frozen=True)
class Checkpoint:
    """The exact state of a run between two steps of its loop.

    Attributes:
        document: Plain data.
        blobs: Bytes by name: states of the core, images.
    """

    document: dict[str, Any]
    blobs: dict[str, bytes] = field(default_factory=dict)

    def rows(self) -> dict[str, bytes]:
        """Return what the journal keeps of it, by name: the state, and a digest of that."""
        rows = {"document": json.dumps(self.document).encode(), **self.blobs}
        return {**rows, "digest": _digest_of_all(rows)}

    @classmethod
    def of(cls, rows: Mapping[str, bytes]) -> Checkpoint:
        """Return the checkpoint that rows of the journal keep.

        Raises:
            ValueError: They are damaged.
        """
        state = {name: value for name, value in rows.items() if name != "digest"}
        # A number that is another would go unnoticed, and the run would end as no run does.
        if rows.get("digest") != _digest_of_all(state):
            raise ValueError("the checkpoint is damaged: its digest does not match")
        return cls(load_json(state.pop("document")), state)


class Store:
    """The folder of a run that is under way. One process at a time; closing it lets the next one in.

    Attributes:
        folder: The folder.
        interval: The most images that are sent to the oracle without being covered by a checkpoint.
        checkpoint: The state to go on from, or None at the start.
        kept: Records written before, by place; empty at the start. `let_go` leaves but their files.
        digests: Digests of the images read before, by place; None for one that could not be read; empty at the start.
        resumes: How often the run has been taken up again.
        due: Tells when a checkpoint must come.
        answers: Those of before, to images that need not be sent again.
        record: Keeps every answer as it arrives; None where only those are kept that would be lost.
    """

    def __init__(
        self,
        folder: Path,
        interval: int,
        lock: sqlite3.Connection,
        journal: sqlite3.Connection,
        *,
        keeps_record: bool = False,
    ) -> None:
        """Take over an opened journal; `begin` and `resume` are the ways in."""
        self.folder = folder
        self.interval = interval
        self.checkpoint: Checkpoint | None = None
        self.kept: dict[int, dict[str, Any]] = {}
        self.digests: dict[int, bytes | None] = {}
        self.resumes = 0
        self._shape: tuple[int, ...] | None = None
        self.answers = KeptAnswers(is_record=keeps_record)
        self._lock = lock
        self._journal = journal
        self._writing = RLock()
        self.record = Record(folder, journal, self.answers, self._writing) if keeps_record else None
        self.due = Due(interval)
        self._pending: list[tuple[int, str, bytes]] = []
        self._read: list[tuple[int, bytes | None]] = []
        self._backlog = Backlog(folder, journal)

    @classmethod
    def begin(
        cls,
        folder: str | Path,
        about: Mapping[str, object],
        *,
        epsilon: object = None,
        interval: int = DEFAULT_INTERVAL,
        overwrite: bool = False,
        keeps_record: bool = False,
    ) -> Store:
        """Begin a run in a folder.

        Args:
            folder: Made if absent.
            about: What run.json is to say.
            epsilon: Kept in a file of its own where it is an array.
            interval: The most images sent between two checkpoints.
            overwrite: A run or result there may be replaced.
            keeps_record: Every answer is to be kept as it arrives.

        Raises:
            StoreError: The folder holds a run that has sent something, or a result, and `overwrite` is False, or files
                that no run wrote, or belongs to another process, or cannot be written.
        """
        folder = Path(folder)
        lock, journal = _begun(folder, about, epsilon, overwrite=overwrite)
        return cls(folder, interval, lock, journal, keeps_record=keeps_record)

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        about: Mapping[str, object],
        *,
        interval: int = DEFAULT_INTERVAL,
        keeps_record: bool = False,
    ) -> Store:
        """Take up a run that was cut short.

        Args:
            folder: Its folder.
            about: What run.json said; every difference is refused by name.
            interval: The most images sent between two checkpoints.
            keeps_record: As of `begin`.

        Raises:
            StoreError: The folder holds no run, one of another version, one that another process is at, one that has
                ended, or one that was not begun like this.
        """
        folder = Path(folder)
        check_alike(folder, about)
        config = parse_config(read_run_json(folder).config)
        with contextlib.ExitStack() as stack:
            lock = lock_folder(folder)
            stack.callback(lock.close)
            journal = reopen_journal(folder)
            stack.callback(journal.close)
            store = cls(folder, interval, lock, journal, keeps_record=keeps_record)
            with writing_to(folder / JOURNAL), journal:
                rows, store.checkpoint = _take_up(folder, journal, config, store.answers)
            store.kept, store.digests, store.resumes = rows.records, rows.digests, rows.resumes + 1
            store._shape = config.shape
            store._backlog.take_up(rows.waiting)
            stack.pop_all()
        return store

    def go_on(self) -> None:
        """Clear away what the run had left when it was cut short, now that it is known to go on.

        Raises:
            StoreError: The folder cannot be written.
        """
        # From here on the journal says how far the run has got, and no partial result of before.
        take_back(self.folder, keep=[row["file"] for row in self.kept.values() if row["file"] is not None])

    def note_read(self, place: int, digest: bytes | None) -> None:
        """Note what image was read at a place, or None for one that could not be.

        Raises:
            StoreError: Before the run was cut short there was another image at that place.
        """
        if place in self.digests:
            refuse_another_image(self.folder, place, self.digests[place], digest)
            return
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
            self._backlog.add(place, picture)
        record = json.dumps({**row, "file": file})
        self._pending.append((place, record, digest_of_row(place, record.encode())))

    def kept_image(self, place: int) -> Image | None:
        """Return the adversarial image of a record in `kept`, or None if it has none.

        Raises:
            StoreError: Its file or that of its original is gone, or damaged.
        """
        row = self.kept[place]
        if row["file"] is None:
            return None
        if (picture := self._backlog.get(place)) is not None:
            return picture.image
        return _read_whole(self.folder, row, self._shape, self.digests.get(place))

    def let_go(self, place: int) -> None:
        """Forget what a record in `kept` says, but for its file, since somebody else has it now."""
        self.kept[place] = {"file": self.kept[place]["file"]}

    def sending(self, purpose: str, images: int) -> None:
        """Count images about to be sent (below 0: that were not sent after all), and write down what has been finished.

        Raises:
            StoreError: The folder cannot be written; then nothing is to be sent.
        """
        self._backlog.write_while_cheap()
        with self._transaction():
            count_sent(self._journal, purpose, images)
        self.due.uncovered += images

    def flush(self) -> None:
        """Write down what has been finished, all images as files, before anything else says so.

        Raises:
            StoreError: The folder cannot be written.
        """
        # First to the journal, where it takes least time and room.
        with self._transaction():
            pass
        self._backlog.write_all()
        with self._transaction():
            pass

    def cover(self, checkpoint: Checkpoint, *, under_way: int) -> None:
        """Write a checkpoint, in place of the last one, and let go of kept answers that were used.

        Args:
            checkpoint: The state of the run.
            under_way: Images sent whose answers are not part of it.

        Raises:
            StoreError: The journal cannot be written; the last checkpoint stands.
        """
        with self._transaction():
            self._journal.execute("DELETE FROM checkpoint")
            self._journal.executemany("INSERT INTO checkpoint VALUES (?, ?)", checkpoint.rows().items())
            self.answers.put_down(self._journal)
        self.due.is_covered(under_way)

    def keep(self, answers: Iterable[tuple[Sent, Answer]]) -> None:
        """Keep answers beside the last checkpoint, each about one image, and let go of those that were used.

        Raises:
            StoreError: The journal cannot be written.
        """
        with self._transaction():
            self.answers.put_down(self._journal, answers)

    def sent(self, purpose: str | None = None) -> int:
        """Return how many images have been sent to the oracle, before and after every resume.

        Args:
            purpose: Why; None for all purposes together.
        """
        return number_sent(self._journal, purpose)

    def end(self) -> None:
        """Write down that the run has ended, and let go of the state that nobody will go on from.

        Raises:
            StoreError: The journal cannot be written.
        """
        self._backlog.check_all_written()
        with self._transaction():
            end_journal(self._journal, keeps_answers=self.record is not None)
        with writing_to(self.folder / JOURNAL):
            make_readable_alone(self._journal)

    def close(self) -> None:
        """Let other processes at the folder. What was not written is lost; closing twice does nothing."""
        # A full disk shows again here, where there is nothing left to save.
        with contextlib.suppress(sqlite3.Error):
            self._journal.close()
        self._lock.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        """Write down, with what the context writes, what has been finished and is not yet written down."""
        with self._writing, writing_to(self.folder / JOURNAL), self._journal:
            self._journal.executemany("INSERT OR REPLACE INTO inputs VALUES (?, ?)", self._read)
            self._journal.executemany("INSERT OR REPLACE INTO records VALUES (?, ?, ?)", self._pending)
            self._backlog.put_down()
            yield
        self._backlog.put_down_is_over()
        self._read.clear()
        self._pending.clear()


def _begun(
    folder: Path, about: Mapping[str, object], epsilon: object, *, overwrite: bool
) -> tuple[sqlite3.Connection, sqlite3.Connection]:
    """Return the lock and the journal of a run that is begun in a folder; arguments and errors as of `Store.begin`."""
    check_folder(folder, overwrite=overwrite or holds_nothing_paid(folder))
    lock = lock_folder(folder)
    try:
        # Once more, now that nobody else can begin.
        check_folder(folder, overwrite=overwrite or holds_nothing_paid(folder))
        clear_folder(folder, check_replaceable(folder))
        write_epsilon(folder, epsilon)
        journal = make_journal(folder)
        # Last, because its presence says that the rest is there.
        write_json(folder / RUN, {"format": RUN_FORMAT, "version": RUN_VERSION, **about}, is_synced=True)
    except BaseException:
        lock.close()
        raise
    return lock, journal


def _take_up(
    folder: Path, journal: sqlite3.Connection, config: Config, answers: KeptAnswers
) -> tuple[JournalRows, Checkpoint | None]:
    """Return what a run goes on from, and count that it is taken up again; part of a transaction.

    Raises:
        StoreError: Something is damaged.
    """
    try:
        rows = read_journal(journal, config)
        checkpoint = Checkpoint.of(rows.checkpoint) if rows.checkpoint else None
        answers.take_up(journal, None if checkpoint is None else read_position(checkpoint.document.get("record")))
    except (ValueError, KeyError) as error:
        raise StoreError(
            f"the journal of the run in {folder} cannot be read: {error}; start a new run in another folder"
        ) from error
    journal.execute("INSERT OR REPLACE INTO about VALUES ('resumes', ?)", (str(rows.resumes + 1),))
    return rows, checkpoint


def check_images(folder: Path, digests: Mapping[int, bytes | None]) -> None:
    """Make sure that a run that has ended still has its images, before they are handed out once more.

    Args:
        folder: Its folder.
        digests: Of the originals, by place.

    Raises:
        StoreError: An image, or its original, is missing, or is not what it was.
    """
    run = read_run(folder)
    for place, row in run.rows.items():
        if row["file"] is not None:
            try:
                _read_whole(folder, row, run.shape, digests.get(place))
            except StoreError as error:
                raise StoreError(
                    f"the run in {folder} has ended, and image {place} cannot be read back: {error}; put the file "
                    "back, or begin the run anew (overwrite=True)"
                ) from error


def _read_whole(folder: Path, row: Mapping[str, Any], shape: tuple[int, ...] | None, digest: bytes | None) -> Image:
    """Return the image of a record from its file.

    Raises:
        StoreError: It, or its original, is not what it was.
    """
    image, original = (read_image(folder, file, shape) for file in (row["file"], original_of(row["file"])))
    is_whole = (original.dtype, original.shape) == (image.dtype, image.shape)
    if is_whole:
        change = difference(image, original)
        found = {"l0": np.count_nonzero(change), "linf": largest(change)}
        # Blocks that did not reach the disk read as zeros, which the header of an array does not tell.
        is_whole = all(row[name] in (None, value) for name, value in found.items())
    if not is_whole or digest_of(original) != digest:
        raise StoreError(f"{folder / row['file']} must hold the image that its record is about, and holds another")
    return image


def refuse_another_image(folder: Path, place: int, begun: bytes | None, now: bytes | None) -> None:
    """Refuse another image than that with which a run began.

    Args:
        folder: The run's.
        place: Of the image.
        begun: Its digest then; None if it could not be read.
        now: Likewise.

    Raises:
        StoreError: They differ.
    """
    if begun != now:
        raise StoreError(
            f"image {place} must be what it was when the run in {folder} began, and "
            f"{'can no longer be read' if now is None else 'has changed'}; put it back, or start a new run in another "
            "folder"
        )


def digest_of(image: Image) -> bytes:
    """Return 16 bytes that name the pixels of an image."""
    return hashlib.blake2b(image.tobytes(), digest_size=16).digest()


def _digest_of_all(values: Mapping[str, bytes]) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, value in sorted(values.items()):
        digest.update(f"{name} {len(value)} ".encode())
        digest.update(value)
    return digest.digest()
