"""What the parts of the core beside a batch refuse: streams, draws, places, archives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from core_driver import DEFAULT, ask, config_of, make_batch, rows_of, tell
from core_problem import IMAGE, NO_MATCH, PAPER, SIZE
from dfa import _core

# Streams and draws from a given population


def test_a_stream_of_wrong_numbers_is_refused() -> None:
    for place in ((-1, 0, 0, 0), (2**64, 0, 0, 0), (0, 2**32, 0, 0), (0, 0, -1, 0), (0, 0, 0, 2**32)):
        with pytest.raises(TypeError, match=NO_MATCH):
            _core.Stream(*place)
    stream = _core.Stream(0, 0, 0, 0)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        stream.below(0)
    for n in (-1, 2**32):
        with pytest.raises(TypeError, match=NO_MATCH):
            stream.below(n)
    counters: list[Any] = [(0, 0, 0), (0, 0, 0, 0, 0), (0, 0, 0, -1)]
    for counter in counters:
        with pytest.raises(TypeError, match=NO_MATCH):
            _core.philox(counter, (0, 0))


def draw_from(members: Any, **changes: Any) -> np.ndarray:
    arguments = {"shape": SIZE, "original": IMAGE, "limits": 5, "seed": 1, "count": 4} | changes
    return _core.draw_from(config=config_of(PAPER), members=members, **arguments)


def test_draws_from_an_impossible_population_are_refused() -> None:
    zeros = np.zeros((5, 24), np.int32)
    assert draw_from(zeros).shape == (4, 24)
    assert draw_from(zeros, count=0).shape == (0, 24)
    with pytest.raises(ValueError, match="expected 5 members, got 4"):
        draw_from(zeros[:4])
    with pytest.raises(ValueError, match="expected members of 24 values, got 23"):
        draw_from(zeros[:, :23])
    with pytest.raises(ValueError, match=r"members must have shape \(s \+ k, coordinates\), got \(5,4,3,2,\)"):
        draw_from(zeros.reshape(5, *SIZE))
    with pytest.raises(TypeError, match=NO_MATCH):
        draw_from(zeros.astype(np.float64))
    with pytest.raises(ValueError, match="perturbation outside its bounds"):
        draw_from(zeros + 6)
    masked = np.zeros(SIZE, np.uint8)
    masked[1, 1, 1] = 5
    with pytest.raises(ValueError, match="perturbation outside its bounds"):
        draw_from(zeros + 1, limits=_core.RadiusMap(masked))
    with pytest.raises(ValueError, match=r"expected an original of shape \(4,3,1\), got \(4,3,2,\)"):
        draw_from(zeros, shape=(4, 3, 1))
    with pytest.raises(ValueError, match=r"radius must be in 1\.\.255 grey levels, got 0"):
        draw_from(zeros, limits=0)


# Places


def test_a_buffer_that_does_not_hold_a_whole_batch_is_refused_by_places() -> None:
    batch = make_batch(PAPER, IMAGE)
    places = _core.Places(batch, None, 2, 3, 100, None)
    places.admit(0, batch.add(IMAGE, 0, 20), 4, 7, float("inf"))
    whole = np.zeros((3, *SIZE), np.uint8)
    readonly = whole.copy()
    readonly.flags.writeable = False
    for images, error, message in [
        (whole[:2], ValueError, r"images must hold at least 3 rows of shape \(4,3,2\), got \(2,4,3,2,\)"),
        (readonly, ValueError, "images must be writeable"),
        (whole.astype(np.int8), TypeError, NO_MATCH),
    ]:
        with pytest.raises(error, match=message):
            places.propose(images)
    indices, goals = places.propose(whole)
    assert (indices.tolist(), goals.tolist()) == ([4] * 3, [7] * 3)
    with pytest.raises(ValueError, match=r"expected one degree per row, \(3,\), got \(2,\)"):
        places.tell(np.zeros(2), 0.0, 0.0)
    with pytest.raises(ValueError, match="row must be one of 3 that are to be told, got 3"):
        places.row(3)
    assert np.array_equal(places.row(2), whole[2])
    assert places.hit(0) is None
    second = whole[1].copy()
    # As an oracle may that was given the batch.
    whole[:] = 0
    assert places.tell(np.array([1.0, 0.0, 2.0]), 0.25, 0.0) == []  # in the middle of an iteration
    hit = places.hit(0)
    assert hit is not None
    assert np.array_equal(hit, second)
    assert places.trace(0) == [(1, 1.0), (2, 0.0)]
    assert places.seconds(0) == 0.75
    with pytest.raises(ValueError, match="there are 2 places, got place 2"):
        places.trace(2)


# Archives


def found(size: tuple[int, int, int]) -> tuple[_core.Batch, _core.Lesson]:
    """A search that ended with its first window, and its lesson."""
    image = np.full(size, 100, np.uint8)
    batch = make_batch(DEFAULT, image)
    slot = batch.add(image, 0, 9)
    for told in range(12):
        rows = rows_of(batch, slot)
        ask(batch, rows, size)
        tell(batch, rows, [0.0 if told == 11 else 1.0] * len(rows))
    return batch, batch.lesson(slot)


def test_plans_and_lessons_of_another_image_shape_are_refused() -> None:
    _, lesson = found((4, 4, 1))
    archive = _core.Archive(16)
    archive.learn(1, lesson)
    assert len(archive) == 1
    large = np.zeros((40, 40, 3), np.uint8)
    batch = make_batch(DEFAULT, large)
    with pytest.raises(ValueError, match="a plan of another image shape"):
        batch.add(large, 0, 9, archive.plan(1, 1.0))
    assert len(batch) == 0
    other = _core.Archive(large.size)
    before = other.save()
    with pytest.raises(ValueError, match="a lesson of another image shape"):
        other.learn(1, lesson)
    assert other.save() == before


def test_a_lesson_is_of_a_search() -> None:
    batch, _ = found((4, 4, 1))
    with pytest.raises(ValueError, match="slot 7 holds no search"):
        batch.lesson(7)
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.Archive(16).learn("1", batch.lesson(0))  # type: ignore[arg-type]


def test_an_archive_is_not_loaded_from_a_search_or_from_damage() -> None:
    batch, lesson = found((4, 4, 1))
    archive = _core.Archive(16)
    archive.learn(1, lesson)
    state = archive.save()
    assert _core.Archive.load(state).save() == state
    with pytest.raises(ValueError, match="not a saved state"):
        _core.Archive.load(batch.save(0))
    with pytest.raises(ValueError, match="not a saved state"):
        batch.load(state)
    with pytest.raises(ValueError, match="has version 9"):
        _core.Archive.load(state[:4] + b"\x09\0\0\0" + state[8:])
    with pytest.raises(ValueError, match="damaged"):
        _core.Archive.load(state[:-1] + bytes([state[-1] ^ 1]))
