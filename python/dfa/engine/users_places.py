"""Places for active images whose searches are a user's: what `dfa._core.Places` is for those of the core."""

from __future__ import annotations

import heapq
import math
from array import array
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dfa.engine.guarded import Guarded
from dfa.engine.looks import Looks
from dfa.errors import OptimizerError
from dfa.types import Classes, Degrees, Image, Images, Indices


@dataclass
class Place:
    """An active image and its search.

    Attributes:
        index: Of the image in the run.
        goal: Its class to leave or to reach.
        max_queries: Candidates that may be asked.
        deadline: From when on the search ends with its iteration.
        search: The user's.
        candidates: Of this iteration, as far as the budget allows them; none once the search is over.
        looks: At the best degree.
        tick: When this iteration is due: the lower, the longer it has waited.
        iteration: Its number, from 0.
        asked: Of the candidates.
        told: Likewise.
        spent: Candidates of the iterations before.
        degrees: Of all that were told.
        best: The lowest of them.
        trace: Each that was the lowest so far, with its number, from 1.
        hit: The first candidate of degree 0.
        seconds: That its candidates took.
        is_at_rest: Whether it was given up.
    """

    index: int
    goal: int
    max_queries: int
    deadline: float
    search: Guarded
    candidates: Images
    looks: Looks
    tick: int
    iteration: int = 0
    asked: int = 0
    told: int = 0
    spent: int = 0
    degrees: array[float] = field(default_factory=lambda: array("d"))
    best: float = math.inf
    trace: list[tuple[int, float]] = field(default_factory=list)
    hit: Image | None = None
    seconds: float = 0.0
    is_at_rest: bool = False

    @property
    def num_ready(self) -> int:
        """Candidates that can be asked before anything more is told."""
        return len(self.candidates) - self.asked

    def book(self, degree: float) -> None:
        """Take the degree of the next candidate that is to be told."""
        if degree < self.best:
            self.best = degree
            self.trace.append((len(self.degrees) + 1, degree))
        if degree == 0.0 and self.hit is None:
            self.hit = self.candidates[self.told].copy()
        self.degrees.append(degree)
        self.told += 1

    def end_iteration(self, now: float) -> bool:
        """Begin the next iteration, if all of this one is told; whether the search ends with it instead.

        Raises:
            OptimizerError: The search fails.
        """
        number = len(self.candidates)
        if self.told < number:
            return False
        self.spent += number
        self.asked = self.told = 0
        self.candidates = self.candidates[:0]
        if self.hit is not None or self.spent >= self.max_queries:
            return True
        self.is_at_rest = self.looks.find_rest(self.spent, self.best)
        if self.is_at_rest or now >= self.deadline:
            return True
        self.search.tell(np.array(self.degrees[-number:], dtype=np.float64))
        candidates = self.search.ask()
        self.is_at_rest = not len(candidates)
        if self.is_at_rest:
            return True
        self.candidates = candidates[: self.max_queries - self.spent]
        self.tick += 1
        self.iteration += 1
        return False

    def tell_again(self, degrees: Iterable[float]) -> bool:
        """Tell a search that has just begun what it was told before; whether it asked about as many.

        Raises:
            OptimizerError: The search fails.
        """
        for degree in degrees:
            if not len(self.candidates):
                return False
            self.book(degree)
            self.end_iteration(-math.inf)
        self.asked = self.told
        return True


