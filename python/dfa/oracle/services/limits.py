"""Rates that a service allows, kept by whoever shares them."""

from __future__ import annotations

import contextlib
import math
import re
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from dfa.checks import require_path
from dfa.errors import InvalidInputError, told

_SECONDS: Final = {
    **dict.fromkeys(("s", "sec", "second"), 1.0),
    **dict.fromkeys(("min", "minute"), 60.0),
    **dict.fromkeys(("h", "hour"), 3600.0),
    **dict.fromkeys(("d", "day"), 86400.0),
}
_FORM: Final = re.compile(r"\s*([1-9][0-9]{0,8})\s*/\s*([a-z]+)\s*")

_EVEN: Final = 60.0
"""Seconds; requests are spread evenly over times up to this, while those of a day may go out at once."""
_SLOWER: Final = 1.03
"""How much further apart they go out than they might."""
_LONGER: Final = 1.025
"""How much longer the time is taken, so that a request that is late on its way comes with no more than are allowed."""
_LONGEST_MARGIN: Final = 10.0
"""Seconds."""
_CREDIT: Final = 0.1
"""Of such a time: how much of it requests may make up for that went out late, or not at all."""


class Rate(NamedTuple):
    """So many requests in so many seconds."""

    number: int
    seconds: float


def parse_rate(text: object) -> Rate:
    """Return the rate that a text says, such as "20/s", "100/min", "1000/h" or "5000/day".

    Raises:
        InvalidInputError: It says none.
    """
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None or found[2] not in _SECONDS:
        raise InvalidInputError(
            f"rate must be a number of requests per s, min, h or day, such as '20/s', '100/min' or '5000/day', got "
            f"{text!r}"
        )
    return Rate(int(found[1]), _SECONDS[found[2]])


