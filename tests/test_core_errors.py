"""Misuse of the core is a Python error that says what is wrong, and leaves every search as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from core_driver import Images, ask, config_of, make_batch, population_of, rows_of, tell
from core_problem import IMAGE, NO_MATCH, PAPER, SIZE, integers, started, states
from dfa import _core

# Batch and images


@pytest.mark.parametrize("shape", [(0, 3, 2), (4, 0, 2), (4, 3, 0)])
def test_a_batch_of_empty_images_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="height, a width and channels of at least 1"):
        _core.Batch(config_of(PAPER), shape, 1, 1)


@pytest.mark.parametrize("threads", [0, -1, 1025, 2**31 - 1, 2**63, 10**30])
def test_a_batch_without_threads_is_refused(threads: int) -> None:
    with pytest.raises(ValueError, match=rf"threads must be in 1\.\.1024, got {threads}"):
        _core.Batch(config_of(PAPER), SIZE, 1, threads)
    batch = _core.Batch(config_of(PAPER), SIZE, 1, 3)
    with pytest.raises(ValueError, match=rf"threads must be in 1\.\.1024, got {threads}"):
        batch.threads = threads
    assert batch.threads == 3


@pytest.mark.parametrize(
    ("shape", "seed", "threads"),
    [((4, 3), 1, 1), ((-1, 3, 2), 1, 1), (SIZE, -1, 1), (SIZE, 2**64, 1), (SIZE, 1.0, 1), (SIZE, 1, None)],
)
def test_a_batch_of_wrong_types_is_refused(shape: Any, seed: Any, threads: Any) -> None:
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.Batch(config_of(PAPER), shape, seed, threads)


def test_a_configuration_too_large_for_an_image_is_refused() -> None:
    batch = _core.Batch(config_of(replace(PAPER, samples=1 << 20)), (64, 64, 1), 1, 1)
    with pytest.raises(ValueError, match=r"samples times coordinates must stay below 2\^32"):
        batch.add(np.zeros((64, 64, 1), np.uint8), 0, 1)
    # The coordinates that may change are those that count.
    radii = np.zeros((64, 64, 1), np.uint8)
    radii[0, 0, 0] = 1
    batch.add(np.zeros((64, 64, 1), np.uint8), 0, _core.RadiusMap(radii))


@pytest.mark.parametrize("shape", [(3, 4, 2), (24,), (4, 3), (1, 4, 3, 2), (4, 3, 1), (0, 3, 2), ()])
def test_an_image_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    batch = make_batch(PAPER, IMAGE)
    with pytest.raises(ValueError, match=r"expected an original of shape \(4,3,2\), got \("):
        batch.add(np.zeros(shape, np.uint8), 0, 1)
    assert len(batch) == 0


@pytest.mark.parametrize("dtype", [np.int64, np.float32, np.int8, np.uint16])
def test_an_image_of_another_dtype_is_refused(dtype: Any) -> None:
    batch = make_batch(PAPER, IMAGE)
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.add(IMAGE.astype(dtype), 0, 1)
    assert len(batch) == 0


def test_an_image_in_another_memory_order_is_taken_as_numpy_shows_it() -> None:
    batch = make_batch(PAPER, IMAGE)
    flipped = IMAGE[::-1, ::-1, ::-1].copy()
    slots = [batch.add(x, 0, 9) for x in (IMAGE, np.asfortranarray(IMAGE), flipped[::-1, ::-1, ::-1])]
    assert batch.save(slots[0]) == batch.save(slots[1]) == batch.save(slots[2])


@pytest.mark.parametrize("image_id", [-1, 2**32, 0.5, None])
def test_an_image_id_out_of_range_is_refused(image_id: Any) -> None:
    batch = make_batch(PAPER, IMAGE)
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.add(IMAGE, image_id, 1)


def test_radius_zero_is_refused() -> None:
    batch = make_batch(PAPER, IMAGE)
    with pytest.raises(ValueError, match=r"radius must be in 1\.\.255 grey levels, got 0"):
        batch.add(IMAGE, 0, 0)
    with pytest.raises(ValueError, match="every radius is 0: no coordinate may change"):
        batch.add(IMAGE, 0, _core.RadiusMap(np.zeros(SIZE, np.uint8)))
    assert len(batch) == 0


@pytest.mark.parametrize("radius", [-1, 256, 0.03, "8", np.ones(SIZE, np.uint8)])
def test_a_radius_of_another_type_is_refused(radius: Any) -> None:
    batch = make_batch(PAPER, IMAGE)
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.add(IMAGE, 0, radius)


@pytest.mark.parametrize(
    ("radii", "count"), [(np.ones(23, np.uint8), 23), (np.ones(25, np.uint8), 25), (np.ones(0, np.uint8), 0), (None, 0)]
)
def test_radii_for_another_number_of_coordinates_are_refused(radii: Any, count: int) -> None:
    batch = make_batch(PAPER, IMAGE)
    radius: Any = None if radii is None else _core.RadiusMap(radii)
    with pytest.raises((ValueError, TypeError), match=rf"one radius per coordinate \(24\), got {count}|{NO_MATCH}"):
        batch.add(IMAGE, 0, radius)
    assert len(batch) == 0


@pytest.mark.parametrize("dtype", [np.int64, np.float64])
def test_radii_of_another_dtype_are_refused(dtype: Any) -> None:
    with pytest.raises(TypeError, match=NO_MATCH):
        _core.RadiusMap(np.ones(SIZE, dtype))


# Slots


@pytest.mark.parametrize("slot", [2, 2**40])
def test_an_unknown_slot_is_refused(slot: int) -> None:
    batch, slots = started()
    before = states(batch, slots)
    calls: list[Callable[[], Any]] = [
        lambda: ask(batch, [(0, 0), (slot, 0)], SIZE),
        lambda: tell(batch, [(0, 0), (slot, 0)], [0.0, 0.0]),
        lambda: batch.iteration(slot),
        lambda: batch.iteration_size(slot),
        lambda: batch.population(slot),
        lambda: batch.save(slot),
        lambda: batch.remove(slot),
    ]
    for call in calls:
        with pytest.raises(ValueError, match=f"slot {slot} holds no search"):
            call()
    assert states(batch, slots) == before
    assert len(batch) == 2


def test_a_removed_slot_is_unknown_and_cannot_be_removed_twice() -> None:
    batch, slots = started()
    batch.remove(slots[0])
    assert len(batch) == 1
    for call in (batch.remove, batch.save, batch.iteration):
        with pytest.raises(ValueError, match="slot 0 holds no search"):
            call(slots[0])
    with pytest.raises(ValueError, match="slot 0 holds no search"):
        ask(batch, [(slots[0], 0)], SIZE)
    assert len(batch) == 1
    assert [batch.add(IMAGE, 0, 1) for _ in range(2)] == [0, 2]


def test_negative_numbers_are_refused() -> None:
    batch, slots = started()
    before = states(batch, slots)
    images = np.empty((1, *SIZE), np.uint8)
    for slot, candidate in ((-1, 0), (0, -1), (0, 2**32)):
        with pytest.raises(ValueError, match=f"row 0 has slot {slot} and candidate {candidate}"):
            batch.ask(integers(slot), integers(candidate), images)
        with pytest.raises(ValueError, match=f"row 0 has slot {slot} and candidate {candidate}"):
            batch.tell(integers(slot), integers(candidate), np.zeros(1))
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.save(-1)
    assert states(batch, slots) == before


# Ask


@pytest.mark.parametrize("candidate", [3, 2**32 - 1])
def test_a_candidate_that_the_iteration_does_not_have_is_refused(candidate: int) -> None:
    batch, slots = started()
    before = states(batch, slots)
    message = f"slot 0 has 3 candidates in this iteration, got {candidate}"
    with pytest.raises(ValueError, match=message):
        ask(batch, [(1, 4), (0, candidate)], SIZE)
    with pytest.raises(ValueError, match=message):
        tell(batch, [(1, 0), (0, candidate)], [0.0, 0.0])
    assert states(batch, slots) == before


def test_one_candidate_in_two_rows_of_an_ask_is_refused() -> None:
    batch, slots = started()
    before = states(batch, slots)
    expected = ask(batch, [(0, 0), (0, 1), (0, 2), (1, 2)], SIZE)
    images = np.full((4, *SIZE), 77, np.uint8)
    with pytest.raises(ValueError, match="candidate 2 of slot 0 stands in more than one row"):
        batch.ask(integers(0, 0, 1, 0), integers(1, 2, 2, 2), images)
    assert (images == 77).all()
    assert states(batch, slots) == before
    # The refused rows are free again, and the same candidate may stand in two calls.
    for _ in range(2):
        assert np.array_equal(ask(batch, [(0, 0), (0, 1), (0, 2), (1, 2)], SIZE), expected)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((1, *SIZE), np.uint8),
        np.zeros((2, 3, 4, 2), np.uint8),
        np.zeros((2, 4, 3, 1), np.uint8),
        np.zeros((2, 4, 3), np.uint8),
        np.zeros((2, 24), np.uint8),
        np.zeros(48, np.uint8),
        np.zeros((1, 2, *SIZE), np.uint8),
        np.zeros((), np.uint8),
    ],
    ids=lambda images: str(images.shape),
)
def test_a_buffer_of_another_shape_is_refused(images: Images) -> None:
    batch, slots = started()
    before = states(batch, slots)
    with pytest.raises(ValueError, match=r"images must hold at least 2 rows of shape \(4,3,2\), got \("):
        batch.ask(integers(0, 0), integers(0, 1), images)
    assert not images.any()
    assert states(batch, slots) == before


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, *SIZE), np.int8),
        np.zeros((2, *SIZE), np.float32),
        np.zeros((4, *SIZE), np.uint8)[::2],
        np.zeros((2, 2, 3, 4), np.uint8).transpose(0, 3, 2, 1),
        [[0]],
        None,
    ],
    ids=["int8", "float32", "every other row", "transposed", "list", "none"],
)
def test_a_buffer_that_would_be_copied_is_refused(images: Any) -> None:
    """Written to a copy, the candidates would be lost."""
    batch, _ = started()
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.ask(integers(0, 0), integers(0, 1), images)


def test_a_readonly_buffer_is_refused_and_not_written() -> None:
    batch, _ = started()
    images = np.zeros((2, *SIZE), np.uint8)
    images.flags.writeable = False
    with pytest.raises(ValueError, match="images must be writeable"):
        batch.ask(integers(0, 0), integers(0, 1), images)
    assert not images.any()


def test_rows_of_the_buffer_that_are_not_asked_for_are_not_written() -> None:
    batch, _ = started()
    images = np.full((5, *SIZE), 77, np.uint8)
    batch.ask(integers(0, 1), integers(2, 3), images[1:])
    assert np.array_equal(images[1:3], ask(batch, [(0, 2), (1, 3)], SIZE))
    assert (images[[0, 3, 4]] == 77).all()
    batch.ask(integers(), integers(), images)
    assert (images[[0, 3, 4]] == 77).all()


@pytest.mark.parametrize(
    ("slots", "candidates"),
    [
        (integers(0, 0), integers(0)),
        (integers(0), integers(0, 1)),
        (integers(0, 0).reshape(1, 2), integers(0, 1).reshape(1, 2)),
        (np.array(0), np.array(0)),
    ],
    ids=["fewer candidates", "more candidates", "two dimensions", "none"],
)
def test_rows_of_another_shape_are_refused(slots: np.ndarray, candidates: np.ndarray) -> None:
    batch, _ = started()
    message = r"slots and candidates must be one-dimensional and of one length, got \("
    with pytest.raises(ValueError, match=message):
        batch.ask(slots, candidates, np.zeros((2, *SIZE), np.uint8))
    with pytest.raises(ValueError, match=message):
        batch.tell(slots, candidates, np.zeros(2))


def test_lists_of_floats_are_refused_and_not_cut_to_integers() -> None:
    batch, slots = started()
    before = states(batch, slots)
    images = np.zeros((1, *SIZE), np.uint8)
    calls: list[Callable[[], Any]] = [
        lambda: batch.ask([0.9], integers(0), images),  # type: ignore[arg-type]
        lambda: batch.ask(integers(0), [0.9], images),  # type: ignore[arg-type]
        lambda: batch.tell([0.9], integers(0), np.zeros(1)),  # type: ignore[arg-type]
        lambda: batch.tell(integers(0), [0.9], np.zeros(1)),  # type: ignore[arg-type]
        lambda: batch.add((IMAGE + 0.5).tolist(), 0, 20),
        lambda: _core.RadiusMap([1.5, 2.5]),  # type: ignore[arg-type]
    ]
    for call in calls:
        with pytest.raises(TypeError, match=NO_MATCH):
            call()
    assert not images.any()
    assert states(batch, slots) == before
    # What loses nothing is taken.
    batch.ask([0], integers(0).astype(np.int32), images)  # type: ignore[arg-type]
    assert np.array_equal(images, ask(batch, [(0, 0)], SIZE))


def test_rows_that_are_no_integers_are_refused() -> None:
    batch, _ = started()
    images = np.zeros((1, *SIZE), np.uint8)
    others: list[Any] = [np.zeros(1), np.zeros(1, np.float32), np.zeros(1, np.uint64), None]
    for other in others:
        with pytest.raises(TypeError, match=NO_MATCH):
            batch.ask(other, integers(0), images)
        with pytest.raises(TypeError, match=NO_MATCH):
            batch.tell(integers(0), other, np.zeros(1))


# Tell

REFUSED_TELLS: dict[str, tuple[list[tuple[int, int]], list[float], type[Exception], str]] = {
    "never asked": ([(0, 2)], [1.0], RuntimeError, r"told before asked: candidate 2 of iteration 1 \(which has 3\)"),
    "told twice": ([(1, 1)], [0.5], RuntimeError, r"told twice: candidate 1 of iteration 0 \(which has 5\)"),
    "twice in one call": ([(0, 1)], [3.0], RuntimeError, "told twice: candidate 1 of iteration 1"),
    "not a number": ([(1, 0)], [float("nan")], ValueError, "a degree must be a number, got NaN for candidate 0"),
}


@pytest.mark.parametrize("name", REFUSED_TELLS)
def test_a_refused_tell_changes_nothing(name: str) -> None:
    """Not even for the rows before the refused one, nor for those of other searches."""
    rows, degrees, error, message = REFUSED_TELLS[name]
    batch, slots = started()
    before = states(batch, slots)
    good = [(0, 0), (0, 1)]
    for place in range(3) if name != "twice in one call" else [2]:
        with pytest.raises(error, match=message):
            tell(batch, good[:place] + rows + good[place:], [1.0, 2.0][:place] + degrees + [1.0, 2.0][place:])
        assert states(batch, slots) == before
    # The good rows can still be told, and nothing of the refused degrees is left.
    tell(batch, good, [1.0, 2.0])
    other, _ = started()
    tell(other, good, [1.0, 2.0])
    assert states(batch, slots) == states(other, slots)


def test_a_candidate_told_before_its_state_was_saved_is_told_twice_after() -> None:
    batch, slots = started()
    loaded = batch.load(batch.save(slots[1]))
    with pytest.raises(RuntimeError, match="told twice: candidate 1 of iteration 0"):
        tell(batch, [(loaded, 1)], [0.5])
    with pytest.raises(RuntimeError, match="told before asked: candidate 0 of iteration 0"):
        tell(batch, [(loaded, 0)], [0.5])


def test_a_tell_refused_after_it_completed_an_iteration_changes_nothing() -> None:
    batch, slots = started()
    images = ask(batch, rows_of(batch, 0), SIZE)
    before = states(batch, slots)
    for last in ((1, 3), (0, 0)):
        with pytest.raises(RuntimeError, match=r"told before asked|told twice"):
            tell(batch, [*rows_of(batch, 0), last], [1.0] * 4)
        assert states(batch, slots) == before
        assert np.array_equal(ask(batch, rows_of(batch, 0), SIZE), images)
    tell(batch, rows_of(batch, 0), [1.0] * 3)
    assert batch.iteration(0) == 2


def test_candidates_of_the_last_iteration_are_not_those_of_this_one() -> None:
    batch, slots = started(3)
    assert batch.iteration(slots[0]) == 3
    ask(batch, rows_of(batch, 0), SIZE)
    tell(batch, rows_of(batch, 0), [1.0] * 3)
    with pytest.raises(RuntimeError, match="told before asked: candidate 0 of iteration 4"):
        tell(batch, [(0, 0)], [1.0])


def test_a_loaded_search_knows_what_was_told() -> None:
    batch, slots = started()
    copy = batch.load(batch.save(slots[1]))
    with pytest.raises(RuntimeError, match="told before asked: candidate 0 of iteration 0"):
        tell(batch, [(copy, 0)], [1.0])
    with pytest.raises(RuntimeError, match=r"told .*: candidate 1 of iteration 0"):
        tell(batch, [(copy, 1)], [1.0])
    ask(batch, [(copy, 1)], SIZE)
    with pytest.raises(RuntimeError, match="told twice: candidate 1 of iteration 0"):
        tell(batch, [(copy, 1)], [1.0])
    assert batch.save(copy) == batch.save(slots[1])


@pytest.mark.parametrize("degrees", [np.zeros(1), np.zeros(3), np.zeros((2, 1)), np.zeros(())], ids=np.shape)
def test_degrees_of_another_shape_are_refused(degrees: np.ndarray) -> None:
    batch, slots = started()
    before = states(batch, slots)
    with pytest.raises(ValueError, match=r"expected one degree per row, \(2,\), got \("):
        batch.tell(integers(0, 0), integers(0, 1), degrees)
    assert states(batch, slots) == before


@pytest.mark.parametrize("degrees", [["a", "b"], np.zeros(2, complex)], ids=["text", "complex"])
def test_degrees_that_are_no_numbers_are_refused(degrees: Any) -> None:
    batch, slots = started()
    before = states(batch, slots)
    with pytest.raises(TypeError, match=NO_MATCH):
        batch.tell(integers(0, 0), integers(0, 1), degrees)
    assert states(batch, slots) == before


def test_infinite_and_signed_zero_degrees_are_taken() -> None:
    batch, _ = started()
    rows = [row for row in rows_of(batch, 1) if row != (1, 1)]
    ask(batch, rows, SIZE)
    tell(batch, rows, [float("inf"), 0.0, -0.0, float("-inf")])
    assert [(d, b) for d, b, _ in population_of(batch, 1)] == [
        (float("-inf"), 4),
        (0.0, 2),
        (0.0, 3),  # -0.0: equal to 0.0, and younger
        (0.5, 1),
        (float("inf"), 0),
    ]
