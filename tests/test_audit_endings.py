"""Whatever ends an audit or a repair carries what was finished before, and is what it was."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import brightness, random_images

IMAGES = random_images(20)
VECTORS = IMAGES / 255


class Unwilling(SystemExit):
    """Takes no result."""

    def __setattr__(self, name, value):
        if name == "result":
            raise AttributeError(name)
        super().__setattr__(name, value)


class EndsAt:
    """The images, of which one ends whatever reads it."""

    def __init__(self, error):
        self._error = error

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if index == 17:
            raise self._error
        return IMAGES[index]


def audit(images, normalizer):
    # A batch is asked about once the next has been read.
    claimed = np.ones(len(IMAGES), dtype=bool)
    return dfa.audit(brightness, images, VECTORS, claimed=claimed, normalizer=normalizer, batch_size=4)


def repair(images, normalizer):
    return dfa.repair(brightness, images, VECTORS, normalizer=normalizer, batch_size=4)


def normalizer_that(end, times):
    """0..1, whose inverse fails when it was called so often."""
    calls = []

    def inverse(vectors):
        calls.append(len(vectors))
        if len(calls) > times:
            end()
        return vectors * 255

    return (lambda levels: levels / 255, inverse)


def raising(error):
    def end():
        raise error

    return end


@pytest.mark.parametrize("work", [audit, repair])
@pytest.mark.parametrize("error", [SystemExit(3), GeneratorExit(), KeyboardInterrupt()], ids=lambda e: type(e).__name__)
@pytest.mark.parametrize("where", ["images", "normalizer"])
def test_what_ends_it_carries_what_was_finished(work, error, where):
    images = EndsAt(error) if where == "images" else IMAGES
    with pytest.raises((SystemExit, GeneratorExit, dfa.Interrupted)) as caught:
        work(images, dfa.Affine() if where == "images" else normalizer_that(raising(error), 9))
    assert caught.value is error or (type(error), type(caught.value)) == (KeyboardInterrupt, dfa.Interrupted)
    assert 0 < len(caught.value.result.records) < 20


@pytest.mark.parametrize("work", [audit, repair])
def test_an_error_that_takes_no_result_is_the_cause_of_one_that_does(work):
    with pytest.raises(dfa.DfaError, match="cannot carry the result: Unwilling: 3") as caught:
        work(EndsAt(Unwilling(3)), dfa.Affine())
    assert 0 < len(caught.value.result.records) < 20
