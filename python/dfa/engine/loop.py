"""The loop: keeps the oracle's batches full from a window of active images, until every image has its record.

Two half-windows take turns. While the oracle answers one half's batch in a thread of its own, this thread
scores, ranks and proposes for the other, so the device need not wait. An image whose search ends leaves at
once and the next one enters.

An iteration of an image is the unit: all its candidates are sent, also after the first adversarial one, even if
they fall into different batches. So results do not depend on the batch size.
"""

from __future__ import annotations

import math
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from dfa import _core
from dfa.engine.inputs import Inputs, StreamIds
from dfa.errors import DfaError, Interrupted, InvalidInputError, ObjectiveError, StoreError
from dfa.oracle.answers import Answer
from dfa.oracle.base import Oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.originals import difference
from dfa.results.images import AdversarialImages
from dfa.results.profile import Profile
from dfa.results.record import Record, Status, read_record
from dfa.results.result import Result
from dfa.runs.folder import plain
from dfa.runs.journal import Picture
from dfa.runs.store import Checkpoint, Store, digest_of
from dfa.search.confirmation import Confirmation
from dfa.search.curriculum import Generations
from dfa.search.goals import Targets, check_label_range, resolve_targets
from dfa.search.label_walk import Asking, Steps
from dfa.search.objectives import SMALLEST_DEGREE, measure, predicted
from dfa.search.racos import Racos
from dfa.space import BoundSpace
from dfa.types import Classes, DegreeFunction, Degrees, Image, Images, Scores

Part: TypeAlias = Literal["propose", "wait", "score", "update"]

_NUM_PROBES = 8
_PROBE_TOLERANCE = 0.05


@dataclass(frozen=True)
class Plan:
    """A run, with every argument checked.

    Attributes:
        oracle: What is attacked.
        inputs: The images.
        ids: Names their random streams.
        labels: int64, (N,), or None for the oracle's own answers.
        targets: Class ids, a rank, or None in an untargeted run.
        space: What may become of each image.
        optimizer: How candidates are made.
        degree: The dissatisfaction degree function of the run.
        asking: What is asked about a candidate, and what is made of the answers.
        confirmation: What makes a claim of the search a success.
        max_queries: Budget per image, attack queries sent.
        max_seconds: Time per image from its first query on, or None.
        batch_size: The most images per call of the oracle.
        seed: 0..2**64 - 1.
        threads: Threads of the core.
        shows_progress: Draw a progress bar where the error stream is a terminal.
        config: What the result records of the run's settings.
        on_record: Called with each record as it is settled, or None.
        store: Where the run is kept while it goes on, and what it goes on from; or None.
    """

    oracle: Oracle
    inputs: Inputs
    ids: StreamIds
    labels: Classes | None
    targets: Targets
    space: BoundSpace
    optimizer: Racos
    degree: DegreeFunction
    asking: Asking
    confirmation: Confirmation
    max_queries: int
    max_seconds: float | None
    batch_size: int
    seed: int
    threads: int
    shows_progress: bool
    config: dict[str, Any]
    on_record: Callable[[Record], None] | None = None
    store: Store | None = None


def attack(plan: Plan) -> Result:
    """Attack every image of the plan.

    Raises:
        OracleError: The oracle failed or its answer cannot be used. `.result` holds what was found before.
        ObjectiveError: The degree function failed. `.result` likewise.
        Interrupted: On KeyboardInterrupt. `.result` likewise.
        InvalidInputError: A label, target or rank does not fit the number of classes the oracle turned out to have.
        StoreError: The run's folder cannot be written, or what it holds does not fit the run. `.result` likewise.
    """
    run = _Run(plan)
    if plan.store is not None:
        # Where this fails nothing was done, so there is nothing to give back, and the folder stays as it was.
        run.restore(plan.store)
    try:
        return run.finish()
    except DfaError as error:
        error.result = run.partial_result(f"the run ended: {error}")
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted; what was finished is in the `result` of this error",
            result=run.partial_result("the run was interrupted"),
        ) from error


@dataclass
class _Job:
    """An image ready to be attacked."""

    draft: Record
    image: Image
    goal: int  # the class that the degree function is given: the target, or the original class
    degree: float  # of the clean image


class _Answers(NamedTuple):
    """What the oracle said when it was asked again about an image for which the search claims success.

    Attributes:
        agreeing: How often it found the image adversarial.
        number: How often it was asked.
        class_after: Its class: among adversarial answers, if any, the most frequent one.
        probability_after: The mean probability of that class.
    """

    agreeing: int
    number: int
    class_after: int
    probability_after: float


