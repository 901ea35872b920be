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

The core holds the searches and writes their candidates, for many vectors at once; random numbers are its Philox
streams, named by (seed, id).
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.auditing.audit import checked_claims, models
from dfa.auditing.normalizers import (
    Affine,
    Vectors,
    as_normalizer,
    check_round_trip,
    checked_levels,
    checked_vectors,
)
from dfa.auditing.report import ROUNDING_SLACK
from dfa.auditing.vectors import read_vectors
from dfa.checks import one_of, require_integer
from dfa.engine.inputs import Inputs, StreamIds
from dfa.errors import DfaError, Interrupted, InvalidInputError
from dfa.oracle.gate import Gate, Purpose
from dfa.results.rates import Interval, wilson
from dfa.search.goals import (
    Rank,
    Targets,
    check_label_range,
    check_ranked,
    parse_labels,
    parse_targets,
    resolve_targets,
)
from dfa.search.objectives import LOG, Objective, measure, predicted
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
    threads: int | None = None,
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
        threads: Threads of the C++ core. None: 1. Results do not depend on it.

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
    parsed_targets = parse_targets(targets, num_images=inputs.num_images, labels=parsed_labels)
    space = as_normalizer(normalizer)
    asked, model = models(oracle, vector_oracle, claimed, space, needs_vectors=False)
    check_ranked(parsed_targets, asked.num_ranked)
    chosen = Objective.of(objective).seen_through(asked.num_shown, shows_all=asked.shows_all)
    assert inputs.shape is not None
    example = checked_vectors(space, inputs.load(0)[None])
    max_queries = require_integer("max_queries", max_queries, 1)
    batch_size = require_integer("batch_size", batch_size, 1)
    job = _Job(
        inputs=inputs,
        vectors=read_vectors(vectors, inputs.num_images, example.shape[1:]),
        labels=parsed_labels,
        targets=parsed_targets,
        normalizer=space,
        claimed=checked_claims(claimed, inputs.num_images),
        epsilon=_checked_epsilon(epsilon, inputs.num_images),
        max_queries=max_queries,
        core=_core.LatticeBatch(
            size=int(np.prod(inputs.shape)),
            stages=[_core.LatticeStage[one_of(Stage, each, "stages").name] for each in stages],
            num_stochastic=require_integer("num_stochastic", num_stochastic, 0, 2**32 - 1),
            seed=require_integer("seed", seed, 0, 2**64 - 1),
            threads=1 if threads is None else require_integer("threads", threads, 1),
            slack=ROUNDING_SLACK,
        ),
        degree=chosen.untargeted if parsed_targets is None else chosen.targeted,
        ids=StreamIds(ids, inputs.num_images),
        batch=np.empty((batch_size, *inputs.shape), dtype=np.uint8),
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


@dataclass
class _Active:
    """A search under way, in a slot of the core."""

    index: int
    slot: int
    goal: int
    record: dict[str, Any]
    original: Image


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
    core: _core.LatticeBatch
    degree: DegreeFunction
    ids: StreamIds
    batch: Images
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
        size = len(self.batch)
        self.gate.prepare(shape, size)
        waiting: list[_Active] = []
        active: list[_Active] = []
        starts = iter(range(0, self.inputs.num_images, size))
        has_more = True
        while active or waiting or has_more:
            while has_more and len(active) + len(waiting) < size:
                start = next(starts, None)
                has_more = start is not None
                if start is not None:
                    stop = min(start + size, self.inputs.num_images)
                    waiting += self._begin(np.arange(start, stop, dtype=np.int64))
            room = size - len(active)
            active, waiting = active + waiting[:room], waiting[room:]
            active = self._step(active)

    def _begin(self, indices: NDArray[np.int64]) -> list[_Active]:
        """Ask about originals, vectors and nearest images, and return the searches that are needed."""
        images = np.stack([self.inputs.load(int(index)) for index in indices])
        names = [self.ids.name(int(index), image) for index, image in zip(indices, images, strict=True)]
        check_round_trip(self.normalizer, images, self.vectors.dtype, int(indices[0]))
        scores = self.gate.ask(images, indices, Purpose.CLEAN)
        check_label_range(self.labels, scores.shape[1])
        before = predicted(scores)
        targets = resolve_targets(self.targets, scores, indices)
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
        levels = checked_levels(self.normalizer, vectors, images.shape[1:], int(indices[rows[0]])).astype(np.float64)
        originals = images[rows]
        chosen = [names[row] for row in rows]
        slots = np.array(self.core.add(levels, originals, self.epsilon[indices[rows]].tolist(), chosen))
        nearest = np.empty_like(originals)
        self.core.propose(slots, nearest)
        goals = (before if targets is None else targets)[rows]
        answers = self.gate.ask(nearest, indices[rows], Purpose.VERIFICATION)
        degrees, classes = measure(self.degree, answers, goals), predicted(answers)
        self.core.tell(slots, degrees)
        distances = np.abs(levels - originals).reshape(len(rows), -1).max(axis=1)
        begun = []
        for place, row in enumerate(rows.tolist()):
            index, slot = int(indices[row]), int(slots[place])
            record = {
                "index": index,
                "id": names[row],
                "target": None if targets is None else int(targets[row]),
                "class_before": int(before[row]),
                "free": self.core.num_free(slot),
                "linf_vector": float(distances[place]),
                "degree": float(degrees[place]),
            }
            search = _Active(index, slot, int(goals[place]), record, originals[place])
            if degrees[place] == 0:
                self._finish(search, RepairStatus.KEPT, nearest[place].copy(), int(classes[place]))
            else:
                begun.append(search)
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
        """Ask about one candidate of every search that has one, and return the searches that go on."""
        if not active:
            return []
        proposed = self.core.propose(np.array([each.slot for each in active]), self.batch)
        asked: list[_Active] = []
        stages: list[Stage] = []
        for row, (each, stage) in enumerate(zip(active, proposed, strict=True)):
            if stage is None:
                was_asked = self.gate.sent[each.index] > 0
                reason = "no flip helps any more" if was_asked else "nothing to choose between"
                self._finish(each, RepairStatus.FAILED, reason=reason)
                continue
            # Rows move up, so that those to be asked about stand together.
            self.batch[len(asked)] = self.batch[row]
            asked.append(each)
            stages.append(Stage[stage.name])
        if not asked:
            return []
        images = self.batch[: len(asked)]
        indices = np.array([each.index for each in asked], dtype=np.int64)
        scores = self.gate.ask(images, indices, Purpose.ATTACK)
        degrees = measure(self.degree, scores, np.array([each.goal for each in asked], dtype=np.int64))
        self.core.tell(np.array([each.slot for each in asked]), degrees)
        for each, degree in zip(asked, degrees.tolist(), strict=True):
            each.record["degree"] = min(each.record["degree"], degree)
        self._confirm([(asked[row], stages[row], images[row].copy()) for row in np.flatnonzero(degrees == 0)])
        left: list[_Active] = []
        for each in (asked[row] for row in np.flatnonzero(degrees != 0)):
            if self.gate.sent[each.index] >= self.max_queries:
                self._finish(each, RepairStatus.FAILED, reason="out of queries")
            else:
                left.append(each)
        return left

    def _confirm(self, found: list[tuple[_Active, Stage, Image]]) -> None:
        """Ask once more about what the search claims, as an image of its own."""
        if not found:
            return
        indices = np.array([each.index for each, _, _ in found], dtype=np.int64)
        goals = np.array([each.goal for each, _, _ in found], dtype=np.int64)
        scores = self.gate.ask(np.stack([image for _, _, image in found]), indices, Purpose.VERIFICATION)
        degrees, classes = measure(self.degree, scores, goals), predicted(scores)
        for (each, stage, image), degree, answer in zip(found, degrees, classes, strict=True):
            if degree == 0:
                self._finish(each, RepairStatus.REPAIRED, image, int(answer), stage)
            else:
                self._finish(each, RepairStatus.FAILED, reason="the oracle took its answer back")

    def _finish(
        self,
        search: _Active,
        status: RepairStatus,
        image: Image | None = None,
        class_after: int | None = None,
        stage: Stage | None = None,
        *,
        reason: str = "",
    ) -> None:
        self.core.remove(search.slot)
        linf = None
        if image is not None:
            linf = int(np.abs(image.astype(np.int64) - search.original).max())
            self.images[search.index] = image
        self.records[search.index] = RepairRecord(
            **search.record,
            status=status,
            reason=reason,
            stage=stage,
            class_after=class_after,
            queries=int(self.gate.sent[search.index]),
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
