"""An oracle that takes several calls at once, and answers them in whatever order."""

from __future__ import annotations

import threading
import time

import numpy as np

from dfa.oracle.callable import CallableOracle


class SeveralCalls(CallableOracle):
    """Takes up to so many calls of a function at once, and lets each take another time.

    Attributes:
        most: Calls that were under way at the same time.
        rows: Images that it was given.
    """

    def __init__(self, function, calls_at_once, *, seconds=2e-3, seed=0, **settings):
        super().__init__(function, name="several", **settings)
        self.calls_at_once = calls_at_once
        self.most = self.rows = 0
        self._now = 0
        self._random = np.random.default_rng(seed)
        self._seconds = seconds
        self._lock = threading.Lock()

    def scores(self, images):
        with self._lock:
            self._now += 1
            self.most = max(self.most, self._now)
            self.rows += len(images)
            seconds = self._random.exponential(self._seconds)
        try:
            time.sleep(seconds)
            return super().scores(images)
        finally:
            with self._lock:
                self._now -= 1
