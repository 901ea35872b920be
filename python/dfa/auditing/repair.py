"""`dfa.repair`: the search on the integer lattice around a vector that turned benign when it was rounded.

A vector lies in a box of 2^n images, those that round each of its n fractional coordinates down or up. Some of them are
as adversarial as the vector; nearest rounding picks one without asking. Here they are searched by queries alone:

| stage | candidates | why |
|---|---|---|
| outward | one: every coordinate rounded away from the original | no shorter a perturbation than the attack's |
| stochastic | a few: each up with the probability of its fraction | unbiased: on average as adversarial as the vector |
| blocks | flips of blocks of coordinates, kept if the degree falls; blocks halve down to single ones | descends |
| coordinates | flips of one coordinate at a time, those that rounding moved farthest first | C&W's own idea |

Source: paper, section 3.1.1, on Carlini and Wagner's remark that a greedy search on the lattice of discrete solutions,
changing one value at a time, would mend their attack; the authors know of no implementation. That search is the stage
"coordinates"; the others find the same with far fewer queries, and are the default.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.audit import checked_claims, models, require_integer
from dfa.auditing.normalizers import (
    Affine,
    Levels,
    Vectors,
    as_normalizer,
    check_round_trip,
    checked_levels,
    checked_vectors,
)
from dfa.auditing.report import ROUNDING_SLACK
from dfa.auditing.roundings import draws
from dfa.auditing.vectors import read_vectors
from dfa.errors import DfaError, Interrupted, InvalidInputError
from dfa.inputs import Inputs, StreamIds, check_label_range, parse_labels
from dfa.intervals import Interval, wilson
from dfa.objectives import LOG, Objective, measure, predicted
from dfa.oracle.gate import Gate, Purpose
from dfa.targets import Rank, Targets, check_ranked, parse, resolve
from dfa.types import DegreeFunction, Image, Images, ImageSequence


class Stage(Enum):
    """Where an adversarial image was found."""

    OUTWARD = "outward"
    STOCHASTIC = "stochastic"
    BLOCKS = "blocks"
    COORDINATES = "coordinates"


class RepairStatus(Enum):
    """What became of a vector."""

    KEPT = "kept"
    """Rounded to the nearest image it is adversarial: nothing to mend."""
    REPAIRED = "repaired"
    """Its nearest image is benign, and another one of the box is adversarial."""
    FAILED = "failed"
    """None was found within the budget."""
    SKIPPED = "skipped"
    """Its original is misclassified or of the target class, or the vector is absent or no success of the attack."""


@dataclass(frozen=True)
class RepairRecord:
    """What became of one vector. Distances are in grey levels.

    Attributes:
        index: Place of the original.
        id: Name of its random stream.
        status: How it ended.
        reason: Why it was skipped or failed, or empty.
        stage: Where it was found, None unless it was repaired.
        target: The target class, or None.
        class_before: Class of the original.
        class_after: Class of the adversarial image, None if there is none.
        free: Coordinates with a choice of two integers.
        queries: Candidates asked; the nearest image, its original and the confirmation are not among them.
        linf_vector: Largest distance of the vector from the original.
        linf: Largest distance of the adversarial image, None if there is none.
        degree: Smallest dissatisfaction degree reached; 0 if adversarial.
    """

    index: int
    id: int
    status: RepairStatus
    reason: str = ""
    stage: Stage | None = None
    target: int | None = None
    class_before: int = -1
    class_after: int | None = None
    free: int = 0
    queries: int = 0
    linf_vector: float = math.nan
    linf: int | None = None
    degree: float | None = None


@dataclass(frozen=True)
class RepairSummary:
    """A repair in a few figures; nan over an empty set.

    Attributes:
        vectors: Vectors that were successes: kept, repaired and failed.
        kept: Adversarial when rounded to nearest.
        repaired: Benign when rounded to nearest, and mended.
        failed: Not mended.
        GAP_before: Share of the successes that nearest rounding lost.
        GAP_after: Share that is still lost.
        closed: Repaired over lost: how much of the GAP was closed.
        closed_interval: Its Wilson interval at 95 %.
        queries_mean: Mean queries of the repaired ones.
        queries_median: Their median.
        queries_mean_with_failures: Mean over all that were lost.
        by_stage: How many each stage found.
    """

    vectors: int
    kept: int
    repaired: int
    failed: int
    GAP_before: float
    GAP_after: float
    closed: float
    closed_interval: Interval
    queries_mean: float
    queries_median: float
    queries_mean_with_failures: float
    by_stage: dict[str, int]

    def __str__(self) -> str:
        """Return two lines."""
        low, high = self.closed_interval
        return (
            f"{self.vectors:,} vectors: {self.kept:,} kept, {self.repaired:,} repaired, {self.failed:,} lost; GAP "
            f"{100 * self.GAP_before:.1f} % to {100 * self.GAP_after:.1f} %, closed {100 * self.closed:.1f} % "
            f"[{100 * low:.0f}, {100 * high:.0f}]\n"
            f"queries of the repaired: {self.queries_mean:,.1f} mean, {self.queries_median:,.0f} median; "
            + ", ".join(f"{number:,} {name}" for name, number in self.by_stage.items())
        )


@dataclass(eq=False)
class RepairReport:
    """What a repair found.

    Attributes:
        records: One per original, in order; where an error cut the repair short, of those that had ended by then.
        images: By index, the adversarial images of what was kept or repaired: uint8, (H, W, C).
        queries: Images sent: "clean", "nearest", "candidates", "confirmed", and "vectors".
        seconds: Wall time.
    """

    records: list[RepairRecord]
    images: dict[int, Image]
    queries: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0

    def summary(self) -> RepairSummary:
        """Return how much of the GAP was closed, and at what price."""

        def of(status: RepairStatus) -> list[RepairRecord]:
            return [record for record in self.records if record.status is status]

        kept, repaired, failed = of(RepairStatus.KEPT), of(RepairStatus.REPAIRED), of(RepairStatus.FAILED)
        number, lost = len(kept) + len(repaired) + len(failed), len(repaired) + len(failed)
        queries = np.array([record.queries for record in repaired], dtype=np.float64)
        return RepairSummary(
            vectors=number,
            kept=len(kept),
            repaired=len(repaired),
            failed=len(failed),
            GAP_before=_ratio(lost, number),
            GAP_after=_ratio(len(failed), number),
            closed=_ratio(len(repaired), lost),
            closed_interval=wilson(len(repaired), lost),
            queries_mean=float(queries.mean()) if len(queries) else math.nan,
            queries_median=float(np.median(queries)) if len(queries) else math.nan,
            queries_mean_with_failures=_ratio(sum(record.queries for record in repaired + failed), lost),
            by_stage={stage.value: sum(record.stage is stage for record in repaired) for stage in Stage},
        )

    def __repr__(self) -> str:
        """Return one line."""
        return f"RepairReport({len(self.records)} vectors, {len(self.images)} adversarial images)"


def repair(
    oracle: Any,
    originals: ImageSequence | Images,
    vectors: ArrayLike | str | Path,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    normalizer: Any = Affine(),  # noqa: B008 -- frozen
    vector_oracle: Any = None,
    claimed: ArrayLike | None = None,
    epsilon: ArrayLike | None = None,
    max_queries: int = 1_000,
    stages: tuple[Stage | str, ...] = (Stage.OUTWARD, Stage.STOCHASTIC, Stage.BLOCKS),
    num_stochastic: int = 16,
    objective: Objective | DegreeFunction | str = LOG,
    ids: ArrayLike | None = None,
    seed: int = 0,
    batch_size: int = 256,
) -> RepairReport:
    """Search, around vectors whose nearest image is benign, for images that are adversarial, by queries alone.

    Every candidate rounds each coordinate of its vector down or up, so it lies less than one grey level from the
    vector, and never farther from the original than `epsilon`. Coordinates that are whole (within a thousandth) stay.

    Args:
        oracle: As in `dfa.audit`; likewise `originals`, `vectors`, `labels`, `targets`, `normalizer`, `ids`, `seed`.
        originals: uint8, (N, H, W, C).
        vectors: Float, (N, ...), or a path.
        labels: Class ids, (N,), or None for the oracle's own.
        targets: None, class ids, or `dfa.rank(j)`.
        normalizer: T and its inverse.
        vector_oracle: If given, vectors that it does not find adversarial are skipped, as no success of the attack.
        claimed: bool, (N,), instead of asking it. Without either, every vector is tried.
        epsilon: The largest distance from the original in grey levels: an integer 1..255, or one per image, (N,). None:
            the vector's own, rounded up.
        max_queries: Candidates per image, never exceeded.
        stages: Those to run, in this order: of "outward", "stochastic", "blocks", "coordinates".
        num_stochastic: Candidates of the stochastic stage.
        objective: The dissatisfaction degree that the greedy stages descend.
        ids: Integers that name random streams, (N,).
        seed: 0..2**64 - 1.
        batch_size: The most images per call of the oracle; the images of a batch are searched side by side. Results do
            not depend on it.

    Returns:
        Records, adversarial images, and `summary()`.

    Raises:
        InvalidInputError: An argument is not as described.
        OracleError: The oracle failed; `.result` holds what had ended.
        ObjectiveError: The objective failed, likewise.
        Interrupted: On KeyboardInterrupt, likewise.

    Source:
        Paper, section 3.1.1; see `dfa.auditing.repair`.
    """
    started = time.perf_counter()
    inputs = Inputs(originals)
    parsed_labels = parse_labels(labels, inputs.num_images)
    parsed_targets = parse(targets, num_images=inputs.num_images, labels=parsed_labels)
    space = as_normalizer(normalizer)
    asked, model = models(oracle, vector_oracle, claimed, space, needs_vectors=False)
    check_ranked(parsed_targets, asked.num_ranked)
    chosen = Objective.of(objective).seen_through(asked.num_shown)
    assert inputs.shape is not None
    example = checked_vectors(space, inputs.load(0)[None])
    max_queries = require_integer("max_queries", max_queries, 1)
    job = _Job(
        inputs=inputs,
        vectors=read_vectors(vectors, inputs.num_images, example.shape[1:]),
        labels=parsed_labels,
        targets=parsed_targets,
        normalizer=space,
        claimed=checked_claims(claimed, inputs.num_images),
        epsilon=_checked_epsilon(epsilon, inputs.num_images),
        max_queries=max_queries,
        stages=tuple(_stage(each) for each in stages),
        num_stochastic=require_integer("num_stochastic", num_stochastic, 0),
        degree=chosen.untargeted if parsed_targets is None else chosen.targeted,
        ids=StreamIds(ids, inputs.num_images),
        seed=require_integer("seed", seed, 0, 2**64 - 1),
        batch_size=require_integer("batch_size", batch_size, 1),
        gate=Gate(asked, num_images=inputs.num_images, max_queries=max_queries),
        vector_gate=None if model is None else Gate(model, num_images=inputs.num_images, max_queries=0),
    )
    try:
        job.run()
    except DfaError as error:
        error.result = job.report(started)
        raise
    except KeyboardInterrupt as error:
        raise Interrupted("interrupted; `.result` holds what had ended", result=job.report(started)) from error
    return job.report(started)


@dataclass(frozen=True)
class Box:
    """The images around one vector.

    Attributes:
        original: uint8, (H, W, C).
        levels: float64, (H, W, C): the vector, within epsilon of the original.
        low: uint8, (H, W, C): the vector rounded down.
        high: uint8, (H, W, C): rounded up; equal to `low` where there is no choice.
    """

    original: Image
    levels: NDArray[np.float64]
    low: Image
    high: Image

    @classmethod
    def around(cls, levels: Levels, original: Image, epsilon: int) -> Box:
        """Return the box of a vector's levels, (H, W, C), within epsilon of the original."""
        exact = levels.astype(np.float64)
        nearest = np.rint(exact)
        # Arithmetic alone leaves whole levels a little beside themselves, and those were never touched.
        exact = np.where(np.abs(exact - nearest) <= ROUNDING_SLACK, nearest, exact)
        exact = np.clip(exact, original.astype(np.int64) - epsilon, original.astype(np.int64) + epsilon)
        return cls(original, exact, np.floor(exact).astype(np.uint8), np.ceil(exact).astype(np.uint8))

    @property
    def nearest(self) -> Image:
        """The vector rounded to nearest: uint8, (H, W, C)."""
        nearest: Image = np.rint(self.levels).astype(np.uint8)
        return nearest

    @property
    def outward(self) -> Image:
        """Every coordinate rounded away from the original."""
        outward: Image = np.where(self.levels >= self.original, self.high, self.low)
        return outward

    @property
    def free(self) -> NDArray[np.int64]:
        """The coordinates with a choice, by their place in the flattened image."""
        return np.flatnonzero(self.low != self.high)


