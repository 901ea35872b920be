"""Algorithm 1 of the paper for one image, as slowly and plainly as it can be written.

Every vector is a whole tuple of m integers (m = H*W*C, C order); nothing is shared, indexed or cached. The
order of the random draws is part of the definition: the C++ core makes the same ones, so that both follow one
trajectory.

Source: paper, section 4.2 (search space, norm), Algorithm 1, Table 5 (the defaults); RACOS (Yu, Qian, Hu,
AAAI 2016) for line 13. "Line n" below is a line of Algorithm 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .archive import Lesson, Plan, plan_alone
from .coverage import Coverage
from .gains import PLAIN, Gains
from .philox import Stream
from .settings import Settings
from .textures import weave

Vector = tuple[int, ...]

ATTEMPTS = 16
MOST_GAIN = 1e12
"""So that sums of gains stay finite, whatever the degrees are."""


@dataclass(frozen=True)
class Space:
    """The search space Delta: inclusive bounds for each coordinate, and the coordinates that may move."""

    shape: tuple[int, int, int]
    """Height, width and channels: coordinate p is (row, column, channel) in C order."""
    lower: Vector
    upper: Vector
    free: tuple[int, ...]


@dataclass(frozen=True)
class Member:
    """A perturbation that has been evaluated."""

    vector: Vector
    degree: float
    birth: int
    """Running number of the candidate, over all iterations, from 0."""


@dataclass(frozen=True)
class Proposal:
    """A candidate that is no start."""

    vector: Vector
    parent: int
    """Rank of the positive that it was made from."""
    filling: int = PLAIN
    corner: tuple[int, int] = (0, 0)
    """The top left pixel of the window."""


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
    """A start in one of the textures; the second half of them is the first turned over."""
    height, width, channels = space.shape
    is_turned, which = divmod(texture, len(tuning.START_TEXTURES))
    sides = weave(tuning.START_TEXTURES[which], 0, 0, height, width)
    vector = [0] * len(space.lower)
    for p in space.free:
        is_high = sides[p // channels // width][p // channels % width] != bool(is_turned)
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


def window_side(settings: Settings, shape: tuple[int, int, int], told: int) -> int:
    """The side of the window once `told` candidates have been told, in pixels."""
    height, width, _ = shape
    halvings = sum(told >= halving for halving in settings.window_halvings)
    side = math.floor(math.sqrt(settings.window_share / 2**halvings * height * width) + 0.5)
    return min(max(side, 1), height, width)


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
) -> Proposal:
    """Lines 13-16: one candidate, possibly equal to a positive. Both populations are in rank order.

    `told` is the number of candidates after the starts that were told in the iterations before this one, `gains` is
    what was learned from them, and `coverage` where their windows were.
    """
    rank = stream.below(len(positives))
    parent = positives[rank]  # line 15: delta'
    lower, upper = list(space.lower), list(space.upper)
    if settings.region == "ordered":
        lower, upper = ordered_region(stream, space, parent, negatives)  # line 13
    channel_sides: list[int] = []
    filling, corner = PLAIN, (0, 0)
    turned: set[int] = set()  # the coordinates that are low where their channel is high, and the other way round
    if settings.shape == "window":  # line 15: Y
        side = window_side(settings, space.shape, told)
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
    return Proposal(tuple(candidate), rank, filling, corner)  # line 16: delta''


def propose(
    stream: Stream,
    space: Space,
    settings: Settings,
    positives: Sequence[Vector],
    negatives: Sequence[Vector],
    told: int = 0,
    gains: Gains | None = None,
    coverage: Coverage | None = None,
) -> Proposal:
    """One candidate that equals no positive, unless all attempts fail: a small space may hold none."""
    for _ in range(ATTEMPTS):
        candidate = draw_candidate(stream, space, settings, positives, negatives, told, gains, coverage)
        if candidate.vector not in positives:
            break
    return candidate


class Racos:
    """The search for one image. `ask` changes nothing; `tell` takes a degree for each image that it gave."""

    def __init__(
        self,
        image: NDArray[np.uint8],
        epsilon: int | NDArray[np.integer],
        settings: Settings,
        *,
        seed: int,
        image_id: int = 0,
        plan: Plan | None = None,
        box: tuple[Sequence[int], Sequence[int], Callable[[NDArray[np.uint8], list[int]], NDArray[np.uint8]]]
        | None = None,
    ) -> None:
        """Begin before iteration 0, whose candidates are the start population; with what an archive planned.

        `box` is what there is instead of a ball: the ends of the intervals, and what makes an image of a vector.
        """
        self.image = image
        self.settings = settings
        if box is None:
            self.space = make_space(image, epsilon, settings.domain)
            self._render: Callable[[NDArray[np.uint8], Vector], NDArray[np.uint8]] = render
        else:
            low, high, shows = box
            free = tuple(p for p in range(len(low)) if low[p] < high[p])
            # What is fixed may be other than 0 in a box.
            self.space = Space((1, len(low), 1), tuple(low), tuple(high), free)
            self._render = lambda image, vector: shows(image, list(vector))
        self.seed = seed
        self.image_id = image_id
        self.plan = plan or plan_alone(settings.starts or settings.samples + settings.positives)
        self.gains = deepcopy(self.plan.gains)
        self.coverage = Coverage(*self.space.shape[:2])
        """Of the present descent."""
        self.lesson = Lesson()
        self._has_taught_hit = False
        self.iteration = 0
        self._births = 0
        self.descents = 1
        """How often the search has begun, so far."""
        self._descent = 0
        """Births before the present descent."""
        self._num_starts = len(self.plan.starts)
        """Of the present descent."""
        self._looks: list[float] = []
        """The best degree when half of `restart_after` candidates of this descent were told, all, twice as many..."""
        self._population: tuple[Member, ...] = ()
        self._asked = self._improved = 0
        """Windows of late, in this descent, and those of them that lowered the degree."""

    @property
    def population(self) -> tuple[Member, ...]:
        """The s + k members in rank order, best first; empty before the first `tell`."""
        return self._population

    @property
    def positives(self) -> tuple[Member, ...]:
        """The k best."""
        return self._population[: self.settings.positives]  # line 9

    @property
    def negatives(self) -> tuple[Member, ...]:
        """The others."""
        return self._population[self.settings.positives :]  # line 10

    @property
    def pending(self) -> int:
        """How many candidates this iteration has: s + k at first; then s, or what promises as many improvements as are
        wished for. Before any window, as many starts as were told already."""
        size = self.settings.samples + self.settings.positives
        if self.iteration == 0:
            return size
        if self.settings.improvements == 0:
            return self.settings.samples
        told = self._births - self._descent
        if told < self._num_starts:
            return min(self._num_starts - told, max(told, size))
        return max(self.settings.samples, int(self.settings.improvements * (self._asked + 2) / (self._improved + 1)))

    def candidate(self, i: int) -> Vector:
        """Candidate `i` of this iteration, from its own stream: the order of asking does not matter."""
        if self._births + i < self._first_descendant:
            return self._start(i)
        return self._proposal(i).vector

    def _start(self, i: int) -> Vector:
        stream = Stream(self.seed, self.image_id, self.iteration, i)
        if self.descents > 1:  # uniform, or stripes in the place of textures, which would be the same again
            return draw_start(stream, self.space, self.settings)
        start = self.plan.starts[self._births + i]
        if start.signs is not None:
            ends = zip(start.signs, self.space.lower, self.space.upper, strict=True)
            return tuple(upper if is_raised else lower for is_raised, lower, upper in ends)
        if self.settings.start == "textures":
            assert start.texture is not None
            return textured_start(self.space, start.texture)
        return draw_start(stream, self.space, self.settings)

    def _proposal(self, i: int) -> Proposal:
        stream = Stream(self.seed, self.image_id, self.iteration, i)
        positives = [member.vector for member in self.positives]
        negatives = [member.vector for member in self.negatives]
        return propose(
            stream, self.space, self.settings, positives, negatives, self._answered, self.gains, self.coverage
        )

    @property
    def _first_descendant(self) -> int:
        """The birth of the first candidate of this descent that is no start."""
        return self._descent + self._num_starts

    @property
    def _answered(self) -> int:
        """Candidates of this descent after its starts, told in the iterations before this one."""
        return max(0, self._births - self._first_descendant)

    def ask(self) -> NDArray[np.uint8]:
        """The images of this iteration's candidates, (pending, H, W, C)."""
        return np.stack([self._render(self.image, self.candidate(i)) for i in range(self.pending)])  # lines 2, 12-19

    def tell(self, degrees: Sequence[float] | NDArray[np.float64]) -> None:
        """Take one dissatisfaction degree per candidate and go on to the next iteration."""
        told = [float(degree) + 0.0 for degree in degrees]  # + 0.0: -0.0 is stored as 0.0
        if len(told) != self.pending or any(degree != degree for degree in told):
            raise ValueError(f"expected {self.pending} degrees without NaN, got {told}")
        # All of them before any is learned from, since learning changes what is drawn.
        vectors = [self.candidate(i) for i in range(self.pending)]
        self._learn(told)
        born = [
            Member(vector, degree, self._births + i)  # lines 3, 20
            for i, (vector, degree) in enumerate(zip(vectors, told, strict=True))
        ]
        union = [*self._population, *born]
        newest_first = self.settings.ties == "newer"
        union.sort(key=lambda member: (member.degree, -member.birth if newest_first else member.birth))
        self._population = tuple(union[: self.settings.samples + self.settings.positives])  # lines 21-22
        best = self._population[0]
        is_born_now = best.birth >= max(self._births, self._first_descendant)
        if best.degree == 0 and is_born_now and self._is_lesson and not self._has_taught_hit:
            self._has_taught_hit = True
            self.lesson.found = tuple(x > 0 for x in best.vector)
        self._births += len(born)
        self.iteration += 1
        self._restart_if_at_rest(best.degree)

    def take_lesson(self) -> Lesson:
        """What was taught since the last time."""
        taken, self.lesson = self.lesson, Lesson()
        return taken

    def _restart_if_at_rest(self, best: float) -> None:
        """Begin anew where the second half of a descent's candidates has brought next to nothing."""
        if self.settings.restart_after == 0:
            return
        marks = [self.settings.restart_after // 2]
        marks += [self.settings.restart_after * 2**doublings for doublings in range(32)]
        passed = sum(mark <= self._answered for mark in marks)
        if passed <= len(self._looks):
            return
        if self._looks and best > self.settings.rest_ratio * self._looks[-1]:
            self.descents += 1
            self._population = ()
            self.coverage = Coverage(*self.space.shape[:2])
            self._asked = self._improved = 0
            self._descent = self._births
            self._num_starts = self.settings.samples + self.settings.positives
            self._looks = []
            return
        self._looks += [best] * (passed - len(self._looks))

    @property
    def _is_lesson(self) -> bool:
        return self._descent == 0 and self._births < tuning.LESSON_CANDIDATES

    def _learn(self, degrees: Sequence[float]) -> None:
        """Learn from this iteration's candidates, before they join the population."""
        proposals = {i: self._proposal(i) for i in range(len(degrees)) if self._births + i >= self._first_descendant}
        side = window_side(self.settings, self.space.shape, self._answered)
        for i, degree in enumerate(degrees):
            if i not in proposals:
                if self._is_lesson:
                    entry = self.plan.starts[self._births + i].entry
                    self.lesson.trials.append((entry, degree / self.plan.scale))
                continue
            if self._is_lesson:
                self.lesson.num_searches += self._births + i == len(self.plan.starts)
                self.lesson.num_windows += 1
            if self.settings.shape == "window":
                self.coverage.add(*proposals[i].corner, side)
            parent = self.positives[proposals[i].parent]
            self._improved += degree < parent.degree
            if self.settings.values != "textures":
                continue
            gain = 0.0
            if parent.degree > degree:
                gain = min((parent.degree - degree) / self.plan.scale, MOST_GAIN)
            self.gains.learn(proposals[i].filling, gain)
            if self._is_lesson:
                self.lesson.gains.add(proposals[i].filling, min(gain, tuning.LARGEST_GAIN))
        self._asked += len(proposals)
        while self._asked > tuning.PACE_MEMORY:
            self._asked, self._improved = self._asked // 2, self._improved // 2


def minimise(search: Racos, degree: Callable[[NDArray[np.uint8]], float], iterations: int) -> Member:
    """Lines 1-25: the best member found in at most `iterations` iterations after the start."""
    search.tell([degree(image) for image in search.ask()])  # lines 1-3
    for _ in range(iterations):  # line 5
        if search.population[0].degree == 0:  # lines 4, 6-8, 23
            break
        search.tell([degree(image) for image in search.ask()])
    return search.population[0]  # line 25
