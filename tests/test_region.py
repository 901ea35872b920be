"""Proposals of the core have the distribution of the textbook's, though the core takes a shorter way to them."""

from __future__ import annotations

import random
from collections import Counter
from functools import cache
from typing import Any

import numpy as np
import pytest

from core_driver import config_of
from dfa import _core
from reference.chisquare import against_distribution, two_samples
from reference.settings import Settings
from reference.textbook import PROBLEMS, Vector, distribution, sample

COUNT = 150_000


@cache
def drawn_by_core(name: str, region: Any = "ordered") -> Counter[Vector]:
    problem = PROBLEMS[name]
    members = np.array([*problem.positives, *problem.negatives], np.int32)
    shape = (1, members.shape[1], 1)
    settings = Settings(
        samples=len(problem.negatives),
        positives=len(problem.positives),
        coordinates=problem.coordinates,
        region=region,
    )
    # 128: the middle, so that nothing is clamped.
    original = np.full(shape, 128, np.uint8)
    drawn = _core.draw_from(config_of(settings), shape, original, problem.epsilon, members, 2020, COUNT)
    assert drawn.shape == (COUNT, members.shape[1])
    return Counter(map(tuple, drawn.tolist()))


@cache
def drawn_by_textbook(name: str) -> Counter[Vector]:
    rng = random.Random(f"textbook, {name}")
    return Counter(sample(rng, PROBLEMS[name]) for _ in range(COUNT))


@pytest.mark.parametrize("name", PROBLEMS)
def test_proposals_have_the_exact_distribution(name: str) -> None:
    assert against_distribution(drawn_by_core(name), distribution(PROBLEMS[name])) > 1e-4


@pytest.mark.parametrize("name", ["random", "relatives", "edges"])
def test_proposals_are_distributed_as_the_textbooks(name: str) -> None:
    problem = PROBLEMS[name]
    assert (len(problem.negatives), len(problem.positives), problem.coordinates, problem.epsilon) == (3, 2, 2, 2)
    assert two_samples(drawn_by_core(name), drawn_by_textbook(name)) > 1e-4


@pytest.mark.parametrize("region", ["none", "per_coordinate"])
@pytest.mark.parametrize("name", ["random", "relatives", "edges"])
def test_the_comparisons_tell_another_region_apart(name: str, region: str) -> None:
    other = drawn_by_core(name, region)
    assert two_samples(other, drawn_by_textbook(name)) < 1e-20
    assert against_distribution(other, distribution(PROBLEMS[name])) < 1e-20
