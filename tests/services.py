"""A service inside the process: takes one image a call, several calls at once, and keeps its own count."""

from __future__ import annotations

import hashlib
import threading
import time
from collections import Counter

import numpy as np

from dfa.oracle.callable import CallableOracle
from dfa.oracle.services.books import Books, Outcome


class Service(CallableOracle):
    """Answers images one by one, as a service does that is paid for each.

    Attributes:
        seen: How often each image was answered, by its bytes.
        answers: What it answered, in all.
    """

    keeps_record = True

    def __init__(self, function, *, calls_at_once=4, seconds=1e-3, fails_at=None, watch_every=None, **settings):
        super().__init__(function, name="service", **settings)
        self.calls_at_once = calls_at_once
        self.rows_per_call = 1
        self.watch_every = watch_every
        self.books = Books()
        self.seen = Counter()
        self.answers = 0
        self._fails_at = fails_at
        self._random = np.random.default_rng(0)
        self._seconds = seconds
        self._lock = threading.Lock()

    def scores(self, images):
        assert len(images) == 1
        self.books.reserve(1)
        with self._lock:
            seconds = self._random.exponential(self._seconds)
        time.sleep(seconds)
        answer = super().scores(images)
        with self._lock:
            self.answers += 1
            if self._fails_at is not None and self.answers > self._fails_at:
                raise ConnectionError("the line is dead")
            self.seen[hashlib.sha256(images.tobytes()).hexdigest()] += 1
        self.books.settle(Outcome.ANSWERED)
        return answer

    def keep_with(self, books, names):
        self.books.keep_with(books)
