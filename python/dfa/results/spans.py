"""What a run was doing when: spans of time, for a viewer of Chrome traces."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from dfa.errors import StoreError

MOST_SPANS: Final = 50_000
"""Spans kept of a run: hours of a large model, minutes of a tiny one, and a few megabytes."""


@dataclass
class Spans:
    """Spans of time on the two threads of a run, in the order in which they ended.

    Attributes:
        entries: (name, thread, start, seconds) each; starts count from the start of the run.
    """

    entries: list[tuple[str, str, float, float]] = field(default_factory=list)

    def add(self, name: str, thread: str, start: float, seconds: float) -> None:
        """Keep a span, unless there are too many already."""
        if len(self.entries) < MOST_SPANS:
            self.entries.append((name, thread, start, seconds))

    def save(self, path: str | Path) -> None:
        """Write a trace that chrome://tracing and ui.perfetto.dev show.

        Raises:
            StoreError: The file cannot be written.
        """
        threads = {thread: number for number, thread in enumerate(dict.fromkeys(each[1] for each in self.entries), 1)}
        events: list[dict[str, object]] = [
            {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": thread}}
            for thread, number in threads.items()
        ]
        events += [
            {"ph": "X", "pid": 1, "tid": threads[thread], "name": name, "ts": 1e6 * start, "dur": 1e6 * seconds}
            for name, thread, start, seconds in self.entries
        ]
        is_whole = len(self.entries) < MOST_SPANS
        document = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"whole_run": is_whole}}
        try:
            Path(path).write_text(json.dumps(document), encoding="utf-8")
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error}") from error
