"""A run again, from its record alone: what the service said then is what it says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Final

import numpy as np

from dfa.checks import require_path
from dfa.errors import OracleError, StoreError
from dfa.oracle.answers import Answer
from dfa.oracle.base import Oracle, ScoreKind
from dfa.results.parsing import MisfitError, fields_reader
from dfa.runs.journal import reading
from dfa.runs.kept_answers import KeptAnswers
from dfa.runs.saved_run import read_run
from dfa.runs.store import digest_of
from dfa.types import Images

_MOST_CLASSES: Final = 2**24

_read_oracle: Final = fields_reader({"name": str, "returns": str, "tolerance": float})
_read_shown: Final = fields_reader({"num_classes": int | None, "num_shown": int | None})


class ReplayOracle(Oracle):
    """What a service said in a run that has a record, instead of the service: the same run again, to the bit.

    `dfa.run(dfa.ReplayOracle("runs/first"), images, ...)`, with the images and settings of that run, sends nothing and
    finds what the run found; with others it fails at the first image that the run did not ask about. `dfa replay` does
    so for a run that was begun from the command line.

    Attributes:
        answers: All of the record, in the order in which they came.
    """

    kind = "replay"

    def __init__(self, folder: str | Path) -> None:
        """Read the record of a run.

        Args:
            folder: The run's: of a service (`dfa.HttpOracle`, `dfa.OipOracle`), begun with `store=`.

        Raises:
            StoreError: There is no run, or it has no record, or that is damaged.
        """
        self._folder = Path(require_path("folder", folder))
        described = read_run(self._folder).config.get("oracle")
        self.answers = KeptAnswers(is_record=True)
        try:
            known = _read_oracle(described)
            shown = _read_shown({"num_classes": None, "num_shown": None} | (described or {}))
            self.returns = ScoreKind(known["returns"])
            with reading(self._folder) as journal:
                self.answers.take_up(journal, is_whole=True)
        except (MisfitError, ValueError) as error:
            raise StoreError(f"the record of the run in {self._folder} cannot be read: {error}") from error
        if self.answers.is_empty:
            raise StoreError(
                f"{self._folder} must hold the record of a run, and this one keeps none: only runs of services do "
                "(dfa.HttpOracle, dfa.OipOracle), begun with store="
            )
        self.name, self.tolerance = known["name"], known["tolerance"]
        self.num_classes, self.num_shown = shown["num_classes"], shown["num_shown"]
        if not 0 <= self.tolerance < math.inf or not _is_number(self.num_classes) or not _is_number(self.num_shown):
            raise StoreError(
                f"the run in {self._folder} must say of its oracle what is a tolerance and how many classes it knows, "
                f"and says {self.tolerance}, {self.num_classes} and {self.num_shown}"
            )
        self._described: dict[str, Any] = dict(described or {})

    def scores(self, images: Images) -> Any:
        """Return what the service said of images, for whatever purpose it was asked.

        Raises:
            OracleError: It was never asked about one of them.
        """
        answers = [self.answers.said_of(digest_of(image)) for image in images]
        if any(answer is None for answer in answers):
            place = answers.index(None)
            raise OracleError(
                f"the record of the run in {self._folder} has no answer about row {place} of a batch; replay it with "
                "the images, labels, targets and settings of that run, and the dfa that made it"
            )
        found: list[Answer] = [answer for answer in answers if answer is not None]
        arrays = tuple(np.stack(same) for same in zip(*found, strict=True))
        return arrays if len(arrays) > 1 else arrays[0]

    def describe(self) -> dict[str, Any]:
        """Return what the run recorded of its oracle."""
        return self._described


def _is_number(declared: int | None) -> bool:
    """Tell whether so many classes can be: a row of scores of them has room."""
    return declared is None or 1 <= declared <= _MOST_CLASSES
