"""A trajectory depends on the image, its id, the seed and the degrees: on nothing else, and not on a restart."""

from __future__ import annotations

import base64
import hashlib
import random
import threading
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import psutil
import pytest

from core_driver import (
    DEFAULT,
    Epsilon,
    Images,
    Population,
    ask,
    config_of,
    make_batch,
    population_of,
    radius_of,
    rows_of,
    tell,
)
from dfa import _core
from reference.racos import Settings

SETTINGS = {
    "default": DEFAULT,
    "textures": replace(DEFAULT, samples=4, positives=2, starts=8, window_halvings=(1, 6)),
    "placements": replace(DEFAULT, samples=3, positives=2, placements=3, values="extremes", window_share=0.2),
    "placements in a region": replace(DEFAULT, samples=3, positives=2, values="extremes", region="ordered"),
    "restarts": replace(DEFAULT, samples=2, starts=5, restart_after=4),
    "improvements": replace(DEFAULT, starts=7, restart_after=16, improvements=1.5),
    "paper": Settings(),
    "large y": Settings(samples=4, coordinates=90, region="ordered"),
    "per coordinate": Settings(samples=5, positives=3, coordinates=7, region="per_coordinate", ties="newer"),
    "no region": Settings(samples=4, positives=3, coordinates=5, region="none", values="extremes", start="stripes"),
    "ordered windows": Settings(shape="window", window_share=0.3, window_halvings=(9,), domain="valid"),
}
EPSILONS: dict[str, Any] = {
    "narrow": 10,
    "wide": 200,
    "masked": np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8) // 3 * 3 % 254,
}


