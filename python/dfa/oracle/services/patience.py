"""Waiting for a service that fails, as long as it may come back."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Final

from dfa.errors import OracleError

FIRST_PAUSE: Final = 0.25
"""Seconds until a request is sent for the second time; each further pause is twice as long."""

_LONGEST_PAUSE: Final = 60.0


class AgainError(Exception):
    """A request failed, and is to be sent again; the message says why, without secrets."""


def seconds_of(retry_after: str | None, now: float) -> float:
    """Return the seconds that a Retry-After header asks for: a number, or a date; 0 where it says neither.

    Args:
        retry_after: The header.
        now: Seconds since 1970.
    """
    text = (retry_after or "").strip()
    try:
        if text.isascii() and text.isdigit():
            return float(text)
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, TypeError, OverflowError):
        return 0.0


class Patience:
    """How long the requests of one service wait, and when they stop: one that fails for good stops the others."""

    def __init__(self, first_pause: float, tell: Callable[[float], None]) -> None:
        """Begin without a failure.

        Args:
            first_pause: Seconds until a request is sent for the second time.
            tell: Is told the seconds of each wait after a failure.
        """
        self._first_pause = first_pause
        self._tell = tell
        self._begin()

    def _begin(self) -> None:
        self._turn = threading.Condition()
        self._jitter = random.Random()
        self._not_before = 0.0
        self._why = ""
        self.failures = 0
        """How many requests have failed for good. One that began before another failed stops; those of a run that comes
        after it do not."""

    def hold_back(self, failures: int) -> None:
        """Wait as long as the service wants to be asked nothing by anybody.

        Args:
            failures: `self.failures` when the request began.

        Raises:
            OracleError: Another request has failed for good.
        """
        while (left := self._not_before - time.monotonic()) > 0:
            # Not all of them at the same moment.
            self._counted(left + self._jitter.uniform(0.0, min(left, 1.0)), failures)

    def hold_all_back(self, seconds: float) -> None:
        """Let no request go out for some time."""
        with self._turn:
            self._not_before = max(self._not_before, time.monotonic() + seconds)

    def back_off(self, attempts: int, failures: int) -> None:
        """Wait after so many attempts at a request, each time longer; raises what `pause` does."""
        longest = min(self._first_pause * 2.0 ** min(attempts - 1, 30), _LONGEST_PAUSE)
        self._counted(longest * self._jitter.uniform(0.5, 1.0), failures)

    def pause(self, seconds: float, failures: int) -> None:
        """Wait, unless another request fails for good meanwhile.

        Raises:
            OracleError: One did.
        """
        with self._turn:
            has_failed = self._turn.wait_for(lambda: failures != self.failures, min(seconds, threading.TIMEOUT_MAX))
        if has_failed:
            raise OracleError(f"{self._why} (another request; this one was not sent again)")

    def _counted(self, seconds: float, failures: int) -> None:
        began = time.monotonic()
        try:
            self.pause(seconds, failures)
        finally:
            self._tell(time.monotonic() - began)

    def stop_others(self, failures: int, why: str) -> None:
        """Let the requests stop that began before this one failed for good."""
        with self._turn:
            if failures == self.failures:
                self.failures += 1
                self._why = why
                self._turn.notify_all()

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process."""
        return {"_first_pause": self._first_pause, "_tell": self._tell}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin without a failure."""
        self.__dict__.update(state)
        self._begin()
