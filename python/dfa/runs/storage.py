"""Where and how a run is kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dfa.checks import require_flag, require_integer, require_path
from dfa.errors import InvalidInputError
from dfa.runs.store import DEFAULT_INTERVAL


@dataclass(frozen=True)
class Storage:
    """Where and how a run is kept; `store="runs/x"` stands for `Storage("runs/x")`.

    Attributes:
        folder: The run folder.
        overwrite: Replace a run or a saved result there.
        resume: Go on with the run there, if there is one: with the same images, oracle and settings, or it is refused.
        interval: The most images sent to the oracle between two checkpoints, and so the most that one kill can make a
            resumed run send again (and, where images are confirmed by repeated answers, those of one batch);
            `Profile.resent` counts them. At least four batches. A checkpoint also comes every minute, unless
            checkpoints take more than a hundredth of the time.
        command: What run.json keeps of whoever began the run.
    """

    folder: str | Path
    overwrite: bool = False
    resume: bool = False
    interval: int = DEFAULT_INTERVAL
    command: Mapping[str, object] | None = None

    @classmethod
    def parse(
        cls, store: str | Path | Storage | None, *, overwrite: bool, resume: bool, batch_size: int
    ) -> Storage | None:
        """Return where a run is kept, if anywhere.

        Args:
            store: A folder, or a `Storage`, or None.
            overwrite: As the attribute, if it is not set there.
            resume: Likewise.
            batch_size: The most images that one turn of the run sends.

        Raises:
            InvalidInputError: The words contradict one another, or the interval is too short.
        """
        overwrite, resume = require_flag("overwrite", overwrite), require_flag("resume", resume)
        if store is None:
            if resume:
                raise InvalidInputError("resume=True needs the folder of the run: pass store=")
            return None
        storage = store if isinstance(store, Storage) else Storage(require_path("store", store))
        storage = replace(
            storage,
            overwrite=require_flag("overwrite", storage.overwrite) or overwrite,
            resume=require_flag("resume", storage.resume) or resume,
        )
        if storage.overwrite and storage.resume:
            raise InvalidInputError(
                "a run is either resumed or overwritten; pass one of resume=True and overwrite=True"
            )
        require_integer("interval (at least four batches)", storage.interval, 4 * batch_size)
        return storage
