"""How a run goes of which nothing is worth keeping, such as one whose oracle was declared wrongly."""

from __future__ import annotations

import contextlib
from pathlib import Path

from dfa.runs.folder import clear_folder
from dfa.runs.journal import held_alone, reading, remove_lock


def discard_run(folder: Path, *, is_made: bool) -> bool:
    """Remove the files of a run that no answer was of use to, unless the journal keeps some all the same.

    Args:
        folder: The folder of the run, which no process is at.
        is_made: Whether the run made the folder, which then goes too, if nothing else lies in it.

    Returns:
        Whether the run is gone.

    Raises:
        StoreError: It cannot be removed.
    """
    with held_alone(folder):
        with reading(folder) as journal:
            (is_answered,) = journal.execute("SELECT EXISTS (SELECT 1 FROM answers)").fetchone()
        if is_answered:
            return False
        clear_folder(folder, ())
        remove_lock(folder)
    if is_made:
        with contextlib.suppress(OSError):
            folder.rmdir()
    return True
