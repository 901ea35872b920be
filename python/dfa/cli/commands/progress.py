"""The live line of a run, where someone looks on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

import dfa
from dfa.cli.commands.screen import Screen
from dfa.cli.text import printable

_LAST: Final = 200
"""Images that tell the time of those left, and the speed. Where a run is gone on with, what it has comes at once."""


@contextmanager
def show_progress(console: Screen, number: int, storage: dfa.Storage) -> Iterator[Callable[[dfa.Record], None] | bool]:
    """Show a live line of how a run is doing.

    Yields:
        What `dfa.run` takes as `progress`; False where there is no terminal to show it on.
    """
    if not console.is_terminal:
        yield False
        return
    fell = ended = settled = sent = 0
    moments = deque([(time.monotonic(), sent)], maxlen=_LAST + 1)
    columns = (_field("folder"), BarColumn(), MofNCompleteColumn(), _field("found"))
    with Progress(*columns, TimeElapsedColumn(), _field("left"), console=console) as progress:
        task = progress.add_task("", total=number, folder=printable(storage.folder), found="", left="")

        def show(record: dfa.Record) -> None:
            nonlocal fell, ended, settled, sent
            settled += 1
            sent += record.queries_sent
            moments.append((time.monotonic(), sent))
            (begun, sent_before), (now, _) = moments[0], moments[-1]
            left = timedelta(seconds=round((now - begun) / (len(moments) - 1) * (number - settled)))
            fell += record.verified
            ended += record.status in (dfa.Status.SUCCESS, dfa.Status.FAILURE)
            share = f"{fell:,} fell ({100 * fell / ended:.1f} %)" if ended else "-"
            speed = f", {(sent - sent_before) / (now - begun):,.0f} queries/s" if now > begun and ended else ""
            progress.update(task, advance=1, found=share + speed, left=f"{left} left")

        yield show


def _field(name: str) -> TextColumn:
    """Return a column that shows a field as it is; a text of the column itself would be a format string and markup."""
    return TextColumn(f"{{task.fields[{name}]}}", markup=False)
