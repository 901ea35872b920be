"""Algorithm 1 of the paper for one image, as slowly and plainly as it can be written.

Every vector is a whole tuple of m integers (m = H*W*C, C order); nothing is shared, indexed or cached. The
order of the random draws is part of the definition: the C++ core makes the same ones, so that both follow one
trajectory.

Source: paper, section 4.2 (search space, norm), Algorithm 1, Table 5 (the defaults); RACOS (Yu, Qian, Hu,
AAAI 2016) for line 13. "Line n" below is a line of Algorithm 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .archive import Lesson, Plan, ask_the_first, plan_alone
from .coverage import Coverage
from .gains import PLAIN
from .moves import Moves
from .opening import Opening
from .philox import Stream
from .proposals import (
    Proposal,
    Space,
    Vector,
    differing,
    draw_start,
    make_space,
    propose,
    render,
    textured_start,
)
from .rays import Signs, vector_at, walk
from .settings import Settings
from .textures import weave

MOST_GAIN = 1e12
"""So that sums of gains stay finite, whatever the degrees are."""


@dataclass(frozen=True)
class Member:
    """A perturbation that has been evaluated."""

    vector: Vector
    degree: float
    birth: int
    """Running number of the candidate, over all iterations, from 0."""


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
        moves: Moves | None = None,
    ) -> None:
        """Begin before iteration 0, whose candidates are the start population; with what an archive planned.

        `box` is what there is instead of a ball: the ends of the intervals, and what makes an image of a vector;
        `moves` how such a space moves its vectors itself.
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
            self.space = Space((1, len(low), 1), tuple(low), tuple(high), free, image, moves)
            self._render = lambda image, vector: shows(image, list(vector))
        self.seed = seed
        self.image_id = image_id
        self.plan = plan or plan_alone(settings.starts or settings.samples + settings.positives)
        if settings.shape == "ray":
            self.plan = ask_the_first(self.plan)
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
        self._opening = Opening(self.plan)
        self.chosen: list[int] = []
        """The starts of this iteration, as numbers in the plan, in the first descent."""
        self._num_starts = 0
        """Of the present descent, as far as they have been asked."""
        self._looks: list[float] = []
        """The best degree when half of `restart_after` candidates of this descent were told, all, twice as many..."""
        self._population: tuple[Member, ...] = ()
        self._asked = self._improved = 0
        """Windows of late, in this descent, and those of them that lowered the degree."""
        self.merged: Vector | None = None
        """What the first candidate of this iteration is, where several of the last one improved on one parent."""
        self._prior: tuple[int, tuple[bool, ...]] | None = None
        """The birth of the member that a prior was last given of, and its signs."""
        self.merges: list[int] = []
        """How many improvements each of those was made of, so far, where there was one."""
        self.turns: list[int] = []
        """How many windows turned over each of them holds, so far."""
        if settings.shape == "ray":
            # Not their bounds, which need not be symmetric.
            self._radii = [int(value) for value in np.broadcast_to(epsilon, image.shape).ravel()]
            self._walk = walk(self.space.shape, self._radii, [self._signs(i) for i in range(len(self.plan.starts))])
            self._asked_on_ray = next(self._walk)
        self._choose_starts()

    def _choose_starts(self) -> None:
        if self.descents > 1 or len(self._opening.answers) != self._births:
            self.chosen = []
            return
        size = self.settings.samples + self.settings.positives
        if self.iteration == 0:
            self.chosen = self._opening.chosen(size, size)
        elif self.settings.improvements == 0:
            self.chosen = self._opening.chosen(self.settings.samples, self.settings.samples)
        else:
            self.chosen = self._opening.chosen(1, tuning.MOST_TOGETHER)
        self._num_starts += len(self.chosen)

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
        wished for, and what was merged. Before any window, the starts that were chosen."""
        size = self.settings.samples + self.settings.positives
        told = self._births - self._descent
        if self._is_on_ray:
            return 1
        if self.iteration == 0:
            return size
        if self.settings.improvements == 0:
            left = self._num_starts - told if self.settings.shape == "ray" else self.settings.samples
            return min(self.settings.samples, left)
        if told < self._num_starts:
            return self._num_starts - told
        windows = max(
            self.settings.samples,
            int(self.settings.improvements * (self._asked + tuning.TRUST) / (self._improved + tuning.TRUST)),
        )
        return windows + (self.merged is not None)

    @property
    def wants_prior(self) -> bool:
        """Whether candidates can only be drawn when a prior has been given of the best member."""
        if not self.settings.prior or self._births + self.pending <= self._first_descendant:
            return False
        return self._prior is None or self._prior[0] != self._population[0].birth

    def give_prior(self, raised: Sequence[bool]) -> None:
        """Take which coordinates of the best member should be raised."""
        self._prior = (self._population[0].birth, tuple(raised))

    def candidates(self) -> list[Vector]:
        """The candidates of this iteration, each from its own stream: the order of asking does not matter."""
        if self._is_on_ray:
            return [vector_at(self._radii, self._asked_on_ray)]
        proposals = enumerate(self._proposals())
        return [self._start(i) if proposal is None else proposal.vector for i, proposal in proposals]

    @property
    def _is_on_ray(self) -> bool:
        """Whether the one candidate of this iteration is."""
        return self.settings.shape == "ray" and self._births >= self._num_starts

    def _signs(self, which: int) -> Signs:
        """The direction of a planned start, also where no coordinate can move."""
        start = self.plan.starts[which]
        if start.signs is not None:
            return tuple(start.signs)
        assert start.texture is not None
        height, width, channels = self.space.shape
        texture, is_turned = tuning.TEXTURED_STARTS[start.texture]
        sides = weave(texture, 0, 0, height, width)
        return tuple(side != is_turned for row in sides for side in row for _ in range(channels))

    def _start(self, i: int) -> Vector:
        stream = Stream(self.seed, self.image_id, self.iteration, i)
        if self.descents > 1:  # uniform, or stripes in the place of textures, which would be the same again
            return draw_start(stream, self.space, self.settings)
        start = self.plan.starts[self.chosen[i]]
        if start.signs is not None:
            ends = zip(start.signs, self.space.lower, self.space.upper, strict=True)
            return tuple(upper if is_raised else lower for is_raised, lower, upper in ends)
        if self.settings.start == "textures":
            assert start.texture is not None
            return textured_start(self.space, start.texture)
        return draw_start(stream, self.space, self.settings)

    def _proposals(self) -> list[Proposal | None]:
        """The candidates of this iteration that are no starts."""
        positives = [member.vector for member in self.positives]
        negatives = [member.vector for member in self.negatives]
        # Where so many windows are asked together as are promising, each keeps away from those before it, too.
        coverage = deepcopy(self.coverage)
        proposals: list[Proposal | None] = []
        for i in range(self.pending):
            if self._births + i < self._first_descendant:
                proposals.append(None)
                continue
            if i == 0 and self.merged is not None:
                changed = differing(self.space, self.merged, positives[0])
                proposals.append(Proposal(self.merged, 0, tuple(changed)))
                continue
            stream = Stream(self.seed, self.image_id, self.iteration, i)
            proposal = propose(
                stream,
                self.space,
                self.settings,
                positives,
                negatives,
                self._answered,
                self.gains,
                coverage,
                self._prior[1] if self._prior else None,
            )
            if self.settings.improvements:
                coverage.add(*proposal.corner, proposal.side)
            proposals.append(proposal)
        return proposals

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
        return np.stack([self._render(self.image, vector) for vector in self.candidates()])  # lines 2, 12-19

    def tell(self, degrees: Sequence[float] | NDArray[np.float64]) -> None:
        """Take one dissatisfaction degree per candidate and go on to the next iteration."""
        told = [float(degree) + 0.0 for degree in degrees]  # + 0.0: -0.0 is stored as 0.0
        if len(told) != self.pending or any(degree != degree for degree in told):
            raise ValueError(f"expected {self.pending} degrees without NaN, got {told}")
        if self._is_on_ray:
            self._tell_on_ray(told[0])
            return
        # All of them before any is learned from, since learning changes what is drawn.
        vectors, proposals = self.candidates(), self._proposals()
        self._learn(told, proposals)
        parents = self.positives
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
        self._merge(proposals, told, parents)
        self._births += len(born)
        self.iteration += 1
        self._restart_if_at_rest(best.degree)
        self._choose_starts()

    def _tell_on_ray(self, degree: float) -> None:
        """Take a degree of which all that counts is whether it is below 1, and beside that whether it is 0."""
        if self._is_lesson:
            self.lesson.num_searches += self._births == self._num_starts
            self.lesson.num_windows += 1
            if degree == 0 and not self._has_taught_hit:
                self._has_taught_hit = True
                self.lesson.found = self._asked_on_ray[0]
        self._asked_on_ray = self._walk.send(degree < 1)
        self._births += 1
        self.iteration += 1

    def take_lesson(self) -> Lesson:
        """What was taught since the last time."""
        taken, self.lesson = self.lesson, Lesson()
        return taken

    def _merge(self, proposals: list[Proposal | None], degrees: list[float], parents: Sequence[Member]) -> None:
        """Apply all windows to the best member's parent that improved on it, the best of them last.

        Before them, or to the best member where none did, those that hurt, turned over, where the plan has it so.
        """
        turned = self._turned(proposals, degrees, parents)
        self.merged = None
        best = self._population[0]
        of_best = proposals[best.birth - self._births] if best.birth >= self._births else None
        if self.settings.improvements == 0:
            return
        if of_best is None:
            if best.birth < self._births and self._overlaid(best.vector, turned) != best.vector:
                self.merged = self._overlaid(best.vector, turned)
                self.turns.append(len(turned))
            return
        parent = parents[of_best.parent]
        improved = [
            (degree, proposal)
            for proposal, degree in zip(proposals, degrees, strict=True)
            if proposal is not None and proposal.parent == of_best.parent and degree < parent.degree
        ]
        improved.sort(key=lambda item: -item[0])
        merged = list(self._overlaid(parent.vector, turned))
        for proposal in [*(each for _, each in improved), of_best]:
            for p in proposal.changed:
                merged[p] = proposal.vector[p]
        if tuple(merged) != best.vector:
            self.merged = tuple(merged)
            self.merges.append(len(improved))
            self.turns.append(len(turned))

    def _overlaid(self, vector: Vector, turned: list[Proposal]) -> Vector:
        """A vector in which windows are the other way round, the last on top."""
        result = list(vector)
        for proposal in turned:
            for p in proposal.changed:
                is_high = proposal.vector[p] == self.space.upper[p]
                result[p] = self.space.lower[p] if is_high else self.space.upper[p]
        return tuple(result)

    def _turned(
        self, proposals: list[Proposal | None], degrees: list[float], parents: Sequence[Member]
    ) -> list[Proposal]:
        """The plain windows that raised the degree by no less than they change it on average, the worst last."""
        if self.plan.bond >= 0 or self.settings.improvements == 0 or self.settings.values != "textures":
            return []
        rises = []
        for i, (proposal, degree) in enumerate(zip(proposals, degrees, strict=True)):
            if proposal is not None and proposal.filling == PLAIN and not (i == 0 and self.merged is not None):
                rises.append((degree - parents[proposal.parent].degree, proposal))
        changes = 0.0
        for rise, _ in rises:
            changes += abs(rise)
        hurt = [item for item in rises if item[0] > 0 and item[0] >= changes / len(rises)]
        return [proposal for _, proposal in sorted(hurt, key=lambda item: item[0])]

    def _restart_if_at_rest(self, best: float) -> None:
        """Begin anew where the second half of a descent's candidates has brought next to nothing."""
        if self.settings.restart_after == 0 or self.settings.shape == "ray":
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

    def _learn(self, degrees: Sequence[float], proposals: Sequence[Proposal | None]) -> None:
        """Learn from this iteration's candidates, before they join the population."""
        for i, (degree, proposal) in enumerate(zip(degrees, proposals, strict=True)):
            if proposal is None:
                continue
            if self._is_lesson:
                self.lesson.num_searches += self._births + i == self._num_starts
                self.lesson.num_windows += 1
            if i == 0 and self.merged is not None:
                continue  # nothing that was drawn
            self._asked += 1
            if self.settings.shape == "window":
                self.coverage.add(*proposal.corner, proposal.side)
            parent = self.positives[proposal.parent]
            self._improved += degree < parent.degree
            if self.settings.values != "textures":
                continue
            gain = 0.0
            if parent.degree > degree:
                gain = min((parent.degree - degree) / self.plan.scale, MOST_GAIN)
            self.gains.learn(proposal.filling, gain)
            if self._is_lesson:
                self.lesson.gains.add(proposal.filling, min(gain, tuning.LARGEST_GAIN))
        while self._asked > tuning.PACE_MEMORY:
            self._asked, self._improved = self._asked // 2, self._improved // 2
        if self.chosen:
            surprises = self._opening.answer(self.chosen, list(degrees[: len(self.chosen)]))
            for number, degree, surprise in zip(self.chosen, degrees, surprises, strict=False):
                if self._is_lesson:
                    trial = self.plan.starts[number].entry, degree / self.plan.scale, surprise
                    self.lesson.trials.append(trial)


def minimise(search: Racos, degree: Callable[[NDArray[np.uint8]], float], iterations: int) -> Member:
    """Lines 1-25: the best member found in at most `iterations` iterations after the start."""
    search.tell([degree(image) for image in search.ask()])  # lines 1-3
    for _ in range(iterations):  # line 5
        if search.population[0].degree == 0:  # lines 4, 6-8, 23
            break
        search.tell([degree(image) for image in search.ask()])
    return search.population[0]  # line 25