def picture(size: tuple[int, int, int], seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def degree_of(image: Images) -> float:
    """Exact, and coarse enough for ties."""
    return float(int((image.astype(np.int64) * (np.arange(image.size).reshape(image.shape) % 5)).sum()) // 64)


def degrees_of(images: Images) -> list[float]:
    return [degree_of(image) for image in images]


Step = tuple[bytes, Population]


def run_alone(
    settings: Settings, image: Images, epsilon: Epsilon, iterations: int, *, seed: int = 1, image_id: int = 0
) -> list[Step]:
    """One image by itself, all candidates of an iteration in one call: the images and the population of each."""
    batch = make_batch(settings, image, seed=seed)
    slot = batch.add(image, image_id, radius_of(epsilon))
    steps = []
    for _ in range(iterations):
        images = ask(batch, rows_of(batch, slot), image.shape)
        tell(batch, rows_of(batch, slot), degrees_of(images))
        steps.append((images.tobytes(), population_of(batch, slot)))
    return steps


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
    "improvements": "f6a60ed83ce3af98",
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


# Save and load


@pytest.mark.parametrize("epsilon", EPSILONS)
@pytest.mark.parametrize("name", SETTINGS)
def test_a_search_saved_anywhere_goes_on_as_if_it_had_not_been(name: str, epsilon: str) -> None:
    """Before the start, within it, within later iterations, with some told, some asked, some neither."""
    settings, image = SETTINGS[name], picture((9, 8, 3))
    expected = run_alone(settings, image, EPSILONS[epsilon], 6, seed=2**64 - 1, image_id=2**32 - 1)
    batch = make_batch(settings, image, seed=2**64 - 1)
    slot = batch.add(image, 2**32 - 1, radius_of(EPSILONS[epsilon]))
    rng = random.Random(5)
    for expected_images, expected_population in expected:
        size = batch.iteration_size(slot)
        images = {}
        for i in rng.sample(range(size), size):
            batch, slot = reload(settings, image, batch, slot, rng)
            images[i] = ask(batch, [(slot, i)], image.shape)[0]
            if rng.random() < 0.3:  # a candidate asked before a restart must be asked again
                batch, slot = reload(settings, image, batch, slot, rng)
                assert np.array_equal(ask(batch, [(slot, i)], image.shape)[0], images[i])
            tell(batch, [(slot, i)], [degree_of(images[i])])
        assert b"".join(images[i].tobytes() for i in range(size)) == expected_images
        assert population_of(batch, slot) == expected_population


def reload(
    settings: Settings, image: Images, batch: _core.Batch, slot: int, rng: random.Random
) -> tuple[_core.Batch, int]:
    """The search in a new batch, which has another seed and another number of slots."""
    state = batch.save(slot)
    assert batch.save(slot) == state
    other = make_batch(settings, image, seed=rng.getrandbits(64))
    for _ in range(rng.randint(0, 2)):
        other.add(image, 3, 5)
    loaded = other.load(state)
    assert other.save(loaded) == state
    assert other.iteration(loaded) == batch.iteration(slot)
    assert population_of(other, loaded) == population_of(batch, slot)
    return other, loaded


@pytest.mark.parametrize("name", SETTINGS)
def test_a_saved_search_and_the_one_it_came_from_go_on_alike(name: str) -> None:
    """Saving changes nothing, and told candidates can be asked again after loading."""
    settings, image = SETTINGS[name], picture((9, 8, 3))
    batch = make_batch(settings, image)
    slot = batch.add(image, 1, 60)
    for iteration in range(5):
        rows = rows_of(batch, slot)
        images = ask(batch, rows, image.shape)
        told = rows[: len(rows) // 2]
        tell(batch, told, degrees_of(images[: len(told)]))
        copy = batch.load(batch.save(slot))
        assert batch.iteration(copy) == iteration
        assert np.array_equal(ask(batch, rows_of(batch, copy), image.shape), images)
        left = [(which, i) for which in (slot, copy) for _, i in rows[len(told) :]]
        tell(batch, left, degrees_of(images[len(told) :]) * 2)
        assert batch.save(copy) == batch.save(slot)
        batch.remove(copy)


def mixed_batch(settings: Settings, image: Images) -> tuple[_core.Batch, dict[int, int]]:
    """Searches at different points, with free slots between and after them; how many candidates each was told."""
    batch = make_batch(settings, image)
    told = {}
    for slot in range(6):
        batch.add(image, slot, 20 + slot)
        for _ in range(slot % 3):
            rows = rows_of(batch, slot)
            tell(batch, rows, degrees_of(ask(batch, rows, image.shape)))
        some = rows_of(batch, slot)[: batch.iteration_size(slot) // 2]
        tell(batch, some, degrees_of(ask(batch, some, image.shape)))
        told[slot] = len(some)
    for slot in (1, 5, 3):
        batch.remove(slot)
        del told[slot]
    return batch, told


@pytest.mark.parametrize("name", SETTINGS)
def test_a_batch_saved_as_a_whole_goes_on_as_if_it_had_not_been(name: str) -> None:
    settings, image = SETTINGS[name], picture((9, 8, 3))
    batch, told = mixed_batch(settings, image)
    other = make_batch(settings, image, seed=99)
    other.remove(other.add(image, 0, 9))  # an empty batch need not be new
    state = batch.save_all()
    other.load_all(state)
    assert other.save_all() == batch.save_all() == state
    assert len(other) == len(told) == 3
    for free in (1, 3, 5, 6):
        with pytest.raises(ValueError, match=f"slot {free} holds no search"):
            other.save(free)
    for _ in range(3):
        for slot, skipped in told.items():
            rows = rows_of(batch, slot)
            images = ask(batch, rows, image.shape)
            assert np.array_equal(ask(other, rows, image.shape), images)
            for which in (batch, other):
                tell(which, rows[skipped:], degrees_of(images[skipped:]))
            assert other.iteration(slot) == batch.iteration(slot)
        assert other.save_all() == batch.save_all()
        told = dict.fromkeys(told, 0)
    assert {other.add(image, 9, 9) for _ in range(4)} == {1, 3, 5, 6}  # the free slots, then a new one
    assert len(other) == 7


def test_a_damaged_batch_is_refused_and_leaves_an_empty_one() -> None:
    settings, image = SETTINGS["paper"], picture((3, 2, 2))
    state = mixed_batch(settings, image)[0].save_all()
    other = make_batch(settings, image)
    expected = r"truncated|damaged|not a saved state of dfa|has version|longer than its contents"
    for i in range(len(state)):
        damaged = bytearray(state)
        damaged[i] ^= 1 << i % 8
        with pytest.raises(ValueError, match=expected):
            other.load_all(bytes(damaged))
    for size in range(len(state)):
        with pytest.raises(ValueError, match=expected):
            other.load_all(state[:size])
    with pytest.raises(ValueError, match="saved state is longer than its contents"):
        other.load_all(state + b"\0")
    assert len(other) == 0
    other.load_all(state)
    assert other.save_all() == state


def test_a_batch_of_another_configuration_or_in_use_is_refused() -> None:
    settings, image = SETTINGS["paper"], picture((3, 2, 2))
    state = mixed_batch(settings, image)[0].save_all()
    other = make_batch(replace(settings, samples=4), image)
    with pytest.raises(ValueError, match="belongs to another configuration"):
        other.load_all(state)
    assert len(other) == 0
    used = make_batch(settings, image)
    used.add(image, 0, 9)
    before = used.save_all()
    with pytest.raises(RuntimeError, match="a saved batch needs an empty one, this holds 1 searches"):
        used.load_all(state)
    assert used.save_all() == before
    nothing = make_batch(settings, image)
    nothing.load_all(make_batch(settings, image).save_all())
    assert len(nothing) == 0


def saved_state(settings: Settings = SETTINGS["paper"]) -> tuple[_core.Batch, bytes]:
    """A batch with one search in its second iteration, and that search's state."""
    image = picture((3, 2, 2))
    batch = make_batch(settings, image)
    slot = batch.add(image, 0, 60)
    for _ in range(2):
        rows = rows_of(batch, slot)
        tell(batch, rows, degrees_of(ask(batch, rows, image.shape)))
    ask(batch, rows_of(batch, slot), image.shape)
    tell(batch, [(slot, 1)], [0.5])
    return batch, batch.save(slot)


def test_every_damaged_byte_of_a_state_is_noticed() -> None:
    batch, state = saved_state()
    for i in range(len(state)):
        damaged = bytearray(state)
        damaged[i] ^= 1 << i % 8
        # Four bytes of a magic number, four of the version, and eight of the length.
        told = ["not a saved state of dfa", "has version", "truncated|longer than", "truncated|longer than"]
        with pytest.raises(ValueError, match=told[i // 4] if i < 16 else "is damaged"):
            batch.load(bytes(damaged))
    assert len(batch) == 1
    assert batch.save(batch.load(state)) == state


def test_every_truncated_state_is_refused() -> None:
    batch, state = saved_state()
    for size in range(len(state)):
        with pytest.raises(ValueError, match="truncated"):
            batch.load(state[:size])
    for more in (b"\0", state, b"\0" * 8):
        with pytest.raises(ValueError, match="is longer than its contents"):
            batch.load(state + more)
    assert len(batch) == 1


def test_a_state_of_another_version_is_refused() -> None:
    batch, state = saved_state()
    with pytest.raises(
        ValueError, match=f"saved state has version 255, this build reads version {_core.STATE_VERSION}"
    ):
        batch.load(state[:4] + b"\xff\0\0\0" + state[8:])


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_of_an_older_build_is_refused_by_its_version(version: int) -> None:
    """As versions 1 and 2 wrote them, each with its own magic number."""
    image = (np.arange(6) * 50).astype(np.uint8).reshape(3, 2, 1)
    batch = make_batch(Settings(samples=2, positives=1, window_halvings=(7,), starts=4), image)
    message = f"saved state has version {version}, this build reads version {_core.STATE_VERSION}: go on"
    with pytest.raises(ValueError, match=message):
        batch.load(STATES_OF_OLDER_BUILDS[version])
    assert len(batch) == 0


STATES_OF_OLDER_BUILDS = {
    2: zlib.decompress(
        base64.b64decode(
            "eNpzcXMMZmJgYABhRiSagWHWTBDYaQ/isTNAAAsQMyOpYoSKM0Mxg1HKtBO/TrAwIAG4Opg1CNVDE3ywH2ouRokPBjUHRjhbz4EJzlZxQESKjsNQ"
            "8yMzcnpz+8/GMP3/Zobq/5H/EZ6ScWDDqlUFKRAgSRSkpxIcbIvgaliwWHb+P0JlJGqSB4IL9ksfrY4x27BFDgBx+R0z"
        )
    ),
    1: base64.b64decode(
        "REZBUwEAAAACAAAAAQAAAAIAAAABAAAAAACamZmZmZm5PwEAAAAHAAAAAAAAAAMAAAACAAAAAQAAAAUAAAAAAACABgAAAAMAAAAAMmSWyPoU"
        "AQAAAAoAAADx//7/8P8HAAMAAAAAAAAAAAA1QAEAAAAAAAAAAAAAAAAAAAAAAAAAAAA1QAMAAAAAAAAAAAAAAAIAAAAAAAAACAAFAAAADQAA"
        "AAAAAAA1QAQAAAAAAAAAAAAAAAEAAAAFAAAA9v8AAAAAAAAAAAABAAAAAAAA0D/EIEwqp103Bg=="
    ),
}


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 4},
        {"positives": 3},
        {"samples": 2, "positives": 3},
        {"coordinates": 3},
        {"region": "none"},
        {"region": "per_coordinate"},
        {"shape": "window"},
        {"values": "extremes"},
        {"start": "stripes"},
        {"domain": "valid"},
        {"ties": "newer"},
        {"window_share": 0.2},
        {"window_halvings": (3,)},
        {"starts": 5},
        {"restart_after": 4},
        {"restart_after": 4, "rest_ratio": 0.5},
        {"shape": "window", "placements": 2},
        {"shape": "window", "region": "none", "improvements": 1.0},
    ],
    ids=str,
)
def test_a_state_of_another_configuration_is_refused(change: dict[str, Any]) -> None:
    _, state = saved_state()
    other = _core.Batch(config_of(replace(SETTINGS["paper"], **change)), (3, 2, 2), 1, 1)
    with pytest.raises(ValueError, match="belongs to another configuration"):
        other.load(state)
    assert len(other) == 0


RESTARTING = Settings(restart_after=4, rest_ratio=0.8)
PLACING = Settings(shape="window", placements=4)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (RESTARTING, replace(RESTARTING, restart_after=0)),
        (RESTARTING, replace(RESTARTING, restart_after=6)),
        (RESTARTING, replace(RESTARTING, rest_ratio=0.9)),
        (PLACING, replace(PLACING, placements=1)),
        (PLACING, replace(PLACING, placements=6)),
        (Settings(), Settings(placements=4)),
        (Settings(), Settings(rest_ratio=0.5)),
    ],
    ids=["no restarts", "later restarts", "another rest", "any place", "more places", "no window", "no rest"],
)
def test_every_setting_is_part_of_the_state_of_use_or_not(one: Settings, other: Settings) -> None:
    image = picture((4, 4, 4))
    batches = [make_batch(settings, image) for settings in (one, other)]
    for giver, taker in (batches, batches[::-1]):
        with pytest.raises(ValueError, match="belongs to another configuration"):
            taker.load(giver.save(giver.add(image, 0, 10)))


@pytest.mark.parametrize("shape", [(2, 3, 2), (3, 2, 1), (12, 1, 1), (4, 4, 4)])
def test_a_state_of_another_image_shape_is_refused(shape: tuple[int, int, int]) -> None:
    _, state = saved_state()
    other = _core.Batch(config_of(SETTINGS["paper"]), shape, 1, 1)
    with pytest.raises(ValueError, match="belongs to another image shape"):
        other.load(state)


def test_halvings_are_part_of_the_state() -> None:
    _, state = saved_state(replace(SETTINGS["paper"], window_halvings=(5, 9)))
    for halvings in ((), (5,), (5, 8), (5, 9, 9)):
        other = _core.Batch(config_of(replace(SETTINGS["paper"], window_halvings=halvings)), (3, 2, 2), 1, 1)
        with pytest.raises(ValueError, match="belongs to another configuration"):
            other.load(state)


@pytest.mark.parametrize("other", [None, "DFAS", 3])
def test_only_bytes_can_be_loaded(other: Any) -> None:
    batch, _ = saved_state()
    with pytest.raises(TypeError, match="incompatible function arguments"):
        batch.load(other)
