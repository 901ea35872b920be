"""The images that are searched at the same time: two half-windows, whose batches take turns at the oracle.

While the oracle answers one half's batch, the main thread scores, ranks and proposes for the other, so the device need
not wait. An image whose search ends leaves at once and the next one enters.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.engine.feed import Feed, Job
from dfa.engine.jury import Claim
from dfa.engine.oracle_thread import OracleThread
from dfa.engine.plan import Plan
from dfa.engine.stopwatch import Stopwatch
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate
from dfa.results.record import Record
from dfa.runs.folder import plain
from dfa.runs.journal import Picture
from dfa.search.curriculum import Curriculum
from dfa.search.label_walk import Steps
from dfa.types import Classes, Image, Indices


@dataclass
class Flight:
    """One batch on its way to the oracle and back.

    Attributes:
        candidates: As the oracle sees them.
        indices: int64, (n,): the image of each row.
        goals: int64, (n,): original classes, or targets.
        steps: What is asked besides.
        answers: As the gate sent them on, unchecked: of the candidates, and of each of the steps.
    """

    candidates: NDArray[Any]
    indices: Indices
    goals: Classes
    steps: Steps
    answers: Future[list[Answer]]


class HalfWindow:
    """Places for jobs, their searches in the core, a buffer for a batch, and at most one batch under way.

    Attributes:
        batch: The searches.
        places: Fills the buffer from them, and books what is told.
        rows: The buffer: uint8, (B, ...).
        flight: The batch under way, or None.
        jobs: By place; None where it is free.
        num_taken: Places that are not free.
    """

    def __init__(self, plan: Plan, capacity: int, batch_size: int) -> None:
        """Begin with free places only."""
        config = plan.optimizer.configure(plan.space.size)
        self.batch = _core.Batch(config, plan.space.row_shape, plan.seed, plan.threads)
        most_candidates = plan.max_queries // plan.questions.queries_per_image
        self.places = _core.Places(self.batch, capacity, batch_size, most_candidates, plan.optimizer.max_iterations)
        self.rows: NDArray[np.uint8] = np.empty((batch_size, *plan.space.row_shape), dtype=np.uint8)
        self.flight: Flight | None = None
        self.jobs: list[Job | None] = [None] * capacity
        self.num_taken = 0
        self._free = list(range(capacity))  # a heap

    def is_empty(self) -> bool:
        """Tell whether all places are free."""
        return self.num_taken == 0

    def has_room(self) -> bool:
        """Tell whether a place is free."""
        return bool(self._free)

    def take_place(self, job: Job) -> int:
        """Give a job the first place that is free, and return it."""
        place = heapq.heappop(self._free)
        self.jobs[place] = job
        self.num_taken += 1
        return place

    def free_place(self, place: int) -> None:
        """Let go of a job whose search is over."""
        # The job first: an interrupt must not find one here whose search is gone, and with it what it found.
        self.jobs[place] = None
        self.num_taken -= 1
        self.places.dismiss(place)
        heapq.heappush(self._free, place)

    def load(self, jobs: Mapping[int, Job]) -> None:
        """Fill free places with jobs whose searches go on."""
        for place, job in jobs.items():
            self.jobs[place] = job
        self.num_taken = len(jobs)
        self._free = [place for place, job in enumerate(self.jobs) if job is None]

    def taken(self) -> Iterator[tuple[int, Job]]:
        """Return the places that are not free, with their jobs."""
        return ((place, job) for place, job in enumerate(self.jobs) if job is not None)

    def job(self, place: int) -> Job:
        """Return the job of a place that is not free."""
        job = self.jobs[place]
        assert job is not None
        return job

    def between_iterations(self) -> Iterator[int]:
        """Return the images that have no candidate of an iteration answered and another not."""
        for place, job in self.taken():
            if self.places.answered(place) == self.places.spent(place):
                yield job.index

    def originals(self, indices: Indices) -> NDArray[Any]:
        """Return the images that rows belong to, (n, ...)."""
        images = {job.index: job.image for _, job in self.taken()}
        return np.stack([images[index] for index in indices.tolist()])

    def lesson(self, place: int) -> _core.Lesson:
        """Return what a search teaches others."""
        return self.batch.lesson(self.places.slot(place))


class Window:
    """Both halves, and whose turn it is.

    Attributes:
        batch_size: The most images of one batch.
        batches: Sent so far.
        rows_sent: Their images.
    """

    def __init__(
        self, plan: Plan, gate: Gate, oracle: OracleThread, curriculum: Curriculum | None, stopwatch: Stopwatch
    ) -> None:
        """Begin with free places only.

        Args:
            plan: The run.
            gate: Counts what is sent for each image.
            oracle: Answers.
            curriculum: Says who may begin, and with what; None where images are independent.
            stopwatch: Takes the time of proposing.
        """
        capacity, self.batch_size = sizes(plan)
        self.batches = 0
        self.rows_sent = 0
        self._plan = plan
        self._gate = gate
        self._oracle = oracle
        self._curriculum = curriculum
        self._stopwatch = stopwatch
        self._halves = [HalfWindow(plan, capacity, self.batch_size) for _ in range(2)]
        self._turn = 0
        self._was_sent = [False, False]

    @property
    def half(self) -> HalfWindow:
        """The half whose turn it is."""
        return self._halves[self._turn]

    def take_turns(self) -> None:
        """Let the other half go on."""
        self._turn = 1 - self._turn

    def is_done(self) -> bool:
        """Tell whether nothing is under way, and no image is searched."""
        return all(half.flight is None and half.is_empty() for half in self._halves)

    @property
    def rows_under_way(self) -> int:
        """Images sent whose answers have not been taken."""
        each = self._plan.questions.queries_per_image
        return each * sum(len(half.flight.indices) for half in self._halves if half.flight is not None)

    def refill(self, half: HalfWindow, feed: Feed) -> None:
        """Let waiting images into a half's free places."""
        while half.has_room() and feed.fill():
            if not self._may_begin(feed.ready[0].index) or half.num_taken >= self._fair_share(feed):
                return
            self._admit(half, feed.ready.popleft())

    def send(self, half: HalfWindow) -> None:
        """Propose a batch, and send it."""
        with self._stopwatch.timing("propose"):
            indices, goals = half.places.propose(half.rows)
            candidates = self._plan.space.show(half.rows[: len(indices)], lambda: half.originals(indices))
            steps = self._plan.questions.steps(candidates, indices)
        answers = self._oracle.send((candidates, *steps.images), indices)
        half.flight = Flight(candidates, indices, goals, steps, answers)
        self.batches += self._plan.questions.queries_per_image
        self.rows_sent += self._plan.questions.queries_per_image * len(indices)

    def send_again(self) -> bool:
        """Send what was under way when the state was saved; tell whether the half whose turn it is was among it."""
        # The batch of the half whose turn it was is the younger one.
        for number in (1 - self._turn, self._turn):
            if self._was_sent[number]:
                self.send(self._halves[number])
        return self._was_sent[self._turn]

    def draft(self, half: HalfWindow, place: int, *, unconfirmed: int) -> Record:
        """Return the record of a search as far as it has got.

        Args:
            half: The half.
            place: The place of the search.
            unconfirmed: Its candidates that were adversarial when first asked, and not confirmed.
        """
        job = half.job(place)
        sent = int(self._gate.sent[job.index])
        each = self._plan.questions.queries_per_image
        # A hit is one at its own query, the first of its candidate's; any other degree takes them all.
        trace = tuple(
            (each * (candidate - 1) + (1 if degree == 0.0 else each), degree)
            for candidate, degree in half.places.trace(place)
        )
        found = half.places.hit(place) is not None
        return replace(
            job.draft,
            # Improvements end with the first hit.
            queries=trace[-1][0] if found else sent,
            queries_sent=sent,
            found=found,
            unconfirmed=unconfirmed,
            seconds=half.places.seconds(place),
            degree=trace[-1][1] if trace else None,
            trace=trace,
        )

    def claim(self, half: HalfWindow, place: int, draft: Record) -> Claim:
        """Return what a search that has found something claims."""
        job = half.job(place)
        row = half.places.hit(place)
        assert row is not None
        space = self._plan.space
        adversarial = space.show(row[np.newaxis], lambda: job.image[np.newaxis])[0]
        distances = space.measure(job.image, adversarial, half.places.hit_vector(place))
        return Claim(replace(draft, distances=distances), Picture(adversarial, job.image))

    def why_over(self, half: HalfWindow, place: int, draft: Record) -> str:
        """Return why a search that has found nothing is over."""
        if draft.queries_sent + self._plan.questions.queries_per_image > self._plan.max_queries:
            return "query budget"
        return "iterations" if half.places.iteration(place) == self._plan.optimizer.max_iterations else "time"

    def dismiss(self, half: HalfWindow, place: int) -> None:
        """Let a search that is over teach, and free its place."""
        job = half.job(place)
        if self._curriculum is not None:
            self._curriculum.add_lesson(job.index, job.goal, half.lesson(place))
        self._plan.questions.end(job.index)
        half.free_place(place)

    def searches(self) -> Iterator[tuple[HalfWindow, int]]:
        """Return what is searched."""
        return ((half, place) for half in self._halves for place, _ in half.taken())

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the exact state, but for the batches under way, which are to be sent again."""
        now = time.monotonic()
        num_flights = sum(half.flight is not None for half in self._halves)
        document = {
            "turn": self._turn,
            "batches": self.batches - self._plan.questions.queries_per_image * num_flights,
            "rows_sent": self.rows_sent - self.rows_under_way,
            "jobs": [[[place, plain(job.draft), job.degree] for place, job in half.taken()] for half in self._halves],
            "was_sent": [half.flight is not None for half in self._halves],
        }
        return document, {f"places {number}": half.places.save(now) for number, half in enumerate(self._halves)}

    def load(
        self, document: Mapping[str, Any], blobs: Mapping[str, bytes], drafts: list[Record], images: Mapping[int, Image]
    ) -> None:
        """Go on from what `save` returned.

        Args:
            document: Plain data.
            blobs: Named bytes.
            drafts: The records of `jobs`, read, in one list.
            images: Their originals.
        """
        now = time.monotonic()
        self._turn, self._was_sent = document["turn"], document["was_sent"]
        self.batches, self.rows_sent = document["batches"], document["rows_sent"]
        waiting = iter(drafts)
        for number, half in enumerate(self._halves):
            half.places.load(blobs[f"places {number}"], now)
            jobs = {}
            for place, _, degree in document["jobs"][number]:
                draft = next(waiting)
                jobs[place] = Job(draft, images[draft.index], degree)
                self._plan.questions.begin(draft.index, images[draft.index])
                sent = half.places.answered(place) * self._plan.questions.queries_per_image
                self._gate.restore_sent(draft.index, sent)
            half.load(jobs)

    def _admit(self, half: HalfWindow, job: Job) -> None:
        lessons = None if self._curriculum is None else self._curriculum.plan(job.goal, job.degree)
        space = self._plan.space
        slot = half.batch.add(space.base(job.image), job.draft.id, space.limits(job.index), lessons)
        deadline = math.inf if self._plan.max_seconds is None else time.monotonic() + self._plan.max_seconds
        half.places.admit(half.take_place(job), slot, job.index, job.goal, deadline)
        self._plan.questions.begin(job.index, job.image)

    def _may_begin(self, index: int) -> bool:
        """Tell whether an image may begin, after hearing the searches that have become long."""
        if self._curriculum is None or self._curriculum.is_open(index):
            return True
        for half in self._halves:
            for place, job in half.taken():
                if not self._curriculum.has_lesson(job.index) and half.places.spent(place) >= _core.Lesson.CANDIDATES:
                    self._curriculum.add_lesson(job.index, job.goal, half.lesson(place))
        return self._curriculum.is_open(index)

    def _fair_share(self, feed: Feed) -> float:
        """Return how many images a half may hold, so that those that may begin are shared out between both."""
        if self._curriculum is None:
            return math.inf
        waiting = self._curriculum.num_open - feed.ready[0].index
        return math.ceil((waiting + sum(half.num_taken for half in self._halves)) / 2)


def sizes(plan: Plan) -> tuple[int, int]:
    """Return the places of a half-window, and the most images of its batches.

    Images enough to fill a batch with one iteration each; few images are shared out between the halves.
    """
    capacity = min(math.ceil(plan.batch_size / plan.optimizer.samples), math.ceil(plan.inputs.num_images / 2))
    return capacity, min(plan.batch_size, capacity * plan.optimizer.population)
