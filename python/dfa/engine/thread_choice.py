"""How many threads the core takes where nobody has said it: as many as pay, which is tried while the run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from dfa import _core
from dfa.cores import usable_cores
from dfa.engine.stopwatch import Part

MOST_THREADS: Final = 16
"""More are not tried: before them memory is what holds the core up."""

_TRIAL: Final = 8
"""Turns of each side of a trial."""

_REST: Final = 16
"""Turns before the first trial, and after one that has changed something; each that has not doubles them."""

_LONGEST_REST: Final = 512

_GAIN: Final = 0.95
"""More threads must take at most this share of the time, or others have more use for the cores."""

_LOSS: Final = 1.02
"""Fewer threads may take this much of the time."""

_HOPELESS: Final = 3
"""Turns of the best side that a trial may cost before it ends early."""

_PRICE: Final = 0.03
"""Share of the time so far that trials may have cost when one begins."""


@dataclass
class _Side:
    """What some turns have taken.

    Attributes:
        turns: Their number.
        rows: Images sent in them.
        work: Seconds of proposing and being told.
        wait: Seconds of waiting for the oracle.
    """

    turns: int = 0
    rows: int = 0
    work: float = 0.0
    wait: float = 0.0

    def add(self, rows: int, work: float, wait: float) -> None:
        """Count a turn."""
        self.turns += 1
        self.rows += rows
        self.work += work
        self.wait += wait

    @property
    def seconds(self) -> float:
        """Per image. Waiting counts, since an oracle on the same cores answers later the more threads there are."""
        return (self.work + self.wait) / self.rows


class ThreadChoice:
    """Chooses a number of threads from the turns of a run: at first 1, then now and then another on trial.

    In a trial turns with the number that was best so far and with another one alternate, so that whatever else the
    machine does meets both. Where the oracle is waited for anyway, there is nothing to gain, and no trial. Trials pay
    for themselves: what they have lost so far must be little before another begins.
    """

    def __init__(self, given: int | None, most: int | None = None) -> None:
        """Begin.

        Args:
            given: The number that was asked for, and stays; None: it is to be chosen.
            most: The most that are tried; None: as many as this process may use cores.
        """
        if given is not None:
            most = 1
        elif most is None:
            most = usable_cores() if _core.build_info()["openmp"] else 1
        most = min(most, MOST_THREADS)
        self._numbers = [given or 1] + [1 << i for i in range(1, most.bit_length()) if 1 << i < most]
        self._numbers += [most] if most > 1 else []
        self._best = 0  # of self._numbers
        self._other: int | None = None  # likewise, on trial
        self._in_force = 0  # likewise
        self._goes_up = True
        self._rest = _REST
        self._sides = (_Side(), _Side())  # of the best, of the other
        self._spent = self._lost = 0.0
        self._before: tuple[int, float, float] | None = None

    def after_turn(self, seconds: Mapping[Part, float], rows_sent: int) -> int:
        """Return the number of threads for the next turn.

        Args:
            seconds: Of the main thread so far, by part.
            rows_sent: Images sent so far.
        """
        now = (rows_sent, seconds["propose"] + seconds["update"], seconds["wait"])
        before, self._before = self._before, now
        if len(self._numbers) > 1 and before is not None and now[0] > before[0]:
            self._count(now[0] - before[0], now[1] - before[1], now[2] - before[2])
        return self._numbers[self._in_force]

    def _count(self, rows: int, work: float, wait: float) -> None:
        self._spent += work + wait
        best, other = self._sides
        if self._other is None:
            best.add(rows, work, wait)
            if best.turns >= self._rest:
                self._begin_trial(best)
            return
        (best if self._in_force == self._best else other).add(rows, work, wait)
        if min(best.turns, other.turns) == 0:
            self._in_force = self._best
            return
        lost = (other.seconds - best.seconds) * other.rows
        if lost * best.turns > _HOPELESS * (best.work + best.wait) or min(best.turns, other.turns) == _TRIAL:
            self._end_trial(best, other, lost)
        else:
            self._in_force = self._best if self._in_force == self._other else self._other

    def _begin_trial(self, rest: _Side) -> None:
        """Put a neighbour of the best number on trial, or take it untried where the oracle is what takes the time."""
        self._sides = (_Side(), _Side())
        ways = [up for up in (self._goes_up, not self._goes_up) if 0 <= self._neighbour(up) < len(self._numbers)]
        self._goes_up = ways[0]
        other = self._neighbour(self._goes_up)
        # n times as many threads take a share of 1 / n of the work at best, and never less.
        change = abs(rest.work - rest.work * self._numbers[self._best] / self._numbers[other])
        if rest.wait >= change:
            if not self._goes_up:
                self._take(other)
            self._goes_up = False
        elif self._lost <= _PRICE * self._spent:
            self._other = self._in_force = other

    def _end_trial(self, best: _Side, other: _Side, lost: float) -> None:
        tried = self._other
        assert tried is not None
        self._lost += max(0.0, lost)
        if other.seconds < (_GAIN if self._goes_up else _LOSS) * best.seconds:
            self._take(tried)
        else:
            self._in_force = self._best
            self._goes_up = not self._goes_up
            self._rest = min(2 * self._rest, _LONGEST_REST)
        self._other = None
        self._sides = (_Side(), _Side())

    def _take(self, number: int) -> None:
        self._best = self._in_force = number
        self._rest = _REST

    def _neighbour(self, up: bool) -> int:
        return self._best + (1 if up else -1)