Search: TypeAlias = Generator[tuple[Stage, Image], float, None]
"""Yields candidates and takes their degrees."""

_FIRST_BLOCKS: Final = 4
"""Blocks that the greedy stage begins with."""


def search(
    box: Box, degree: float, *, stages: tuple[Stage, ...], num_stochastic: int, seed: int, image_id: int
) -> Search:
    """Search the box of one vector from its nearest image, of the given degree, until nothing is left to try."""
    best, least = box.nearest, degree
    for stage in stages:
        match stage:
            case Stage.OUTWARD:
                candidates: Iterator[Image] = iter((box.outward,))
            case Stage.STOCHASTIC:
                candidates = _stochastic(box, num_stochastic, seed, image_id)
            case _:
                best, least = yield from _greedy(box, best, least, stage, seed, image_id)
                continue
        for candidate in candidates:
            if np.array_equal(candidate, best):
                continue
            found = yield stage, candidate
            if found < least:
                best, least = candidate, found


def _stochastic(box: Box, number: int, seed: int, image_id: int) -> Iterator[Image]:
    """Yield images whose coordinates are up with the probability of their fraction."""
    fraction = box.levels - box.low
    for uniform in draws((number, *box.low.shape), seed, image_id):
        yield np.where(uniform < fraction, box.high, box.low)


