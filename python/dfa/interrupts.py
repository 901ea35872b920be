"""Interrupts that wait for the end of a piece of work."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
    """Let no further Ctrl-C cut short what ends a run: what it saves after it was interrupted or has failed, say.

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
