"""What the comparison holds a success to: the promises, judged apart from dfa's own."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from harness.promises import Ball, FewPixels, OnePatch, OuterFrame

ORIGINAL = np.full((6, 8, 3), 100, dtype=np.uint8)


def changed(*places, by=50):
    image = ORIGINAL.copy()
    for place in places:
        image[place] += by
    return image


def test_a_ball_holds_every_value_to_epsilon():
    assert Ball(50).is_kept(ORIGINAL, changed((0, 0, 0)))
    assert not Ball(49).is_kept(ORIGINAL, changed((0, 0, 0)))
    assert not Ball(49).is_kept(changed((0, 0, 0)), ORIGINAL)


def test_few_pixels_are_counted_once_whatever_their_channels():
    assert FewPixels(2).is_kept(ORIGINAL, changed((0, 0), (5, 7, 1)))
    assert not FewPixels(1).is_kept(ORIGINAL, changed((0, 0, 0), (0, 1, 0)))


@pytest.mark.parametrize("last", [(3, 2), (1, 4)])
def test_a_patch_holds_all_that_differs_in_one_square(last):
    image = changed((1, 2), last)
    assert OnePatch(3).is_kept(ORIGINAL, image)
    assert not OnePatch(2).is_kept(ORIGINAL, image)
    assert OnePatch(1).is_kept(ORIGINAL, ORIGINAL)


@pytest.mark.parametrize("inner", [(1, 3), (4, 3), (3, 1), (3, 6)])
def test_a_frame_leaves_all_else_as_it_is(inner):
    assert OuterFrame(1).is_kept(ORIGINAL, changed((0, 3), (5, 3), (3, 0), (3, 7)))
    assert not OuterFrame(1).is_kept(ORIGINAL, changed(inner))
    assert OuterFrame(2).is_kept(ORIGINAL, changed(inner))


@pytest.mark.parametrize("promise", [Ball(20), FewPixels(3)])
def test_the_space_of_dfa_keeps_the_promise(promise):
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 8, 3), dtype=np.uint8)
    asked = []

    def never(images):
        asked.extend(images)
        return np.broadcast_to([0.75, 0.25], (len(images), 2))

    dfa.run(never, image, space=promise.space(), max_queries=60, progress=False)
    assert len(asked) > 60
    assert all(promise.is_kept(image[0], each) for each in asked)
    assert any((each != image[0]).any() for each in asked)


def test_a_space_that_this_build_lacks_is_told(monkeypatch):
    monkeypatch.delattr(dfa, "Patch", raising=False)
    with pytest.raises(SystemExit, match="has no space Patch"):
        OnePatch(5).space()
