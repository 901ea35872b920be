"""The searches of active images, of a user's optimizer: how they are begun, kept in a folder, and gone on with.

What is kept of a search is what it was told. Begun anew and told the same again, it asks the same, since nothing else
may decide that; a digest of all that it had asked tells whether it does. So a folder holds no state of anybody's
classes, which only their own code could read, and a pickle would be code that whoever resumes the run must trust.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dfa.engine.feed import Job
from dfa.engine.flights import FLIGHTS_PER_CALL
from dfa.engine.guarded import Guarded
from dfa.engine.plan import Plan
from dfa.engine.stopwatch import Stopwatch
from dfa.engine.users_places import UsersPlaces
from dfa.errors import StoreError
from dfa.results.parsing import fields_reader, load_json
from dfa.results.record import AT_REST, OUT_OF_TIME
from dfa.search.protocol import Optimizer, Task
from dfa.space import BoundBall

_read_state: Final = fields_reader({"tick": int, "again": list[list[int]], "places": list[dict[str, Any]]})

_read_place: Final = fields_reader(
    {"place": int, "tick": int, "answered": int, "seconds": float, "left": float | None, "digest": str}
)


class UsersSearches:
    """Searches of a user's optimizer, each on its own.

    Attributes:
        batch_size: The most images of one batch.
        places: That they are in.
    """

    def __init__(self, plan: Plan, optimizer: Optimizer, stopwatch: Stopwatch) -> None:
        """Begin with free places only.

        Args:
            plan: The run.
            optimizer: The user's, of that run.
            stopwatch: Takes the time of beginning.
        """
        self._plan = plan
        self._optimizer = optimizer
        self._stopwatch = stopwatch
        self.batch_size = min(plan.batch_size, plan.oracle.rows_per_call or plan.batch_size)
        self._enough = FLIGHTS_PER_CALL * plan.oracle.calls_at_once * self.batch_size
        capacity = min(self._enough, plan.inputs.num_images)
        self.places = UsersPlaces(capacity, self.batch_size, plan.give_up_after or 0)

    def has_room(self) -> bool:
        """Tell whether another image may begin: not before there are too few candidates for all batches under way.

        All candidates of an iteration are held, so images that are not needed yet would only take memory.
        """
        return self.places.num_open < self._enough

    def advance(self) -> bool:
        """Return False: images do not wait for one another."""
        return False

    def begin(self, place: int, job: Job) -> None:
        """Begin the search of an image in a free place; from now on its time counts."""
        with self._stopwatch.timing("propose"):
            budget, deadline = self._plan.budget(job.index), self._plan.deadline
            self.places.admit(place, job.index, job.goal, budget, deadline, self._begun(job))

    def _begun(self, job: Job) -> Guarded:
        plan = self._plan
        assert isinstance(plan.space, BoundBall)
        task = Task(
            original=job.image,
            epsilon=plan.space.epsilon(job.index),
            goal=job.goal,
            is_targeted=plan.is_targeted,
            max_queries=plan.budget(job.index),
            seed=plan.seed,
            id=job.draft.id,
        )
        return Guarded(self._optimizer, task, job.index)

    def consult(self, jobs: Mapping[int, Job]) -> None:
        """Ask nobody."""

    def use_threads(self, number: int) -> None:
        """Go on in one thread, since a user's code may be for one at a time."""

    def why_over(self, place: int) -> str:
        """Return why a search is over that has found nothing, and could have asked for more."""
        return AT_REST if self.places.taken[place].is_at_rest else OUT_OF_TIME

    def save(self, now: float) -> bytes:
        """Return what all searches were told, and a digest of what they asked; deadlines as time left at `now`."""
        rows = [
            {
                "place": number,
                "tick": place.tick,
                "answered": len(place.degrees),
                "seconds": place.seconds,
                "left": None if math.isinf(place.deadline) else place.deadline - now,
                "digest": place.search.digest.hex(),
            }
            for number, place in self.places.taken.items()
        ]
        head = {"tick": self.places.tick, "again": self.places.batches_under_way(), "places": rows}
        degrees = b"".join(np.array(place.degrees, dtype="<f8").tobytes() for place in self.places.taken.values())
        return json.dumps(head).encode() + b"\n" + degrees

    def load(self, state: bytes, now: float, jobs: Mapping[int, Job]) -> None:
        """Begin all searches anew, and tell them what they were told before.

        Raises:
            OptimizerError: A search fails.
            StoreError: A search asks something else than it did.
            ValueError: The state is none.
        """
        line, _, rest = state.partition(b"\n")
        head = _read_state(load_json(line))
        degrees = np.frombuffer(rest, dtype="<f8").astype(np.float64)
        if not (np.isfinite(degrees) & (degrees >= 0.0)).all():
            raise ValueError("degrees must be finite, and 0 or more")
        rows = [_read_place(row) for row in head["places"]]
        if {row["place"] for row in rows} != set(jobs) or sum(row["answered"] for row in rows) != len(degrees):
            raise ValueError("the searches are not those of the images that wait")
        end = 0
        for row in rows:
            number, begin = row["place"], end
            end += row["answered"]
            job = jobs[number]
            self.begin(number, job)
            place = self.places.taken[number]
            if not place.tell_again(degrees[begin:end].tolist()) or place.search.digest.hex() != row["digest"]:
                raise StoreError(
                    f"the search of image {job.index}, told what it was told before, asks something else than it did; "
                    "the optimizer must be as it was, and what it asks must depend on its task and the degrees alone "
                    "(all that is random from task.rng); put it back, or start a new run in another folder"
                )
            place.tick, place.seconds = row["tick"], row["seconds"]
            place.deadline = math.inf if row["left"] is None else now + row["left"]
        self.places.tick = head["tick"]
        self.places.send_again(head["again"])
