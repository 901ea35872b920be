"""Sizes, shapes and memory that Python names: what no memory can hold, or no address reach, is refused beforehand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core_driver import config_of, make_batch
from core_fuzz import misaligned
from core_problem import IMAGE, NO_MATCH, PAPER, SIZE, integers, started, states
from dfa import _core

HUGE = [-1, 2**31, 2**32, 2**63 - 1, 2**63, 2**63 + 24, 2**64 - 1, 2**64, 10**30, -(10**30)]


def lattice(**changes: Any) -> _core.LatticeBatch:
    arguments = {"size": 4, "stages": [], "num_stochastic": 1, "seed": 1, "threads": 1, "slack": 0.0} | changes
    return _core.LatticeBatch(**arguments)


def places(capacity: Any = 2, batch_size: Any = 3) -> _core.Places:
    return _core.Places(make_batch(PAPER, IMAGE), None, capacity, batch_size, 100, None)


def draw(count: Any, **changes: Any) -> np.ndarray:
    members = np.zeros((5, 24), np.int32)
    return _core.draw_from(config_of(replace(PAPER, **changes)), SIZE, IMAGE, 5, members, 1, count)


SIZES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "Places.capacity": (lambda size: places(capacity=size), r"capacity must be in 1\.\.1048576"),
    "Places.batch_size": (lambda size: places(batch_size=size), r"batch_size must be in 1\.\.2147483647"),
    "Batch.threads": (lambda size: _core.Batch(config_of(PAPER), SIZE, 1, size), r"threads must be in 1\.\.1024"),
    "LatticeBatch.size": (lambda size: lattice(size=size), r"size must be in 1\.\.2147483647"),
    "LatticeBatch.threads": (lambda size: lattice(threads=size), r"threads must be in 1\.\.1024"),
    "LatticeBatch.num_stochastic": (
        lambda size: lattice(num_stochastic=size),
        r"num_stochastic must be in 0\.\.1048576",
    ),
    "Archive": (_core.Archive, r"num_coordinates must be in 0\.\.2147483647"),
    "Curriculum": (_core.Curriculum, r"num_coordinates must be in 0\.\.2147483647"),
    "Curriculum.capacity": (_core.Curriculum.capacity, r"num_coordinates must be in 0\.\.2147483647"),
    "Lesson.load": (lambda size: _core.Lesson.load(size, b""), r"num_coordinates must be in 0\.\.2147483647"),
    "draw_from": (draw, r"count must be in 0\.\.11184810"),
}


@pytest.mark.parametrize("size", HUGE)
@pytest.mark.parametrize("name", SIZES)
def test_a_size_that_cannot_be_is_refused_by_name_range_and_value(name: str, size: int) -> None:
    call, message = SIZES[name]
    with pytest.raises(ValueError, match=rf"^{message}, got {size}$"):
        call(size)


@pytest.mark.parametrize("name", SIZES)
def test_a_size_is_an_integer(name: str) -> None:
    call, _ = SIZES[name]
    for size in (1.0, "1", None, np.float64(1)):
        with pytest.raises(TypeError, match=NO_MATCH):
            call(size)
    if name != "Lesson.load":
        call(np.int64(1))
        call(np.uint8(1))


def test_a_batch_of_places_is_never_larger_than_its_buffer() -> None:
    """2^63 rows were -2^63 when they were compared."""
    with pytest.raises(ValueError, match="batch_size must be"):
        places(batch_size=2**63)
    small = places(batch_size=2**31 - 1)
    with pytest.raises(ValueError, match="images must hold at least 2147483647 rows"):
        small.propose(np.zeros((3, *SIZE), np.uint8))


@pytest.mark.parametrize(
    "shape", [(2**22, 2**22, 2**20), (2**32 - 1, 2**32 - 1, 2**32 - 1), (2**31, 1, 1), (1, 2**16, 2**16), (3, 2**30, 1)]
)
def test_a_shape_of_more_values_than_can_be_numbered_is_refused(shape: tuple[int, int, int]) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: _core.Batch(config_of(PAPER), shape, 1, 1),
        lambda: _core.Box("tiled", shape, {"epsilon": 1, "factor": 1}),
        lambda: _core.Box("shift", shape, {"rows": 0, "columns": 1}),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=r"at most 2\^31-1 values, got"):
            call()


def test_a_box_of_no_image_is_refused() -> None:
    with pytest.raises(ValueError, match="height, a width and channels of at least 1"):
        _core.Box("lighting", (0, 3, 2), {"brightness": 1, "contrast": 1, "gamma": 0})


@pytest.mark.parametrize("shape", [(2, 12, 1), (1, 12, 1), (2, 6, 2), (1, 4, 6)])
def test_plain_values_are_read_from_no_further_than_they_reach(shape: tuple[int, int, int]) -> None:
    ends = np.arange(shape[1], dtype=np.int16)
    with pytest.raises(ValueError, match=r"plain values must be \(1, integers, 2\), got \("):
        _core.Box("values", shape, {}, ends - 1, ends)


@pytest.mark.parametrize(
    ("kind", "parameters"),
    [
        ("pixels", {"number": 1}),
        ("rectangle", {"height": 2, "width": 65_530, "colour": 7}),
        ("tiny_rectangles", {"number": 1, "height": 1, "width": 1}),
        ("shift", {"rows": 0, "columns": 65_537}),
    ],
)
def test_an_image_too_large_for_16_bit_integers_is_refused_and_not_cut_off(kind: str, parameters: dict) -> None:
    for shape in ((2, 65_538, 1), (2, 32_769 + 65_536, 1)):
        with pytest.raises(ValueError, match="an interval must end within 16 bits"):
            _core.Box(kind, shape, parameters)


def test_pixels_of_very_many_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="10000 pixels of 1048576 channels are more than"):
        _core.Box("pixels", (1, 1, 2**20), {"number": 10_000})


def test_an_empty_buffer_of_many_rows_is_refused_by_a_lattice() -> None:
    """2^62 rows of 4 values are 0 bytes where the product overflows."""
    batch = lattice()
    slots = np.array(batch.add(np.full((1, 4), 1.5), np.ones((1, 4), np.uint8), [3], [0]))
    for shape in ((2**62, 0), (1, 0), (0, 4), (1, 3), (2, 2)):
        with pytest.raises(ValueError, match="images must be writeable and hold at least 1 rows of 4 values"):
            batch.propose(slots, np.empty(shape, np.uint8))
    assert batch.propose(slots, np.empty((1, 4), np.uint8)) == [_core.LatticeStage.NEAREST]


@pytest.mark.parametrize("epsilon", [-1, 256, 2**31 - 1, -(2**31)])
def test_an_epsilon_beyond_the_grey_scale_is_refused_by_a_lattice(epsilon: int) -> None:
    batch = lattice()
    with pytest.raises(ValueError, match=rf"epsilons must be in 0\.\.255 grey levels, got {epsilon}$"):
        batch.add(np.full((1, 4), 1.5), np.ones((1, 4), np.uint8), [epsilon], [0])
    assert len(batch) == 0


@pytest.mark.parametrize("slack", [-1e-9, float("nan"), float("-inf")])
def test_a_slack_below_nothing_is_refused(slack: float) -> None:
    with pytest.raises(ValueError, match="slack must be at least 0"):
        lattice(slack=slack)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_degrees_cannot_be_divided_by_is_refused(scale: float) -> None:
    for each in (_core.Archive(24), _core.Curriculum(24)):
        with pytest.raises(ValueError, match="scale must be a finite number above 0"):
            each.plan(1, scale)


def test_more_starts_than_memory_are_refused() -> None:
    config_of(replace(PAPER, starts=2**21))
    with pytest.raises(ValueError, match="starts must be at most 2097152, got 2097153"):
        config_of(replace(PAPER, starts=2**21 + 1))


@pytest.mark.parametrize("region", ["none", "ordered", "per_coordinate"])
@pytest.mark.parametrize("starts", [5, 6, 60, 2**21])
def test_draws_from_a_population_need_no_starts(region: Any, starts: int) -> None:
    assert np.array_equal(draw(7, region=region, starts=starts), draw(7, region=region))


# Where arrays lie


@pytest.mark.parametrize("change", [misaligned, lambda array: array.astype(array.dtype.newbyteorder())])
def test_arrays_in_odd_memory_are_read_by_their_values(change: Callable[[np.ndarray], np.ndarray]) -> None:
    batch, slots = started()
    other, _ = started()
    images = [np.zeros((2, *SIZE), np.uint8) for _ in range(2)]
    rows, degrees = (integers(0, 0), integers(1, 2)), np.array([2.5, 1.0])
    batch.ask(*rows, images[0])
    batch.tell(*rows, degrees)
    other.ask(change(rows[0]), change(rows[1]), images[1])
    other.tell(change(rows[0]), change(rows[1]), change(degrees))
    assert np.array_equal(*images)
    assert states(batch, slots) == states(other, slots)

    low, high = np.array([1, -2, 3], np.int16), np.array([4, 5, 300], np.int16)
    box = _core.Box("values", (1, 3, 2), {}, change(low), change(high))
    assert (box.low.tolist(), box.high.tolist()) == (low.tolist(), high.tolist())
    members = np.arange(120, dtype=np.int32).reshape(5, 24) % 5
    config = config_of(PAPER)
    drawn = [_core.draw_from(config, SIZE, IMAGE, 5, each, 1, 4) for each in (members, change(members))]
    assert np.array_equal(*drawn)
    lattices = [lattice(), lattice()]
    levels = np.array([[1.5, 2.25, 3.0, 4.75]])
    found = [np.zeros((1, 4), np.uint8) for _ in lattices]
    for each, put, into in zip(lattices, (lambda array: array, change), found, strict=True):
        slots = each.add(put(levels), np.full((1, 4), 3, np.uint8), [3], [0])
        each.propose(put(integers(*slots)), into)
        each.tell(put(integers(*slots)), put(np.array([0.5])))
    assert np.array_equal(*found)
