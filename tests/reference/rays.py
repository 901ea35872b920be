"""The walk along rays for one image, told from its beginning to its end: what is asked next is what is yielded.

A direction is a sign per coordinate, True where it goes up. A reach of `WHOLE` lies at the ends of the ball.

Source: RayS (Chen and Gu, KDD 2020); cpp/include/dfa/search/ray_walk.hpp says where this differs.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence

from . import tuning

WHOLE = 2**16
Signs = tuple[bool, ...]
Asked = tuple[Signs, int]
"""A direction, and how far along it."""


def dither(p: int) -> int:
    """What is added to the change of a coordinate, in parts of a grey level, before it is rounded down."""
    return p * 0x9E3779B9 % 2**32 // 2**16


def vector_at(radii: Sequence[int], asked: Asked) -> tuple[int, ...]:
    """The perturbation, of any size."""
    signs, reach = asked
    changes = [(radius * reach + dither(p)) // WHOLE for p, radius in enumerate(radii)]
    return tuple(change if is_up else -change for change, is_up in zip(changes, signs, strict=True))


def tiles(shape: tuple[int, int, int], radii: Sequence[int]) -> Generator[list[int], None, None]:
    """The coordinates of each tile that holds one that may move: halves, quarters, ..., for ever."""
    height, width, channels = shape

    def exists(level: int) -> bool:
        return 1 << (level + 1) // 2 <= height or 1 << level // 2 <= width

    level = tuning.FIRST_LEVEL
    while True:
        rows, columns = min(height, 2 ** ((level + 1) // 2)), min(width, 2 ** (level // 2))
        for row in range(rows):
            for column in range(columns):
                tile = [
                    (y * width + x) * channels + channel
                    for y in range(row * height // rows, (row + 1) * height // rows)
                    for x in range(column * width // columns, (column + 1) * width // columns)
                    for channel in range(channels)
                ]
                if any(radii[p] for p in tile):
                    yield tile
        level += 1
        if not exists(level):
            level = max(each for each in range(tuning.LEVEL_AGAIN + 1) if each == 0 or exists(each))


def walk(shape: tuple[int, int, int], radii: Sequence[int], starts: Sequence[Signs]) -> Generator[Asked, bool, None]:
    """Yield what is asked, and be sent whether the label that counts is seen there."""
    largest = max(radii)
    far = -(-255 * WHOLE // largest)
    least = WHOLE // (tuning.PARTS_OF_A_LEVEL * largest)
    best: Signs | None = None
    nearest: int | None = None

    def looks() -> Generator[tuple[Signs, bool], None, None]:
        for start in starts:
            yield start, True
        for tile in tiles(shape, radii):
            turned = list(best or starts[0])
            for p in tile:
                turned[p] = not turned[p]
            yield tuple(turned), False

    for direction, is_start in looks():
        stride = None if nearest is None else max((nearest - WHOLE) // tuning.SHORTENING, least)
        asked = far if nearest is None or stride is None else max(WHOLE, nearest - stride)
        if not (yield direction, asked):
            continue
        best, nearest = direction, asked
        # The starts were asked at the ends of the ball before.
        low = WHOLE if is_start else None
        while True:
            beyond = nearest - WHOLE
            is_narrow = nearest - (low or WHOLE) <= max(beyond // tuning.PRECISION, least)
            if is_narrow and (low is not None or beyond == 0):
                break
            if low is None and beyond <= least:
                asked = WHOLE
            else:
                bottom = low or WHOLE
                asked = bottom + (nearest - bottom) // 2
                if stride is not None:
                    stride *= 2
                    asked = max(asked, nearest - stride)
            if (yield direction, asked):
                nearest = asked
            else:
                low, stride = asked, None
