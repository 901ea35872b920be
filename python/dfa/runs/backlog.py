"""Confirmed images on their way to files, by way of the journal where the file system is too slow for them."""

from __future__ import annotations

import sqlite3
import time
from collections import deque
from pathlib import Path
from typing import Final

from dfa.errors import StoreError
from dfa.runs.folder import JOURNAL, ORIGINALS, write_image
from dfa.runs.journal import Picture, writing_to

_SHARE: Final = 0.02
"""Of a run's time, what writing image files may take before the journal takes the images."""


class Backlog:
    """The images of a run that are not all files yet: found and in memory, or waiting in the journal."""

    def __init__(self, folder: Path, journal: sqlite3.Connection) -> None:
        """Begin with none; `take_up` finds those that the journal holds."""
        self._folder = folder
        self._journal = journal
        self._began = time.monotonic()
        self._writing = 0.0
        self._found: dict[int, Picture] = {}
        self._waiting: deque[int] = deque()
        self._written: list[int] = []

    def take_up(self) -> None:
        """Let what an earlier process left in the journal wait to become files."""
        self._waiting.extend(place for (place,) in self._journal.execute("SELECT place FROM pictures"))

    def add(self, place: int, picture: Picture) -> None:
        """Take an image; it is in the journal or a file once the next transaction is over."""
        self._found[place] = picture

    def get(self, place: int) -> Picture | None:
        """Return an image that lies in the journal."""
        row = self._journal.execute("SELECT form, image, original FROM pictures WHERE place = ?", (place,)).fetchone()
        return None if row is None else Picture.of(*row)

    def all_written(self) -> bool:
        """Tell whether all images are files."""
        return not self._found and not self._waiting

    def check_all_written(self) -> None:
        """Make sure that all images are files.

        Raises:
            StoreError: They are not.
        """
        if not self.all_written():
            raise StoreError(f"the run in {self._folder} cannot end: images in its journal are not files yet")

    def put_down(self) -> None:
        """Take part in a transaction: what is found goes into the journal, what is a file leaves it."""
        self._journal.executemany("DELETE FROM pictures WHERE place = ?", ((place,) for place in self._written))
        self._journal.executemany(
            "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?)",
            ((place, *picture.row) for place, picture in self._found.items()),
        )

    def put_down_is_over(self) -> None:
        """Take note that the transaction is over."""
        self._waiting.extend(self._found)
        self._found.clear()
        self._written.clear()

    def write_while_cheap(self) -> None:
        """Write files until they have taken their share of the run's time.

        Raises:
            StoreError: A file cannot be written.
        """
        while self._writing <= _SHARE * (time.monotonic() - self._began) and self._write_next():
            pass

    def write_all(self) -> None:
        """Write all files.

        Raises:
            StoreError: A file cannot be written.
        """
        while self._write_next():
            pass

    def _write_next(self) -> bool:
        """Write the files of one image that is not written yet, and tell whether there was one."""
        started = time.monotonic()
        if self._found:
            place = next(iter(self._found))
            self._write(place, self._found[place])
            del self._found[place]
        elif self._waiting:
            place = self._waiting[0]
            with writing_to(self._folder / JOURNAL):
                picture = self.get(place)
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
        write_image(self._folder, place, picture.original, place=ORIGINALS)
        write_image(self._folder, place, picture.image)
