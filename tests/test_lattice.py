"""The core's searches among the images around vectors: bit for bit those of the reference, and misuse is an error."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfa import _core
from reference.lattice import BLOCKS, COORDINATES, OUTWARD, SLACK, STOCHASTIC, Box, search

STAGES = (OUTWARD, STOCHASTIC, BLOCKS, COORDINATES)


def core_of(size, stages=STAGES, num_stochastic=3, seed=0, threads=1):
    return _core.LatticeBatch(
        size=size,
        stages=[_core.LatticeStage[stage.upper()] for stage in stages],
        num_stochastic=num_stochastic,
        seed=seed,
        threads=threads,
        slack=SLACK,
    )


def problem(rng, number, shape):
    """Originals and levels of which some are whole, or nearly, or halves."""
    originals = rng.integers(0, 256, (number, *shape), dtype=np.uint8)
    levels = originals + rng.uniform(-4, 4, originals.shape)
    kinds = rng.integers(0, 6, levels.shape)
    levels = np.select(
        [kinds == 0, kinds == 1, kinds == 2], [np.rint(levels), np.floor(levels) + 0.5, np.rint(levels) + 5e-4], levels
    )
    return originals, np.clip(levels, 0, 255)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.lists(st.sampled_from(STAGES), max_size=4, unique=True))
def test_the_core_asks_what_the_reference_asks(seed, epsilon, stages):
    rng = np.random.default_rng(seed)
    shape, ids = (2, 3, 2), [3, 2**32 - 1, 0]
    originals, levels = problem(rng, 3, shape)
    weights = rng.normal(size=shape)
    core = core_of(12, stages, seed=2**64 - 1 - seed)
    slots = np.array(core.add(levels, originals, [epsilon] * 3, ids))
    images = np.full((3, *shape), 0xA5, dtype=np.uint8)
    assert core.propose(slots, images) == [_core.LatticeStage.NEAREST] * 3
    boxes = [Box.around(each, original, epsilon) for each, original in zip(levels, originals, strict=True)]
    assert [core.num_free(slot) for slot in slots] == [len(box.free) for box in boxes]
    assert np.array_equal(images, [box.nearest for box in boxes])
    degrees = (images * weights).sum(axis=(1, 2, 3))
    core.tell(slots, degrees)
    searches = [
        search(box, degree, stages=stages, num_stochastic=3, seed=2**64 - 1 - seed, image_id=name)
        for box, degree, name in zip(boxes, degrees, ids, strict=True)
    ]
    wanted = [next(each, None) for each in searches]
    for _ in range(2000):
        found = core.propose(slots, images)
        assert [None if stage is None else stage.name.lower() for stage in found] == [
            None if each is None else each[0] for each in wanted
        ]
        on = [row for row, each in enumerate(wanted) if each is not None]
        assert np.array_equal(images[on], np.array([wanted[row][1] for row in on]).reshape(-1, *shape))
        if not on:
            break
        slots, images = slots[on], images[on]
        degrees = (images * weights).sum(axis=(1, 2, 3))
        core.tell(slots, degrees)
        searches, wanted = [searches[row] for row in on], []
        for each, degree in zip(searches, degrees, strict=True):
            try:
                wanted.append(each.send(degree))
            except StopIteration:
                wanted.append(None)
    else:
        raise AssertionError("the searches do not end")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(0, 4), st.sampled_from([BLOCKS, COORDINATES]))
def test_flips_never_leave_the_box_and_end_at_the_best_image_of_a_linear_model(seed, epsilon, stage):
    rng = np.random.default_rng(seed)
    originals, levels = problem(rng, 1, (2, 3, 1))
    box = Box.around(levels[0], originals[0], epsilon)
    weights = rng.normal(size=(2, 3, 1))
    core = core_of(6, [stage], seed=seed)
    slots = np.array(core.add(levels, originals, [epsilon], [1]))
    image = np.empty((1, 2, 3, 1), dtype=np.uint8)
    degrees = []
    while core.propose(slots, image) != [None]:
        assert np.all((image[0] == box.low) | (image[0] == box.high))
        assert np.all(np.abs(image[0].astype(int) - originals[0]) <= epsilon)
        degree = float((weights * image).sum())
        assert degree not in degrees or degree != min(degrees)
        degrees.append(degree)
        core.tell(slots, np.array([degree]))
    corners = itertools.product(*zip(box.low.ravel(), box.high.ravel(), strict=True))
    assert min(degrees) == pytest.approx(min((weights.ravel() * corner).sum() for corner in corners))


def test_misuse_is_an_error_and_changes_nothing():
    core = core_of(4, [OUTWARD])
    original = np.full((1, 2, 2, 1), 9, dtype=np.uint8)
    slots = np.array(core.add(original + 0.25, original, [3], [0]))
    image = np.zeros((1, 2, 2, 1), dtype=np.uint8)
    frozen = image.copy()
    frozen.flags.writeable = False
    for arguments, message in (
        ((original, original[:, :1], [3], [0]), "rows of 4 levels"),
        ((original + 0.5, original, [3, 3], [0]), "rows of 4 levels"),
        ((original + 250.0, original, [3], [0]), r"levels must be in 0\.\.255"),
    ):
        with pytest.raises(ValueError, match=message):
            core.add(*arguments)
    for rows, images, message in (
        (slots, image[:0], "hold at least 1 rows of 4"),
        (slots, image[:, :1].copy(), "hold at least 1 rows of 4"),
        (slots, frozen, "must be writeable"),
        (slots - 1, image, "has slot -1"),
        (slots + 1, image, "slot 1 holds no search"),
        (slots.reshape(1, 1), image, "one-dimensional"),
        (np.repeat(slots, 2), np.repeat(image, 2, axis=0), "more than one row"),
    ):
        with pytest.raises(ValueError, match=message):
            core.propose(rows, images)
    with pytest.raises(ValueError, match="no candidate under way"):
        core.tell(slots, np.zeros(1))
    assert core.propose(slots, image) == [_core.LatticeStage.NEAREST]
    with pytest.raises(ValueError, match="has a candidate under way"):
        core.propose(slots, image)
    for degrees, message in ((np.zeros(2), "one degree per slot"), (np.array([np.nan]), "no number")):
        with pytest.raises(ValueError, match=message):
            core.tell(slots, degrees)
    core.tell(slots, np.ones(1))
    assert core.propose(slots, image) == [_core.LatticeStage.OUTWARD]
    assert np.all(image == 10)
    assert len(core) == 1
    core.remove(0)
    assert len(core) == 0
