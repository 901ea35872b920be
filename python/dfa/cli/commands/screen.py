"""The terminal that commands write to: every text goes there as it is, whoever wrote it.

Names of files and classes and errors of a user's code are no markup, no format string and no control sequence.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dfa.checks import printable


class Screen(Console):
    """A console that takes text for text."""

    def __init__(self, *, error: bool = False) -> None:
        """Write to the output stream, or to the error stream."""
        super().__init__(stderr=error, markup=False, highlight=False, emoji=False)

    def say(self, text: object, style: str = "") -> None:
        """Write a text, line ends as they are."""
        self.print(_verbatim(text, style), soft_wrap=True)

    def show(self, rows: Iterable[Sequence[object]], *header: str, styles: Sequence[str] = ()) -> None:
        """Write a table.

        Args:
            rows: Texts of its cells.
            header: Texts above its columns; none for a plain list.
            styles: One per row, if any.
        """
        table = Table(*header) if header else Table(show_header=False, box=None, pad_edge=False)
        for place, row in enumerate(rows):
            table.add_row(*(_verbatim(cell) for cell in row), style=styles[place] if styles else None)
        self.print(table)

    def on_broken_pipe(self) -> None:
        """Let the command line say how that ends; rich would end the process, with the status of a verdict."""
        raise BrokenPipeError


def duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _verbatim(text: object, style: str = "") -> Text:
    return Text(printable(text), style=style)
