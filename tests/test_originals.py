"""Differences of images and of a user's arrays: exact, and of like things only."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.engine.ledger import distances
from dfa.originals import difference, largest

INT64, UINT64 = np.iinfo(np.int64), np.iinfo(np.uint64)


@pytest.mark.parametrize(
    ("dtype", "changed", "original", "expected"),
    [
        (np.uint8, 0, 255, -255),
        (np.int8, -128, 127, -255),
        (np.uint64, UINT64.max, 0, UINT64.max),
        (np.uint64, 0, UINT64.max, -int(UINT64.max)),
        (np.uint64, 2**53 + 1, 2**53, 1),
        (np.int64, INT64.min, INT64.max, INT64.min - int(INT64.max)),
        (np.int64, INT64.min, 0, INT64.min),
        (np.int64, 2**62, -(2**62), 2**63),
        (np.float32, 5.9, 5, float(np.float32(5.9)) - 5),
        (np.float64, -1e300, 0, -1e300),
        (np.float64, 1e308, -1e308, np.inf),
    ],
)
def test_a_difference_is_exact(dtype, changed, original, expected):
    arrays = np.array([7, changed], dtype), np.array([7, original], dtype)
    change = difference(*arrays)
    assert change.tolist() == [0, expected]
    assert largest(change) == abs(expected)
    assert isinstance(largest(change), int | float)
    measured = distances(*arrays)
    assert measured["l0"] == 1
    assert measured["linf"] == abs(expected)
    assert measured["l2"] == pytest.approx(abs(float(expected))) or abs(float(expected)) > 1e154


@pytest.mark.parametrize("shape", [(1, 1, 1), (14, 14, 1), (224, 224, 3)])
def test_images_are_measured_as_arrays_of_the_same_numbers_are(shape):
    original = np.random.default_rng(0).integers(0, 256, shape)
    for image in (np.random.default_rng(1).integers(0, 256, shape), original + (original < 250), original):
        measured = distances(image.astype(np.uint8), original.astype(np.uint8))
        assert measured == distances(image, original)
        assert list(map(type, measured.values())) == [int, float, int]


def test_what_is_not_of_one_kind_is_not_compared():
    for other in (np.zeros(3), np.zeros(3, np.int32), np.zeros((3, 1), np.int64), np.zeros(1, np.int64)):
        with pytest.raises(dfa.InvalidInputError, match="must be of one dtype and shape"):
            difference(other, np.zeros(3, np.int64))
