"""Tables and figures as text."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headers, the first column left-aligned and the others right-aligned."""
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip(), flush=True)


def percent(rate: float | None, *, digits: int = 1) -> str:
    """Return a rate of 0..1 as a percentage, or a dash where there is none."""
    return "-" if rate is None or math.isnan(rate) else f"{100 * rate:.{digits}f} %"


def verdict(is_met: bool) -> str:
    """Return what is said of a bar."""
    return "met" if is_met else "MISSED"
