"""8-bit images as floats between two bounds: which floats, which are taken back, and what an eps leaves room for."""

from __future__ import annotations

import numpy as np
import pytest

from dfa.errors import InvalidInputError
from dfa.integrations.grid import Grid

BOUNDS = [(0, 1), (-1, 1), (0, 255), (-2.5, 0.5)]
LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize("bounds", BOUNDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_grey_levels_become_the_nearest_floats_and_come_back(bounds, dtype):
    grid = Grid(*bounds)
    values = grid.values(LEVELS, dtype)
    low, high = bounds
    exact = low + np.arange(256, dtype=np.longdouble) * (high - low) / 255
    assert values.dtype == dtype
    assert np.array_equal(values.ravel(), exact.astype(dtype))
    assert np.array_equal(grid.images(values), LEVELS)
    assert np.array_equal(grid.images(np.nextafter(values, np.float32(low), dtype=dtype)), LEVELS)


def test_in_0_to_1_they_are_k_over_255_as_frameworks_divide():
    assert np.array_equal(Grid(0, 1).values(LEVELS, np.float32), LEVELS / np.float32(255))


@pytest.mark.parametrize("bounds", BOUNDS)
def test_what_float32_does_to_images_is_within_the_tolerance(bounds):
    """Divided by 255, moved to the bounds, normalised and back, with numbers that are not kind to it."""
    low, high = map(np.float32, bounds)
    grid = Grid(*bounds)
    worst = 0.0
    for mean, std in [(0.485, 0.229), (0.4465, 0.2616), (0.13066, 0.30811), (0.9, 0.01)]:
        mean, std = np.float32(mean), np.float32(std)
        values = LEVELS.astype(np.float32) * np.float32(1 / 255) * (high - low) + low
        values = (values - mean) / std * std + mean
        assert values.dtype == np.float32
        assert np.array_equal(grid.images(values), LEVELS)
        off = (values.astype(float) - grid.values(LEVELS, np.float64)) / (bounds[1] - bounds[0]) * 255
        worst = max(worst, float(np.abs(off).max()))
    assert grid.tolerance / 30 < worst < grid.tolerance < 0.01


@pytest.mark.parametrize(
    ("bounds", "value", "words"),
    [
        ((0, 1), 0.5, r"image 1 holds 0\.5, which is grey level 127\.5000; quantise them first: \(x \* 255\)\.round"),
        ((-1, 1), 0.001, r"\(\(x - -1\) \* 127\.5\)\.round\(\) / 127\.5 \+ -1"),
        ((0, 1), 3 / 255 + 2e-6, "grey level 3.0005"),
        ((0, 1), 1.001, r"within the bounds 0\.\.1, and image 1 holds 1\.001"),
        ((0, 1), -1e-5, r"within the bounds 0\.\.1"),
        ((0, 255), 256, r"within the bounds 0\.\.255"),
        ((0, 1), np.nan, "image 1 holds nan"),
        ((0, 1), np.inf, "image 1 holds inf"),
    ],
)
def test_what_is_no_8_bit_image_is_refused(bounds, value, words):
    values = np.zeros((2, 2, 2, 3), np.float32) + bounds[0]
    values[1, 1, 0, 2] = value
    with pytest.raises(InvalidInputError, match=words):
        Grid(*bounds).images(values)


def test_other_arrays_and_bounds_are_refused():
    for values in (np.zeros((2, 2, 3), np.float32), np.zeros((1, 2, 2, 3), np.float16), np.zeros((1, 2, 2, 3), bool)):
        with pytest.raises(InvalidInputError, match=r"float32 of shape \(N, C, H, W\)"):
            Grid(0, 1, channels_first=True).images(values)
    for bounds in ((1, 0), (0, np.inf), (1e6, 1e6 + 1), (0, np.nan)):
        with pytest.raises(InvalidInputError, match="bounds must be two finite numbers"):
            Grid(*bounds)
    for bounds in (None, 3, (0,), ("a", "b"), (0, [1, 2])):
        with pytest.raises(InvalidInputError, match="must have two bounds"):
            Grid.of(bounds, (1, 2, 2, 3))


@pytest.mark.parametrize(
    ("bounds", "dtype", "words"),
    [
        ((0, 1), np.int64, r"within the bounds 0\.\.1 as float32, got int64, .* x as x / 255$"),
        ((0, 1), np.uint8, r"got uint8"),
        ((-1, 1), np.int8, r"x as x / 255 \* 2 \+ -1$"),
        ((0, 255), np.int8, "got int8"),
        ((-128, 127), np.uint8, "got uint8"),
    ],
)
def test_integers_that_cannot_be_given_back_are_refused(bounds, dtype, words):
    """What is found lies on grey levels that they do not hold: cast to integers it would leave any eps."""
    with pytest.raises(InvalidInputError, match=words):
        Grid(*bounds).images(np.ones((1, 2, 2, 3), dtype))


@pytest.mark.parametrize(
    ("bounds", "dtype"), [((0, 255), np.uint8), ((0, 255), np.int64), ((-128, 127), np.int8), ((0, 510), np.uint16)]
)
def test_integers_that_every_grey_level_is_one_of_come_back(bounds, dtype):
    grid = Grid(*bounds)
    values = grid.values(LEVELS, dtype)
    assert np.array_equal(grid.images(values), LEVELS)
    assert np.array_equal(np.unique(values), np.linspace(*bounds, 256))


def test_an_eps_is_whole_grey_levels_rounded_down():
    grid = Grid(0, 1)
    assert [grid.epsilon(k / 255) for k in range(1, 256)] == list(range(1, 256))
    assert [Grid(-2.5, 0.5).epsilon(np.float32(k / 255) * np.float32(3)) for k in range(1, 256)] == list(range(1, 256))
    assert (grid.epsilon(0.05), grid.epsilon(0.3), Grid(-1, 1).epsilon(16 / 255), Grid(0, 255).epsilon(8)) == (
        12,
        76,
        8,
        8,
    )
    assert grid.epsilon(np.array(8 / 255)) == 8
    for eps in (8, 0, 0.0039, -0.1, np.nan, None, "8", True, np.array(True), np.array("8"), np.array([0.1])):
        with pytest.raises(InvalidInputError, match=r"eps must be .* eight grey levels are 0\.0314"):
            grid.epsilon(eps)
