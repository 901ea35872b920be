"""Sparse-RS: its steps, its schedules, and the promises that it keeps."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from harness.promises import FewPixels, OnePatch, OuterFrame
from oracles import LinearClassifier, Recorder, never, random_images
from rivals.counting import Problem, QueryCounter, cross_entropy, log_margin, run_searches
from rivals.sparse_rs import _alphas, _phase, sparse_rs_frame, sparse_rs_loss, sparse_rs_patch, sparse_rs_pixels

SHAPE = (10, 10, 3)
CLASSIFIER = LinearClassifier(SHAPE)
FORMS = {
    "pixels": (sparse_rs_pixels, FewPixels(12)),
    "patch": (sparse_rs_patch, OnePatch(5)),
    "frame": (sparse_rs_frame, OuterFrame(1)),
}


def attack(name, number=6, *, budget=300, rank=None, ask=CLASSIFIER, seed=0, batch_size=256):
    make, promise = FORMS[name]
    images = random_images(number, SHAPE)
    order = np.argsort(-np.asarray(ask(images)), axis=1, kind="stable")
    problem = Problem(images, order[:, 0 if rank is None else rank - 1], rank is not None, promise, budget)
    counter = QueryCounter(dfa.as_oracle(ask), problem)
    (size,) = promise.describe().values()
    searches = [make(image, size, np.random.default_rng([seed, place])) for place, image in enumerate(images)]
    run_searches(counter, searches, sparse_rs_loss, batch_size)
    return counter


def steps_of(name, number, losses, steps=10_000):
    """The first image that is asked about, and those after it, each told the next loss."""
    make, promise = FORMS[name]
    (size,) = promise.describe().values()
    search = make(random_images(1, SHAPE)[0], size, np.random.default_rng(0), steps=steps)
    asked = [next(search)[0]]
    for loss in losses[:number]:
        asked.append(search.send(np.array([loss]))[0])
    return asked


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("rank", [None, 2])
def test_it_breaks_an_easy_classifier(name, rank):
    counter = attack(name, rank=rank, budget=2_000)
    assert (counter.hits > 0).mean() >= 0.5
    for place, image in counter.found.items():
        assert (CLASSIFIER.classes(image[None])[0] == counter.problem.goals[place]) == (rank is not None)


@pytest.mark.parametrize("name", FORMS)
def test_all_that_it_asks_keeps_the_promise_in_corner_colours(name):
    recorder = Recorder(never)
    counter = attack(name, 1, budget=500, ask=recorder)
    original, promise = counter.problem.images[0], FORMS[name][1]
    assert counter.sent.tolist() == [500]
    asked = recorder.images[-500:]
    assert all(promise.is_kept(original, image) for image in asked)
    differing = asked[(asked != original).any(axis=3)]
    assert set(np.unique(differing).tolist()) == {0, 255}


@pytest.mark.parametrize("name", FORMS)
def test_an_image_does_not_notice_its_neighbours_or_the_batch(name):
    together = attack(name, rank=3).hits.tolist()
    assert attack(name, rank=3, batch_size=7).hits.tolist() == together
    assert attack(name, 2, rank=3).hits.tolist() == together[:2]
    assert attack(name, rank=3, seed=1).hits.tolist() != together


@pytest.mark.parametrize("name", FORMS)
def test_it_goes_on_from_the_best_and_keeps_nothing_that_is_no_better(name):
    worse = steps_of(name, 60, [1.0] + [2.0] * 60)
    best = worse[0]
    # Every candidate differs from the first image in one move; two random walks would not.
    apart = [int((image != best).any(axis=2).sum()) for image in worse[1:]]
    better = steps_of(name, 60, [-float(step) for step in range(60)])
    original, promise = random_images(1, SHAPE)[0], FORMS[name][1]
    assert all(promise.is_kept(original, image) for image in better)
    drifted = int((better[-1] != better[0]).any(axis=2).sum())
    assert drifted > np.median(apart[-20:])


@pytest.mark.parametrize(("step", "number"), [(1, 15), (50, 15), (51, 7), (201, 6), (501, 5), (1_001, 3), (8_001, 1)])
def test_pixels_are_swapped_by_the_published_schedule(step, number):
    # alpha k of 100 pixels: 30 before the first step, halved from the first step on, then 4, 5, 6, 8, ..., 20.
    image = random_images(1, (40, 40, 3))[0]
    search = sparse_rs_pixels(image, 100, np.random.default_rng(0))
    best = next(search)[0]
    for _ in range(step):
        candidate = search.send(np.array([1.0]))[0]
        kept = ((candidate == best).all(axis=2) & (best != image).any(axis=2)).sum()
    assert 100 - kept == max(number, 1) if number > 1 else 100 - kept == 1
    assert (candidate != image).any(axis=2).sum() == 100


def test_the_schedules_stretch_with_the_number_of_steps():
    assert [_phase(step, 10_000) for step in (10, 11, 51, 201, 8_001)] == [0, 1, 2, 3, 9]
    assert [_phase(step, 2_000) for step in (2, 3, 11, 41, 1_601)] == [0, 1, 2, 3, 9]
    assert _alphas(0.4)[:3] == [0.4, 0.2, 0.1]
    assert len(_alphas(0.4)) == 10


def test_a_lone_pixel_never_gets_the_colour_that_is_there():
    image = np.full((2, 2, 1), 255, dtype=np.uint8)
    search = sparse_rs_pixels(image, 1, np.random.default_rng(0))
    next(search)
    asked = [search.send(np.array([1.0]))[0] for _ in range(40)]
    assert all((candidate == 0).sum() == 1 for candidate in asked)


def test_every_fifth_step_moves_the_patch_and_less_far_towards_the_end():
    image = np.full((40, 40, 3), 100, dtype=np.uint8)
    search = sparse_rs_patch(image, 5, np.random.default_rng(0), steps=400)
    first = next(search)[0]
    corner = np.argwhere((first != image).any(axis=2)).min(axis=0)
    content = first[corner[0] : corner[0] + 5, corner[1] : corner[1] + 5]
    moves = []
    for step in range(1, 380):
        candidate = search.send(np.array([1.0]))[0]
        place = np.argwhere((candidate != image).any(axis=2)).min(axis=0)
        if step % 5 == 0:
            moves.append(int(np.abs(place - corner).max()))
            top, left = place
            np.testing.assert_array_equal(candidate[top : top + 5, left : left + 5], content)
        else:
            assert (place == corner).all()
    assert max(moves[:20]) > 8
    assert max(moves[-8:]) <= 3


def test_a_patch_stays_where_it_has_moved_to_for_the_better():
    image = np.full((40, 40, 3), 100, dtype=np.uint8)
    search = sparse_rs_patch(image, 5, np.random.default_rng(0))
    asked = [next(search)[0]]
    asked += [search.send(np.array([loss]))[0] for loss in (5.0, 9.0, 9.0, 9.0, 9.0, 4.0)]
    first, moved, following = (np.argwhere((asked[at] != image).any(axis=2)).min(axis=0) for at in (0, 5, 6))
    assert (moved != first).any()
    assert (following == moved).all()


def test_late_in_a_patch_one_channel_changes_alone():
    losses = [1.0] * 2_000
    early, late = [], []
    asked = steps_of("patch", 1_999, losses, steps=2_000)
    for step, image in enumerate(asked[1:], start=1):
        if step % 5:
            values = int((image != asked[0]).sum())
            (late if step > 1_100 else early).append(values)
    assert max(early) > 3
    assert set(late) == {1}


def test_a_step_of_the_frame_gives_one_colour_to_what_a_square_covers():
    image = random_images(1, (32, 32, 3))[0]
    search = sparse_rs_frame(image, 2, np.random.default_rng(0), steps=10_000)
    best = next(search)[0]
    assert (best[:2] != image[:2]).any(axis=2).all()
    for step in range(1, 300):
        candidate = search.send(np.array([1.0]))[0]
        places = np.argwhere((candidate != best).any(axis=2))
        assert len(np.unique(candidate[tuple(places.T)], axis=0)) <= 1
        if len(places):
            assert np.ptp(places, axis=0).max() < max(int(0.5 / 2 ** _phase(step, 10_000) * 32), 1)


def test_its_loss_is_the_margin_or_the_cross_entropy():
    scores = np.array([[0.6, 0.3, 0.1]])
    images, goals = random_images(1, SHAPE), np.array([0])
    untargeted = Problem(images, goals, False, FewPixels(1), 1)
    targeted = Problem(images, goals + 1, True, FewPixels(1), 1)
    assert sparse_rs_loss(scores, untargeted, goals) == log_margin(scores, untargeted, goals)
    assert sparse_rs_loss(scores, targeted, goals) == cross_entropy(scores, targeted, goals)
