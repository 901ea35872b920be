"""The live line of a run, where someone looks on."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)

import dfa
from dfa.checks import printable
from dfa.cli.commands.screen import Screen

_LAST: Final = 200
"""Images that tell the time of those left, and the speed. Where a run is gone on with, what it has comes at once."""


def _told_by(record: dfa.Record) -> tuple[int, bool, bool]:
    return record.queries_sent, record.status in (dfa.Status.SUCCESS, dfa.Status.FAILURE), record.verified


@contextmanager
def show_progress(
    console: Screen,
    number: int,
    storage: dfa.Storage,
    told_by: Callable[[Any], tuple[int, bool, bool]] = _told_by,
) -> Iterator[Callable[[Any], None] | bool]:
    """Show a live line of how a run is doing.

    Args:
        console: The terminal, if it is one.
        number: Images.
        storage: Where the run is kept.
        told_by: What a record says: queries sent, whether the image was attacked, and whether it fell.

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

        def show(record: Any) -> None:
            nonlocal fell, ended, settled, sent
            settled += 1
            queries, is_attacked, is_fallen = told_by(record)
            sent += queries
            moments.append((time.monotonic(), sent))
            (begun, sent_before), (now, _) = moments[0], moments[-1]
            left = timedelta(seconds=round((now - begun) / (len(moments) - 1) * (number - settled)))
            fell += is_fallen
            ended += is_attacked
            share = f"{fell:,} fell ({100 * fell / ended:.1f} %)" if ended else "-"
            speed = f", {(sent - sent_before) / (now - begun):,.0f} queries/s" if now > begun and ended else ""
            progress.update(task, advance=1, found=share + speed, left=f"{left} left")

        yield show


def _field(name: str) -> TextColumn:
    """Return a column that shows a field as it is; a text of the column itself would be a format string and markup."""
    return TextColumn(f"{{task.fields[{name}]}}", markup=False)
