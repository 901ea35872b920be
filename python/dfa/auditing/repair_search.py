"""The searches of a repair, side by side: what the core proposes is asked about, and the core told the answers."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.auditing.normalizers import AnyNormalizer, Vectors, check_round_trip, checked_levels
from dfa.auditing.repair_report import RepairRecord, RepairReport, RepairStatus, Stage
from dfa.auditing.roundings import ROUNDING_SLACK
from dfa.auditing.vectors import GivenVectors
from dfa.data.image_set import UNKNOWN
from dfa.engine.inputs import Inputs, StreamIds
from dfa.errors import SpaceError
from dfa.oracle.gate import Gate, Purpose
from dfa.search.goals import Targets, check_label_range, resolve_targets
from dfa.search.objectives import found_class, is_adversarial, predicted, true_degrees
from dfa.types import Classes, DegreeFunction, Degrees, Image, Images, Indices, Scores


@dataclass(frozen=True)
class CleanAnswers:
    """What the oracle says of some originals, in rows."""

    indices: NDArray[np.int64]
    ids: list[int]
    classes: NDArray[np.int64]
    targets: NDArray[np.int64] | None

    def record(self, row: int) -> dict[str, Any]:
        """Return what is known so far for the record of a row."""
        return {
            "index": int(self.indices[row]),
            "id": self.ids[row],
            "target": None if self.targets is None else int(self.targets[row]),
            "class_before": int(self.classes[row]),
        }


@dataclass
class Search:
    """A search under way, in a slot of the core."""

    index: int
    slot: int
    goal: int
    record: dict[str, Any]
    original: Image


@dataclass
class Repair:
    """One repair: what `dfa.repair` was given, checked, and what has come of it."""

    inputs: Inputs
    vectors: GivenVectors
    labels: NDArray[np.int64] | None
    targets: Targets
    normalizer: AnyNormalizer
    claimed: NDArray[np.bool_] | None
    epsilon: NDArray[np.int64]
    max_queries: int
    lattice: _core.LatticeBatch
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
        waiting: list[Search] = []
        active: list[Search] = []
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

    def _begin(self, indices: NDArray[np.int64]) -> list[Search]:
        """Ask about originals, vectors and nearest images, and return the searches that are needed."""
        images = np.stack([self.inputs.load(int(index)) for index in indices])
        ids = [self.ids.name(int(index), image) for index, image in zip(indices, images, strict=True)]
        check_round_trip(self.normalizer, images, self.vectors.dtype, int(indices[0]))
        scores = self.gate.ask(images, indices, Purpose.CLEAN)
        check_label_range(self.labels, scores.shape[1])
        clean = CleanAnswers(indices, ids, predicted(scores), resolve_targets(self.targets, scores, indices))
        counted = self._only_counted(clean)
        if not len(counted):
            return []
        rows, vectors = self._only_successes(clean, counted)
        if not len(rows):
            return []
        levels = checked_levels(self.normalizer, vectors, images.shape[1:], int(indices[rows[0]])).astype(np.float64)
        originals = images[rows]
        chosen = [ids[row] for row in rows]
        slots = np.array(self.lattice.add(levels, originals, self.epsilon[indices[rows]].tolist(), chosen))
        nearest = np.empty_like(originals)
        self.lattice.propose(slots, nearest)
        goals = (clean.classes if clean.targets is None else clean.targets)[rows]
        answers = self.gate.ask(nearest, indices[rows], Purpose.VERIFICATION)
        degrees, classes = self._judged(answers, goals, indices[rows])
        self.lattice.tell(slots, degrees)
        distances = np.abs(levels - originals).reshape(len(rows), -1).max(axis=1)
        begun = []
        for place, row in enumerate(rows.tolist()):
            slot = int(slots[place])
            record = clean.record(row) | {
                "free": self.lattice.num_free(slot),
                "linf_vector": float(distances[place]),
                "degree": float(degrees[place]),
            }
            search = Search(int(indices[row]), slot, int(goals[place]), record, originals[place])
            if degrees[place] == 0:
                self._finish(search, RepairStatus.KEPT, nearest[place].copy(), int(classes[place]))
            else:
                begun.append(search)
        return begun

    def _only_counted(self, clean: CleanAnswers) -> NDArray[np.int64]:
        """Return the rows of originals that count, and skip the others."""
        counted: list[int] = []
        for row in range(len(clean.indices)):
            target = None if clean.targets is None else int(clean.targets[row])
            reason = self._why_skipped(int(clean.indices[row]), int(clean.classes[row]), target)
            if reason:
                self._skip(clean, row, reason)
            else:
                counted.append(row)
        return np.array(counted, dtype=np.int64)

    def _only_successes(self, clean: CleanAnswers, rows: NDArray[np.int64]) -> tuple[NDArray[np.int64], Vectors]:
        """Return the rows and vectors that the model of vectors finds adversarial, or all where there is none."""
        vectors = self.vectors.load(clean.indices[rows])
        if self.vector_gate is None:
            return rows, vectors
        scores = self.vector_gate.ask(vectors, clean.indices[rows], Purpose.VERIFICATION)
        goals = (clean.classes if clean.targets is None else clean.targets)[rows]
        adversarial = is_adversarial(scores, goals, is_targeted=clean.targets is not None)
        for row in rows[~adversarial].tolist():
            self._skip(clean, row, "the vector is not adversarial")
        return rows[adversarial], vectors[adversarial]

    def _judged(self, scores: Scores, goals: Classes, indices: Indices) -> tuple[Degrees, Classes]:
        """Return the degree of each image, and its class; a tie counts against the attack."""
        is_targeted = self.targets is not None
        degrees = true_degrees(self.degree, scores, goals, indices, is_targeted=is_targeted)
        return degrees, found_class(scores, goals, is_targeted=is_targeted)

    def _why_skipped(self, index: int, class_before: int, target: int | None) -> str:
        if self.labels is not None and self.labels[index] not in (class_before, UNKNOWN):
            return "misclassified"
        if class_before == target:
            return "already the target class"
        if not self.vectors.present[index]:
            return "no vector"
        if self.claimed is not None and not self.claimed[index]:
            return "the vector is not adversarial"
        return ""

    def _step(self, active: list[Search]) -> list[Search]:
        """Ask about one candidate of every search that has one, and return the searches that go on."""
        if not active:
            return []
        proposed = self.lattice.propose(np.array([each.slot for each in active]), self.batch)
        asked: list[Search] = []
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
        # A copy goes to the oracle: what it has had in its hands is no image to keep.
        given = images.copy()
        scores = self.gate.ask(given, indices, Purpose.ATTACK)
        if not np.array_equal(images, given):
            raise self.gate.changed_batch()
        degrees, _ = self._judged(scores, np.array([each.goal for each in asked], dtype=np.int64), indices)
        self.lattice.tell(np.array([each.slot for each in asked]), degrees)
        for each, degree in zip(asked, degrees.tolist(), strict=True):
            each.record["degree"] = min(each.record["degree"], degree)
        self._confirm([(asked[row], stages[row], images[row].copy()) for row in np.flatnonzero(degrees == 0)])
        left: list[Search] = []
        for each in (asked[row] for row in np.flatnonzero(degrees != 0)):
            if self.gate.sent[each.index] >= self.max_queries:
                self._finish(each, RepairStatus.FAILED, reason="out of queries")
            else:
                left.append(each)
        return left

    def _confirm(self, found: list[tuple[Search, Stage, Image]]) -> None:
        """Ask once more about what the search claims, as an image of its own."""
        if not found:
            return
        indices = np.array([each.index for each, _, _ in found], dtype=np.int64)
        goals = np.array([each.goal for each, _, _ in found], dtype=np.int64)
        scores = self.gate.ask(np.stack([image for _, _, image in found]), indices, Purpose.VERIFICATION)
        degrees, classes = self._judged(scores, goals, indices)
        for (each, stage, image), degree, answer in zip(found, degrees, classes, strict=True):
            if degree == 0:
                self._finish(each, RepairStatus.REPAIRED, image, int(answer), stage)
            else:
                self._finish(each, RepairStatus.FAILED, reason="the oracle took its answer back")

    def _finish(
        self,
        search: Search,
        status: RepairStatus,
        image: Image | None = None,
        class_after: int | None = None,
        stage: Stage | None = None,
        *,
        reason: str = "",
    ) -> None:
        self.lattice.remove(search.slot)
        linf = None
        if image is not None:
            linf = int(np.abs(image.astype(np.int64) - search.original).max())
            if linf > self.epsilon[search.index]:
                raise SpaceError(
                    f"what was found for image {search.index} lies {linf} grey levels from the original, of "
                    f"{self.epsilon[search.index]} allowed; this is a defect of dfa, please report it"
                )
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

    def _skip(self, clean: CleanAnswers, row: int, reason: str) -> None:
        index = int(clean.indices[row])
        self.records[index] = RepairRecord(**clean.record(row), status=RepairStatus.SKIPPED, reason=reason)


def open_lattice(
    shape: tuple[int, ...], *, stages: list[Stage], num_stochastic: int, seed: int, threads: int
) -> _core.LatticeBatch:
    """Return the core's searches around vectors of images of a shape, none begun."""
    return _core.LatticeBatch(
        size=math.prod(shape),
        stages=[_core.LatticeStage[stage.name] for stage in stages],
        num_stochastic=num_stochastic,
        seed=seed,
        threads=threads,
        slack=ROUNDING_SLACK,
    )
