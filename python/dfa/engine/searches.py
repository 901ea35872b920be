"""The searches of active images, in the core."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from dfa import _core
from dfa.engine.feed import Job
from dfa.engine.flights import FLIGHTS_PER_CALL
from dfa.engine.guidance import ask_prior, first_signs
from dfa.engine.plan import Plan
from dfa.engine.stopwatch import Stopwatch
from dfa.oracle.gate import Gate
from dfa.results.record import AT_REST, OUT_OF_TIME
from dfa.search.racos import Racos

_LEAST_SCALE: Final = 1e-9
"""So that degrees can be divided by that of a clean image."""


class CoreSearches:
    """Searches of the core, and the curriculum that says who learns from whom.

    Attributes:
        batch_size: The most images of one batch.
        places: Of the core.
    """

    def __init__(self, plan: Plan, optimizer: Racos, gate: Gate, stopwatch: Stopwatch) -> None:
        """Begin with free places only.

        Args:
            plan: The run.
            optimizer: Of that run.
            gate: Knows the number of classes, once the oracle has answered.
            stopwatch: Takes the time of the prior.
        """
        self._plan = plan
        self._optimizer = optimizer
        self._gate = gate
        self._stopwatch = stopwatch
        space = plan.space
        self._curriculum = _core.Curriculum(space.size) if optimizer.archive else None
        capacity, self.batch_size = _sizes(plan, optimizer)
        config = optimizer.configure(space.size, space.row_shape, prior=plan.prior is not None)
        self._batch = _core.Batch(config, space.row_shape, plan.seed, plan.threads or 1)
        each = plan.questions.queries_per_image
        self.places = _core.Places(
            self._batch,
            self._curriculum,
            capacity,
            self.batch_size,
            plan.max_queries // each,
            optimizer.max_iterations,
            # Up, so that it is not 0, which is never.
            math.ceil((plan.give_up_after or 0) / each),
            None if plan.budgets is None else (plan.budgets // each).astype(np.uint64),
            plan.forecast,
        )

    def has_room(self) -> bool:
        """Tell whether another image may begin, if there is a free place."""
        return self._curriculum is None or self._curriculum.has_room()

    def advance(self) -> bool:
        """End the tick of the curriculum if every active image has made its iteration, and tell whether it has."""
        return self._curriculum is not None and self._curriculum.advance()

    def begin(self, place: int, job: Job) -> None:
        """Begin the search of an image in a free place; from now on its time counts."""
        space, optimizer = self._plan.space, self._optimizer
        start = None
        if self._plan.prior is not None:
            with self._stopwatch.timing("prior"):
                start = first_signs(self._plan.prior, space, job, self._gate.num_classes)
        elif self._plan.start is not None:
            start = self._plan.start(job.index, job.image)
        lessons = None if start is None else _core.Plan.alone(optimizer.starts or optimizer.population, start)
        if self._curriculum is not None:
            lessons = self._curriculum.plan(job.goal, max(job.degree, _LEAST_SCALE), start)
        slot = self._batch.add(space.base(job.image), job.draft.id, space.limits(job.index), lessons)
        self.places.admit(place, slot, job.index, job.goal, self._plan.deadline)

    def consult(self, jobs: Mapping[int, Job]) -> None:
        """Ask the prior, if there is one, about all images whose best candidate it does not know."""
        if self._plan.prior is not None:
            with self._stopwatch.timing("prior"):
                ask_prior(self._plan.prior, self._plan.space, self.places, jobs)

    def use_threads(self, number: int) -> None:
        """Let the core take so many threads from now on."""
        self._batch.threads = number

    def why_over(self, place: int) -> str:
        """Return why a search is over that has found nothing, and could have asked for more."""
        if self.places.is_at_rest(place):
            return AT_REST
        return "iterations" if self.places.iteration(place) == self._optimizer.max_iterations else OUT_OF_TIME

    def save(self, now: float) -> bytes:
        """Return the exact state, of the curriculum too; deadlines are kept as time left at `now`."""
        return self.places.save(now)

    def load(self, state: bytes, now: float, jobs: Mapping[int, Job]) -> None:
        """Go on from what `save` returned, which holds the originals as well."""
        self.places.load(state, now)


def _sizes(plan: Plan, optimizer: Racos) -> tuple[int, int]:
    """Return the number of places, and the most images of a batch.

    Independent images are so many that one iteration each fills the batches under way.
    """
    batch_size = min(plan.batch_size, plan.oracle.rows_per_call or plan.batch_size)
    if optimizer.archive:
        capacity = _core.Curriculum.capacity(plan.space.size)
    else:
        flights = FLIGHTS_PER_CALL * plan.oracle.calls_at_once
        capacity = flights * math.ceil(batch_size / optimizer.samples)
    capacity = min(capacity, plan.inputs.num_images)
    if optimizer.improvements_wanted:
        return capacity, batch_size
    return capacity, min(batch_size, capacity * optimizer.population)
