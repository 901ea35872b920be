"""How the ends of the bounds alternate over a rectangle of an image, cell by cell."""

from __future__ import annotations

from .philox import Stream

Sides = list[list[bool]]


def weave(stream: Stream, texture: tuple[str, int], top: int, left: int, height: int, width: int) -> Sides:
    """Whether each pixel of the rectangle is high, [row][column]; random ones are drawn line by line.

    A texture belongs to the image and not to the rectangle: where the latter lies does not move it.
    """
    kind, period = texture
    if kind == "random columns":
        line = [stream.below(2) == 1 for _ in range(width)]
        return [line for _ in range(height)]
    if kind == "random rows":
        return [[stream.below(2) == 1] * width for _ in range(height)]

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