class UsersPlaces:
    """Places for active images whose searches are a user's.

    An iteration is the unit: its candidates may lie in several batches, and its search is told once all of them are.

    Attributes:
        capacity: Number of places.
        taken: Those that are, by number; for whoever keeps them, and only read by others.
        tick: Of the place that was furthest behind when rows were last chosen.
    """

    def __init__(self, capacity: int, batch_size: int, give_up_after: int) -> None:
        """Keep free places.

        Args:
            capacity: Number of places.
            batch_size: The most candidates of one batch.
            give_up_after: Candidates from which on a search is given up where it rests; 0: never.
        """
        self.capacity = capacity
        self._batch_size = batch_size
        self._give_up_after = give_up_after
        self.taken: dict[int, Place] = {}
        self.tick = 0
        self._under_way: list[list[tuple[int, int]]] = []  # place and candidate of each row
        self._again: deque[list[int]] = deque()  # the place of each row

    @property
    def num_ready(self) -> int:
        """Candidates that can be asked before anything more is told."""
        return sum(place.num_ready for place in self.taken.values())

    @property
    def num_open(self) -> int:
        """Those, and the ones under way."""
        return self.num_ready + sum(map(len, self._under_way))

    @property
    def num_again(self) -> int:
        """Batches that were under way when the state was saved, and have not been proposed again."""
        return len(self._again)

    def admit(self, place: int, index: int, goal: int, max_queries: int, deadline: float, search: Guarded) -> None:
        """Give a free place to an image whose search has just begun.

        Args:
            place: The place.
            index: Of the image in the run.
            goal: Of the image.
            max_queries: Candidates that may be asked.
            deadline: The search ends with the iteration told then or later.
            search: Asked for the first candidates.

        Raises:
            OptimizerError: The search fails, or gives up before it has asked anything.
        """
        candidates = search.ask()[:max_queries]
        if not len(candidates):
            raise OptimizerError(
                f"an optimizer must ask about one candidate of an image at least, and asked about none of image {index}"
            )
        looks = Looks(self._give_up_after)
        self.taken[place] = Place(index, goal, max_queries, deadline, search, candidates, looks, self.tick)

    def dismiss(self, place: int) -> None:
        """Free a place and forget its search."""
        del self.taken[place]

    def propose(self, images: NDArray[np.uint8], most: int | None = None) -> tuple[Indices, Classes]:
        """Write as many candidates into `images` as a batch holds, or `most`; return image and goal of each row.

        Those that are behind go first. What was under way when the state was saved goes again in the same batches.
        """
        wanted = self._again.popleft() if self._again else self._choose(self._batch_size if most is None else most)
        rows: list[tuple[int, int]] = []
        for number in wanted:
            place = self.taken[number]
            images[len(rows)] = place.candidates[place.asked]
            rows.append((number, place.asked))
            place.asked += 1
        self._under_way.append(rows)
        of_rows = [self.taken[number] for number, _ in rows]
        indices = np.array([place.index for place in of_rows], dtype=np.int64)
        return indices, np.array([place.goal for place in of_rows], dtype=np.int64)

    def _choose(self, most: int) -> list[int]:
        """Return the place of each row of the next batch."""
        ready = ((place.tick, number) for number, place in self.taken.items() if place.num_ready)
        chosen: list[int] = []
        for at, (tick, number) in enumerate(heapq.nsmallest(most, ready)):
            if at == 0:
                self.tick = tick
            chosen += [number] * min(self.taken[number].num_ready, most - len(chosen))
        return chosen

    def may_be_told(self, batch: int) -> bool:
        """Tell whether no older batch under way holds candidates that come before those of this one."""
        seen: set[int] = set()
        for number, candidate in self._under_way[batch]:
            if number not in seen and candidate != self.taken[number].told:
                return False
            seen.add(number)
        return True

    def row(self, row: int, batch: int = 0) -> NDArray[np.uint8]:
        """Return a row of a batch under way: what `propose` wrote has been in others' hands."""
        number, candidate = self._under_way[batch][row]
        written: NDArray[np.uint8] = self.taken[number].candidates[candidate].copy()
        return written

    def tell(self, degrees: Degrees, seconds: float, now: float, batch: int = 0) -> list[int]:
        """Record a degree per row, and return the places whose searches end.

        Args:
            degrees: float64, one per row of the batch; 0 is a hit.
            seconds: Added to the place of every row.
            now: The time, in the unit of the deadlines.
            batch: As of `may_be_told`.

        Raises:
            OptimizerError: A search fails. All degrees are recorded by then.
        """
        rows = self._under_way[batch]
        for (number, _), degree in zip(rows, degrees.tolist(), strict=True):
            self.taken[number].book(degree)
            self.taken[number].seconds += seconds
        told = {number: self.taken[number] for number, _ in rows}
        over = [number for number, place in told.items() if place.end_iteration(now)]
        del self._under_way[batch]
        return sorted(over)

    def send_again(self, batches: Iterable[list[int]]) -> None:
        """Take the batches that were under way, by the place of each row, which are proposed first.

        Raises:
            ValueError: There are no such rows.
        """
        left = {number: place.num_ready for number, place in self.taken.items()}
        for batch in batches:
            for number in batch:
                left[number] -= 1
            self._again.append(batch)
        if any(number < 0 for number in left.values()) or not all(
            0 < len(batch) <= self._batch_size for batch in self._again
        ):
            raise ValueError("batches were under way that the searches do not have")

    def batches_under_way(self) -> list[list[int]]:
        """Return the batches under way, those first that were proposed first, by the place of each row."""
        return [[number for number, _ in rows] for rows in self._under_way] + list(self._again)

    def spent(self, place: int) -> int:
        """Return the queries sent in the iterations that are complete."""
        return self.taken[place].spent

    def answered(self, place: int) -> int:
        """Return how many candidates of the place have been told."""
        return len(self.taken[place].degrees)

    def iteration(self, place: int) -> int:
        """Return the number of the current iteration, or of the last one of a search that ended; 0 is the start."""
        return self.taken[place].iteration

    def seconds(self, place: int) -> float:
        """Return the sum of what `tell` added to the place."""
        return self.taken[place].seconds

    def trace(self, place: int) -> list[tuple[int, float]]:
        """Return, for each candidate better than all before it, the queries that it took and its degree."""
        return self.taken[place].trace

    def hit(self, place: int) -> Image | None:
        """Return the first adversarial image, or None before there is one."""
        return self.taken[place].hit

    def hit_vector(self, place: int) -> NDArray[np.int16]:
        """Return nothing: a ball's images tell their vectors."""
        return np.empty(0, dtype=np.int16)
