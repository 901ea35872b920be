"""An oracle whose model is asked in batches of one size: which size, from when on, and where they are put together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dfa.oracle.adapters.static_batch import StaticBatch, ask_in_batches, checked_static_batch, rows_of_batch
from dfa.oracle.adapters.trial import rows_after_trial
from dfa.oracle.base import Oracle
from dfa.types import Images

Ask: TypeAlias = Callable[[NDArray[Any]], NDArray[Any]]
"""From a batch to answers, an array of its own, one row per row."""


class Batches:
    """The batches that a model is asked in.

    Attributes:
        static_batch: What was asked for.
        rows: Of every batch; None for as many as come.
    """

    def __init__(
        self,
        static_batch: StaticBatch,
        *,
        on_cpu: bool,
        least: int = 1,
        make_room: Callable[[tuple[int, ...], DTypeLike], NDArray[Any]] = np.zeros,
    ) -> None:
        """Choose nothing yet.

        Args:
            static_batch: As of `TorchOracle`.
            on_cpu: Where the model runs.
            least: The fewest rows that it takes.
            make_room: From a shape and a dtype to the memory that batches are put together in.

        Raises:
            InvalidInputError: `static_batch` is none.
        """
        self.static_batch = checked_static_batch(static_batch)
        self.rows: int | None = None
        self._on_cpu = on_cpu
        self._is_free = static_batch is True and on_cpu and least <= 1
        self._make_room = make_room
        self._room: NDArray[Any] | None = None
        self._begun: tuple[tuple[int, ...], int | None] = ((), None)
        self._ready_for: tuple[tuple[int, ...], int | None] | None = None

    def is_ready_for(self, shape: tuple[int, ...]) -> bool:
        """Tell whether inputs of a shape can be asked about."""
        return self._ready_for is not None and self._ready_for[0] == shape

    def begin(self, shape: tuple[int, ...], batch_size: int) -> bool:
        """Choose the rows of a batch, and tell whether there is more to be done before `end`; else all is ready."""
        wanted = (tuple(shape), rows_of_batch(self.static_batch, shape, batch_size, on_cpu=self._on_cpu))
        if self._ready_for == wanted:
            return False
        self._ready_for = None  # should anything fail before the end, nothing is ready
        self._begun = wanted
        self.rows = wanted[1]
        return True

    def try_out(self, ask: Ask, name: str) -> None:
        """Choose the rows anew by what a trial on noise shows."""
        shape, rows = self._begun
        self.rows = rows_after_trial(rows, shape, ask, name, free=self._is_free)

    def end(self) -> None:
        """Be ready for what was begun."""
        self._ready_for = self._begun

    def is_room(self, batch: NDArray[Any]) -> bool:
        """Tell whether a batch is the memory that batches are put together in."""
        return batch is self._room

    def ask(self, inputs: Images | NDArray[Any], ask: Ask) -> NDArray[Any]:
        """Return a model's answers to inputs, (n, ...)."""
        if self.rows is None:
            return ask_in_batches(inputs, None, ask)
        wanted = (self.rows, *inputs.shape[1:])
        if self._room is None or self._room.shape != wanted or self._room.dtype != inputs.dtype:
            self._room = self._make_room(wanted, inputs.dtype)
        return ask_in_batches(inputs, self._room, ask)


class BatchedOracle(Oracle):
    """An oracle of a model in this process."""

    _batches: Batches

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every batch that the model is given, filled up to them, once prepared; None: as many as are asked."""
        return self._batches.rows

    def scores(self, images: Images) -> NDArray[Any]:
        """Return what the model answers, (n, ...); `prepare` is called before, where it was not for such a shape.

        Args:
            images: uint8, (n, H, W, C), 0..255; where a search space has inputs that are no images, those.

        Raises:
            InvalidInputError: The model does not take them.
        """
        if not self._batches.is_ready_for(images.shape[1:]):
            self.prepare(images.shape[1:], len(images))
        return self._batches.ask(images, self._ask)

    def _ask(self, batch: NDArray[Any]) -> NDArray[Any]:
        """Return the answers to a batch, an array of its own."""
        raise NotImplementedError
