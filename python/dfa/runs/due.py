"""When the next checkpoint of a run is due."""

from __future__ import annotations

import time
from typing import Final

_SECONDS: Final = 60.0
"""A checkpoint is also due this long after the last, so that a slow oracle's hours are not lost either ..."""

_TIMES: Final = 100.0
"""... but not before so many times what the last one took: states of large images are large."""


class Due:
    """When the next checkpoint is due: by images sent, and by time.

    Attributes:
        uncovered: Images sent that no checkpoint covers.
    """

    def __init__(self, interval: int) -> None:
        """Begin with nothing sent."""
        self.uncovered = 0
        self._interval = interval
        self._covered_at = self._asked_at = time.monotonic()
        self._took = 0.0

    def is_due(self, images: int) -> bool:
        """Tell whether a checkpoint must come before so many images more are sent."""
        if self.uncovered == 0:
            return False
        self._asked_at = time.monotonic()
        is_late = self._asked_at - self._covered_at >= max(_SECONDS, _TIMES * self._took)
        return is_late or self.uncovered + images > self._interval

    def is_covered(self, under_way: int) -> None:
        """Take note of a checkpoint that covers all but so many images."""
        self.uncovered = under_way
        self._covered_at = time.monotonic()
        self._took = self._covered_at - self._asked_at
