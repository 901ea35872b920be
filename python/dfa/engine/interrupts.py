"""What was paid for is safe, whatever ends a piece of work: interrupts wait for it, and errors carry it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dfa.errors import DfaError, Interrupted, PartialResult, told
from dfa.interrupts import interrupts_held_back


@contextmanager
def carrying_result(partial: Callable[[], PartialResult]) -> Iterator[None]:
    """Let whatever ends the context carry what had come of it, as `.result`.

    Args:
        partial: Returns that; asks no oracle.

    Raises:
        Interrupted: On KeyboardInterrupt, or if one came while the result was made.
        BaseException: Whatever else ends the context, as it is; but as a `DfaError` where it cannot carry anything.
    """
    try:
        yield
    except BaseException as error:
        with interrupts_held_back() as interrupts:
            result = partial()
        if isinstance(error, KeyboardInterrupt):
            raise Interrupted("interrupted; `.result` is what was finished", result=result) from error
        if interrupts.came:
            raise Interrupted(f"interrupted, after this: {told(error)}", result=result) from error
        try:
            error.result = result  # type: ignore[attr-defined]
        except (AttributeError, TypeError):  # as of an error with slots, or written in C
            ended = DfaError(f"ended by an error that cannot carry the result: {told(error)}")
            ended.result = result
            raise ended from error
        raise
