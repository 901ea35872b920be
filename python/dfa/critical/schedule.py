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
        unconfirmed: Attempts in vain that had found what no other answer confirmed, as a randomised oracle has it.
        is_claim: Whether the last attempt ended with such a find, instead of its budget or hope.
        skips: Searches in a row that were not made, since the oracle took the image as it is for another class.
        critical: The smallest size at which it was broken, or None.
        state: Where it stands.
    """

    largest: int
    budget: int
    least: int
    attempts: list[Attempt] = field(default_factory=list)
    cut: int = 0
    unconfirmed: int = 0
    is_claim: bool = False
    skips: int = 0
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

        The first is the largest, until it is known whether that breaks the image. What failed is tried again only where
        a level more or less is little: there, other candidates may do; or where something was found and not confirmed.
        Whether a search is worth its queries is seen while it goes on.
        """
        if self.state is not State.OPEN or self.left < self.least:
            return None
        if self.critical is None:
            return self.largest
        failed = [attempt.size for attempt in self.attempts if not attempt.is_success and attempt.size < self.critical]
        below = max(failed, default=0)
        again = failed.count(below)
        if self.is_claim and again <= _MOST_RETRIES:
            return below
        if self.critical - below > 1:
            return (self.critical + below) // 2
        return below if below >= _FINE and again <= _MOST_RETRIES else None

    def may_ask_again(self) -> bool:
        """Tell whether a search that was skipped is worth another try: a randomised oracle may answer otherwise."""
        self.skips += 1
        return self.skips <= _MOST_RETRIES

    def take(
        self, attempt: Attempt, reached: int | None, *, is_unconfirmed: bool = False, is_claim: bool = False
    ) -> None:
        """Take note of an attempt.

        Args:
            attempt: The attempt.
            reached: Of a success, the size that what was found has: at most that of the attempt.
            is_unconfirmed: In vain it had found what no other answer confirmed.
            is_claim: It ended with that.
        """
        self.attempts.append(attempt)
        self.unconfirmed += is_unconfirmed
        self.is_claim = is_claim
        self.skips = 0
        if reached is not None:
            self.critical = reached
        if self.critical is None:
            # What seemed to break it once may do so again.
            if not self.unconfirmed or self.next_size() is None:
                self.state = State.HELD
        elif self.next_size() is None:
            self.state = State.BROKEN