@dataclass
class _Found:
    """An image for which the search claims success, not yet confirmed."""

    draft: Record
    original: Image
    adversarial: Image


@dataclass
class _Round:
    """One batch on its way to the oracle and back."""

    candidates: NDArray[Any]  # as the oracle sees them
    indices: NDArray[np.int64]  # the image of each row
    goals: Classes
    steps: Steps
    answers: Future[list[Answer]]  # as the gate sent them on, unchecked: of the candidates, and of each of the steps


class _Half:
    """Half of the window: places for active images, a batch buffer, and at most one batch under way."""

    def __init__(self, plan: Plan, capacity: int, batch_size: int) -> None:
        config = plan.optimizer.configure(plan.space.size)
        self.batch = _core.Batch(config, plan.space.row_shape, plan.seed, plan.threads)
        most_candidates = plan.max_queries // plan.asking.queries_per_image
        self.places = _core.Places(self.batch, capacity, batch_size, most_candidates, plan.optimizer.max_iterations)
        self.rows: NDArray[np.uint8] = np.empty((batch_size, *plan.space.row_shape), dtype=np.uint8)
        self.round: _Round | None = None
        self.jobs: list[_Job | None] = [None] * capacity

    def is_empty(self) -> bool:
        return all(job is None for job in self.jobs)

    def num_taken(self) -> int:
        return sum(job is not None for job in self.jobs)

    def taken(self) -> Iterator[tuple[int, _Job]]:
        """Return the places that are not free, with their jobs."""
        return ((place, job) for place, job in enumerate(self.jobs) if job is not None)

    def between_iterations(self) -> Iterator[int]:
        """Return the images that have no candidate of an iteration answered and another not."""
        for place, job in self.taken():
            if self.places.answered(place) == self.places.spent(place):
                yield job.draft.index

    def originals(self, indices: NDArray[np.int64]) -> NDArray[Any]:
        """Return the images that rows belong to, (n, ...)."""
        images = {job.draft.index: job.image for _, job in self.taken()}
        return np.stack([images[index] for index in indices.tolist()])

    def lesson(self, place: int) -> _core.Lesson:
        return self.batch.lesson(self.places.slot(place))

    def dismiss(self, place: int) -> None:
        self.jobs[place] = None
        self.places.dismiss(place)


