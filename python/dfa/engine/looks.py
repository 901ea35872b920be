"""How a user's search is seen to come to rest: as the core sees its own (`cpp/include/dfa/search/looks.hpp`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_REST_RATIO: Final = 0.9
"""Share of the best degree that is left, since half as many candidates, where a search rests."""


@dataclass
class Looks:
    """Looks at the best degree: when half of a number of candidates are answered, all of them, and twice as many again.

    Attributes:
        after: That number; 0: never.
    """

    after: int
    _next: float = 0.0
    _last: float | None = None

    def __post_init__(self) -> None:
        """Look first at half of them."""
        self._next = self.after // 2

    def find_rest(self, num_answered: int, best: float) -> bool:
        """Tell whether more than a share of the degree at the last look is left, if it is time to look."""
        if self.after == 0 or num_answered < self._next:
            return False
        if self._last is not None and best > _REST_RATIO * self._last:
            return True
        self._last = best
        while self._next <= num_answered:
            self._next = self.after if self._next < self.after else 2 * self._next
        return False
