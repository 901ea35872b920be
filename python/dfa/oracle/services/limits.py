"""Rates that a service allows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path


class Limits:
    """Rates: none yet."""

    def __init__(self, rates: str | Sequence[str] | None = None, shared_file: str | Path | None = None) -> None:
        """Begin with nothing sent."""

    def wait(self, sleep: Callable[[float], None]) -> float:
        """Wait until a request may go out, and return the seconds that were waited."""
        return 0.0
