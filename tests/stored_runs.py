"""Runs that are kept in a folder, cut short, and gone on with."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import Recorder, Until, raising
from outcomes import timeless
from small_problem import CLASSIFIER, IMAGES

SETTINGS = {"epsilon": 8, "max_queries": 150, "batch_size": 4, "progress": False}
INTERVAL = 40


def attack(oracle, folder, images=IMAGES, *, resume=True, interval=INTERVAL, **settings):
    storage = dfa.Storage(folder, resume=resume, interval=interval)
    return dfa.run(oracle, images, store=storage, **{**SETTINGS, **settings})


def run_whole():
    """Return a run that nothing ends, and its oracle."""
    oracle = Recorder(CLASSIFIER)
    return dfa.run(oracle, IMAGES, **SETTINGS), oracle


def assert_same(result, expected):
    assert timeless(result.records) == timeless(expected.records)
    assert result.images.held() == expected.images.held()
    for index in expected.images.held():
        np.testing.assert_array_equal(result.images[index], expected.images[index])


def cut_short(folder, num_calls, error=None, **settings):
    """Begin a run and let its oracle fail after a number of calls; return how many images it was sent."""
    oracle = Recorder(Until(num_calls, CLASSIFIER, raising(error or OSError("off"))))
    with pytest.raises((dfa.OracleError, KeyboardInterrupt)):
        attack(oracle, folder, **settings)
    return oracle.num_images
