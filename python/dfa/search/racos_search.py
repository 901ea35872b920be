"""The core's search as such, outside of a run: asked for candidates, and told how good they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from dfa import _core
from dfa.checks import require_integer
from dfa.errors import InvalidInputError
from dfa.search.protocol import Task
from dfa.types import Degrees, Image, Images, Indices


class RacosSearches:
    """The searches of many images, in the core's threads: `dfa.Racos.begin_all`.

    What each image is asked is what `dfa.Racos.begin` asks of it alone, and what `dfa.run` asks with `archive=False`,
    the same `seed` and the same `id`. It is for one thread at a time.
    """

    def __init__(self, config: _core.Config, tasks: Sequence[Task], *, threads: int) -> None:
        """Begin every search, at its start; all tasks are of one shape and one seed.

        Args:
            config: Of the core.
            tasks: One per image.
            threads: Of the core.

        Raises:
            InvalidInputError: `threads` is no number of 1 or more.
        """
        self._shape = tasks[0].original.shape
        threads = require_integer("threads", threads, 1, 1024)
        self._batch = _core.Batch(config, self._shape, tasks[0].seed, threads)
        self._slots: dict[int, int] = {}
        for index, task in enumerate(tasks):
            epsilon = np.asarray(task.epsilon)
            limits = int(epsilon) if epsilon.ndim == 0 else _core.RadiusMap(epsilon)
            self._slots[index] = self._batch.add(task.original, task.id, limits)

    def ask(self) -> tuple[Images, Indices]:
        """Return the candidates of the current iteration of every image that is searched.

        Until they are told, it returns the same again.

        Returns:
            uint8, (n, H, W, C), and int64, (n,): the task of each row, by its place. The rows of a task are together,
            in their order. None (n = 0) where all searches have ended.
        """
        slots, candidates, indices = self._rows()
        images = np.empty((len(slots), *self._shape), dtype=np.uint8)
        self._batch.ask(slots, candidates, images)
        return images, indices

    def tell(self, degrees: ArrayLike) -> None:
        """Learn how good these candidates were.

        The search of an image that has a degree of 0 ends.

        Args:
            degrees: Numbers, (n,), one per row of `ask`: 0 for an adversarial candidate, else above 0, lower is better.

        Raises:
            InvalidInputError: They are not as described; nothing was learned.
        """
        slots, candidates, indices = self._rows()
        checked = _checked(degrees, len(slots))
        self._batch.tell(slots, candidates, checked)
        for index in np.unique(indices[checked == 0.0]).tolist():
            self.end(index)

    def end(self, index: int) -> None:
        """End the search of the task at a place: it is asked no more.

        Raises:
            InvalidInputError: It has ended, or there is no such task.
        """
        if index not in self._slots:
            raise InvalidInputError(f"there must be a search under way of task {index}, and there is none")
        self._batch.remove(self._slots.pop(index))

    def _rows(self) -> tuple[Indices, Indices, Indices]:
        """Return slot, candidate and task of every row, int64 (n,) each."""
        rows = [
            (slot, candidate, index)
            for index, slot in self._slots.items()
            for candidate in range(self._batch.iteration_size(slot))
        ]
        slots, candidates, indices = np.array(rows, dtype=np.int64).reshape(-1, 3).T.copy()
        return slots, candidates, indices


class RacosSearch:
    """The search of one image: `dfa.Racos.begin`. It is a `dfa.Search`, so an optimizer of yours may use it."""

    def __init__(self, searches: RacosSearches) -> None:
        """Take a search of one."""
        self._searches = searches

    def ask(self) -> Images:
        """Return the candidates of the current iteration, uint8 (n, H, W, C); until they are told, the same again.

        After a degree of 0 there are none (n = 0).
        """
        return self._searches.ask()[0]

    def tell(self, degrees: Degrees, /) -> None:
        """Learn how good they were; a degree of 0 ends the search.

        Args:
            degrees: Numbers, (n,): 0 for an adversarial candidate, else above 0, lower is better.

        Raises:
            InvalidInputError: They are not as described; nothing was learned.
        """
        self._searches.tell(degrees)


def check_tasks(tasks: Sequence[Task], *, shape: str) -> Image:
    """Return one of the originals of tasks whose searches can be begun together.

    Args:
        tasks: One per image.
        shape: Of the optimizer: which coordinates a candidate changes.

    Raises:
        InvalidInputError: They are none, or of several shapes or seeds; or the optimizer is not for a ball.
    """
    if not isinstance(tasks, Sequence) or not tasks or not all(isinstance(each, Task) for each in tasks):
        raise InvalidInputError(f"tasks must be one dfa.Task per image, at least one, got {tasks!r:.60}")
    if len({(task.original.shape, task.seed) for task in tasks}) > 1:
        raise InvalidInputError("tasks that are begun together must be of one shape and one seed, got several")
    if shape == "own":
        raise InvalidInputError("shape='own' is for spaces that move their integers themselves, not for a ball")
    return tasks[0].original


def _checked(degrees: ArrayLike, number: int) -> Degrees:
    wanted = f"degrees must be {number} finite numbers of 0 or more, one per candidate of the last ask()"
    try:
        given = np.asarray(degrees)
    except ValueError as error:  # a ragged list
        raise InvalidInputError(f"{wanted}; {error}") from error
    if given.shape != (number,) or given.dtype.kind not in "fiu":
        raise InvalidInputError(f"{wanted}, got {given.dtype} of shape {given.shape}")
    checked = given.astype(np.float64)
    wrong = np.flatnonzero(~(np.isfinite(checked) & (checked >= 0)))
    if wrong.size:
        raise InvalidInputError(f"{wanted}, got {checked[wrong[0]]} at {wrong[0]}")
    return checked