class _Run:
    """The state of one run."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        num_images = plan.inputs.num_images
        self._gate = Gate(plan.oracle, num_images=num_images, max_queries=plan.max_queries)
        self._records: list[Record | None] = [None] * num_images
        self._images = AdversarialImages(num_images, form=plan.inputs.form)
        self._profile = Profile()
        self._started = time.perf_counter()
        self._last_answer = self._started
        self._next_input = 0
        self._ready: deque[_Job] = deque()
        self._found: list[_Found] = []
        assert plan.inputs.shape is not None
        self._shape = plan.inputs.shape
        self._generations = Generations(num_images, plan.space.size) if plan.optimizer.archive else None
        # Images enough to fill a batch with one iteration each; few images are shared out between the halves.
        capacity = min(math.ceil(plan.batch_size / plan.optimizer.samples), math.ceil(num_images / 2))
        self._batch_size = min(plan.batch_size, capacity * plan.optimizer.population)
        self._halves = [_Half(plan, capacity, self._batch_size) for _ in range(2)]
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="dfa-oracle")
        self._bar = tqdm(total=num_images, unit="image", desc="dfa", disable=None if plan.shows_progress else True)
        self._store = plan.store
        # What was written down before the run was cut short stays, whatever is found when it is done again.
        self._kept: dict[int, tuple[Record, Image | None]] = {}
        self._turn = 0
        self._is_confirming = False
        self._has_sent = [False, False]
        # By image, where answers are repeated: what confirmed its hit, and how many candidates were not confirmed.
        self._answers: dict[int, _Answers] = {}
        self._unconfirmed: Counter[int] = Counter()

    def finish(self) -> Result:
        """Run to the end."""
        try:
            self._gate.prepare(self._shape, self._batch_size)
            self._send_again()
            self._loop()
        finally:
            self._close()
        return self._result()

    def _close(self) -> None:
        # An oracle call under way cannot be stopped; everything after it can.
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._bar.close()

    def restore(self, store: Store) -> None:
        """Take the run up where its last checkpoint left it, having seen that images and oracle are the same.

        Raises:
            StoreError: They are not, or a file is gone.
            OracleError: The oracle failed.
        """
        try:
            self._restore(store)
            if store.resumes:
                store.go_on()
        except BaseException:
            self._close()
            raise

    def partial_result(self, reason: str) -> Result:
        """Return the result with a record for every image, unfinished ones included."""
        for index, (kept, _) in self._kept.items():
            if self._records[index] is None:
                self._settle(kept)
        for half in self._halves:
            for place, job in half.taken():
                draft = self._draft_of(half, place, job)
                if draft.found:
                    self._found.append(self._found_at(half, place, job, draft))
                else:
                    self._settle_as_unfinished(draft, reason)
        for found in self._found:
            self._keep_unconfirmed(found, reason)
        self._found.clear()
        for job in self._ready:
            self._settle_as_unfinished(job.draft, reason)
        for index, record in enumerate(self._records):
            if record is None:
                self._records[index] = Record(
                    index=index, id=0, status=Status.UNFINISHED, reason=reason, label=self._label(index)
                )
        return self._result()

    def _loop(self) -> None:
        while True:
            half = self._halves[self._turn]
            self._take_answer(half)
            self._refill(half)
            self._send(half)
            if all(half.round is None and half.is_empty() for half in self._halves):
                break
            self._turn = 1 - self._turn
        self._confirm_found()

    def _take_answer(self, half: _Half) -> None:
        """Wait for the half's batch, score it, and retire the images whose search ends with it."""
        if half.round is None:
            return
        with self._timing("wait"):
            answers = half.round.answers.result()
        candidates, indices = half.round.candidates, half.round.indices
        goals, steps = half.round.goals, half.round.steps
        half.round = None
        with self._timing("score"):
            # Here and not beside the oracle, which is busy with the other half's batch by now.
            checked = [self._gate.check(answer, indices) for answer in answers]
            scores = self._plan.asking.read(checked, steps, indices, goals)
            degrees = measure(self._plan.degree, scores, goals)
            self._check_zero_degrees(degrees, scores, indices, goals)
        if self._plan.confirmation.is_repeated:
            degrees = self._doubted(degrees, candidates, indices, goals)
        with self._timing("update"):
            now = time.perf_counter()
            share = (now - self._last_answer) / len(degrees)
            self._last_answer = now
            for place in half.places.tell(degrees, half.rows, share, time.monotonic()):
                self._retire(half, place)
            self._plan.asking.advance(half.between_iterations())

    def _check_zero_degrees(
        self, degrees: Degrees, scores: Scores, indices: NDArray[np.int64], all_goals: Classes
    ) -> None:
        """Refuse a degree of 0 for an image that is not adversarial, which would end its search for nothing."""
        zero = np.flatnonzero(degrees == 0.0)
        if not zero.size:
            return
        classes = predicted(scores[zero])
        goals = all_goals[zero]
        is_adversarial = classes == goals if self._is_targeted else classes != goals
        if not is_adversarial.all():
            row = int(np.argmin(is_adversarial))
            wanted = f"the target {goals[row]}" if self._is_targeted else f"another than {goals[row]}"
            raise ObjectiveError(
                f"the degree function must return 0 only for adversarial images; it returned 0 for a candidate of "
                f"image {indices[zero[row]]} whose class is {classes[row]}, where {wanted} was wanted"
            )

    def _doubted(self, degrees: Degrees, images: Images, indices: NDArray[np.int64], goals: Classes) -> Degrees:
        """Return the degrees of a batch, in which only images that repeated answers confirm have 0.

        Any other keeps its place in the search, with the mean degree of its repeated answers: one lucky answer of a
        randomised oracle neither ends a search nor leads it astray.
        """
        waiting = np.flatnonzero(degrees == 0.0).tolist()
        if waiting:
            degrees = degrees.copy()
        while waiting:
            # Of each image the first; those behind a hit are of no account.
            rows = sorted({int(indices[row]): row for row in reversed(waiting)}.values())
            repeated = self._ask_repeatedly(images[rows], indices[rows], Purpose.VERIFICATION)
            confirmed = set()
            for row, scores in zip(rows, repeated, strict=True):
                index, goal = int(indices[row]), int(goals[row])
                answers = self._counted(scores, goal)
                if answers.agreeing >= self._plan.confirmation.needed:
                    confirmed.add(index)
                    self._answers.setdefault(index, answers)
                else:
                    self._unconfirmed[index] += 1
                    mean = measure(self._plan.degree, scores, np.full(len(scores), goal, dtype=np.int64)).mean()
                    degrees[row] = max(float(mean), SMALLEST_DEGREE)
            waiting = [row for row in waiting if row not in rows and int(indices[row]) not in confirmed]
        return degrees

    def _ask_repeatedly(self, images: Images, indices: NDArray[np.int64], purpose: Purpose) -> NDArray[np.float64]:
        """Return as many answers about each image as the run's confirmation asks for: (n, of, K)."""
        rows = np.repeat(np.arange(len(images)), self._plan.confirmation.of)
        parts = (rows[start : start + self._batch_size] for start in range(0, len(rows), self._batch_size))
        scores = np.concatenate([self._ask_aside(images[part], indices[part], purpose) for part in parts])
        return scores.reshape(len(images), self._plan.confirmation.of, -1)

    def _counted(self, scores: Scores, goal: int) -> _Answers:
        """Return what repeated answers about one image amount to."""
        classes = predicted(scores)
        agrees = (classes == goal) == self._is_targeted
        counts = np.bincount(classes[agrees] if agrees.any() else classes)
        class_after = int(counts.argmax())
        probability_after = float(_mean(scores[np.newaxis, :, class_after])[0])
        return _Answers(int(agrees.sum()), len(classes), class_after, probability_after)

    def _retire(self, half: _Half, place: int) -> None:
        job = half.jobs[place]
        assert job is not None
        draft = self._draft_of(half, place, job)
        if draft.found:
            found = self._found_at(half, place, job, draft)
            if self._plan.confirmation.is_repeated:
                self._confirm(found, self._answers.pop(draft.index))
            else:
                self._found.append(found)
            self._dismiss(half, place, job)
            return
        if draft.queries_sent + self._plan.asking.queries_per_image > self._plan.max_queries:
            reason = "query budget"
        elif half.places.iteration(place) == self._plan.optimizer.max_iterations:
            reason = "iterations"
        else:
            reason = "time"
        self._settle(replace(draft, status=Status.FAILURE, reason=reason, found=draft.unconfirmed > 0))
        self._dismiss(half, place, job)

    def _found_at(self, half: _Half, place: int, job: _Job, draft: Record) -> _Found:
        row = half.places.hit(place)
        assert row is not None
        space = self._plan.space
        adversarial = space.show(row[np.newaxis], lambda: job.image[np.newaxis])[0]
        distances = space.measure(job.image, adversarial, half.places.hit_vector(place))
        return _Found(replace(draft, distances=distances), job.image, adversarial)

    def _dismiss(self, half: _Half, place: int, job: _Job) -> None:
        if self._generations is not None:
            self._generations.teach(job.draft.index, job.goal, half.lesson(place))
        self._plan.asking.end(job.draft.index)
        half.dismiss(place)

    def _fair_share(self) -> float:
        """Return how many images a half may hold, so that the images of a generation are shared out between both."""
        if self._generations is None:
            return math.inf
        waiting = self._generations.num_open - self._ready[0].draft.index
        return math.ceil((waiting + sum(half.num_taken() for half in self._halves)) / 2)

    def _may_begin(self, index: int) -> bool:
        """Tell whether an image may begin, after hearing the searches that have become long."""
        if self._generations is None or self._generations.is_open(index):
            return True
        for half in self._halves:
            for place, job in half.taken():
                if half.places.spent(place) >= _core.Lesson.QUERIES:
                    self._generations.teach(job.draft.index, job.goal, half.lesson(place))
        return self._generations.is_open(index)

    def _refill(self, half: _Half) -> None:
        """Let waiting images into the half's free places."""
        for place, occupant in enumerate(half.jobs):
            if occupant is not None:
                continue
            if not self._ready:
                self._read_more()
            if not self._ready:
                return
            if not self._may_begin(self._ready[0].draft.index) or half.num_taken() >= self._fair_share():
                return
            job = self._ready.popleft()
            plan = None if self._generations is None else self._generations.plan(job.goal, job.degree)
            space = self._plan.space
            slot = half.batch.add(space.base(job.image), job.draft.id, space.limits(job.draft.index), plan)
            deadline = math.inf if self._plan.max_seconds is None else time.monotonic() + self._plan.max_seconds
            half.places.admit(place, slot, job.draft.index, job.goal, deadline)
            half.jobs[place] = job
            self._plan.asking.begin(job.draft.index, job.image)

    def _send(self, half: _Half) -> None:
        if half.is_empty():
            # The only moment at which the oracle has nothing better to do.
            return
        self._save_if_due(self._batch_size * self._plan.asking.queries_per_image)
        self._submit(half)
        if len(self._found) >= self._batch_size:
            self._confirm_found()

    def _submit(self, half: _Half) -> None:
        with self._timing("propose"):
            indices, goals = half.places.propose(half.rows)
            candidates = self._plan.space.show(half.rows[: len(indices)], lambda: half.originals(indices))
            steps = self._plan.asking.steps(candidates, indices)
        each = self._plan.asking.queries_per_image
        self._count(Purpose.ATTACK, each * len(indices))
        answers = self._executor.submit(self._ask_candidates, (candidates, *steps.images), indices)
        half.round = _Round(candidates, indices, goals, steps, answers)
        self._profile.batches += each
        self._profile.rows_sent += each * len(indices)
        self._profile.rows_capacity += each * self._batch_size

    def _read_more(self) -> None:
        """Read images and ask for their clean predictions, a batch at a time, until one is ready or none is left."""
        while not self._ready and self._next_input < self._plan.inputs.num_images:
            self._save_if_due(self._batch_size * self._plan.confirmation.of)
            drafts, images = self._read_batch()
            if images:
                self._ask_clean(drafts, images)

    def _read_batch(self) -> tuple[list[Record], list[Image]]:
        drafts: list[Record] = []
        images: list[Image] = []
        while len(images) < self._batch_size and self._next_input < self._plan.inputs.num_images:
            index = self._next_input
            self._next_input += 1
            try:
                image = self._plan.inputs.load(index)
            except InvalidInputError as error:
                # One unreadable file of a folder must not cost the others their results.
                self._note_read(index, None)
                self._settle_unsearched(
                    Record(index=index, id=0, status=Status.ERROR, reason=str(error), label=self._label(index))
                )
                continue
            self._note_read(index, image)
            images.append(image)
            drafts.append(
                Record(
                    index=index,
                    id=self._plan.ids.name(index, image),
                    status=Status.UNFINISHED,
                    label=self._label(index),
                )
            )
        return drafts, images

    def _ask_clean(self, drafts: list[Record], images: list[Image]) -> None:
        indices = np.array([draft.index for draft in drafts], dtype=np.int64)
        # What a randomised oracle says on average is what it is attacked for.
        scores = _mean(self._ask_repeatedly(np.stack(images), indices, Purpose.CLEAN))
        check_label_range(self._plan.labels, scores.shape[1])
        goals = resolve_targets(self._plan.targets, scores, indices)
        classes = predicted(scores)
        if self._generations is None:
            degrees = np.ones(len(classes))  # of no use, and a user's function may be costly
        else:
            degrees = measure(self._plan.degree, scores, classes if goals is None else goals)
        for row, class_before in enumerate(classes.tolist()):
            draft = replace(
                drafts[row],
                class_before=class_before,
                probability_before=float(scores[row, class_before]),
                target=None if goals is None else int(goals[row]),
            )
            if draft.label is not None and draft.label != class_before:
                self._settle_unsearched(replace(draft, status=Status.SKIPPED, reason="misclassified"))
            elif draft.target == class_before:
                self._settle_unsearched(replace(draft, status=Status.SKIPPED, reason="already the target class"))
            else:
                self._ready.append(self._job_of(draft, {draft.index: images[row]}, float(degrees[row])))

    def _confirm_found(self) -> None:
        """Ask again, apart from the search, about the images for which it claims success."""
        self._is_confirming = True
        while self._found:
            batch = self._found[: self._batch_size]
            self._save_if_due(len(batch))
            indices = np.array([found.draft.index for found in batch], dtype=np.int64)
            images = np.stack([found.adversarial for found in batch])
            scores = self._ask_aside(images, indices, Purpose.VERIFICATION)
            for found, row in zip(batch, scores, strict=True):
                self._confirm(found, self._counted(row[np.newaxis], self._goal_of(found.draft)))
            del self._found[: len(batch)]
        self._is_confirming = False

    def _confirm(self, found: _Found, answers: _Answers) -> None:
        draft = found.draft
        assert not self._plan.space.why_broken(draft.index, found.original, found.adversarial, draft.distances)
        is_adversarial = answers.agreeing >= self._plan.confirmation.needed
        record = replace(
            draft,
            status=Status.SUCCESS if is_adversarial else Status.FAILURE,
            # Otherwise the oracle contradicts itself: it is randomised, or depends on what else is in the batch.
            reason="" if is_adversarial else "not verified",
            verified=is_adversarial,
            class_after=answers.class_after,
            probability_after=answers.probability_after,
            answers=answers.number,
            agreeing=answers.agreeing,
            **_distances(found),
        )
        self._settle(record, found if is_adversarial else None)

    def _settle_as_unfinished(self, draft: Record, reason: str) -> None:
        if self._records[draft.index] is None:
            self._records[draft.index] = replace(draft, status=Status.UNFINISHED, reason=reason)

    def _keep_unconfirmed(self, found: _Found, reason: str) -> None:
        if self._records[found.draft.index] is None:
            try:
                self._images.put(found.draft.index, found.adversarial)
                what = "found but not verified"
            except StoreError as error:
                what = f"found but not kept ({error})"
            self._settle_as_unfinished(replace(found.draft, **_distances(found)), f"{what}: {reason}")

    def _draft_of(self, half: _Half, place: int, job: _Job) -> Record:
        """Return the record of a search as far as it has got."""
        sent = int(self._gate.sent[job.draft.index])
        each = self._plan.asking.queries_per_image
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
            unconfirmed=self._unconfirmed[job.draft.index],
            seconds=half.places.seconds(place),
            degree=trace[-1][1] if trace else None,
            trace=trace,
        )

    def _settle_unsearched(self, record: Record) -> None:
        if self._generations is not None:
            self._generations.teach(record.index)
        self._settle(record)

    def _settle(self, record: Record, found: _Found | None = None) -> None:
        """Take a record as the last word on its image."""
        image = None if found is None else found.adversarial
        if record.index in self._kept:
            record, image = self._kept[record.index]
        if image is not None:
            self._images.put(record.index, image)
        if self._store is not None and record.index not in self._kept:
            row = plain(record)
            assert isinstance(row, dict)
            self._store.finished(row, None if found is None else Picture(found.adversarial, found.original))
        self._records[record.index] = record
        self._bar.update()
        if self._plan.on_record is not None:
            self._plan.on_record(record)

    def _ask_aside(self, images: Images, indices: NDArray[np.int64], purpose: Purpose) -> Scores:
        """Ask something that is no attack query, behind the batch that may be under way."""
        self._count(purpose, len(images))
        return self._gate.check(self._executor.submit(self._ask_oracle, images, indices, purpose).result(), indices)

    # What follows keeps the run in its folder, and takes it up again.

    def _note_read(self, index: int, image: Image | None) -> None:
        if self._store is not None:
            self._store.read(index, None if image is None else digest_of(image))

    def _count(self, purpose: Purpose, number: int) -> None:
        """Write down that images are about to be sent."""
        if self._store is not None:
            self._store.sending(purpose.value, number)

    def _save_if_due(self, number: int) -> None:
        """Write a checkpoint if one must come before so many images are sent."""
        if self._store is not None and self._store.is_due(number):
            under_way = sum(len(half.round.indices) for half in self._halves if half.round is not None)
            under_way *= self._plan.asking.queries_per_image
            self._store.cover(self._checkpoint(), under_way=under_way)

    def _checkpoint(self) -> Checkpoint:
        """Return the exact state of the loop, but for the batches under way, which are to be sent again."""
        now = time.monotonic()
        sent = [half.round for half in self._halves if half.round is not None]
        each = self._plan.asking.queries_per_image
        rows = each * sum(len(batch.indices) for batch in sent)
        profile = replace(
            self._profile,
            wall=time.perf_counter() - self._started,
            oracle=self._gate.seconds[Purpose.ATTACK],
            clean=self._gate.counts[Purpose.CLEAN],
            verification=self._gate.counts[Purpose.VERIFICATION],
            rows_sent=self._profile.rows_sent - rows,
            batches=self._profile.batches - each * len(sent),
            rows_capacity=self._profile.rows_capacity - each * len(sent) * self._batch_size,
        )
        document = {
            "next_input": self._next_input,
            "turn": self._turn,
            "is_confirming": self._is_confirming,
            "num_classes": self._gate.num_classes,
            "profile": profile.totals(),
            "jobs": [[[place, plain(job.draft), job.degree] for place, job in half.taken()] for half in self._halves],
            "has_sent": [half.round is not None for half in self._halves],
            "ready": [[plain(job.draft), job.degree] for job in self._ready],
            "found": [plain(found.draft) for found in self._found],
            "asking": self._plan.asking.save(),
            "answers": list(self._answers.items()),
            "unconfirmed": list(self._unconfirmed.items()),
        }
        blobs = {f"places {number}": half.places.save(now) for number, half in enumerate(self._halves)}
        blobs |= {f"found {found.draft.index}": found.adversarial.tobytes() for found in self._found}
        if self._generations is not None:
            document["generations"], learned = self._generations.save()
            blobs |= learned
        return Checkpoint(document, blobs)

    def _restore(self, store: Store) -> None:
        for index, row in store.kept.items():
            self._kept[index] = (read_record(row), store.kept_image(index))
        if store.checkpoint is None:
            return
        document, blobs = store.checkpoint.document, store.checkpoint.blobs
        jobs = [{place: (read_record(row), degree) for place, row, degree in rows} for rows in document["jobs"]]
        ready = [(read_record(row), degree) for row, degree in document["ready"]]
        found = [read_record(row) for row in document["found"]]
        started = (*jobs[0].values(), *jobs[1].values(), *ready)
        waiting = {draft.index: draft for draft in (*(draft for draft, _ in started), *found)}
        images = self._read_again(store, document["next_input"], waiting)
        self._gate.prepare(self._shape, self._batch_size)
        self._check_oracle(waiting, images)
        self._next_input = document["next_input"]
        self._gate.num_classes = document["num_classes"]
        self._turn = document["turn"]
        self._profile = Profile(**document["profile"])
        self._started = time.perf_counter() - self._profile.wall
        self._gate.seconds[Purpose.ATTACK] = self._profile.oracle
        self._gate.counts[Purpose.CLEAN] = self._profile.clean
        self._gate.counts[Purpose.VERIFICATION] = self._profile.verification
        self._ready.extend(self._job_of(draft, images, degree) for draft, degree in ready)
        if self._generations is not None:
            self._generations.load(document["generations"], blobs)
        for draft in found:
            adversarial = (
                np.frombuffer(blobs[f"found {draft.index}"], dtype=self._plan.inputs.dtype).reshape(self._shape).copy()
            )
            self._found.append(_Found(draft, images[draft.index], adversarial))
            self._gate.sent[draft.index] = draft.queries_sent
        self._answers = {index: _Answers(*answers) for index, answers in document["answers"]}
        self._unconfirmed = Counter(dict(document["unconfirmed"]))
        now = time.monotonic()
        for number, half in enumerate(self._halves):
            half.places.load(blobs[f"places {number}"], now)
            for place, (draft, degree) in jobs[number].items():
                half.jobs[place] = self._job_of(draft, images, degree)
                self._plan.asking.begin(draft.index, images[draft.index])
                self._gate.sent[draft.index] = half.places.answered(place) * self._plan.asking.queries_per_image
        self._plan.asking.load(document["asking"])
        self._last_answer = time.perf_counter()
        self._has_sent = document["has_sent"]
        self._is_confirming = document["is_confirming"]

    def _send_again(self) -> None:
        """Send what was under way at the checkpoint that the run goes on from, and finish the turn it came in."""
        # The batch of the half whose turn it was is the younger one.
        for number in (1 - self._turn, self._turn):
            if self._has_sent[number]:
                self._submit(self._halves[number])
        if self._is_confirming:
            self._confirm_found()
        if self._has_sent[self._turn]:
            self._turn = 1 - self._turn

    def _read_again(self, store: Store, number: int, waiting: Mapping[int, Record]) -> dict[int, Image]:
        """Read the first images of the run again, all of them, and return those that are not finished."""
        images = {}
        for index in range(number):
            if store.digests.get(index) is None:
                # It could not be read then, and was given up.
                self._settle(self._kept[index][0])
                continue
            try:
                image = self._plan.inputs.load(index)
            except InvalidInputError:
                store.read(index, None)
                raise
            store.read(index, digest_of(image))
            # Names of copies are counted, so every image is named again, in order.
            self._plan.ids.name(index, image)
            if index in waiting:
                images[index] = image
            else:
                record, _ = self._kept[index]
                self._settle(record)
                self._gate.sent[index] = record.queries_sent
        return images

    def _check_oracle(self, waiting: Mapping[int, Record], images: Mapping[int, Image]) -> None:
        """Ask about a few of the originals again, and refuse an oracle that answers otherwise than it did."""
        drafts = [draft for draft in waiting.values() if draft.class_before is not None]
        drafts = drafts[: min(_NUM_PROBES, self._batch_size)]
        if not drafts:
            return
        indices = np.array([draft.index for draft in drafts], dtype=np.int64)
        scores = self._ask_aside(np.stack([images[draft.index] for draft in drafts]), indices, Purpose.CLEAN)
        differ = []
        for draft, row, found in zip(drafts, scores, predicted(scores).tolist(), strict=True):
            assert draft.probability_before is not None
            if found != draft.class_before or abs(row[found] - draft.probability_before) > _PROBE_TOLERANCE:
                differ.append(
                    f"image {draft.index} was of class {draft.class_before} with probability "
                    f"{draft.probability_before:.3g}, and is of class {found} with {row[found]:.3g}"
                )
        # A randomised oracle may differ now and then; another model differs nearly everywhere.
        if 2 * len(differ) > len(drafts):
            raise StoreError(
                f"the oracle must be the one that the run began with, and it answers otherwise: {differ[0]}; pass that "
                "oracle, or start a new run in another folder"
            )

    def _job_of(self, draft: Record, images: Mapping[int, Image], degree: float) -> _Job:
        return _Job(draft, images[draft.index], self._goal_of(draft), degree)

    def _goal_of(self, draft: Record) -> int:
        goal = draft.class_before if draft.target is None else draft.target
        assert goal is not None
        return goal

    def _label(self, index: int) -> int | None:
        return None if self._plan.labels is None else int(self._plan.labels[index])

    @property
    def _is_targeted(self) -> bool:
        return self._plan.targets is not None

    @contextmanager
    def _timing(self, part: Part) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            setattr(self._profile, part, getattr(self._profile, part) + seconds)
            self._profile.spans.add(part, "dfa", started - self._started, seconds)

    def _ask_oracle(self, images: Images, indices: NDArray[np.int64], purpose: Purpose) -> Answer:
        """Send images through the gate, in the oracle's thread."""
        started = time.perf_counter()
        try:
            return self._gate.send(images, indices, purpose)
        finally:
            seconds = time.perf_counter() - started
            self._profile.spans.add(purpose.value, "oracle", started - self._started, seconds)

    def _ask_candidates(self, parts: tuple[Images, ...], indices: NDArray[np.int64]) -> list[Answer]:
        """Send candidates, and what is asked besides them, in the oracle's thread."""
        return [self._ask_oracle(images, indices, Purpose.ATTACK) for images in parts]

    def _result(self) -> Result:
        profile = self._profile
        profile.wall = time.perf_counter() - self._started
        if self._store is not None:
            logical = profile.rows_sent + self._gate.counts[Purpose.CLEAN] + self._gate.counts[Purpose.VERIFICATION]
            profile.resent = self._store.sent() - logical
        profile.oracle = self._gate.seconds[Purpose.ATTACK]
        profile.other = profile.wall - profile.propose - profile.wait - profile.score - profile.update
        profile.clean = self._gate.counts[Purpose.CLEAN]
        profile.verification = self._gate.counts[Purpose.VERIFICATION]
        records = [record for record in self._records if record is not None]
        return Result(
            records=records,
            images=self._images,
            profile=profile,
            config=self._plan.config,
            oracle=self._plan.oracle,
            originals=_Originals(self._plan.inputs.num_images, self._plan.inputs.load),
        )


def _mean(answers: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the second axis, which is exact where all answers are alike."""
    first: NDArray[np.float64] = answers[:, 0]
    mean: NDArray[np.float64] = first + (answers - answers[:, :1]).mean(axis=1)
    return mean


def _distances(found: _Found) -> dict[str, Any]:
    """Return what the search changed, measured on the images themselves, as fields of a record."""
    change = difference(found.adversarial, found.original)
    return {
        "l0": int(np.count_nonzero(change)),
        "l2": float(np.sqrt((change * change).sum())),
        "linf": np.abs(change).max().item(),
    }


@dataclass(frozen=True)
class _Originals:
    """The run's images as a sequence, through the checks of `Inputs`."""

    num_images: int
    load: Callable[[int], Image]

    def __len__(self) -> int:
        return self.num_images

    def __getitem__(self, index: int, /) -> Image:
        return self.load(index)
