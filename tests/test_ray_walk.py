"""Walks along rays: the core equals the plain reference, which is held to what it is for."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from core_driver import DEFAULT, Epsilon, Images
from reference.racos import Racos
from reference.rays import WHOLE, blocks, dither, tiles, vector_at
from test_differential import follow, make_epsilon, photo

RAYS = replace(DEFAULT, shape="ray")


@dataclass(frozen=True)
class Labels:
    """A degree as labels make it: 0 in the ball and 0.5 beyond it where one is seen that counts, else 1."""

    original: Images
    epsilon: Epsilon
    seed: int
    level: float

    def __call__(self, image: Images) -> float:
        """A label counts where a random sum of the changes lies above a level; where all are raised or lowered too."""
        weights = np.random.default_rng(self.seed).integers(-9, 10, image.shape)
        changes = image.astype(np.int64) - self.original
        if abs(int((weights * changes).sum())) < self.level * image.size:
            return 1.0
        return 0.5 if (np.abs(changes) > self.epsilon).any() else 0.0


@pytest.mark.weekly_but(30)
@pytest.mark.parametrize("size", [(28, 28, 1), (9, 14, 3), (1, 7, 2), (6, 1, 1), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("epsilon", [1, 5, 64, 255, "mask", "one free"])
@pytest.mark.parametrize("level", [1.0, 8.0, 60.0, 1e9])
def test_walks_along_rays_are_the_reference(size: tuple[int, int, int], epsilon: Any, level: float) -> None:
    """Starts that see the label far off, near, and never; tiles of all sizes, some of which cannot move."""
    image = photo(size)
    radii = make_epsilon(epsilon, size, np.random.default_rng(4))
    degree = Labels(image, radii, 5, level)
    search = follow(image, radii, RAYS, degree, 400 if image.size < 500 else 250, image_id=3)
    assert search.iteration > 200


def test_a_walk_comes_nearer_on_the_way() -> None:
    """The trajectories above hold what they are to hold: long descents, which end within the ball."""
    image = photo((28, 28, 1))
    degree = Labels(image, 64, 5, 60.0)
    search = Racos(image, 64, RAYS, seed=1)
    asked = []
    for _ in range(400):
        (candidate, *_) = search.ask()
        asked.append((int(np.abs(candidate.astype(int) - image).max()), degree(candidate)))
        search.tell([degree(each) for each in search.ask()])
    seen = [distance for distance, found in asked if found < 1]
    assert seen[0] == 255
    assert 64 < seen[-1] < 200 or seen[-1] == 64


def test_an_image_at_the_ends_of_the_ball_is_rounded_nowhere_and_one_further_off_moves_no_coordinate_back() -> None:
    radii = [0, 1, 5, 64, 255] * 40
    signs = (True,) * len(radii)
    assert list(vector_at(radii, (signs, WHOLE))) == radii
    before = vector_at(radii, (signs, WHOLE))
    for reach in range(WHOLE, 2 * WHOLE, 999):
        here = vector_at(radii, (signs, reach))
        assert all(0 <= b - a <= 4 for a, b in zip(before, here, strict=True))
        before = here


def test_any_few_neighbours_are_rounded_at_thresholds_far_apart() -> None:
    """So that a reach in between moves so large a part of them."""
    for first in (0, 1000, 150_000):
        thresholds = sorted(dither(p) for p in range(first, first + 20))
        gaps = [b - a for a, b in itertools.pairwise(thresholds)]
        assert max(gaps) < 3 * WHOLE // 20


@pytest.mark.parametrize("shape", [(28, 28, 1), (9, 14, 3), (1, 7, 2), (1, 1, 3)], ids=str)
@pytest.mark.parametrize("parts", [tiles, blocks])
def test_the_parts_of_a_level_are_the_whole_image(shape: tuple[int, int, int], parts: Any) -> None:
    size = int(np.prod(shape))
    for level in range(12):
        each = parts(shape, level)
        assert sorted(itertools.chain.from_iterable(each)) == list(range(size))
        assert len(each) <= 2**level
    assert len(each) == (size if parts is blocks else size // shape[2])


def test_a_tile_is_of_all_channels_and_a_block_is_rows_of_one() -> None:
    assert tiles((4, 4, 3), 2)[1] == [6, 7, 8, 9, 10, 11, 18, 19, 20, 21, 22, 23]
    assert blocks((4, 4, 2), 2)[1] == [16, 18, 20, 22, 24, 26, 28, 30]


@pytest.mark.parametrize(
    ("seed", "level"), [(5, 24.0), (6, 23.0), (5, 25.0), (5, 26.0), (7, 24.0), (7, 20.0), (5, 1e9)]
)
def test_all_descents_are_the_reference(seed: int, level: float) -> None:
    """From the starts, beyond the ball by 0.042 and 0.071 of it and more; from plain signs, which come nearer, less
    near and as near; and from the nearer of both; a label that is seen in the ball, and one that is seen nowhere."""
    image = photo((5, 6, 3))
    degree = Labels(image, 8, seed, level)
    search = follow(image, 8, RAYS, degree, 1_300, image_id=3)
    assert search.iteration > 1_200


@dataclass(frozen=True)
class Brighter:
    """As labels make it, where one is seen that counts if every value is higher by as much as a ball allows."""

    original: Images
    epsilon: int

    def __call__(self, image: Images) -> float:
        """Plain signs alone see it."""
        changes = image.astype(np.int64) - self.original
        if changes.min() < self.epsilon:
            return 1.0
        return 0.5 if (np.abs(changes) > self.epsilon).any() else 0.0


def test_plain_signs_are_asked_at_the_ends_of_the_ball_too() -> None:
    """No start is asked there twice, but plain signs are not among the starts."""
    image = np.full((10, 9, 1), 100, dtype=np.uint8)
    degree = Brighter(image, 8)
    told: list[float] = []

    def noted(candidate: Images) -> float:
        told.append(degree(candidate))
        return told[-1]

    follow(image, 8, RAYS, noted, 470, image_id=3)
    assert told.count(0.5) > 5
    assert 0.0 in told
