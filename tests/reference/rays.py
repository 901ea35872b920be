"""The walk along rays for one image, told from its beginning to its end: what is asked next is what is yielded.

A direction is a sign per coordinate, True where it goes up. A reach of `WHOLE` lies at the ends of the ball.

Source: RayS (Chen and Gu, KDD 2020); cpp/include/dfa/search/ray_walk.hpp says where this differs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass

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


@dataclass
class Nearest:
    """The best direction so far, and the reach at which the label was seen there; None where it was seen nowhere."""

    signs: Signs
    reach: int | None = None


def tiles(shape: tuple[int, int, int], level: int) -> list[list[int]]:
    """The coordinates of each tile: all channels of a rectangle, 2 to the power of `level` of them if that can be."""
    height, width, channels = shape
    rows, columns = min(height, 2 ** ((level + 1) // 2)), min(width, 2 ** (level // 2))
    return [
        [
            (y * width + x) * channels + channel
            for y in range(row * height // rows, (row + 1) * height // rows)
            for x in range(column * width // columns, (column + 1) * width // columns)
            for channel in range(channels)
        ]
        for row in range(rows)
        for column in range(columns)
    ]


def blocks(shape: tuple[int, int, int], level: int) -> list[list[int]]:
    """The coordinates of each block: stretches of the first channel, the next, ..., each row by row."""
    height, width, channels = shape
    by_channel = [pixel * channels + channel for channel in range(channels) for pixel in range(height * width)]
    size = -(-len(by_channel) // 2**level)
    return [by_channel[first : first + size] for first in range(0, len(by_channel), size)]


def parts_after_starts(shape: tuple[int, int, int], best: Nearest) -> Iterator[list[int]]:
    """What is turned over one after another where the walk begins with the starts."""
    for number, (kind, level) in enumerate(tuning.ROUNDS_AFTER_STARTS):
        is_near = best.reach is not None and best.reach - WHOLE <= WHOLE // tuning.NEAR
        if number >= tuning.ROUNDS_IF_FAR and not is_near:
            break
        yield from {"tiles": tiles, "blocks": blocks}[kind](shape, level)


def parts_after_plain_signs(shape: tuple[int, int, int]) -> Iterator[list[int]]:
    """The same where it begins with plain signs."""
    for level in range(1, tuning.PLAIN_ROUNDS + 1):
        yield from blocks(shape, level)


def parts_at_last(shape: tuple[int, int, int]) -> Iterator[list[int]]:
    """The same where it goes on from the nearer of both, for ever."""
    while True:
        for level in itertools.count(tuning.LEVEL_AGAIN):
            yield from tiles(shape, level)
            yield from blocks(shape, level)
            if 2**level >= math.prod(shape):
                break


def walk(shape: tuple[int, int, int], radii: Sequence[int], starts: Sequence[Signs]) -> Generator[Asked, bool, None]:
    """Yield what is asked, and be sent whether the label that counts is seen there."""
    # The starts were asked at the ends of the ball before.
    first = Nearest(starts[0])
    yield from descend(radii, first, starts, parts_after_starts(shape, first), were_asked=True)
    second = Nearest((True,) * len(radii))
    yield from descend(radii, second, [second.signs], parts_after_plain_signs(shape), were_asked=False)
    far = math.inf
    is_first_kept = first.reach is not None and first.reach <= (far if second.reach is None else second.reach)
    yield from descend(radii, first if is_first_kept else second, [], parts_at_last(shape), were_asked=False)


def descend(
    radii: Sequence[int], best: Nearest, starts: Sequence[Signs], parts: Iterable[list[int]], *, were_asked: bool
) -> Generator[Asked, bool, None]:
    """Look along the starts, and then along the best direction with each of the parts turned over."""
    largest = max(radii)
    far = -(-255 * WHOLE // largest)
    least = WHOLE // (tuning.PARTS_OF_A_LEVEL * largest)

    def looks() -> Iterator[tuple[Signs, bool]]:
        for start in starts:
            yield start, were_asked
        for part in parts:
            if any(radii[p] for p in part):
                turned = set(part)
                yield tuple(sign != (p in turned) for p, sign in enumerate(best.signs)), False

    for direction, was_asked in looks():
        stride = None if best.reach is None else max((best.reach - WHOLE) // tuning.SHORTENING, least)
        asked = far if best.reach is None or stride is None else max(WHOLE, best.reach - stride)
        if not (yield direction, asked):
            continue
        nearest = asked
        low = WHOLE if was_asked else None
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
        best.signs, best.reach = direction, nearest
