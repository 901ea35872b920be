"""What a search of several runs was begun with, kept beside them: each run knows its own settings alone."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.errors import StoreError
from dfa.runs import door
from dfa.runs.documents import MOST_RUN, read_json
from dfa.runs.folder import plain, write_json
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

    def write(self, folder: Path) -> None:
        """Write it down, in place of what was begun there before.

        Raises:
            StoreError: The file cannot be written.
        """
        write_json(folder / BEGUN, self._document, is_synced=True)

    def check(self, folder: Path) -> None:
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
    """Remove what says so, as the last of what goes.

    Raises:
        OSError: It cannot be removed.
    """
    door.remove_files(folder, [BEGUN])
