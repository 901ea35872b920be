"""A search or a batch that was saved anywhere goes on as if it had not been; any other bytes are refused."""

from __future__ import annotations

import base64
import random
import zlib
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core_driver import (
    Images,
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
