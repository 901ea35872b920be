"""What a search for the critical size of one image found."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dfa.critical.schedule import Attempt, State
from dfa.results.record import Record


@dataclass(frozen=True)
class CriticalRecord:
    """What was found of one image.

    Attributes:
        index: Place of the image in the run's `images`.
        state: How its search ended; `State.OPEN` where the run ended before.
        critical: The smallest size (of a ball, epsilon in grey levels) at which it was broken, or None.
        attempts: The searches, in their order: size, queries sent, and whether it was broken.
        record: Of the search that broke it, or of the last one in vain; the adversarial image is of that.
        cut: Queries of a search that was cut short, which is no attempt.
        unconfirmed: Attempts in vain that had found what no other answer confirmed, as a randomised oracle has it.
    """

    index: int
    state: State
    critical: int | None
    attempts: tuple[Attempt, ...]
    record: Record
    cut: int = 0
    unconfirmed: int = 0

    @property
    def queries(self) -> int:
        """Attack queries sent for the image, of all searches."""
        return sum(attempt.queries for attempt in self.attempts) + self.cut

    @property
    def withstood(self) -> float:
        """The largest size up to which it counts as not broken; infinity where it was not broken at all.

        Until its search has ended these are the sizes that were searched in vain: of others nothing is known.
        """
        critical = math.inf if self.critical is None else self.critical
        if self.state is not State.OPEN:
            return critical - 1
        if self.critical is None:
            return 0  # what was found at the largest size waits to be confirmed
        return max((each.size for each in self.attempts if not each.is_success and each.size < critical), default=0)

    @property
    def is_right(self) -> bool:
        """Whether the image was attacked, and so classified as its label says, if it has one."""
        return self.state in (State.BROKEN, State.HELD, State.OPEN) and bool(self.attempts)

    @property
    def is_doubtful(self) -> bool:
        """Whether it was not broken, but seemed to be once, and no other answer confirmed that."""
        return self.critical is None and self.unconfirmed > 0

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
            once = ", broken once and not confirmed" if self.is_doubtful else ""
            return f"{name}: not broken at {max(attempt.size for attempt in self.attempts)}{once}, {within}"
        if self.state is State.OPEN:
            broken = "" if self.critical is None else f", broken at {self.critical} so far"
            return f"{name}: not finished{broken}, {within}"
        return f"{name}: {self.state.value}{f' ({self.record.reason})' if self.record.reason else ''}"
