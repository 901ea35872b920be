"""The search space, and what Algorithm 1 draws in it: starts (line 1) and candidates (lines 13 to 16)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .coverage import Coverage
from .gains import PLAIN, PRIOR, Gains
from .moves import Moves
from .philox import Stream
from .settings import Settings
from .textures import weave

Vector = tuple[int, ...]

ATTEMPTS = 16


@dataclass(frozen=True)
class Space:
    """The search space Delta: inclusive bounds for each coordinate, and the coordinates that may move."""

    shape: tuple[int, int, int]
    """Height, width and channels: coordinate p is (row, column, channel) in C order."""
    lower: Vector
    upper: Vector
    free: tuple[int, ...]
    image: NDArray[np.uint8] | None = None
    """What the space's own moves read."""
    moves: Moves | None = None


@dataclass(frozen=True)
class Proposal:
    """A candidate that is no start."""

    vector: Vector
    parent: int
    """Rank of the positive that it was made from."""
    changed: tuple[int, ...]
    """The coordinates that were drawn anew."""
    filling: int = PLAIN
    corner: tuple[int, int] = (0, 0)
    """The top left pixel of the window."""
    side: int = 0
    """Of the window."""


def make_space(image: NDArray[np.uint8], epsilon: int | NDArray[np.integer], domain: str) -> Space:
    """The L-infinity ball around `image`; epsilon in grey levels, one or (H, W, C) of them (0 = masked)."""
    height, width, channels = image.shape
    shape = (height, width, channels)
    original = [int(value) for value in image.ravel()]
    radii = [int(value) for value in np.broadcast_to(epsilon, image.shape).ravel()]
    free = tuple(p for p, radius in enumerate(radii) if radius > 0)
    if not free or min(radii) < 0 or max(radii) > 255:
        raise ValueError("epsilon must be 0..255 everywhere and positive somewhere")
    if domain == "ball":
        return Space(shape, tuple(-e for e in radii), tuple(radii), free)
    lower = tuple(max(-e, -d) for e, d in zip(radii, original, strict=True))
    upper = tuple(min(e, 255 - d) for e, d in zip(radii, original, strict=True))
    return Space(shape, lower, upper, free)


def render(image: NDArray[np.uint8], vector: Vector) -> NDArray[np.uint8]:
    """norm(d + delta) of section 4.2: the image that the oracle sees."""
    moved = [int(d) + x for d, x in zip(image.ravel(), vector, strict=True)]
    clamped = [0 if value < 0 else 255 if value > 255 else value for value in moved]
    return np.array(clamped, dtype=np.uint8).reshape(image.shape)


