"""Whether a service still answers as it did: an unchanged image is asked about again every so many attack queries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import numpy as np

from dfa.engine.asking import Asked
from dfa.engine.oracle_thread import OracleThread
from dfa.engine.sameness import NUM_PROBES, how_it_differs
from dfa.errors import DriftError
from dfa.oracle.base import Oracle
from dfa.oracle.gate import Purpose
from dfa.results.parsing import fields_reader
from dfa.results.profile import Drift
from dfa.results.record import Record
from dfa.types import Image


class Watch:
    """Asks about images of the run as they are, in turn, and compares with what was answered first.

    Attributes:
        drifts: Where the service answered otherwise, in a run that goes on all the same.
    """

    def __init__(
        self, oracle: Oracle, thread: OracleThread, unsettled: Callable[[], Iterable[int]], *, is_random: bool
    ) -> None:
        """Begin without images.

        Args:
            oracle: Says how often it is watched, and what to do where it answers otherwise.
            thread: Asks it.
            unsettled: Returns the images of the run that have no record yet.
            is_random: Whether answers are repeated, since they differ from one time to the next; then two images in
                turn must be answered otherwise.
        """
        self.drifts: list[Drift] = []
        self._every = oracle.watch_every
        self._stops = oracle.on_drift == "stop"
        self._thread = thread
        self._unsettled = unsettled
        self._known: list[tuple[Record, Image]] = []
        self._turn = 0
        self._sent = 0
        self._due = self._every
        self._asked: tuple[Record, Asked] | None = None
        self._is_random = is_random
        self._doubted: str | None = None

    def see(self, record: Record, image: Image) -> None:
        """Take note of an image whose clean answer is there."""
        if self._every is not None and len(self._known) < NUM_PROBES:
            self._known.append((record, image))

    def save(self) -> dict[str, Any]:
        """Return the state, but for the images, in plain JSON types."""
        drifts = [dataclasses.asdict(drift) for drift in self.drifts]
        return {"sent": self._sent, "due": self._due, "turn": self._turn, "drifts": drifts}

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what `save` returned.

        Raises:
            MisfitError: It returned nothing of the kind.
        """
        state = _read(document)
        self.drifts = state["drifts"]
        self._sent, self._turn = state["sent"], state["turn"]
        self._due = None if self._every is None else min(state["due"] or 0, self._sent + self._every)
        # Once is enough: what came after it is of another model, whatever the service says now.
        self._stop()

    def _stop(self) -> None:
        """Stop the run if the service has answered otherwise, unless that is only to be marked."""
        if self.drifts and self._stops:
            raise DriftError(
                f"the oracle no longer answers as it did when the run began: {self.drifts[-1].told}, seen after "
                f"{self.drifts[-1].sent:,} attack queries. What was found is kept; look whether the service has "
                "another model now, and begin anew, or go on all the same with on_drift='mark', which the result says"
            )

    def tell(self, index: int, told: str) -> None:
        """Stop the run, or take note, since an image's answer is another.

        Raises:
            DriftError: The run is to stop then.
        """
        self.drifts.append(Drift(self._sent, index, told, tuple(self._unsettled())))
        self._stop()

    @property
    def marks(self) -> bool:
        """Whether a run goes on with a service that answers otherwise."""
        return self._every is not None and not self._stops

    def after(self, rows: int) -> None:
        """Ask about an image, if it is time to, now that so many attack queries more were sent."""
        self._sent += rows
        if self._due is None or self._sent < self._due or not self._known or self._asked is not None:
            return
        assert self._every is not None
        self._due = self._sent + self._every
        record, image = self._known[self._turn % len(self._known)]
        self._turn += 1
        indices = np.array([record.index], dtype=np.int64)
        self._asked = record, self._thread.ask_ahead(image[np.newaxis], indices, Purpose.WATCH)

    def look(self, *, waits: bool = False) -> None:
        """Compare the answer that is there, if any.

        Args:
            waits: Whether to wait for one that is not.

        Raises:
            DriftError: The service answers otherwise than it did, and the run is to stop then.
            OracleError: The oracle failed.
        """
        if self._asked is None or not (waits or self._asked[1].future.done()):
            return
        record, asked = self._asked
        self._asked = None
        (row,) = self._thread.scores(asked)
        self._thread.forget(Purpose.WATCH)
        told = how_it_differs(record, row)
        if told is not None and self._is_random and self._doubted is None:
            # One answer of a service that is randomised says little: another image is asked about at once.
            self._doubted = told
            self._due = self._sent
            return
        self._doubted = None
        if told is not None:
            self.tell(record.index, told)


_read: Final = fields_reader({"sent": int, "due": int | None, "turn": int, "drifts": list[Drift]})
