"""Which size is searched next, and when an image is done."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Final, NamedTuple

MOST_SIZES: Final = 2**20
"""Of a space: pixels of an image of 1,024 rows and columns."""

_FINE: Final = 8
"""Sizes from which on the next smaller one is nearly as hard, so that another attempt may succeed where one failed."""

_MOST_RETRIES: Final = 3
"""Attempts in vain at one size, beside the first."""


class State(Enum):
    """Where the search of an image's critical size stands."""

    OPEN = "open"
    """It goes on."""
    BROKEN = "broken"
    """It has one."""
    HELD = "held"
    """It was not broken at the largest size, within its budget."""
    SKIPPED = "skipped"
    """There was nothing to attack."""
    ERROR = "error"
    """It could not be attacked."""


class Attempt(NamedTuple):
    """One search of one image.

    Attributes:
        size: At which.
        queries: That it was sent.
        is_success: Whether it was broken.
    """

    size: int
    queries: int
    is_success: bool


@dataclass
class Progress:
    """What is known of an image, and the size that is searched next: the middle of what is open.

    Attributes:
        largest: Size.
        budget: Queries in all.
        least: Queries that a search must be allowed.
        attempts: So far.
        cut: Queries of a search that was cut short.
        critical: The smallest size at which it was broken, or None.
        state: Where it stands.
    """

    largest: int
    budget: int
    least: int
    attempts: list[Attempt] = field(default_factory=list)
    cut: int = 0
    critical: int | None = None
    state: State = State.OPEN

    @property
    def queries(self) -> int:
        """Sent so far."""
        return sum(attempt.queries for attempt in self.attempts) + self.cut

    @property
    def left(self) -> int:
        """Queries that may still be sent."""
        return self.budget - self.queries

    def next_size(self) -> int | None:
        """Return the size to be searched next; None where the image is done.

        The first is the largest. What failed is tried again only where a level more or less is little: there, other
        candidates may do. Whether a search is worth its queries is seen while it goes on.
        """
        if self.state is not State.OPEN or self.left < self.least:
            return None
        if self.critical is None:
            return self.largest
        failed = [attempt.size for attempt in self.attempts if not attempt.is_success and attempt.size < self.critical]
        below = max(failed, default=0)
        if self.critical - below > 1:
            return (self.critical + below) // 2
        again = failed.count(below)
        return below if below >= _FINE and again <= _MOST_RETRIES else None

    def take(self, attempt: Attempt, reached: int | None) -> None:
        """Take note of an attempt.

        Args:
            attempt: The attempt.
            reached: Of a success, the size that what was found has: at most that of the attempt.
        """
        self.attempts.append(attempt)
        if reached is not None:
            self.critical = reached
        if self.critical is None:
            self.state = State.HELD
        elif self.next_size() is None:
            self.state = State.BROKEN
