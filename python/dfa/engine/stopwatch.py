"""Where a run's time goes: the main thread's by parts, and spans of it and of whoever is asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeAlias, get_args

from dfa.results.profile import CallsOverTime, Spans

Part: TypeAlias = Literal["prior", "propose", "wait", "score", "update"]

_PARTS: Final[tuple[Part, ...]] = get_args(Part)


class Stopwatch:
    """The clock of one run.

    Attributes:
        seconds: Of the main thread, by part.
        spans: What the run was doing when.
        calls_over_time: How full the calls for attack queries were.
    """

    def __init__(self) -> None:
        """Start."""
        self.seconds: dict[Part, float] = dict.fromkeys(_PARTS, 0.0)
        self.spans = Spans()
        self.calls_over_time = CallsOverTime()
        self._started = time.perf_counter()
        self._last_answer = self._started
        self._answered: dict[str, float] = {}
        self._spans_of_oracle = threading.Lock()

    @contextmanager
    def timing(self, part: Part) -> Iterator[None]:
        """Count what is done in the context towards a part of the main thread's time."""
        started = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - started
            self.seconds[part] += seconds
            self.spans.add(part, "dfa", started - self._started, seconds)

    @contextmanager
    def oracle_at_work(self, purpose: str, who_answered: Callable[[], str] = lambda: "oracle") -> Iterator[None]:
        """Keep the span that the oracle takes for the context.

        Args:
            purpose: Why it is asked.
            who_answered: Tells afterwards who it was. What waited behind an earlier call of the same begins after it.
        """
        started = time.perf_counter()
        try:
            yield
        finally:
            ended = time.perf_counter()
            with self._spans_of_oracle:
                who = who_answered()
                began = max(started, self._answered.get(who, started))
                self._answered[who] = ended
                self.spans.add(purpose, who, began - self._started, max(0.0, ended - began))

    def note_call(self, rows: int) -> float:
        """Count a call for so many attack queries that is sent now, and return when; only the main thread may."""
        now = self.wall()
        self.calls_over_time.add(now, rows)
        return now

    def take_call_back(self, at: float, rows: int) -> None:
        """Count a call no longer that was noted and never sent; only the main thread may."""
        self.calls_over_time.add(at, -rows, calls=-1)

    def lap(self) -> float:
        """Return the seconds since this was asked before, which an answer's images share."""
        now = time.perf_counter()
        seconds = now - self._last_answer
        self._last_answer = now
        return seconds

    def wall(self) -> float:
        """Return the seconds since the start of the run, without those between a kill and its resumption."""
        return time.perf_counter() - self._started

    def save(self) -> dict[str, Any]:
        """Return the state, in plain JSON types."""
        return {"wall": self.wall(), "seconds": self.seconds, "calls_over_time": self.calls_over_time.save()}

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what `save` returned."""
        self.seconds = {part: document["seconds"].get(part, 0.0) for part in _PARTS}
        self.calls_over_time = CallsOverTime.read(document["calls_over_time"])
        self._started = time.perf_counter() - document["wall"]
        self._last_answer = time.perf_counter()
