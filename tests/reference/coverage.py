"""How often windows have lain on each part of an image: in cells of a grid, with the core's doubles.

The order of the floating-point operations is part of the definition, so that both place windows alike.
"""

from __future__ import annotations

from collections.abc import Iterator

from . import tuning


def edges(length: int) -> list[int]:
    """Where the cells along a line of so many pixels begin, and where the last one ends."""
    n = min(length, tuning.GRID)
    return [i * length // n for i in range(n + 1)]


class Coverage:
    """The mean number of windows over each cell's pixels."""

    def __init__(self, height: int, width: int) -> None:
        self._rows, self._columns = edges(height), edges(width)
        self.cells = [[0.0] * (len(self._columns) - 1) for _ in self._rows[1:]]

    def add(self, top: int, left: int, side: int) -> None:
        """Count a square window."""
        for row, column, common, size in self._shared(top, left, side):
            self.cells[row][column] += common / size

    def under(self, top: int, left: int, side: int) -> float:
        """How often the pixels of such a window have been covered, summed."""
        total = 0.0
        for row, column, common, _ in self._shared(top, left, side):
            total += common * self.cells[row][column]
        return total

    def _shared(self, top: int, left: int, side: int) -> Iterator[tuple[int, int, int, int]]:
        """Row and column of each cell under a window, its pixels under the window, and all its pixels."""
        for row, (up, down) in enumerate(zip(self._rows, self._rows[1:], strict=False)):
            high = min(down, top + side) - max(up, top)
            for column, (begin, end) in enumerate(zip(self._columns, self._columns[1:], strict=False)):
                wide = min(end, left + side) - max(begin, left)
                if high > 0 and wide > 0:
                    yield row, column, high * wide, (down - up) * (end - begin)