class Limits:
    """Lets requests go out as fast as all of several rates allow, and no faster, wherever a second or a day begins.

    This is not left to pyrate-limiter: asked for one request in 51 ms, its version 4.5 lets some go 27 ms apart, and
    with its file of SQLite 0.5 ms apart, at four fifths of the rate. A service that counts the requests of the last
    second refuses those.
    """

    def __init__(self, rates: str | Sequence[str] | None = None, shared_file: str | Path | None = None) -> None:
        """Begin with nothing sent, or with what others sent who share a file.

        Args:
            rates: One, or several that all are kept; None: requests go out at once.
            shared_file: Where processes write down what they send; made where it is not there. It goes with the rates:
                others need another file.

        Raises:
            InvalidInputError: These are no rates, or there is a file for none.
        """
        given = [] if rates is None else [rates] if isinstance(rates, str) else rates
        if not isinstance(given, Sequence):
            raise InvalidInputError(f"rate must be a text such as '20/s', or a list of them, got {rates!r}")
        self.rates = sorted({parse_rate(each) for each in given})
        if shared_file is not None and not self.rates:
            raise InvalidInputError("rate_file is where processes share a rate; pass rate too, such as '20/s'")
        self._file = None if shared_file is None else require_path("rate_file", shared_file)
        self._pace = _Pace.of(self.rates)
        self._begin()

    def _begin(self) -> None:
        # Whoever has it is next: the others wait for it in line, and know nothing of when they go out.
        self._turn = threading.Lock()
        self._log: _Memory | _File | None = None if self._file else _Memory(self._pace)

    def wait(self, sleep: Callable[[float], None] = time.sleep) -> float:
        """Wait until a request may go out.

        Args:
            sleep: Waits for some seconds; what it raises goes to the caller, whose request then is not to go out.

        Returns:
            The seconds that were waited.

        Raises:
            InvalidInputError: The shared file cannot be used.
        """
        if not self.rates:
            return 0.0
        began = time.monotonic()
        with self._turn:
            log = self._opened()
            moment = log.reserve()
            while (left := moment - log.now()) > 0:
                sleep(left)
            late = log.now() - moment
            if late > 0:
                log.put_off(late)
        return time.monotonic() - began

    def check(self) -> None:
        """See that the shared file, where there is one, can be used.

        Raises:
            InvalidInputError: It cannot, or it goes with other rates.
        """
        with self._turn:
            self._opened()

    def _opened(self) -> _Memory | _File:
        if self._log is None:
            assert self._file is not None
            words = ", ".join(f"{rate.number}/{rate.seconds:g}s" for rate in self.rates)
            self._log = _File(self._file, self._pace, words)
        return self._log

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process: the rates, and the file that is shared."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_turn", "_log")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Begin with nothing sent, or with what others sent."""
        self.__dict__.update(state)
        self._begin()


class _Pace(NamedTuple):
    """What rates ask of requests.

    Attributes:
        windows: No more than the number of each go out in its seconds, counted from when they did go out.
        interval: Seconds from the turn of one to the turn of the next, of even rates; 0 of others.
        credit: Seconds that a turn may lie back: requests that were late are followed by others that are early.
    """

    windows: list[Rate]
    interval: float
    credit: float

    @classmethod
    def of(cls, rates: Sequence[Rate]) -> _Pace:
        windows = [Rate(each.number, min(each.seconds * _LONGER, each.seconds + _LONGEST_MARGIN)) for each in rates]
        even = [each for each in rates if each.seconds <= _EVEN]
        interval = max((each.seconds * _SLOWER / each.number for each in even), default=0.0)
        return cls(windows, interval, min((each.seconds * _CREDIT for each in even), default=0.0))

    @property
    def most(self) -> int:
        """How many moments have to be known."""
        return max((each.number for each in self.windows), default=1)

    @property
    def longest(self) -> float:
        """Seconds of the longest rate."""
        return max((each.seconds for each in self.windows), default=0.0)

    def turn(self, last: float | None, now: float) -> float:
        """Return the turn of the request after one whose turn was `last`."""
        return now if last is None else max(last + self.interval, now - self.credit)


class _Memory:
    """When requests went out, of this process alone."""

    now = staticmethod(time.monotonic)

    def __init__(self, pace: _Pace) -> None:
        self._pace = pace
        self._moments: deque[float] = deque(maxlen=pace.most)
        self._turn: float | None = None

    def reserve(self) -> float:
        """Return when the next request may go out, and write that down."""
        moments, now = self._moments, self.now()
        self._turn = self._pace.turn(self._turn, now)
        before = [moments[-each.number] + each.seconds for each in self._pace.windows if len(moments) >= each.number]
        moment = max([now, self._turn, *before])
        moments.append(moment)
        return moment

    def put_off(self, late: float) -> None:
        """Write down that the last request went out so much later."""
        self._moments[-1] += late


class _File:
    """When requests went out, of all processes that share a file."""

    # One that all processes have.
    now = staticmethod(time.time)

    def __init__(self, file: Path, pace: _Pace, words: str) -> None:
        self._path = file
        self._pace = pace
        self._last = 0
        with self._told():
            self._base = sqlite3.connect(file, timeout=60.0, isolation_level=None, check_same_thread=False)
            # What a power failure takes is less than what the service forgets meanwhile.
            self._base.execute("PRAGMA synchronous = OFF")
        with self._writing() as base:
            base.execute("CREATE TABLE IF NOT EXISTS rates (words TEXT)")
            base.execute("CREATE TABLE IF NOT EXISTS sent (number INTEGER PRIMARY KEY, turn REAL, moment REAL)")
            found = base.execute("SELECT words FROM rates").fetchone()
            if found is None:
                base.execute("INSERT INTO rates VALUES (?)", (words,))
        if found is not None and found[0] != words:
            raise InvalidInputError(
                f"rate_file {file} is shared by processes that keep {found[0]}, and this one keeps {words}; give all "
                "of them the same rate, or this one another file"
            )

    def reserve(self) -> float:
        """Return when the next request may go out, and write that down."""
        with self._writing() as base:
            last, turn = base.execute("SELECT number, turn FROM sent ORDER BY number DESC LIMIT 1").fetchone() or (
                0,
                None,
            )
            now = self.now()
            turn = self._pace.turn(self._believed(turn, now), now)
            moment = max(now, turn)
            for each in self._pace.windows:
                found = base.execute("SELECT moment FROM sent WHERE number = ?", (last + 1 - each.number,)).fetchone()
                before = None if found is None else self._believed(found[0], now)
                moment = moment if before is None else max(moment, before + each.seconds)
            self._last = last + 1
            base.execute("INSERT INTO sent VALUES (?, ?, ?)", (self._last, turn, moment))
            base.execute("DELETE FROM sent WHERE number <= ?", (self._last - self._pace.most,))
        return moment

    def _believed(self, moment: object, now: float) -> float | None:
        """Return a moment of the file; None of one that can only be of a clock that was put back meanwhile.

        Raises:
            InvalidInputError: It is none.
        """
        if moment is None:
            return None
        if not isinstance(moment, float) or not math.isfinite(moment):
            raise InvalidInputError(
                f"rate_file {self._path} must tell when requests went out, and tells {moment!r:.40}; pass one that is "
                "not there yet"
            )
        # Nobody waits for longer than the longest of the rates takes.
        return moment if moment <= now + self._pace.longest else None

    def put_off(self, late: float) -> None:
        """Write down that the last request of this process went out so much later."""
        with self._writing() as base:
            base.execute("UPDATE sent SET moment = moment + ? WHERE number = ?", (late, self._last))

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """Keep other processes out while moments are looked up and written down."""
        with self._told():
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield self._base
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise InvalidInputError(
                f"rate_file must be a file that processes can share, and {self._path} cannot be used: {told(error)}; "
                "pass one that is not there yet, in a folder that can be written to"
            ) from error
