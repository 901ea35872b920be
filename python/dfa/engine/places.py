"""What the engine asks of whoever holds the searches of active images: the core, or a user's optimizer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from dfa.engine.feed import Job
from dfa.types import Classes, Degrees, Image, Indices


class Places(Protocol):
    """Places for active images, each with a search: fills batches with their candidates, and books what is told.

    `dfa._core.Places` is one, and says what each method does; what a method leaves out there, the loop does not need.
    """

    @property
    def capacity(self) -> int:
        """Number of places."""
        ...

    @property
    def num_ready(self) -> int:
        """Candidates that can be asked before anything more is told."""
        ...

    @property
    def num_again(self) -> int:
        """Batches that were under way when the state was saved, and have not been proposed again."""
        ...

    def propose(self, images: NDArray[np.uint8], most: int | None = None) -> tuple[Indices, Classes]:
        """Write candidates into `images`; return image and goal of each row."""
        ...

    def may_be_told(self, batch: int) -> bool:
        """Tell whether a batch, counted among those under way from the oldest, may be told before the others."""
        ...

    def row(self, row: int, batch: int = 0) -> NDArray[np.uint8]:
        """Return a row of a batch under way, in memory that others have not had."""
        ...

    def tell(self, degrees: Degrees, seconds: float, now: float, batch: int = 0) -> list[int]:
        """Record a degree per row; return the places whose searches end."""
        ...

    def dismiss(self, place: int) -> None:
        """Free a place and remove its search."""
        ...

    def spent(self, place: int) -> int:
        """Return the queries sent in the iterations that are complete."""
        ...

    def answered(self, place: int) -> int:
        """Return how many candidates of the place have been told."""
        ...

    def iteration(self, place: int) -> int:
        """Return the number of the current iteration, or of the last one of a search that ended; 0 is the start."""
        ...

    def seconds(self, place: int) -> float:
        """Return the sum of what `tell` added to the place."""
        ...

    def trace(self, place: int) -> list[tuple[int, float]]:
        """Return, for each candidate better than all before it, the queries that it took and its degree."""
        ...

    def hit(self, place: int) -> Image | None:
        """Return the first adversarial image, or None before there is one."""
        ...

    def hit_vector(self, place: int) -> NDArray[np.int16]:
        """Return the vector of that image, where the space has a renderer; else nothing."""
        ...


class Searches(Protocol):
    """Which images may begin, how their searches are begun and kept, and the places that they are in.

    Attributes:
        batch_size: The most images of one batch.
    """

    batch_size: int

    @property
    def places(self) -> Places:
        """The places."""
        ...

    def has_room(self) -> bool:
        """Tell whether another image may begin, if there is a free place."""
        ...

    def advance(self) -> bool:
        """Tell whether more images may begin now than might before."""
        ...

    def begin(self, place: int, job: Job) -> None:
        """Begin the search of an image in a free place; from now on its time counts."""
        ...

    def consult(self, jobs: Mapping[int, Job]) -> None:
        """Ask others what the next candidates wait for; `jobs` by place."""
        ...

    def use_threads(self, number: int) -> None:
        """Take so many threads from now on."""
        ...

    def why_over(self, place: int) -> str:
        """Return why a search is over that has found nothing, and could have asked for more."""
        ...

    def save(self, now: float) -> bytes:
        """Return the exact state; deadlines are kept as time left at `now`."""
        ...

    def load(self, state: bytes, now: float, jobs: Mapping[int, Job]) -> None:
        """Go on from what `save` returned, with the same images in the same places."""
        ...
