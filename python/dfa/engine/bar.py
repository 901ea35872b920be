"""The progress bar of a run: how many images are settled, how many fell, how fast, and how long it will take."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any, Final

from tqdm import tqdm

from dfa.results.record import Record

_FORMAT: Final = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}<{remaining}{postfix}]"
_SECONDS: Final = 0.5
"""After which it is drawn again where no image is settled."""


class Bar:
    """A bar that somebody sees."""

    def __init__(self, bar: Any, asked: Callable[[], int]) -> None:
        """Draw an empty bar.

        Args:
            bar: A bar of tqdm.
            asked: Tells how many attack queries have been sent.
        """
        self._bar = bar
        self._asked = asked
        self._fell = 0
        # Those before a run was cut short were not asked at this speed, and are known once it goes on.
        self._begun: tuple[float, int] | None = None
        self._drawn = time.monotonic()

    def settle(self, record: Record) -> None:
        """Count an image."""
        self._fell += record.verified
        self._tell()
        self._bar.update()

    def look(self) -> None:
        """Draw it again, if it has not been for a while."""
        if time.monotonic() - self._drawn >= _SECONDS:
            self._tell()
            self._bar.refresh()

    def close(self) -> None:
        """Leave it as it is."""
        self._bar.close()

    def _tell(self) -> None:
        self._drawn = time.monotonic()
        asked = self._asked()
        if self._begun is None:
            self._begun = self._drawn, asked
        seconds, queries = self._drawn - self._begun[0], asked - self._begun[1]
        speed = f", {queries / seconds:,.0f} queries/s" if seconds > 0 and queries else ""
        self._bar.set_postfix_str(f"{self._fell:,} fell{speed}", refresh=False)


def open_bar(num_images: int, asked: Callable[[], int]) -> Bar | None:
    """Return a bar where the error stream is a terminal, or in a notebook; None where nobody would see it.

    None rather than a bar that is not shown: that too would take a lock, which a fork may leave taken for ever.

    Args:
        num_images: N.
        asked: Tells how many attack queries have been sent.
    """
    make: Any = tqdm
    if _is_notebook():
        with warnings.catch_warnings():
            # That it is new, and that without ipywidgets it is of text.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm as make  # it takes a while, and asks the notebook
    elif sys.stderr is None or not sys.stderr.isatty():
        return None
    return Bar(make(total=num_images, unit="image", desc="dfa", bar_format=_FORMAT), asked)


def _is_notebook() -> bool:
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and "IPKernelApp" in shell.config
