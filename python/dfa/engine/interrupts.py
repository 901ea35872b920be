"""What was paid for is safe, whatever ends a piece of work: interrupts wait for it, and errors carry it."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from dfa.errors import DfaError, Interrupted, PartialResult, told


class HeldBack:
    """Whether an interrupt came meanwhile.

    Attributes:
        came: Whether one did.
    """

    def __init__(self) -> None:
        """None came yet."""
        self.came = False

    def note(self, number: int, frame: FrameType | None) -> None:
        """Take an interrupt, and go on."""
        self.came = True


@contextmanager
def interrupts_held_back() -> Iterator[HeldBack]:
    """Let no further Ctrl-C cut short what a run saves after it was interrupted, or has failed.

    Only where Ctrl-C raises KeyboardInterrupt: in the main thread, under Python's own handler. What is saved here asks
    no oracle, and so comes to its end.
    """
    held_back = HeldBack()
    is_raised_here = (
        threading.current_thread() is threading.main_thread()
        and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    )
    if not is_raised_here:
        yield held_back
        return
    signal.signal(signal.SIGINT, held_back.note)
    try:
        yield held_back
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


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
