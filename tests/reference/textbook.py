"""Proposals as the textbook has them, for comparing distributions, sharing nothing with `racos`.

`sample` runs the strict RACOS loop for ordered dimensions literally: a random coordinate, a random active
negative, and a cut between the parent and it (equal values cut nothing), until no negative is active.
`distribution` gives the exact probability of every outcome by following every branch: for tiny spaces only.

Source: RACOS (Yu, Qian, Hu, AAAI 2016); paper, Algorithm 1 lines 13-17 and section 4.3.
"""

from __future__ import annotations

import itertools
import random
from collections import defaultdict
from dataclasses import dataclass

Vector = tuple[int, ...]


@dataclass(frozen=True)
class Problem:
    """A population, in which every coordinate may move within [-epsilon, epsilon]."""

    positives: tuple[Vector, ...]
    negatives: tuple[Vector, ...]
    epsilon: int
    coordinates: int
    attempts: int = 16
    """How often a copy of a positive is thrown back, at most, counting the first draw."""


PROBLEMS = {
    "random": Problem(
        positives=((1, -2, 0, 2, -1, 1), (-1, 0, 2, -2, 1, 0)),
        negatives=((2, 1, -1, 0, -2, 2), (-2, -1, 1, 1, 0, -1), (0, 2, -2, -1, 2, -2)),
        epsilon=2,
        coordinates=2,
    ),
    # One family, as after a few iterations: few coordinates differ, and one negative is a copy of a positive.
    "relatives": Problem(
        positives=((1, -1, 0, 2, -2, 0), (1, -1, 0, 0, -2, 0)),
        negatives=((1, -1, 0, 2, -2, 2), (1, -1, 0, 2, -2, 0), (-2, -1, 0, 0, -2, 0)),
        epsilon=2,
        coordinates=2,
    ),
    "edges": Problem(
        positives=((2, -2, 2, 2, -2, -2), (-2, 2, 2, -2, -2, 2)),
        negatives=((2, 2, -2, 2, 2, -2), (-2, -2, -2, 2, -2, 2), (2, 2, 2, -2, 2, 2)),
        epsilon=2,
        coordinates=2,
    ),
    # One cut ends it, so a cut that leaves the negative inside shows at once.
    "lone": Problem(positives=((2, -2),), negatives=((0, 0),), epsilon=2, coordinates=2),
    # More than half of the proposals are copies of a positive.
    "crowded": Problem(positives=((0,), (1,)), negatives=((-2,),), epsilon=2, coordinates=1),
}
"""Populations whose proposals the reference and the core draw too."""


def _learn(rng: random.Random, problem: Problem, parent: Vector) -> tuple[list[int], list[int]]:
    m = len(parent)
    low, high = [-problem.epsilon] * m, [problem.epsilon] * m
    # A copy of the parent cannot be told from it by any cut; waiting for one would be for ever.
    active = [z for z in problem.negatives if z != parent]
    while active:
        j = rng.randrange(m)
        x = rng.choice(active)
        if parent[j] < x[j]:
            r = rng.randint(parent[j], x[j] - 1)
            if r < high[j]:
                high[j] = r
                active = [z for z in active if not z[j] > r]
        elif parent[j] > x[j]:
            r = rng.randint(x[j] + 1, parent[j])
            if r > low[j]:
                low[j] = r
                active = [z for z in active if not z[j] < r]
    return low, high


def sample(rng: random.Random, problem: Problem) -> Vector:
    """One proposal with the strict ordered region and uniform values."""
    for _ in range(problem.attempts):
        parent = rng.choice(problem.positives)
        low, high = _learn(rng, problem, parent)
        child = list(parent)
        for p in rng.sample(range(len(parent)), problem.coordinates):
            child[p] = rng.randint(low[p], high[p])
        if tuple(child) not in problem.positives:
            break
    return tuple(child)


Box = tuple[tuple[int, int], ...]


def _box_distribution(problem: Problem, parent: Vector) -> dict[Box, float]:
    """The probability of every box that the strict loop can end with.

    A draw that cuts nothing is repeated, so all pairs (coordinate, active negative) that differ are alike.
    """
    start = tuple((-problem.epsilon, problem.epsilon) for _ in parent)
    states: dict[tuple[Box, frozenset[int]], float] = {
        (start, frozenset(i for i, z in enumerate(problem.negatives) if z != parent)): 1.0
    }
    finished: dict[Box, float] = defaultdict(float)
    while states:
        after: dict[tuple[Box, frozenset[int]], float] = defaultdict(float)
        for (box, active), mass in states.items():
            pairs = [(j, i) for i in active for j in range(len(parent)) if problem.negatives[i][j] != parent[j]]
            if not pairs:
                finished[box] += mass
            for j, i in pairs:
                here, there = parent[j], problem.negatives[i][j]
                cuts = range(here, there) if here < there else range(there + 1, here + 1)
                for r in cuts:
                    low, high = box[j]
                    side = (low, min(high, r)) if here < there else (max(low, r), high)
                    smaller = (*box[:j], side, *box[j + 1 :])
                    inside = frozenset(z for z in active if side[0] <= problem.negatives[z][j] <= side[1])
                    after[smaller, inside] += mass / len(pairs) / len(cuts)
        states = after
    return finished


def distribution(problem: Problem) -> dict[Vector, float]:
    """The exact probability of every outcome of `sample`."""
    once: dict[Vector, float] = defaultdict(float)
    for parent in problem.positives:
        subsets = list(itertools.combinations(range(len(parent)), problem.coordinates))
        for box, mass in _box_distribution(problem, parent).items():
            for subset in subsets:
                choices = [range(box[p][0], box[p][1] + 1) for p in subset]
                weight = mass / len(problem.positives) / len(subsets)
                for choice in choices:
                    weight /= len(choice)
                for values in itertools.product(*choices):
                    child = list(parent)
                    for p, value in zip(subset, values, strict=True):
                        child[p] = value
                    once[tuple(child)] += weight
    thrown_back = sum(once[positive] for positive in set(problem.positives) if positive in once)
    return {
        child: weight * thrown_back ** (problem.attempts - 1)
        if child in problem.positives
        else weight * sum(thrown_back**i for i in range(problem.attempts))
        for child, weight in once.items()
    }
