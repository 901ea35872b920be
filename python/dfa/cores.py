"""The machine's cores: how many this process may use, and how threads wait for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_WAITING: Final = {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "3000"}
"""How threads wait: asleep, and with GNU's OpenMP after some tens of microseconds awake, which torch's next operation
needs (ResNet-20 in batches of 16 took 1.7 times as long where they slept at once)."""


def usable_cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def threads_that_sleep() -> Iterator[None]:
    """Let an OpenMP that is loaded in the context put threads to sleep that have nothing to do for long.

    GNU's OpenMP reads when it is loaded how its threads are to wait, for good. By default they spin for milliseconds,
    and beside other busy processes they keep cores from whoever has work, the run's own main thread first: where
    several such processes shared two cores, a run with two threads was 6 to 10 times slower than with one, and with
    threads that sleep about as fast. What is set stays, and the environment is afterwards what it was. Where another
    library has loaded the same OpenMP before, nothing changes; where another shares it later, as torch does, its
    threads wait so too.
    """
    settings = {} if _WAITING.keys() & os.environ.keys() else _WAITING
    os.environ.update(settings)
    try:
        yield
    finally:
        for name in settings:
            del os.environ[name]
