"""A run's spans of time as a trace that chrome://tracing and ui.perfetto.dev show."""

from __future__ import annotations

import json
from pathlib import Path

from dfa.errors import StoreError
from dfa.results.profile import MOST_SPANS, Spans


def save_trace(spans: Spans, path: str | Path) -> None:
    """Write a trace.

    Raises:
        StoreError: The file cannot be written.
    """
    threads = {thread: number for number, thread in enumerate(dict.fromkeys(each[1] for each in spans.entries), 1)}
    events: list[dict[str, object]] = [
        {"ph": "M", "pid": 1, "tid": number, "name": "thread_name", "args": {"name": thread}}
        for thread, number in threads.items()
    ]
    events += [
        {"ph": "X", "pid": 1, "tid": threads[thread], "name": name, "ts": 1e6 * start, "dur": 1e6 * seconds}
        for name, thread, start, seconds in spans.entries
    ]
    is_whole = len(spans.entries) < MOST_SPANS
    document = {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"whole_run": is_whole}}
    try:
        Path(path).write_text(json.dumps(document), encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error}") from error
