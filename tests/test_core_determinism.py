"""A trajectory depends on the image, its id, the seed and the degrees: on nothing else, and not on a restart."""

from __future__ import annotations

import hashlib
import random
import threading
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from core_driver import (
    DEFAULT,
    ask,
    config_of,
    make_batch,
    population_of,
    radius_of,
    rows_of,
    tell,
)
from core_trajectories import EPSILONS, SETTINGS, degree_of, degrees_of, picture, run_alone
from dfa import _core
from reference.settings import Settings

# Threads

CROWDS = {
    # Above a megabyte per ask, and per tell after the start.
    "large images": ((151, 149, 3), Settings(coordinates=40), 8, 3),
    "large windows": ((151, 149, 3), replace(DEFAULT, samples=3, positives=2, starts=8), 8, 5),
    # Above a megabyte per tell in every iteration, where one counts with the size of the population.
    "large populations": ((6, 6, 2), Settings(samples=300, positives=4, coordinates=9, region="none"), 60, 3),
}


def run_crowd(name: str, threads: int) -> list[Any]:
    """Many images at once, the candidates of all of them in one call."""
    size, settings, count, iterations = CROWDS[name]
    batch = _core.Batch(config_of(settings), size, 5, threads)
    images = [picture(size, i) for i in range(count)]
    slots = [batch.add(image, i, 10 if i % 2 else 200) for i, image in enumerate(images)]
    seen: list[Any] = []
    weights = np.arange(images[0].size, dtype=np.int64).reshape(size) % 5
    for _ in range(iterations):
        rows = [row for slot in slots for row in rows_of(batch, slot)]
        candidates = ask(batch, rows, size)
        assert 2 * candidates.nbytes >= 1 << 20
        degrees = [float(total // 64) for total in np.tensordot(candidates, weights, axes=3).tolist()]
        tell(batch, rows, degrees)
        seen.append(candidates.tobytes())
    return [seen, [batch.save(slot) for slot in slots]]


@pytest.mark.parametrize("name", CROWDS)
def test_threads_change_nothing(name: str) -> None:
    single = run_crowd(name, 1)
    assert run_crowd(name, 2) == single
    assert run_crowd(name, 7) == single


@pytest.mark.skipif(not _core.build_info()["openmp"], reason="the core was built without OpenMP")
@pytest.mark.parametrize("name", CROWDS)
def test_threads_are_used_where_they_are_tested(name: str) -> None:
    """Seven threads mean six more in the pool of a thread that has none yet."""
    new: list[set[int]] = []

    def count() -> None:
        before = thread_ids()
        run_crowd(name, 7)
        new.append(thread_ids() - before)

    def thread_ids() -> set[int]:
        return {thread.id for thread in psutil.Process().threads()}

    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    assert len(new[0]) >= 6


# Order, groups and neighbours


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_order_and_grouping_of_ask_and_tell_change_nothing(name: str, epsilon: str) -> None:
    settings, image = SETTINGS[name], picture((9, 8, 3))
    batch = make_batch(settings, image)
    slot = batch.add(image, 0, radius_of(EPSILONS[epsilon]))
    rng = random.Random(3)
    for expected_images, expected_population in run_alone(settings, image, EPSILONS[epsilon], 8):
        rows = rows_of(batch, slot)
        asked = {}
        # Every candidate at least twice: alone, backwards; then in shuffled groups.
        for row in reversed(rows):
            asked[row] = ask(batch, [row], image.shape)[0]
        shuffled = rng.sample(rows, len(rows))
        split = rng.randint(0, len(rows))
        for group in (shuffled[:split], shuffled[split:]):
            for row, candidate in zip(group, ask(batch, group, image.shape), strict=True):
                assert np.array_equal(candidate, asked[row])
        assert b"".join(asked[row].tobytes() for row in rows) == expected_images
        for group in (shuffled[:split], shuffled[split:]):
            tell(batch, group, [degree_of(asked[row]) for row in group])
        assert population_of(batch, slot) == expected_population


@pytest.mark.parametrize("name", SETTINGS)
def test_neighbours_in_the_batch_change_nothing(name: str) -> None:
    settings = SETTINGS[name]
    image, other = picture((9, 8, 3)), picture((9, 8, 3), 1)
    batch = make_batch(settings, image)
    rng = random.Random(4)
    gone = batch.add(other, 7, 30)
    neighbour = batch.add(other, 7, 99)
    tell(batch, rows_of(batch, gone), degrees_of(ask(batch, rows_of(batch, gone), image.shape)))
    batch.remove(gone)
    slot = batch.add(image, 0, 10)
    assert slot == gone  # the freed slot, of which nothing must be left
    for expected_images, expected_population in run_alone(settings, image, 10, 8):
        own = rows_of(batch, slot)
        theirs = rows_of(batch, neighbour)
        rows = rng.sample(own + theirs, len(own + theirs))
        asked = dict(zip(rows, ask(batch, rows, image.shape), strict=True))
        assert b"".join(asked[row].tobytes() for row in own) == expected_images
        told = own + theirs[: rng.randint(0, 1)]
        tell(batch, told, [degree_of(asked[row]) for row in told])
        if len(told) > len(own):
            batch.remove(neighbour)
            neighbour = batch.add(other, rng.randint(0, 9), 99)
        assert population_of(batch, slot) == expected_population


@pytest.mark.parametrize("name", SETTINGS)
def test_seed_and_image_id_change_the_trajectory_and_zero_is_a_seed(name: str) -> None:
    image = picture((9, 8, 3))
    places = [(seed, 0) for seed in (0, 1, 1 << 32, 2**64 - 1)] + [(0, 1), (0, 1 << 16), (0, 2**32 - 1)]
    runs = [run_alone(SETTINGS[name], image, 10, 16, seed=seed, image_id=image_id) for seed, image_id in places]
    # Textures of starts are not random.
    for iteration in range(14 if SETTINGS[name].start == "textures" else 0, 16):
        assert len({run[iteration][0] for run in runs}) == len(places)
    assert run_alone(SETTINGS[name], image, 10, 16, seed=0, image_id=0) == runs[0]


# SHA-256 of what `run_alone` gives below. A new value means that recorded runs can no longer be repeated.
GOLDEN = {
    "improvements": "93a662bc351b26a0",
    "default": "9faad9477fcfa7da",
    "textures": "1bcc67fe0a477a69",
    "placements": "80c2ebc286e65989",
    "placements in a region": "1d5d9979537c3df0",
    "restarts": "8db0cdaa7d4ef5fc",
    "paper": "a185f4e4421a076c",
    "large y": "509cef05daa5742f",
    "per coordinate": "2a2547bd67a84995",
    "no region": "714e4b9da863c242",
    "ordered windows": "cf2df65c93476cc3",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_trajectories_are_those_of_earlier_versions(name: str) -> None:
    image = (np.arange(216) * 37 % 256).astype(np.uint8).reshape(9, 8, 3)
    steps = run_alone(SETTINGS[name], image, 60, 12, seed=2026, image_id=5)
    assert hashlib.sha256(repr(steps).encode()).hexdigest()[:16] == GOLDEN[name]
