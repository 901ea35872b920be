"""What a repair found: one record per vector, how much of the GAP was closed, and at what price."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from dfa.results.rates import Interval, wilson
from dfa.types import Image


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
        queries: Images sent: "clean", "candidates", "nearest and confirmed", and "vectors".
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


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan
