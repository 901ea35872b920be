"""Confirmed images on their way to files, by way of the journal where the file system is too slow for them."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from dfa.errors import StoreError
from dfa.runs.folder import JOURNAL, sync_images, write_image
from dfa.runs.image_files import ORIGINALS
from dfa.runs.journal import Picture, digest_of_row, writing_to

_SHARE: Final = 0.02
"""Of a run's time, what writing image files may take before the journal takes the images."""


_TOGETHER: Final = 64
"""Images whose files are waited for at once, until they lie on the disk."""


class Backlog:
    """The images of a run that are not all files yet.

    An image goes through the journal, in the transaction of its record, so that a kill never leaves a file that no
    record names. It leaves the journal only when its file has reached the disk, so that no loss of power costs it.
    """

    def __init__(self, folder: Path, journal: sqlite3.Connection) -> None:
        """Begin with none; `take_up` finds those that the journal holds."""
        self._folder = folder
        self._journal = journal
        self._began = time.monotonic()
        self._writing = 0.0
        self._found: dict[int, Picture] = {}
        self._waiting: deque[int] = deque()
        self._written: dict[int, list[str]] = {}
        self._on_disk: list[int] = []

    def take_up(self, places: Iterable[int]) -> None:
        """Let what an earlier process left in the journal wait to become files."""
        self._waiting.extend(places)

    def add(self, place: int, picture: Picture) -> None:
        """Take an image; it is in the journal once the next transaction is over."""
        self._found[place] = picture

    def get(self, place: int) -> Picture | None:
        """Return an image that lies in the journal."""
        row = self._journal.execute("SELECT form, image, original FROM pictures WHERE place = ?", (place,)).fetchone()
        return None if row is None else Picture.of(*row)

    def all_written(self) -> bool:
        """Tell whether all images are files that lie on the disk."""
        return not self._found and not self._waiting and not self._written

    def check_all_written(self) -> None:
        """Make sure that all images are files.

        Raises:
            StoreError: They are not.
        """
        if not self.all_written():
            raise StoreError(f"the run in {self._folder} cannot end: images in its journal are not files yet")

    def put_down(self) -> None:
        """Take part in a transaction: what is found goes into the journal, what is a file on the disk leaves it."""
        self._journal.executemany("DELETE FROM pictures WHERE place = ?", ((place,) for place in self._on_disk))
        self._journal.executemany(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)",
            (_row_of(place, picture) for place, picture in self._found.items()),
        )

    def put_down_is_over(self) -> None:
        """Take note that the transaction is over."""
        self._waiting.extend(self._found)
        self._found.clear()
        self._on_disk.clear()

    def write_while_cheap(self) -> None:
        """Write files until they have taken their share of the run's time.

        Raises:
            StoreError: A file cannot be written.
        """
        while self._writing <= _SHARE * (time.monotonic() - self._began) and self._write_next():
            if len(self._written) >= _TOGETHER:
                started = time.monotonic()
                self._sync()
                self._writing += time.monotonic() - started

    def write_all(self) -> None:
        """Write all files of what is in the journal, and wait until they lie on the disk.

        Raises:
            StoreError: A file cannot be written.
        """
        while self._write_next():
            pass
        self._sync()

    def _write_next(self) -> bool:
        """Write the files of one image that is not written yet, and tell whether there was one."""
        if not self._waiting:
            return False
        started = time.monotonic()
        place = self._waiting[0]
        with writing_to(self._folder / JOURNAL):
            picture = self.get(place)
        # An interrupt between a transaction and what follows it may leave a place here twice.
        if picture is not None:
            self._written[place] = self._write(place, picture)
        self._waiting.popleft()
        self._writing += time.monotonic() - started
        return True

    def _write(self, place: int, picture: Picture) -> list[str]:
        # The original first, so that no image is there without it.
        original = write_image(self._folder, place, picture.original, place=ORIGINALS)
        return [original, write_image(self._folder, place, picture.image)]

    def _sync(self) -> None:
        sync_images(self._folder, [file for files in self._written.values() for file in files])
        self._on_disk.extend(self._written)
        self._written.clear()


def _row_of(place: int, picture: Picture) -> tuple[int, str, bytes, bytes, bytes]:
    form, image, original = picture.row
    return place, form, image, original, digest_of_row(place, form.encode(), image, original)
