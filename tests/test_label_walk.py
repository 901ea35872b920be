"""The step beyond a candidate: where it lies, and what is learned from it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dfa.search.label_walk import LabelWalk, Questions, follow
from dfa.search.objectives import LOG, PAPER, predicted

ORIGINAL = np.array([[[100], [0], [255], [50]]], dtype=np.uint8)
CANDIDATE = np.array([[[110], [10], [245], [50]]], dtype=np.uint8)


def test_a_step_enlarges_the_perturbation_and_cuts_it_off():
    image, distance = follow(ORIGINAL, CANDIDATE, 20)
    assert distance == 19
    assert image.ravel().tolist() == [119, 19, 236, 50]
    image, distance = follow(ORIGINAL, CANDIDATE, 256)
    assert distance == 10 + int(0.9 * 246)
    assert image.ravel().tolist() == [255, 231, 24, 50]


def test_a_step_is_never_shorter_than_one_grey_level_more():
    assert [follow(ORIGINAL, CANDIDATE, shortest)[1] for shortest in (1, 10, 11, 12, 13)] == [11, 11, 11, 11, 12]


def test_a_candidate_that_is_the_original_has_no_direction():
    image, distance = follow(ORIGINAL, ORIGINAL, 40)
    assert distance == 256
    np.testing.assert_array_equal(image, ORIGINAL)


def test_smaller_changes_are_rounded_to_the_nearest_grey_level():
    candidate = np.array([[[110], [5], [252], [50]]], dtype=np.uint8)
    image, distance = follow(ORIGINAL, candidate, 13)
    assert distance == 12
    assert image.ravel().tolist() == [112, 6, 251, 50]


@given(
    pair=st.tuples(*[arrays.arrays(np.uint8, (2, 3, 1), elements=st.integers(0, 255))] * 2),
    shortest=st.integers(1, 256),
)
def test_a_step_goes_the_same_way_and_further(pair, shortest):
    original, candidate = pair
    image, distance = follow(original, candidate, shortest)
    before, after = candidate.astype(int) - original, image.astype(int) - original
    assert image.dtype == np.uint8
    assert (np.abs(after) >= np.abs(before)).all()
    assert (np.sign(before) * np.sign(after) >= 0).all()
    reach = np.abs(before).max()
    assert reach == 255 or distance > reach
    assert np.abs(after).max() <= max(distance, reach)


def rows(*labels, num_classes=4):
    scores = np.full((len(labels), num_classes), 1e-7)
    scores[np.arange(len(labels)), labels] = 1 - 1e-7 * (num_classes - 1)
    return scores


def walk_over(number, *, is_targeted=False):
    walk = LabelWalk(is_targeted=is_targeted)
    for index in range(number):
        walk.begin(index, ORIGINAL)
    return walk


def take(walk, own, beyond, goals):
    indices = np.arange(len(own))
    steps = walk.steps(np.stack([CANDIDATE] * len(own)), indices)
    return walk.read([rows(*own), rows(*beyond)], steps, indices, np.array(goals)), steps.distances.tolist()


@pytest.mark.parametrize("objective", [PAPER, LOG])
def test_the_shorter_the_step_that_left_the_class_the_smaller_the_degree(objective):
    walk = walk_over(1)
    degrees, distances = [], []
    for _ in range(6):
        scores, (distance,) = take(walk, [0], [1], [0])
        degrees.append(objective.untargeted(scores, np.array([0]))[0])
        distances.append(distance)
        walk.advance([0])
    assert distances == sorted(distances, reverse=True)
    assert degrees == sorted(degrees, reverse=True)
    assert len(set(degrees)) == 6
    stayed = objective.untargeted(take(walk, [0], [0], [0])[0], np.array([0]))[0]
    assert stayed > degrees[0]


@pytest.mark.parametrize("objective", [PAPER, LOG])
def test_towards_a_target_a_step_that_reaches_it_ranks_first(objective):
    walk = walk_over(3, is_targeted=True)
    scores, _ = take(walk, [0, 0, 0], [2, 1, 0], [2, 2, 2])
    reached, elsewhere, stayed = objective.targeted(scores, np.array([2, 2, 2]))
    assert reached < elsewhere < stayed
    walk.advance([0, 1, 2])
    _, distances = take(walk, [0, 0, 0], [0, 0, 0], [2, 2, 2])
    assert distances[0] < distances[1] == distances[2]


def test_the_class_is_the_candidates_own_whatever_lies_beyond():
    scores, _ = take(walk_over(4), [0, 1, 2, 3], [1, 1, 0, 2], [0, 0, 0, 0])
    assert predicted(scores).tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    # Not even at the shortest step there can be.
    walk = walk_over(1)
    walk.load({"reaches": [[0, 1, 1]]})
    scores, _ = take(walk, [0], [1], [0])
    assert scores[0, 0] > 0.7


def test_what_was_read_counts_once_the_iteration_is_complete():
    walk = walk_over(1)
    first = take(walk, [0], [1], [0])[1]
    assert take(walk, [0], [1], [0])[1] == first
    walk.advance([0])
    assert take(walk, [0], [0], [0])[1] < first


def test_a_longer_step_does_not_lengthen_the_distance():
    walk = walk_over(1)
    walk.load({"reaches": [[0, 256, 20]]})
    take(walk, [0], [1], [0])
    walk.advance([0])
    assert take(walk, [0], [0], [0])[1] == [19]


def test_the_state_can_be_saved_and_loaded():
    walk = walk_over(2)
    take(walk, [0, 0], [1, 0], [0, 0])
    again = walk_over(2)
    again.load(walk.save())
    for each in (walk, again):
        each.advance([0, 1])
    assert take(again, [0, 0], [0, 0], [0, 0])[1] == take(walk, [0, 0], [0, 0], [0, 0])[1]
    walk.end(1)
    assert [index for index, *_ in walk.save()["reaches"]] == [0]


def test_asking_alone_asks_nothing_more():
    questions = Questions()
    steps = questions.steps(CANDIDATE[None], np.array([0]))
    assert steps.images == ()
    scores = rows(1)
    assert questions.read([scores], steps, np.array([0]), np.array([0])) is scores
    assert questions.queries_per_image == 1
