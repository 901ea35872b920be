"""Which workers a user means."""

from __future__ import annotations

from collections.abc import Sequence

from dfa.oracle.workers.local import LocalWorkers
from dfa.oracle.workers.pool import Workers


def as_workers(given: int | Sequence[str] | Workers | None) -> Workers | None:
    """Return the workers that `dfa.run` was given.

    Args:
        given: None; a number of processes; the device of each; or `Workers`.

    Raises:
        InvalidInputError: It is none of these.
    """
    return given if given is None or isinstance(given, Workers) else LocalWorkers(given)
