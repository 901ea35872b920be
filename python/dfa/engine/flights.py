"""The batches of candidates that are under way, and the memory that they lie in."""

from __future__ import annotations

from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.engine.asking import Asked
from dfa.engine.places import Places
from dfa.search.label_walk import Steps
from dfa.types import Classes, Indices

FLIGHTS_PER_CALL: Final = 2
"""Batches under way, for each call that the oracle takes at once: one that it works on, and one that waits for it."""

_SCORED_TOGETHER: Final = 64
"""Rows of several small batches that are scored at once: of a single one most of the time is the calling of it."""

_GATHERED: Final = 48
"""Rows that are worth a turn of the loop, where there is no hurry."""

_WORTH_SENDING: Final = 0.5
"""Share of a batch below which it waits for the answers under way, with which it can be filled."""


@dataclass
class Flight:
    """One batch on its way to the oracle and back.

    Attributes:
        rows: uint8, (B, ...): the buffer that the core wrote, of which the first n rows count.
        candidates: As the oracle sees them, (n, ...).
        indices: int64, (n,): the image of each row.
        goals: int64, (n,): original classes, or targets.
        steps: What is asked besides.
        asked: The candidates, and each of the steps.
    """

    rows: NDArray[np.uint8]
    candidates: NDArray[Any]
    indices: Indices
    goals: Classes
    steps: Steps
    asked: Asked


class Flights:
    """The batches under way, the oldest first."""

    def __init__(
        self, calls_at_once: int, batch_size: int, row_shape: tuple[int, ...], answered: SimpleQueue[Asked]
    ) -> None:
        """Begin with none.

        Args:
            calls_at_once: Of the oracle.
            batch_size: The most rows of a batch.
            row_shape: Of a candidate, as the core writes it.
            answered: Of the oracle's threads, where it takes several calls at once.
        """
        self._calls_at_once = calls_at_once
        self._batch_size = batch_size
        self._row_shape = row_shape
        self._answered = answered
        self._flights: list[Flight] = []
        self._waiting: dict[int, Flight] = {}
        self._done: list[Flight] = []
        self._buffers: list[NDArray[np.uint8]] = []

    def __len__(self) -> int:
        """Return how many are under way."""
        return len(self._flights)

    @property
    def rows(self) -> int:
        """Their rows."""
        return sum(len(flight.indices) for flight in self._flights)

    @property
    def buffer(self) -> NDArray[np.uint8]:
        """Where the next batch is written."""
        if not self._buffers:
            self._buffers.append(np.empty((self._batch_size, *self._row_shape), dtype=np.uint8))
        return self._buffers[-1]

    def is_worth_sending(self, num_ready: int) -> bool:
        """Tell whether a batch is to be sent before any answers are taken, where so many candidates are ready."""
        if len(self._flights) >= FLIGHTS_PER_CALL * self._calls_at_once or num_ready == 0:
            return False
        # A batch that is not full costs a call as well, and waits for those before it anyway.
        return self._num_idle() > 0 or num_ready >= _WORTH_SENDING * self._batch_size

    def most_rows(self, num_ready: int) -> int:
        """Return the most rows of the batch that is sent now: what is ready is dealt out among those that are idle."""
        return max(1, min(-(-num_ready // max(1, self._num_idle())), self._batch_size))

    def _num_idle(self) -> int:
        """Return how many calls more the oracle would take at once, none where an answer is there to be taken."""
        if self._calls_at_once == 1:
            return 0 if self._flights else 1
        self._note_answered()
        if self._done:
            return 0
        return max(0, self._calls_at_once - len(self._flights))

    def begin(self, flight: Flight) -> None:
        """Take a batch that was sent, written where `buffer` was."""
        self._flights.append(flight)
        self._buffers.pop()
        if self._calls_at_once > 1:
            self._waiting[id(flight.asked)] = flight

    def wait(self, places: Places) -> list[Flight]:
        """Wait for batches that are answered and may be told; none if nothing is under way."""
        if self._calls_at_once == 1:
            return self._flights[:1]
        while self._flights:
            self._note_answered()
            if not self._may_gather():
                tellable = self._tellable(places)
                if tellable:
                    return tellable
            self._note(self._answered.get())
        return []

    def _may_gather(self) -> bool:
        """Tell whether there is time to wait for more answers: few rows came, and the oracle has work beside."""
        rows = sum(len(flight.indices) for flight in self._done)
        return rows < _GATHERED and len(self._waiting) > self._calls_at_once

    def _tellable(self, places: Places) -> list[Flight]:
        """Return batches that are answered and may be told, as many as are scored at once."""
        numbers = {id(flight): number for number, flight in enumerate(self._flights)}
        most, rows = max(self._batch_size, _SCORED_TOGETHER), 0
        tellable: list[Flight] = []
        for flight in self._done:
            # Together they are one batch to whoever scores them.
            if tellable and rows + len(flight.indices) > most:
                break
            if places.may_be_told(numbers[id(flight)]):
                tellable.append(flight)
                rows += len(flight.indices)
        return tellable

    def _note_answered(self) -> None:
        """Take note of all that was answered meanwhile."""
        while not self._answered.empty():
            self._note(self._answered.get())

    def _note(self, asked: Asked) -> None:
        flight = self._waiting.pop(id(asked), None)
        if flight is not None:
            self._done.append(flight)

    def number(self, flight: Flight) -> int:
        """Return its place among those under way."""
        return next(at for at, each in enumerate(self._flights) if each is flight)

    def end(self, flight: Flight) -> None:
        """Let go of a batch that was told; its memory is used again."""
        del self._flights[self.number(flight)]
        if self._calls_at_once > 1:
            self._waiting.pop(id(flight.asked), None)
            self._done = [each for each in self._done if each is not flight]
        self._buffers.append(flight.rows)
