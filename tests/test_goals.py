"""Targets: what is accepted, what is refused and when, and which class each image gets."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from dfa.errors import InvalidInputError
from dfa.search.goals import Rank, parse_targets, rank, resolve_targets

SCORES = np.array([[0.5, 0.2, 0.3], [0.1, 0.1, 0.8], [0.25, 0.5, 0.25]])
INDICES = np.array([0, 1, 2])


def test_no_targets_mean_an_untargeted_run():
    assert parse_targets(None, num_images=3) is None
    assert resolve_targets(None, SCORES, INDICES) is None


@pytest.mark.parametrize("j", [1, 0, -2, 2.0, "4", True, None])
def test_a_rank_is_an_integer_of_two_or_more(j):
    with pytest.raises(InvalidInputError, match="rank must be an integer of 2 or more"):
        rank(j)


def test_a_rank_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError, match="j"):
        rank(2).j = 1
    assert rank(np.int64(4)) == Rank(4)


@pytest.mark.parametrize(("j", "expected"), [(2, [2, 0, 0]), (3, [1, 1, 2])])
def test_a_rank_counts_from_the_likeliest_and_ties_go_by_class_id(j, expected):
    targets = resolve_targets(parse_targets(rank(j), num_images=3), SCORES, INDICES)
    assert targets.tolist() == expected
    assert targets.dtype == np.int64


def test_equal_scores_rank_by_class_id_however_many_there_are():
    # Enough classes that an unstable sort would show.
    scores = np.tile([0.5, 0.1], 500)[np.newaxis]
    ranked = [int(resolve_targets(rank(j), scores, np.array([0]))[0]) for j in range(2, 1001)]
    assert ranked == [*range(2, 1000, 2), *range(1, 1000, 2)]


def test_a_rank_beyond_the_classes_is_refused():
    with pytest.raises(InvalidInputError, match="rank 4 does not exist: the oracle knows 3 classes"):
        resolve_targets(rank(4), SCORES, INDICES)


def test_one_class_id_serves_all_images_and_class_zero_is_a_class():
    targets = resolve_targets(parse_targets(0, num_images=5), SCORES, INDICES)
    assert targets.tolist() == [0, 0, 0]
    assert targets.dtype == np.int64


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32, np.uint64])
def test_class_ids_go_to_the_images_they_were_given_for(dtype):
    targets = parse_targets(np.array([0, 2, 1, 2], dtype=dtype), num_images=4)
    assert targets.dtype == np.int64
    assert resolve_targets(targets, SCORES[:2], np.array([3, 2])).tolist() == [2, 1]


def test_targets_do_not_share_memory_with_what_was_given():
    given = np.array([0, 1])
    targets = parse_targets(given, num_images=2)
    given[:] = 9
    assert targets.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (True, "got True"),
        (1.0, "got 1.0"),
        ("cat", "got 'cat'"),
        ([True, False, True], r"dtype bool of shape \(3,\)"),
        ([1.0, 2.0, 0.0], r"dtype float64 of shape \(3,\)"),
        ([None, 1, 2], "dtype object"),
        ([[1], [1, 2]], "targets must be"),
    ],
)
def test_only_integers_are_class_ids(targets, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_targets(targets, num_images=3)


@pytest.mark.parametrize(("targets", "shape"), [([1, 2], r"\(2,\)"), ([[1], [2], [0]], r"\(3, 1\)"), ([1], r"\(1,\)")])
def test_there_is_one_class_id_per_image(targets, shape):
    with pytest.raises(InvalidInputError, match=rf"one per image, shape \(3,\), got shape {shape}"):
        parse_targets(targets, num_images=3)


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (-1, "0 or more, got -1$"),
        ([0, -3, 1], "got -3 for image 1"),
        (np.array([0, 1, 2**63], dtype=np.uint64), "got 9223372036854775808 for image 2"),
    ],
)
def test_a_class_id_that_no_oracle_can_have_is_refused_before_any_query(targets, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_targets(targets, num_images=3)


def test_a_class_id_beyond_the_classes_is_refused_even_for_an_image_whose_turn_is_later():
    targets = parse_targets([0, 1, 3], num_images=3)
    with pytest.raises(InvalidInputError, match=r"class ids 0\.\.2, .* got 3 for image 2"):
        resolve_targets(targets, SCORES[:1], np.array([0]))


def test_an_image_cannot_be_sent_to_its_own_label():
    with pytest.raises(InvalidInputError, match="the target of image 1 is its own label, 0"):
        parse_targets([1, 0, 2], num_images=3, labels=np.array([0, 0, 0]))


def test_one_class_id_for_all_may_be_the_label_of_some():
    assert parse_targets(0, num_images=3, labels=np.array([0, 1, 2])).tolist() == [0, 0, 0]
