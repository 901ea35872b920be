"""RayS and HopSkipJump: what they ask of an oracle that shows labels alone."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from harness.promises import Ball
from oracles import Recorder, never, random_images
from problems import CLASSIFIER, EPSILON, SHAPE, problem_of
from rivals.counting import Problem, QueryCounter, run_searches, unchanged
from rivals.hop_skip_jump import hop_skip_jump
from rivals.rays import rays


def by_labels(ask, num_classes=10):
    return dfa.label_only(dfa.as_oracle(ask), num_classes=num_classes)


def attack(problem, *, ask=CLASSIFIER, num_classes=10, seed=0, batch_size=256):
    counter = QueryCounter(by_labels(ask, num_classes), problem)
    searches = [
        rays(image, EPSILON, np.random.default_rng([seed, place])) for place, image in enumerate(problem.images)
    ]
    run_searches(counter, searches, unchanged, batch_size)
    return counter


def test_the_counter_makes_rows_of_labels():
    problem = Problem(random_images(2, SHAPE), np.array([1, 1]), False, Ball(EPSILON), 10)
    answers = [[0.1, 0.7, 0.2], [0.5, 0.3, 0.2]]
    counter = QueryCounter(by_labels(lambda images: np.array(answers[: len(images)]), 3), problem)
    owners = np.array([0, 1])
    scores = counter.ask(problem.images, owners)
    assert scores.tolist() == [[0, 1, 0], [1, 0, 0]]
    assert unchanged(scores, problem, owners).tolist() == [1, 0]
    assert counter.hits.tolist() == [0, 1]
    # Asked alone, the image is answered as the first of them was.
    assert counter.confirm(256) == 1


def test_rays_breaks_an_easy_classifier():
    recorder = Recorder(CLASSIFIER)
    counter = attack(problem_of(budget=2_000), ask=recorder)
    assert (counter.hits > 0).all()
    assert counter.confirm(256) == 0
    assert attack(problem_of(budget=2_000), batch_size=5).hits.tolist() == counter.hits.tolist()
    assert attack(problem_of(2, budget=2_000)).hits.tolist() == counter.hits[:2].tolist()
    assert attack(problem_of(budget=2_000), seed=1).hits.tolist() != counter.hits.tolist()


def test_rays_flips_all_then_halves_and_bisects_what_changes_the_label():
    image = np.full((2, 2, 1), 100, dtype=np.uint8)
    search = rays(image, 10, np.random.default_rng(0))
    # Everything flipped and clipped: black. Its label is another from 40 grey levels on.
    asked = next(search)
    assert (asked == 0).all()
    for _ in range(12):
        distance = 100.0 - asked.astype(float).mean()
        asked = search.send(np.array([0.0 if distance > 40 else 1.0]))
    # The radius is known to a tenth of a grey level: 255 halved twelve times.
    assert np.abs(asked.astype(float) - 60).max() <= 1
    # Each half is flipped back in turn, at the same radius, and costs one query where the label stays.
    for half in ([0, 1], [2, 3]):
        asked = search.send(np.array([1.0])).reshape(-1)
        assert np.flatnonzero(asked > 100).tolist() == half
        assert np.abs(np.abs(asked.astype(float) - 100) - 40).max() <= 1


def test_the_radius_of_rays_is_finer_than_a_grey_level():
    image = np.full((10, 10, 1), 100, dtype=np.uint8)
    search = rays(image, 10, np.random.default_rng(0))
    asked = next(search)
    means = set()
    for _ in range(12):
        mean = float(asked.astype(float).mean())
        means.add(mean)
        asked = search.send(np.array([0.0 if 100 - mean > 40.5 else 1.0]))
    # Within the last grey level the share of values that have moved changes.
    assert len({mean for mean in means if 59 < mean < 60}) >= 2


def test_a_failure_of_rays_spends_the_budget_and_no_more():
    counter = attack(problem_of(3, budget=137, ask=never), ask=never, num_classes=2)
    assert counter.sent.tolist() == [137] * 3
    assert not counter.hits.any()


@pytest.mark.filterwarnings("ignore")
def test_hop_skip_jump_is_charged_for_all_that_it_sends():
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    problem = problem_of(3, budget=600)
    recorder = Recorder(CLASSIFIER)
    counter = QueryCounter(by_labels(recorder), problem)
    state = np.random.get_state()[1].tolist()
    hop_skip_jump(counter, 10, seed=3)
    assert np.random.get_state()[1].tolist() == state
    assert counter.sent.sum() == recorder.num_images
    assert counter.sent.max() <= 600
    assert (counter.hits > 0).any()
    # The clean image comes first.
    np.testing.assert_array_equal(recorder.images[0], problem.images[0])
    assert counter.confirm(256) == 0


@pytest.mark.filterwarnings("ignore")
def test_hop_skip_jump_ends_with_the_budget():
    pytest.importorskip("art", reason="adversarial-robustness-toolbox is not installed")
    counter = QueryCounter(by_labels(never, 2), problem_of(2, budget=50, ask=never))
    hop_skip_jump(counter, 2, seed=0)
    assert counter.sent.tolist() == [50] * 2
    assert not counter.hits.any()
