"""A row is measured within its time, and ends in figures or in the reason why there are none."""

from __future__ import annotations

import importlib
import signal
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final

from systems.context import Context, seed_everything
from systems.rows import IMAGENET, MODELS, CannotRunError, OutOfTimeError, Row, is_out_of_time

_LIBRARIES: Final = ("foolbox", "torchattacks", "art.attacks.evasion", "art.estimators.classification", "onnxruntime")
_AGAIN: Final = 10.0
"""Seconds after which an alarm that nobody heard, such as one in a destructor, rings once more."""


def measure(row: Row, context: Context, seconds: float) -> dict[str, Any]:
    """Run a row, and return what was measured or why it was not.

    Its model is loaded before its time begins, as libraries are by `load_libraries`: an import that is cut breaks every
    later one.
    """
    result = told(row) | {"reason": "", "limit": seconds}
    started = time.perf_counter()
    try:
        _load(row, context)
        seed_everything()
        started = time.perf_counter()
        with _limited(seconds):
            result |= row.run(context)
    except CannotRunError as error:
        result["reason"] = str(error)
    except BaseException as error:
        if is_out_of_time(error):
            result["reason"] = f"stopped after {seconds:,.0f} s; give it more with --row-seconds"
        elif isinstance(error, Exception):  # a library's, which is a result too
            result["reason"] = f"failed: {type(error).__name__}: {error}"
        else:
            raise
    result["seconds"] = time.perf_counter() - started
    return result


def told(row: Row) -> dict[str, Any]:
    """Return what is known of a row before it is run."""
    return {
        "table": row.table,
        "system": row.system,
        "model": row.model,
        "remark": row.remark,
        "paper": dict(row.paper),
    }


def is_unfinished(result: dict[str, Any], row: Row, seconds: float, wanted: int) -> bool:
    """Return whether a row that was measured has some left to measure.

    Args:
        result: Of the row.
        row: It.
        seconds: What it may have now: what was stopped is run again with more, or goes on where it is in parts.
        wanted: Images, of a row in parts.
    """
    if result["reason"].startswith("failed"):
        return True
    if result["reason"].startswith("stopped"):
        return row.in_parts or bool(seconds > result.get("limit", 0))
    return row.in_parts and not result["reason"] and bool(result["images"] < wanted)


def is_better(fresh: dict[str, Any], kept: dict[str, Any] | None) -> bool:
    """Return whether a row is to take the place of one that is there: figures are not lost to a reason or to fewer."""
    if kept is None or kept["reason"]:
        return True
    return not fresh["reason"] and bool(fresh["images"] >= kept["images"])


def load_libraries() -> None:
    """Import what rows may need, as far as it is installed; a row says what it lacks."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in _LIBRARIES:
            with suppress(ImportError):
                importlib.import_module(name)


def _load(row: Row, context: Context) -> None:
    for which, model in (MODELS | IMAGENET).items():
        if model == row.model:
            getattr(context, which)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End what runs inside after some seconds, where the system has such alarms."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise OutOfTimeError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds, _AGAIN)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
