"""The images that are searched at the same time, and the batches of their candidates that are under way.

While the oracle answers one batch, the main thread scores, ranks and proposes for the next, so the device need not
wait. An oracle that takes several calls at once has so many more under way, and what is ready is dealt out among those
that are idle. An image whose search ends leaves at once and the next one enters. Which candidates share a batch, and
which batch is answered first, changes nothing in what is found.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.engine.feed import Feed, Job
from dfa.engine.flights import Flight, Flights
from dfa.engine.jury import Claim
from dfa.engine.oracle_thread import OracleThread
from dfa.engine.places import Searches
from dfa.engine.plan import Plan
from dfa.engine.stopwatch import Stopwatch
from dfa.oracle.gate import Gate, Purpose
from dfa.results.record import Record, rewritten
from dfa.runs.folder import plain
from dfa.runs.journal import Picture
from dfa.types import Degrees, Image, Indices


class Window:
    """Places for jobs, their searches, and the batches under way.

    Attributes:
        jobs: By place; only to be read.
        batches: Sent so far.
        rows_sent: Their images.
    """

    def __init__(self, plan: Plan, searches: Searches, gate: Gate, oracle: OracleThread, stopwatch: Stopwatch) -> None:
        """Begin with free places only.

        Args:
            plan: The run.
            searches: Of the active images.
            gate: Counts what is sent for each image.
            oracle: Answers.
            stopwatch: Takes the time of proposing.
        """
        self._plan = plan
        self._searches = searches
        self._places = searches.places
        self._gate = gate
        self._oracle = oracle
        self._stopwatch = stopwatch
        self.jobs: dict[int, Job] = {}
        self._free = list(range(self._places.capacity))  # a heap
        self._flights = Flights(oracle.calls_at_once, searches.batch_size, plan.space.row_shape, oracle.answered)
        self.batches = 0
        self.rows_sent = 0

    @property
    def batch_size(self) -> int:
        """The most images of one batch."""
        return self._searches.batch_size

    @property
    def rows_under_way(self) -> int:
        """Images sent whose answers have not been taken."""
        return self._plan.questions.queries_per_image * self._flights.rows

    def use_threads(self, number: int) -> None:
        """Let the searches take so many threads from now on."""
        self._searches.use_threads(number)

    def refill(self, feed: Feed) -> None:
        """Let waiting images into free places, as far as they may begin."""
        while True:
            while self._free and self._searches.has_room() and feed.fill():
                # It waits until it has begun: where that fails, what is known of it is told.
                self._admit(feed.ready[0])
                feed.ready.popleft()
            if not self._searches.advance():
                return

    def is_worth_sending(self) -> bool:
        """Tell whether a batch is to be sent before any answers are taken."""
        return self._flights.is_worth_sending(self._places.num_ready)

    def send(self) -> int:
        """Propose a batch, send it, and return how many images it holds."""
        questions = self._plan.questions
        self._searches.consult(self.jobs)
        with self._stopwatch.timing("propose"):
            buffer = self._flights.buffer
            indices, goals = self._places.propose(buffer, self._flights.most_rows(self._places.num_ready))
            candidates = self._plan.space.show(buffer[: len(indices)], lambda: self._originals(indices))
            steps = questions.steps(candidates, indices)
        # Where the oracle is asked in this thread, the wait is here.
        with self._stopwatch.timing("wait"):
            asked = self._oracle.send((candidates, *steps.images), indices)
        self._flights.begin(Flight(buffer, candidates, indices, goals, steps, asked))
        self.batches += questions.queries_per_image
        rows = questions.queries_per_image * len(indices)
        self.rows_sent += rows
        return rows

    def send_again(self) -> None:
        """Send what was under way when the state was saved, in the same batches."""
        while self._places.num_again:
            self.send()

    def next_flights(self) -> list[Flight]:
        """Wait for batches that are answered and may be told; none if nothing is under way."""
        return self._flights.wait(self._places)

    def hits(self, flight: Flight, degrees: Degrees) -> dict[int, Image]:
        """Return the hits of a batch that was answered, by row, in memory that the oracle has not had.

        Raises:
            OracleError: The oracle has changed its batch.
        """
        rows = np.flatnonzero(degrees == 0.0)
        if not rows.size:
            return {}
        at = self._flights.number(flight)
        given = np.stack([self._places.row(row, at) for row in rows.tolist()])
        shown = self._plan.space.show(given, partial(self._originals, flight.indices[rows]))
        if not np.array_equal(shown, flight.candidates[rows]):
            raise self._gate.changed_batch()
        return dict(zip(rows.tolist(), shown, strict=True))

    def tell(self, flight: Flight, degrees: Degrees, seconds: float) -> list[int]:
        """Record the degrees of a batch that was answered, and return the places whose searches end.

        Args:
            flight: The batch.
            degrees: float64, (n,).
            seconds: That each of its candidates took.
        """
        over = self._places.tell(degrees, seconds, time.monotonic(), self._flights.number(flight))
        self._flights.end(flight)
        self._plan.questions.advance(self._between_iterations())
        return over

    def draft(self, place: int, *, unconfirmed: int) -> Record:
        """Return the record of a search as far as it has got.

        Args:
            place: The place of the search.
            unconfirmed: Its candidates that were adversarial when first asked, and not confirmed.
        """
        job = self.jobs[place]
        sent = int(self._gate.sent[job.index])
        each = self._plan.questions.queries_per_image
        # A hit is one at its own query, the first of its candidate's; any other degree takes them all.
        trace = tuple(
            (each * (candidate - 1) + (1 if degree == 0.0 else each), degree)
            for candidate, degree in self._places.trace(place)
        )
        found = self._places.hit(place) is not None
        return rewritten(
            job.draft,
            # Improvements end with the first hit.
            queries=trace[-1][0] if found else sent,
            queries_sent=sent,
            found=found,
            unconfirmed=unconfirmed,
            seconds=self._places.seconds(place),
            degree=trace[-1][1] if trace else None,
            trace=trace,
        )

    def claim(self, place: int, draft: Record) -> Claim:
        """Return what a search that has found something claims."""
        job = self.jobs[place]
        row = self._places.hit(place)
        assert row is not None
        space = self._plan.space
        adversarial = space.show(row[np.newaxis], lambda: job.image[np.newaxis])[0]
        distances = space.measure(job.image, adversarial, self._places.hit_vector(place))
        return Claim(rewritten(draft, distances=distances), Picture(adversarial, job.image))

    def why_over(self, place: int, draft: Record) -> str:
        """Return why a search that has found nothing is over."""
        if draft.queries_sent + self._plan.questions.queries_per_image > self._plan.budget(draft.index):
            return "query budget"
        return self._searches.why_over(place)

    def dismiss(self, place: int) -> None:
        """Free the place of a search that is over."""
        # The job first: an interrupt must not find one here whose search is gone, and with it what it found.
        job = self.jobs.pop(place)
        self._plan.questions.end(job.index)
        self._places.dismiss(place)
        heapq.heappush(self._free, place)

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the exact state, but for the batches under way, which are to be sent again."""
        document = {
            "batches": self.batches - self._plan.questions.queries_per_image * len(self._flights),
            "rows_sent": self.rows_sent - self.rows_under_way,
            "jobs": [[place, plain(job.draft), job.degree] for place, job in self.jobs.items()],
        }
        return document, {"places": self._searches.save(time.monotonic())}

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
        self.batches, self.rows_sent = document["batches"], document["rows_sent"]
        self._gate.calls[Purpose.ATTACK], self._gate.counts[Purpose.ATTACK] = self.batches, self.rows_sent
        for draft, (place, _, degree) in zip(drafts, document["jobs"], strict=True):
            self.jobs[place] = Job(draft, images[draft.index], degree)
        self._searches.load(blobs["places"], time.monotonic(), self.jobs)
        for place, draft in zip(self.jobs, drafts, strict=True):
            self._plan.questions.begin(draft.index, images[draft.index])
            sent = self._places.answered(place) * self._plan.questions.queries_per_image
            self._gate.restore_sent(draft.index, sent)
        self._free = [place for place in range(self._places.capacity) if place not in self.jobs]

    def _admit(self, job: Job) -> None:
        self._searches.begin(self._free[0], job)
        self.jobs[heapq.heappop(self._free)] = job
        self._plan.questions.begin(job.index, job.image)

    def _originals(self, indices: Indices) -> NDArray[Any]:
        """Return the images that rows belong to, (n, ...)."""
        images = {job.index: job.image for job in self.jobs.values()}
        return np.stack([images[index] for index in indices.tolist()])

    def _between_iterations(self) -> Iterator[int]:
        """Return the images that have no candidate of an iteration answered and another not."""
        for place, job in self.jobs.items():
            if self._places.answered(place) == self._places.spent(place):
                yield job.index
