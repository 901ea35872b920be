"""What a search for critical sizes found: one record per image, and the curve that they make."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted, require_integer, require_path
from dfa.critical.kept import read, save
from dfa.critical.record import CriticalRecord
from dfa.critical.schedule import State
from dfa.results.images import ImagesByIndex
from dfa.results.rates import Interval, clopper_pearson, ratio
from dfa.results.record import FIELDS
from dfa.runs.folder import plain

if TYPE_CHECKING:
    from dfa.views.charts import Figure


@dataclass(frozen=True)
class FrontierPoint:
    """A point of the curve.

    Attributes:
        size: Epsilon in grey levels, or the size of another space.
        unbroken: Images that were right at first and not broken at this size or a smaller one.
        total: Images that count: with labels all that have one and were asked about, without those that were attacked.
            Of those that are not finished (`Frontier.unfinished`) the ones that were broken at this size or a smaller
            one, or searched in vain at this size or a larger one.
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

    An image that was not broken by its budget may fall to more queries, or to another attack. That of an error holds
    what was found before, and says so: see `unfinished`.

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
        """Each image's critical size, int64, (N,): `largest` + 1 where it was not broken, -1 where not attacked.

        Of an image that is not finished the smallest size so far.
        """
        held = self.largest + 1
        return np.array(
            [-1 if not each.attempts else held if each.critical is None else each.critical for each in self.records],
            dtype=np.int64,
        )

    @property
    def queries(self) -> NDArray[np.int64]:
        """Attack queries sent for each image, int64, (N,)."""
        return np.array([each.queries for each in self.records], dtype=np.int64)

    @property
    def unfinished(self) -> int:
        """Images whose searches had not ended when an error came; 0 of a search that has ended."""
        return sum(each.state is State.OPEN for each in self.records)

    @property
    def unconfirmed(self) -> int:
        """Images that were not broken, but seemed to be once, and no other answer confirmed that."""
        return sum(each.is_doubtful for each in self.records)

    def at(self, size: int) -> FrontierPoint:
        """Return the point of the curve at a size.

        Args:
            size: 0..`largest`. At 0 it is the clean accuracy.

        Raises:
            InvalidInputError: It is not.
        """
        return self._points([require_integer("size", size, 0, self.largest)])[0]

    def curve(self) -> list[FrontierPoint]:
        """Return all points, from size 0 to the largest."""
        return self._points(range(self.largest + 1))

    def _points(self, sizes: Sequence[int]) -> list[FrontierPoint]:
        right = [each for each in self.records if each.is_right]
        wrong = sum(each.is_wrong for each in self.records)
        withstood = np.sort([each.withstood for each in right])
        critical = np.sort([math.inf if each.critical is None else each.critical for each in right])
        unbroken = len(right) - np.searchsorted(withstood, sizes, side="left")
        totals = unbroken + np.searchsorted(critical, sizes, side="right") + wrong
        counts = list(zip(unbroken.tolist(), totals.tolist(), strict=True))
        # Sizes are many more than counts, and an interval takes time.
        intervals = {each: clopper_pearson(*each) for each in set(counts)}
        return [
            FrontierPoint(size, *each, ratio(*each), intervals[each]) for size, each in zip(sizes, counts, strict=True)
        ]

    @property
    def median(self) -> float:
        """The critical size of the median of the attacked images; infinity where half or more were not broken."""
        attacked = [each for each in self.records if each.is_right]
        sizes = sorted(math.inf if each.critical is None else float(each.critical) for each in attacked)
        return float(np.median(sizes)) if sizes else math.nan

    def __str__(self) -> str:
        """Return it in a small table."""
        return "\n".join(self._lines())

    def marks(self) -> list[FrontierPoint]:
        """Return the points of a small table: at 0, at the powers of two, and at the largest size."""
        powers = (1 << power for power in range(self.largest.bit_length()))
        return self._points(sorted({0, *powers, self.largest}))

    def _lines(self) -> Iterator[str]:
        attacked = [each for each in self.records if each.is_right]
        broken = sum(each.critical is not None for each in attacked)
        asked = sum(each.queries > 0 for each in self.records)
        sent = sum(each.queries for each in self.records)
        within = f"{self.max_queries:,} queries each (an upper bound on robustness)"
        if self.unconfirmed:
            within += f"; {self.unconfirmed:,} more broken once and not confirmed"
        so_far = ""
        if self.unfinished:
            so_far = " so far"
            within += (
                f"; cut short: {self.unfinished:,} of {counted(len(self.records), 'image')} not finished, of which a "
                "size counts those that were broken or searched there"
            )
        yield (
            f"{broken:,} of {counted(len(attacked), 'image')} broken up to {self.unit} {self.largest}{so_far}, within "
            f"{within}"
        )
        yield f"median critical {self.unit}{so_far}: {self.median:g}"
        for point in self.marks():
            low, high = point.interval
            yield (
                f"  {self.unit} {point.size:>3}: {100 * point.share:5.1f} % not broken ({100 * low:.1f} to "
                f"{100 * high:.1f} %), {point.unbroken:,} of {point.total:,}"
            )
        yield (
            f"queries: {sent:,}, {ratio(sent, asked):,.1f} an image, in {counted(self.calls, 'call')}; beside "
            f"them {self.clean:,} of images as they are and {self.verification:,} to confirm; "
            f"{counted(self.rounds, 'round')}, {self.wall:.1f} s"
        )

    def save(self, folder: str | Path) -> Path:
        """Write `frontier.json`, with all records and the curve, and each adversarial image as a PNG file.

        Args:
            folder: Made if it is not there. A frontier that was saved in it before is replaced; other files stay.

        Returns:
            The path of `frontier.json`.

        Raises:
            InvalidInputError: It is no path.
            StoreError: A file cannot be written, or a search is at the folder.
        """
        return save(require_path("folder", folder), self.document(), self.images)

    @classmethod
    def load(cls, folder: str | Path) -> Frontier:
        """Read back what `save` or `dfa.frontier(store=...)` wrote: the records at once, an image when it is asked for.

        Of `config` it has what JSON can hold.

        Raises:
            InvalidInputError: It is no path.
            StoreError: The folder holds no frontier that has ended, or one that is damaged or contradicts itself; of an
                image when it is asked for.
        """
        fields, images = read(require_path("folder", folder))
        return cls(images=images, **fields)

    def plot(self, *others: Frontier, names: Sequence[str] | None = None) -> Figure:
        """Return a chart of the share of the images that were not broken, over sizes, with its interval as a band.

        Args:
            others: Frontiers to draw beside it, such as those of other models on the same images.
            names: What each is called in the legend, this one first; None for numbers.

        Returns:
            A `matplotlib.figure.Figure`, which a notebook shows and `savefig` writes.

        Raises:
            InvalidInputError: One is no frontier, their sizes have different units, or there are not as many names.
            MissingDependencyError: matplotlib is not installed.
        """
        from dfa.views.frontiers import plot

        return plot([self, *others], names)

    def _repr_html_(self) -> str:
        """Show figures and the curve's points in a notebook."""
        from dfa.views.frontiers import html_of

        return html_of(self)

    def __repr__(self) -> str:
        """Return one line; there may be many thousand records."""
        broken = sum(each.critical is not None for each in self.records)
        cut = f", {self.unfinished} not finished" if self.unfinished else ""
        return f"Frontier({len(self.records)} images, {broken} broken up to {self.unit} {self.largest}{cut})"

    def document(self) -> dict[str, Any]:
        """Return what `save` writes beside the images, in plain JSON types."""
        names = [each.name for each in dataclasses.fields(self) if each.name not in ("records", "images", "config")]
        return {
            **{name: getattr(self, name) for name in names},
            "unfinished": self.unfinished,
            "unconfirmed": self.unconfirmed,
            "config": plain(self.config),
            "curve": [_plain_point(point) for point in self.curve()],
            "records": [_plain_record(each) for each in self.records],
        }


def _plain_point(point: FrontierPoint) -> dict[str, Any]:
    if point.total == 0:
        return {**dataclasses.asdict(point), "share": None, "interval": None}
    return {**dataclasses.asdict(point), "interval": list(point.interval)}


def _plain_record(each: CriticalRecord) -> dict[str, Any]:
    return {
        "index": each.index,
        "state": each.state.value,
        "critical": each.critical,
        "queries": each.queries,
        "unconfirmed": each.unconfirmed,
        "attempts": [list(attempt) for attempt in each.attempts],
        "record": {name: plain(getattr(each.record, name)) for name in FIELDS},
    }
