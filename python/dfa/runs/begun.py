"""What a search of several runs was begun with, kept beside them: each run knows its own settings alone."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.errors import StoreError
from dfa.runs import door
from dfa.runs.documents import MOST_RUN, read_json
from dfa.runs.folder import plain, write_json
from dfa.runs.journal import lock_folder, remove_lock, writing_to
from dfa.runs.saved_run import what_differs

BEGUN: Final = "begun.json"
_VERSION: Final = 1


@dataclass(frozen=True)
class Begun:
    """What such a search is begun with.

    Attributes:
        what: It is, in a word or two: "frontier".
        settings: Of the search as a whole, by name; what `plain` takes.
        more: What else may change what is found, such as what follows from `settings`, and so is told of only where
            these are alike.
    """

    what: str
    settings: Mapping[str, object]
    more: Mapping[str, object] = field(default_factory=dict)

    @contextlib.contextmanager
    def held(self, folder: Path, is_begun: Callable[[], bool], make_room: Callable[[], None]) -> Iterator[None]:
        """Hold a folder for this search, which is the only one at it, and write down there what it is begun with.

        The locks of its runs would not do: each is held for its own run alone.

        Args:
            folder: Made if it is not there; of a search that fails before an answer was of use there is nothing left.
            is_begun: Tells whether anything that was paid for lies there.
            make_room: Makes room there or refuses to, once the folder is held.

        Raises:
            StoreError: Another search is at the folder, or was begun there otherwise, or it cannot be written.
        """
        is_made = not folder.exists()
        with writing_to(folder):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with contextlib.closing(lock_folder(folder)):
                try:
                    make_room()
                    if is_begun():
                        self._check(folder)
                    else:
                        write_json(folder / BEGUN, self._document, is_synced=True)
                    yield
                finally:
                    if not is_begun():
                        remove_begun(folder)
                        remove_lock(folder)
        finally:
            if is_made:
                with contextlib.suppress(OSError):  # most likely it holds something
                    folder.rmdir()

    def _check(self, folder: Path) -> None:
        """Refuse to go on with what was begun otherwise.

        Raises:
            StoreError: Something differs, and is named; or the folder does not tell.
        """
        try:
            document = read_json(folder, BEGUN, most=MOST_RUN)
        except (OSError, ValueError) as error:
            reason = str(error) if door.holds(folder, BEGUN) else "the file is missing"
            raise StoreError(
                f"{folder / BEGUN} must say what the {self.what} there was begun with, and does not: {reason}; choose "
                "another folder"
            ) from error
        now: dict[str, Any] = json.loads(json.dumps(plain(self._document)))
        first = [{name: each[name] for name in each.keys() - self.more.keys()} for each in (document, now)]
        if differences := what_differs(*first) or what_differs(document, now):
            raise StoreError(
                f"the {self.what} in {folder} must be resumed as it was begun, and this differs: "
                f"{'; '.join(differences)}; put it back, or choose another folder"
            )

    @property
    def _document(self) -> dict[str, object]:
        return {"format": f"dfa-{self.what}-begun", "version": _VERSION, **self.settings, **self.more}


def remove_begun(folder: Path) -> None:
    """Remove what says so, after what it was said of.

    Raises:
        StoreError: It cannot be removed.
    """
    with writing_to(folder / BEGUN):
        door.remove_files(folder, [BEGUN])
