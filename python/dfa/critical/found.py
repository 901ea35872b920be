"""What a search for critical sizes found: one record per image, and the curve that they make."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted, require_integer
from dfa.critical.schedule import Attempt, State
from dfa.errors import StoreError, told
from dfa.results.images import ImagesByIndex
from dfa.results.rates import Interval, clopper_pearson, ratio
from dfa.results.record import Record
from dfa.runs.folder import write_image, write_json

FILE: Final = "frontier.json"
_IMAGES: Final = "critical"
_FORMAT: Final = 1


@dataclass(frozen=True)
class CriticalRecord:
    """What was found of one image.

    Attributes:
        index: Place of the image in the run's `images`.
        state: How its search ended; `State.OPEN` where the run ended before.
        critical: The smallest size (of a ball, epsilon in grey levels) at which it was broken, or None.
        attempts: The searches, in their order: size, queries sent, and whether it was broken.
        record: Of the search that broke it, or of the last one in vain; the adversarial image is of that.
    """

    index: int
    state: State
    critical: int | None
    attempts: tuple[Attempt, ...]
    record: Record

    @property
    def queries(self) -> int:
        """Attack queries sent for the image, of all searches."""
        return sum(attempt.queries for attempt in self.attempts)

    @property
    def is_right(self) -> bool:
        """Whether the image was attacked, and so classified as its label says, if it has one."""
        return self.state in (State.BROKEN, State.HELD, State.OPEN) and bool(self.attempts)

    @property
    def is_wrong(self) -> bool:
        """Whether it has a label, and the oracle says otherwise of it as it is."""
        record = self.record
        return self.state is State.SKIPPED and record.label is not None and record.class_before != record.label

    def __str__(self) -> str:
        """Return it in a line."""
        name = f"image {self.index}" if self.record.source is None else self.record.source
        within = f"queries: {self.queries:,}, searches: {len(self.attempts)}"
        if self.state is State.BROKEN:
            return f"{name}: broken at {self.critical}, {within}"
        if self.state is State.HELD:
            return f"{name}: not broken at {max(attempt.size for attempt in self.attempts)}, {within}"
        return f"{name}: {self.state.value}{f' ({self.record.reason})' if self.record.reason else ''}"


@dataclass(frozen=True)
class FrontierPoint:
    """A point of the curve.

    Attributes:
        size: Epsilon in grey levels, or the size of another space.
        unbroken: Images that were right at first and not broken at this size or a smaller one.
        total: Images that count: with labels all that have one and were asked about, without those that were attacked.
        share: unbroken / total: with labels, at most the robust accuracy that remains; it may be lower in truth.
        interval: Clopper and Pearson's 95 % interval of it, as far as the images are drawn at random.
    """

    size: int
    unbroken: int
    total: int
    share: float
    interval: Interval


@dataclass(frozen=True)
class Frontier:
    """The smallest sizes at which images were broken, within a budget: an upper bound on robustness, and no proof.

    An image that was not broken by its budget may fall to more queries, or to another attack.

    Attributes:
        records: One per image, in their order.
        images: The adversarial images by index, each at its critical size; None where there is none.
        largest: The largest size that was searched: `max_epsilon`.
        max_queries: Budget per image, of all its searches.
        unit: What a size is called.
        rounds: Runs that it took, one after the other.
        calls: Of the oracle, for attack queries.
        clean: Images asked about as they are, beside `max_queries`.
        verification: Adversarial images asked about again, likewise.
        wall: Seconds.
        config: Settings of the first run.
    """

    records: list[CriticalRecord]
    images: ImagesByIndex
    largest: int
    max_queries: int
    unit: str
    rounds: int = 0
    calls: int = 0
    clean: int = 0
    verification: int = 0
    wall: float = 0.0
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def critical(self) -> NDArray[np.int64]:
        """Each image's critical size, int64, (N,): `largest` + 1 where it was not broken, -1 where not attacked."""
        held = self.largest + 1
        return np.array(
            [-1 if not each.attempts else held if each.critical is None else each.critical for each in self.records],
            dtype=np.int64,
        )

    @property
    def queries(self) -> NDArray[np.int64]:
        """Attack queries sent for each image, int64, (N,)."""
        return np.array([each.queries for each in self.records], dtype=np.int64)

    def at(self, size: int) -> FrontierPoint:
        """Return the point of the curve at a size.

        Args:
            size: 0..`largest`. At 0 it is the clean accuracy.

        Raises:
            InvalidInputError: It is not.
        """
        size = require_integer("size", size, 0, self.largest)
        unbroken = sum(each.is_right and (each.critical is None or each.critical > size) for each in self.records)
        total = sum(each.is_right or each.is_wrong for each in self.records)
        return FrontierPoint(size, unbroken, total, ratio(unbroken, total), clopper_pearson(unbroken, total))

    def curve(self) -> list[FrontierPoint]:
        """Return all points, from size 0 to the largest."""
        return [self.at(size) for size in range(self.largest + 1)]

    @property
    def median(self) -> float:
        """The critical size of the median of the attacked images; infinity where half or more were not broken."""
        attacked = [each for each in self.records if each.is_right]
        sizes = sorted(math.inf if each.critical is None else float(each.critical) for each in attacked)
        return float(np.median(sizes)) if sizes else math.nan

    def __str__(self) -> str:
        """Return it in a small table."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        attacked = [each for each in self.records if each.is_right]
        broken = sum(each.critical is not None for each in attacked)
        sent = sum(each.queries for each in self.records)
        yield (
            f"{broken:,} of {counted(len(attacked), 'image')} broken up to {self.unit} {self.largest}, within "
            f"{self.max_queries:,} queries each (an upper bound on robustness)"
        )
        yield f"median critical {self.unit}: {self.median:g}"
        marks = sorted({0, *(1 << n for n in range(self.largest.bit_length())), self.largest})
        for point in map(self.at, marks):
            low, high = point.interval
            yield (
                f"  {self.unit} {point.size:>3}: {100 * point.share:5.1f} % not broken ({100 * low:.1f} to "
                f"{100 * high:.1f} %), {point.unbroken:,} of {point.total:,}"
            )
        yield (
            f"queries: {sent:,}, {ratio(sent, len(attacked)):,.1f} an image, in {counted(self.calls, 'call')}; beside "
            f"them {self.clean:,} of images as they are and {self.verification:,} to confirm; "
            f"{counted(self.rounds, 'round')}, {self.wall:.1f} s"
        )

    def save(self, folder: str | Path) -> Path:
        """Write `frontier.json`, with all records and the curve, and each adversarial image as a PNG file.

        Args:
            folder: Made if it is not there. Files of these names in it are replaced.

        Returns:
            The path of `frontier.json`.

        Raises:
            StoreError: A file cannot be written.
        """
        folder = Path(folder)
        try:
            (folder / _IMAGES).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"{folder} cannot be written: {told(error)}; choose another folder") from error
        for index in self.images.held():
            image = self.images[index]
            assert image is not None
            write_image(folder, index, image, place=_IMAGES)
        write_json(folder / FILE, self.document())
        return folder / FILE

    def document(self) -> dict[str, Any]:
        """Return what `save` writes, in plain JSON types."""
        names = [each.name for each in dataclasses.fields(self) if each.name not in ("records", "images", "config")]
        return {
            "format": _FORMAT,
            **{name: getattr(self, name) for name in names},
            "curve": [_plain_point(point) for point in self.curve()],
            "records": [_plain_record(each) for each in self.records],
        }


def _plain_point(point: FrontierPoint) -> dict[str, Any]:
    if point.total == 0:
        return {**dataclasses.asdict(point), "share": None, "interval": None}
    return {**dataclasses.asdict(point), "interval": list(point.interval)}


def _plain_record(each: CriticalRecord) -> dict[str, Any]:
    record = each.record
    return {
        "index": each.index,
        "source": record.source,
        "state": each.state.value,
        "reason": record.reason,
        "critical": each.critical,
        "queries": each.queries,
        "label": record.label,
        "target": record.target,
        "class_before": record.class_before,
        "class_after": record.class_after if each.critical is not None else None,
        "attempts": [list(attempt) for attempt in each.attempts],
    }
