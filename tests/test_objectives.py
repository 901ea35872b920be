"""Dissatisfaction degrees: the formulas, their zeros, and what a user's own function is held to."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from dfa.errors import InvalidInputError, ObjectiveError
from dfa.search.objectives import (
    LOG,
    ODDS,
    PAPER,
    PAPER_CODE,
    SMALLEST_DEGREE,
    Objective,
    code_targeted_degree,
    code_untargeted_degree,
    found_class,
    is_adversarial,
    log_odds_degree,
    log_targeted_degree,
    log_untargeted_degree,
    measure,
    predicted,
    targeted_degree,
    top_1_targeted_degree,
    top_1_untargeted_degree,
    untargeted_degree,
)

UNTARGETED = [untargeted_degree, code_untargeted_degree, log_untargeted_degree]
TARGETED = [targeted_degree, code_targeted_degree, log_targeted_degree, log_odds_degree]
ALL = UNTARGETED + TARGETED


def classes(*ids):
    return np.array(ids, dtype=np.int64)


def textbook(function, row, c):
    """One image at a time, as the paper writes it."""
    top = sorted(row, reverse=True)
    if function in UNTARGETED:
        if max(row) > row[c]:
            return 0.0
        pair = top[0], top[1]
    else:
        if all(row[c] > score for other, score in enumerate(row) if other != c):
            return 0.0
        pair = top[0], row[c]
        if function == log_odds_degree and row[c] >= SMALLEST_DEGREE:
            pair = 1 - row[c], row[c]
    if function in (code_untargeted_degree, code_targeted_degree):
        pair = 1, pair[1]
    if function in (log_untargeted_degree, log_targeted_degree, log_odds_degree):
        degree = math.log(max(pair[0], SMALLEST_DEGREE)) - math.log(max(pair[1], SMALLEST_DEGREE))
    else:
        degree = pair[0] - pair[1]
    return max(degree, SMALLEST_DEGREE)


def test_predicted_is_the_first_of_the_likeliest():
    scores = np.array([[0.1, 0.6, 0.3], [0.2, 0.4, 0.4], [0.4, 0.2, 0.4]])
    labels = predicted(scores)
    assert labels.tolist() == [1, 1, 0]
    assert labels.dtype == np.int64


def test_the_degrees_of_a_worked_example():
    scores = np.array([[0.7, 0.2, 0.1]] * 2)
    np.testing.assert_array_equal(untargeted_degree(scores, classes(0, 1)), [0.7 - 0.2, 0.0])
    np.testing.assert_array_equal(targeted_degree(scores, classes(0, 2)), [0.0, 0.7 - 0.1])
    np.testing.assert_array_equal(code_untargeted_degree(scores, classes(0, 1)), [1 - 0.2, 0.0])
    np.testing.assert_array_equal(code_targeted_degree(scores, classes(0, 2)), [0.0, 1 - 0.1])
    np.testing.assert_allclose(log_untargeted_degree(scores, classes(0, 1)), [math.log(3.5), 0.0])
    np.testing.assert_allclose(log_targeted_degree(scores, classes(0, 2)), [0.0, math.log(7.0)])
    np.testing.assert_allclose(log_odds_degree(scores, classes(0, 2)), [0.0, math.log(9.0)])


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize("function", ALL)
@given(data=st.data(), num_rows=st.integers(1, 5), num_classes=st.integers(2, 6))
def test_every_degree_equals_the_textbook_row_by_row(function, data, num_rows, num_classes):
    # Few distinct values, so that ties are common.
    values = st.sampled_from([0.0, 1e-320, 1e-12, 0.1, 0.25, 0.3, 0.5, 1.0])
    scores = data.draw(arrays.arrays(np.float64, (num_rows, num_classes), elements=values))
    ids = data.draw(arrays.arrays(np.int64, num_rows, elements=st.integers(0, num_classes - 1)))
    expected = [textbook(function, row.tolist(), int(c)) for row, c in zip(scores, ids, strict=True)]
    np.testing.assert_allclose(function(scores, ids), expected, rtol=1e-15, atol=0)


@pytest.mark.parametrize("function", ALL)
def test_a_degree_is_zero_exactly_where_the_image_is_adversarial(function):
    grid = [np.array(row) for row in itertools.product([0.0, 0.25, 0.5, 1.0], repeat=3)]
    scores = np.array(grid)
    for c in range(3):
        ids = np.full(len(grid), c, dtype=np.int64)
        others = np.delete(scores, c, axis=1).max(axis=1)
        adversarial = others > scores[:, c] if function in UNTARGETED else scores[:, c] > others
        degrees = function(scores, ids)
        np.testing.assert_array_equal(degrees == 0.0, adversarial)
        assert (degrees[~adversarial] >= SMALLEST_DEGREE).all()
        assert np.isfinite(degrees).all()


@pytest.mark.parametrize("function", [*ALL, top_1_untargeted_degree, top_1_targeted_degree])
@pytest.mark.parametrize("c", [0, 1])
def test_a_tie_is_not_adversarial_whichever_id_is_smaller(function, c):
    assert function(np.array([[0.5, 0.5, 0.0]]), classes(c))[0] >= SMALLEST_DEGREE


@given(data=st.data(), num_classes=st.integers(2, 5), is_targeted=st.booleans())
def test_the_class_that_is_found_is_the_goal_exactly_where_the_attack_succeeds_or_not(data, num_classes, is_targeted):
    levels = st.sampled_from([0.0, 0.25, 0.5])
    scores = data.draw(arrays.arrays(np.float64, (4, num_classes), elements=levels))
    goals = data.draw(arrays.arrays(np.int64, 4, elements=st.integers(0, num_classes - 1)))
    adversarial = is_adversarial(scores, goals, is_targeted=is_targeted)
    found = found_class(scores, goals, is_targeted=is_targeted)
    for row in range(4):
        own, others = scores[row, goals[row]], np.delete(scores[row], goals[row]).max()
        assert adversarial[row] == (own > others if is_targeted else others > own)
        assert (found[row] == goals[row]) == (adversarial[row] == is_targeted)
        if found[row] != goals[row]:
            assert scores[row, found[row]] == others


@pytest.mark.parametrize("function", [log_targeted_degree, log_odds_degree])
def test_the_log_degrees_rank_where_the_plain_degree_ties(function):
    scores = np.array([[1.0 - 1e-30, 1e-30], [1.0 - 1e-20, 1e-20], [1.0, 0.0]])
    targets = classes(1, 1, 1)
    assert len(set(targeted_degree(scores, targets).tolist())) == 1
    first, second, third = function(scores, targets)
    assert second < first < third < 710


def test_what_a_third_class_gains_is_progress_as_printed_and_none_as_run_or_by_the_odds():
    before = np.array([[0.6, 0.3, 0.1]])
    elsewhere = np.array([[0.5, 0.4, 0.1]])
    target = classes(2)
    for function in (targeted_degree, log_targeted_degree):
        assert function(elsewhere, target) < function(before, target)
    for function in (code_targeted_degree, log_odds_degree):
        assert function(elsewhere, target) == function(before, target)


def test_the_odds_rank_by_the_first_class_where_the_target_has_nothing():
    scores = np.array([[0.6, 0.4, 0.0], [0.5, 0.5, 0.0], [0.9, 0.1 - 1e-300, 1e-300]])
    first, second, shown = log_odds_degree(scores, classes(2, 2, 2))
    assert shown < second < first


@pytest.mark.parametrize("function", ALL)
def test_degrees_leave_their_arguments_alone(function):
    scores = np.random.default_rng(0).dirichlet(np.ones(4), size=8)
    ids = np.arange(8) % 4
    before = scores.copy(), ids.copy()
    scores.flags.writeable = ids.flags.writeable = False
    function(scores, ids)
    np.testing.assert_array_equal(scores, before[0])
    np.testing.assert_array_equal(ids, before[1])


@pytest.mark.parametrize("function", ALL)
def test_degrees_of_no_images_are_no_degrees(function):
    assert function(np.empty((0, 3)), classes()).shape == (0,)


def test_an_objective_is_found_by_its_name():
    assert Objective.of("paper") is PAPER
    assert Objective.of("paper-code") is PAPER_CODE
    assert Objective.of("log") is LOG
    assert Objective.of("odds") is ODDS
    assert (PAPER.untargeted, PAPER.targeted) == (untargeted_degree, targeted_degree)
    assert (PAPER_CODE.untargeted, PAPER_CODE.targeted) == (code_untargeted_degree, code_targeted_degree)
    assert (LOG.untargeted, LOG.targeted) == (log_untargeted_degree, log_targeted_degree)
    assert (ODDS.untargeted, ODDS.targeted) == (log_untargeted_degree, log_odds_degree)


def test_an_objective_passes_through():
    mine = Objective("mine", untargeted_degree, log_targeted_degree)
    assert Objective.of(mine) is mine


def test_a_bare_function_serves_both_kinds_of_run():
    def my_degree(scores, ids):
        return np.zeros(len(scores))

    objective = Objective.of(my_degree)
    assert objective.untargeted is objective.targeted is my_degree
    assert objective.name.endswith("my_degree")


@pytest.mark.parametrize("value", ["Paper", "logit", 3, None])
def test_anything_else_is_not_an_objective(value):
    with pytest.raises(InvalidInputError, match="objective must be"):
        Objective.of(value)


def test_measure_gives_the_degrees_of_a_sound_function():
    scores = np.array([[0.7, 0.3], [0.2, 0.8]])
    np.testing.assert_array_equal(
        measure(untargeted_degree, scores, classes(0, 0)), untargeted_degree(scores, classes(0, 0))
    )


def test_measure_takes_lists_and_small_floats():
    degrees = measure(lambda scores, ids: [np.float32(0.5), 0], np.ones((2, 2)), classes(0, 1))
    assert degrees.tolist() == [0.5, 0.0]
    assert degrees.dtype == np.float64


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.1], r"one degree per image, shape \(2,\); it gave shape \(1,\)"),
        ([[0.1], [0.2]], r"it gave shape \(2, 1\)"),
        ([0.1, np.nan], r"finite degrees >= 0, .* it gave nan in row 1"),
        ([np.inf, 0.1], r"it gave inf in row 0"),
        ([0.1, -1e-9], r"it gave -1e-09 in row 1"),
        ([2.0**63, 0.1], r"below 2\^63 .* it gave 9\.22\S* in row 0"),
        ([True, False], r"real numbers; it gave dtype bool"),
        (["a", "b"], r"real numbers; it gave dtype <U1"),
        ([1j, 0], r"real numbers; it gave dtype complex128"),
    ],
)
def test_measure_refuses_what_the_optimizer_cannot_rank(answer, message):
    with pytest.raises(ObjectiveError, match=message):
        measure(lambda scores, ids: answer, np.ones((2, 2)), classes(0, 1))


def test_measure_chains_what_the_function_raised():
    def my_degree(scores, ids):
        raise KeyError("lost")

    with pytest.raises(ObjectiveError, match=r"my_degree failed on scores of shape \(2, 2\): KeyError") as caught:
        measure(my_degree, np.ones((2, 2)), classes(0, 1))
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.result is None