def draw_start(stream: Stream, space: Space, settings: Settings) -> Vector:
    """Line 1: one perturbation, uniform in the search space or vertical stripes at its bounds."""
    if settings.shape == "own":
        assert space.moves is not None
        assert space.image is not None
        return tuple(space.moves.start(stream, space.image))
    vector = [low if low == high else 0 for low, high in zip(space.lower, space.upper, strict=True)]
    if settings.start != "uniform":
        _, width, channels = space.shape
        sides = [[stream.below(2) for _ in range(channels)] for _ in range(width)]
        for p in space.free:
            side = sides[p // channels % width][p % channels]
            vector[p] = space.upper[p] if side else space.lower[p]
        return tuple(vector)
    for p in space.free:
        vector[p] = space.lower[p] + stream.below(space.upper[p] - space.lower[p] + 1)
    return tuple(vector)


def textured_start(space: Space, texture: int) -> Vector:
    """A start in one of the textures, as it is or turned over."""
    height, width, channels = space.shape
    woven, is_turned = tuning.TEXTURED_STARTS[texture]
    sides = weave(woven, 0, 0, height, width)
    vector = [0] * len(space.lower)
    for p in space.free:
        is_high = sides[p // channels // width][p // channels % width] != is_turned
        vector[p] = space.upper[p] if is_high else space.lower[p]
    return tuple(vector)


def differing(space: Space, parent: Vector, negative: Vector) -> list[int]:
    """The free coordinates in which a negative differs from the parent, ascending."""
    return [p for p in space.free if parent[p] != negative[p]]


def cut(stream: Stream, here: int, there: int) -> int:
    """A cut between a positive's value and a negative's: the last value that stays with the positive."""
    if here < there:
        return here + stream.below(there - here)
    return there + 1 + stream.below(here - there)


def ordered_region(
    stream: Stream, space: Space, parent: Vector, negatives: Sequence[Vector]
) -> tuple[list[int], list[int]]:
    """Line 13, RACOS for ordered dimensions, strict: a box that holds no negative but copies of the parent.

    The textbook draws a coordinate and an active negative until their values differ, then cuts between them.
    Every pair that differs is equally likely to be the one that cuts, so one of those pairs is drawn here.
    """
    lower, upper = list(space.lower), list(space.upper)
    active = [negative for negative in negatives if differing(space, parent, negative)]
    while active:
        pairs = [(x, p) for x in active for p in differing(space, parent, x)]
        x, j = pairs[stream.below(len(pairs))]
        # Where a quarter or more of the coordinates differ, the core finds one by trying; so we must too.
        if 4 * len(differing(space, parent, x)) >= len(space.free):
            j = space.free[stream.below(len(space.free))]
            while x[j] == parent[j]:
                j = space.free[stream.below(len(space.free))]
        r = cut(stream, parent[j], x[j])
        if parent[j] < x[j]:
            upper[j] = r  # tighter than before, for x was inside
            active = [z for z in active if z[j] <= r]
        else:
            lower[j] = r
            active = [z for z in active if z[j] >= r]
    return lower, upper


def coordinate_region(
    stream: Stream, bounds: tuple[int, int], p: int, parent: Vector, negatives: Sequence[Vector]
) -> tuple[int, int]:
    """Lines 13-14 read literally, "refine each coordinate respectively": one cut for every negative."""
    low, high = bounds
    for x in negatives:
        if parent[p] < x[p]:
            high = min(high, cut(stream, parent[p], x[p]))
        elif parent[p] > x[p]:
            low = max(low, cut(stream, parent[p], x[p]))
    return low, high


def draw_subset(stream: Stream, n: int, size: int) -> list[int]:
    """`n` distinct integers of 0..size-1 in the order drawn, every subset equally likely (Floyd)."""
    picked: list[int] = []
    for j in range(size - n, size):
        u = stream.below(j + 1)
        picked.append(j if u in picked else u)
    return picked


def window_share(settings: Settings, told: int) -> float:
    """The share of the area that a window, or a space's own move, covers once `told` candidates have been told."""
    return settings.window_share / float(2 ** sum(told >= halving for halving in settings.window_halvings))


def window_side(settings: Settings, shape: tuple[int, int, int], told: int) -> int:
    """The side of the window once `told` candidates have been told, in pixels."""
    height, width, _ = shape
    side = math.floor(math.sqrt(window_share(settings, told) * height * width) + 0.5)
    return min(max(side, 1), height, width)


def draw_taking(stream: Stream, count: int) -> list[bool]:
    """Which of so many coordinates take a prior's signs: each with the same chance, a half to the power of 1, 2, ..."""
    halvings = 1 + stream.below(tuning.MOST_HALVINGS)
    taking: list[bool] = []
    while len(taking) < count:
        words = [stream.next() for _ in range(halvings)]
        taking += [all(word >> bit & 1 for word in words) for bit in range(32)]
    return taking[:count]


def inside(space: Space, top: int, left: int, side: int) -> list[int]:
    """The free coordinates of a square of the image, row by row."""
    _, width, channels = space.shape
    free = set(space.free)
    square = [
        (row * width + column) * channels + channel
        for row in range(top, top + side)
        for column in range(left, left + side)
        for channel in range(channels)
    ]
    return [p for p in square if p in free]


def draw_corner(
    stream: Stream, space: Space, side: int, placements: int = 1, coverage: Coverage | None = None
) -> tuple[int, int]:
    """The top left pixel of a square that lies in the image: of so many, the first of the least covered."""
    height, width, _ = space.shape
    corners = [(stream.below(height - side + 1), stream.below(width - side + 1)) for _ in range(placements)]
    return min(corners, key=lambda corner: coverage.under(corner[0], corner[1], side) if coverage else 0.0)


def draw_candidate(
    stream: Stream,
    space: Space,
    settings: Settings,
    positives: Sequence[Vector],
    negatives: Sequence[Vector],
    told: int = 0,
    gains: Gains | None = None,
    coverage: Coverage | None = None,
    prior: Sequence[bool] | None = None,
) -> Proposal:
    """Lines 13-16: one candidate, possibly equal to a positive. Both populations are in rank order.

    `told` is the number of candidates after the starts that were told in the iterations before this one, `gains` is
    what was learned from them, and `coverage` where their windows were. `prior` is what a surrogate says of the parent:
    which coordinates should be raised.
    """
    rank = stream.below(len(positives))
    parent = positives[rank]  # line 15: delta'
    if settings.shape == "own":
        assert space.moves is not None
        assert space.image is not None
        moved = tuple(space.moves.move(stream, space.image, list(parent), window_share(settings, told)))
        return Proposal(moved, rank, tuple(differing(space, parent, moved)))
    lower, upper = list(space.lower), list(space.upper)
    if settings.region == "ordered":
        lower, upper = ordered_region(stream, space, parent, negatives)  # line 13
    channel_sides: list[int] = []
    filling, corner, side = PLAIN, (0, 0), 0
    turned: set[int] = set()  # the coordinates that are low where their channel is high, and the other way round
    if settings.shape == "window":  # line 15: Y
        side = window_side(settings, space.shape, told)
        if prior is not None and (gains or Gains()).draw_is_prior(stream):
            taking = draw_taking(stream, len(parent))
            both = zip(taking, prior, parent, upper, strict=True)
            raised = [said if takes else value == high for takes, said, value, high in both]
            moved = tuple(upper[p] if raised[p] else lower[p] for p in range(len(parent)))
            return Proposal(moved, rank, space.free, PRIOR)
        top, left = corner = draw_corner(stream, space, side, settings.placements, coverage)
        subset = inside(space, top, left, side)
        _, width, channels = space.shape
        if settings.values == "textures":
            filling = (gains or Gains()).draw(stream)
        if filling != PLAIN:
            channel_sides = [stream.below(2)] * channels
        elif settings.values != "uniform":
            channel_sides = [stream.below(2) for _ in range(channels)]
        if filling != PLAIN:
            high = weave(tuning.WINDOW_TEXTURES[filling - 1], top, left, side, side)
            for p in subset:
                row, column = p // channels // width, p // channels % width
                if not high[row - top][column - left]:
                    turned.add(p)
    else:
        count = min(settings.coordinates, len(space.free))
        subset = [space.free[i] for i in draw_subset(stream, count, len(space.free))]
    candidate = list(parent)
    for p in subset:  # line 15: v_p
        low, high_bound = lower[p], upper[p]
        if settings.region == "per_coordinate":
            low, high_bound = coordinate_region(stream, (low, high_bound), p, parent, negatives)  # line 13
        if settings.values == "uniform":
            candidate[p] = low + stream.below(high_bound - low + 1)
        else:
            picks_high = channel_sides[p % space.shape[2]] if channel_sides else stream.below(2)
            candidate[p] = high_bound if bool(picks_high) != (p in turned) else low
    return Proposal(tuple(candidate), rank, tuple(subset), filling, corner, side)  # line 16: delta''


def propose(
    stream: Stream, space: Space, settings: Settings, positives: Sequence[Vector], *others: Any, **learned: Any
) -> Proposal:
    """What `draw_candidate` returns for the same, but equal to no positive, unless all attempts fail.

    A small space may hold no other.
    """
    for _ in range(ATTEMPTS):
        candidate = draw_candidate(stream, space, settings, positives, *others, **learned)
        if candidate.vector not in positives:
            break
    return candidate
