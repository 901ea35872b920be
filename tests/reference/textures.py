"""How the ends of the bounds alternate over a rectangle of an image, cell by cell."""

from __future__ import annotations

Sides = list[list[bool]]


def weave(texture: tuple[str, int], top: int, left: int, height: int, width: int) -> Sides:
    """Whether each pixel of the rectangle is high, [row][column].

    A texture belongs to the image and not to the rectangle: where the latter lies does not move it.
    """
    kind, period = texture

    def is_high(row: int, column: int) -> bool:
        if kind == "rows":
            return row // period % 2 == 1
        if kind == "columns":
            return column // period % 2 == 1
        if kind == "checks":
            return (row // period + column // period) % 2 == 1
        assert kind == "plain"
        return True

    return [[is_high(row, column) for column in range(left, left + width)] for row in range(top, top + height)]