def _greedy(
    box: Box, image: Image, least: float, stage: Stage, seed: int, image_id: int
) -> Generator[tuple[Stage, Image], float, tuple[Image, float]]:
    """Flip blocks of coordinates while that helps, then smaller ones, down to one at a time; or one from the start.

    Ends with an image that no single flip improves.
    """
    free = box.free
    both = box.low.reshape(-1).astype(np.int64) + box.high.reshape(-1)
    size = 1 if stage is Stage.COORDINATES else max(1, len(free) // _FIRST_BLOCKS)
    # The same for (seed, id), and apart from the stochastic stage's draws, which begin at the counter 0.
    key = np.array([seed, image_id], dtype=np.uint64)
    rng = np.random.Generator(np.random.Philox(key=key, counter=np.array([0, 0, 0, 1], dtype=np.uint64)))
    moved = np.abs(box.levels - np.rint(box.levels)).reshape(-1)[free]
    by_distance = free[np.argsort(-moved, kind="stable")]
    while len(free):
        improved = False
        order = by_distance if stage is Stage.COORDINATES else rng.permutation(free)
        for start in range(0, len(order), size):
            block = order[start : start + size]
            candidate = image.copy()
            flat = candidate.reshape(-1)
            flat[block] = both[block] - flat[block]
            found = yield stage, candidate
            if found < least:
                image, least, improved = candidate, found, True
        if size == 1 and not improved:
            break
        size = max(1, size // 2)
    return image, least


@dataclass
class _Active:
    """A search under way."""

    index: int
    search: Search
    stage: Stage
    candidate: Image
    goal: int
    record: dict[str, Any]
    box: Box


@dataclass
class _Job:
    """One repair."""

    inputs: Inputs
    vectors: Any
    labels: NDArray[np.int64] | None
    targets: Targets
    normalizer: Any
    claimed: NDArray[np.bool_] | None
    epsilon: NDArray[np.int64]
    max_queries: int
    stages: tuple[Stage, ...]
    num_stochastic: int
    degree: DegreeFunction
    ids: StreamIds
    seed: int
    batch_size: int
    gate: Gate
    vector_gate: Gate | None
    records: dict[int, RepairRecord] = field(default_factory=dict)
    images: dict[int, Image] = field(default_factory=dict)

    def report(self, started: float) -> RepairReport:
        """Return what has ended so far."""
        counts = self.gate.counts
        vectors = 0 if self.vector_gate is None else self.vector_gate.counts[Purpose.VERIFICATION]
        return RepairReport(
            records=[self.records[index] for index in sorted(self.records)],
            images=dict(sorted(self.images.items())),
            queries={
                "clean": counts[Purpose.CLEAN],
                "candidates": counts[Purpose.ATTACK],
                "nearest and confirmed": counts[Purpose.VERIFICATION],
                "vectors": vectors,
            },
            seconds=time.perf_counter() - started,
        )

    def run(self) -> None:
        """Repair every vector: searches run side by side, and where one ends the next begins."""
        shape = self.inputs.shape
        assert shape is not None
        self.gate.prepare(shape, self.batch_size)
        waiting: list[_Active] = []
        active: list[_Active] = []
        starts = iter(range(0, self.inputs.num_images, self.batch_size))
        has_more = True
        while active or waiting or has_more:
            while has_more and len(active) + len(waiting) < self.batch_size:
                start = next(starts, None)
                has_more = start is not None
                if start is not None:
                    stop = min(start + self.batch_size, self.inputs.num_images)
                    waiting += self._begin(np.arange(start, stop, dtype=np.int64))
            room = self.batch_size - len(active)
            active, waiting = active + waiting[:room], waiting[room:]
            if active:
                active = self._step(active)

    def _begin(self, indices: NDArray[np.int64]) -> list[_Active]:
        """Ask about originals, vectors and nearest images, and return the searches that are needed."""
        images = np.stack([self.inputs.load(int(index)) for index in indices])
        names = [self.ids.name(int(index), image) for index, image in zip(indices, images, strict=True)]
        check_round_trip(self.normalizer, images, self.vectors.dtype, int(indices[0]))
        scores = self.gate.ask(images, indices, Purpose.CLEAN)
        check_label_range(self.labels, scores.shape[1])
        before = predicted(scores)
        targets = resolve(self.targets, scores, indices)
        counted: list[int] = []
        for row, index in enumerate(indices.tolist()):
            reason = self._why_skipped(index, int(before[row]), None if targets is None else int(targets[row]))
            if reason:
                self._settle(index, names[row], before[row], targets, row, RepairStatus.SKIPPED, reason=reason)
            else:
                counted.append(row)
        if not counted:
            return []
        rows = np.array(counted)
        vectors = self.vectors.load(indices[rows])
        rows, vectors = self._only_successes(rows, vectors, indices, names, before, targets)
        if not len(rows):
            return []
        levels = checked_levels(self.normalizer, vectors, images.shape[1:], int(indices[rows[0]]))
        boxes = [
            Box.around(levels[place], images[row], int(self.epsilon[indices[row]])) for place, row in enumerate(rows)
        ]
        goals = (before if targets is None else targets)[rows]
        nearest = np.stack([box.nearest for box in boxes])
        answers = self.gate.ask(nearest, indices[rows], Purpose.VERIFICATION)
        degrees, classes = measure(self.degree, answers, goals), predicted(answers)
        begun = []
        for place, row in enumerate(rows.tolist()):
            index, box = int(indices[row]), boxes[place]
            record = {
                "index": index,
                "id": names[row],
                "target": None if targets is None else int(targets[row]),
                "class_before": int(before[row]),
                "free": len(box.free),
                "linf_vector": float(np.abs(levels[place].astype(np.float64) - images[row]).max()),
                "degree": float(degrees[place]),
            }
            if degrees[place] == 0:
                self._finish(record, RepairStatus.KEPT, box, box.nearest, int(classes[place]))
                continue
            found = search(
                box,
                float(degrees[place]),
                stages=self.stages,
                num_stochastic=self.num_stochastic,
                seed=self.seed,
                image_id=names[row],
            )
            first = next(found, None)
            if first is None:
                self._finish(record, RepairStatus.FAILED, box, reason="nothing to choose between")
            else:
                begun.append(_Active(index, found, *first, int(goals[place]), record, box))
        return begun

    def _only_successes(
        self,
        rows: NDArray[np.int64],
        vectors: Vectors,
        indices: NDArray[np.int64],
        names: list[int],
        before: NDArray[np.int64],
        targets: NDArray[np.int64] | None,
    ) -> tuple[NDArray[np.int64], Vectors]:
        """Return the rows and vectors that the model of vectors finds adversarial, or all where there is none."""
        if self.vector_gate is None:
            return rows, vectors
        found = predicted(self.vector_gate.ask(vectors, indices[rows], Purpose.VERIFICATION))
        adversarial = found != before[rows] if targets is None else found == targets[rows]
        for row in rows[~adversarial].tolist():
            reason = "the vector is not adversarial"
            self._settle(int(indices[row]), names[row], before[row], targets, row, RepairStatus.SKIPPED, reason=reason)
        return rows[adversarial], vectors[adversarial]

    def _why_skipped(self, index: int, before: int, target: int | None) -> str:
        if self.labels is not None and self.labels[index] != before:
            return "misclassified"
        if before == target:
            return "already the target class"
        if not self.vectors.present[index]:
            return "no vector"
        if self.claimed is not None and not self.claimed[index]:
            return "the vector is not adversarial"
        return ""

    def _step(self, active: list[_Active]) -> list[_Active]:
        """Ask about one candidate of every search, and return the searches that go on."""
        indices = np.array([each.index for each in active], dtype=np.int64)
        goals = np.array([each.goal for each in active], dtype=np.int64)
        scores = self.gate.ask(np.stack([each.candidate for each in active]), indices, Purpose.ATTACK)
        degrees = measure(self.degree, scores, goals)
        left: list[_Active] = []
        found: list[_Active] = []
        for each, degree in zip(active, degrees.tolist(), strict=True):
            each.record["degree"] = min(each.record["degree"], degree)
            if degree == 0:
                found.append(each)
                continue
            if self.gate.sent[each.index] >= self.max_queries:
                self._finish(each.record, RepairStatus.FAILED, each.box, reason="out of queries")
                continue
            try:
                each.stage, each.candidate = each.search.send(degree)
                left.append(each)
            except StopIteration:
                self._finish(each.record, RepairStatus.FAILED, each.box, reason="no flip helps any more")
        self._confirm(found)
        return left

    def _confirm(self, found: list[_Active]) -> None:
        """Ask once more about what the search claims, as an image of its own."""
        if not found:
            return
        indices = np.array([each.index for each in found], dtype=np.int64)
        goals = np.array([each.goal for each in found], dtype=np.int64)
        scores = self.gate.ask(np.stack([each.candidate for each in found]), indices, Purpose.VERIFICATION)
        degrees, classes = measure(self.degree, scores, goals), predicted(scores)
        for each, degree, answer in zip(found, degrees, classes, strict=True):
            if degree == 0:
                self._finish(each.record, RepairStatus.REPAIRED, each.box, each.candidate, int(answer), each.stage)
            else:
                self._finish(each.record, RepairStatus.FAILED, each.box, reason="the oracle took its answer back")

    def _finish(
        self,
        record: dict[str, Any],
        status: RepairStatus,
        box: Box,
        image: Image | None = None,
        class_after: int | None = None,
        stage: Stage | None = None,
        *,
        reason: str = "",
    ) -> None:
        index = record["index"]
        linf = None
        if image is not None:
            linf = int(np.abs(image.astype(np.int64) - box.original).max())
            self.images[index] = image
        self.records[index] = RepairRecord(
            **record,
            status=status,
            reason=reason,
            stage=stage,
            class_after=class_after,
            queries=int(self.gate.sent[index]),
            linf=linf,
        )

    def _settle(
        self,
        index: int,
        name: int,
        before: np.int64,
        targets: NDArray[np.int64] | None,
        row: int,
        status: RepairStatus,
        *,
        reason: str,
    ) -> None:
        self.records[index] = RepairRecord(
            index=index,
            id=name,
            status=status,
            reason=reason,
            target=None if targets is None else int(targets[row]),
            class_before=int(before),
        )


def _stage(value: Stage | str) -> Stage:
    try:
        return Stage(value)
    except ValueError:
        raise InvalidInputError(
            f"stages must be of {', '.join(repr(each.value) for each in Stage)}, got {value!r}"
        ) from None


def _checked_epsilon(epsilon: ArrayLike | None, number: int) -> NDArray[np.int64]:
    if epsilon is None:
        return np.full(number, 255, dtype=np.int64)
    given = np.asarray(epsilon)
    if given.dtype.kind not in "iu" or given.shape not in ((), (number,)) or given.min() < 1 or given.max() > 255:
        raise InvalidInputError(
            f"epsilon must be None, or in grey levels: an integer of 1..255, or one per image, ({number},); got "
            f"{epsilon!r}"
        )
    return np.broadcast_to(given.astype(np.int64), (number,))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
