"""The objective of a run: what it is told, how it is named, and what becomes of one that breaks its promise."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dfa
from dfa.search.objectives import untargeted_degree
from oracles import (
    Recorder,
    brightness,
    never,
)
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES, SHAPE


def test_an_objective_is_told_the_original_classes_or_the_targets():
    seen = []

    def degree(scores, classes):
        seen.append((scores.copy(), classes.copy()))
        return dfa.objectives.targeted_degree(scores, classes)

    result = dfa.run(CLASSIFIER, IMAGES[:1], targets=7, epsilon=30, objective=degree, max_queries=100)
    assert {int(each) for _, classes in seen for each in classes} == {7}
    assert all(scores.shape[1] == 10 and scores.dtype == np.float64 for scores, _ in seen)
    # An archive compares degrees of different images by those of the clean ones.
    assert sum(len(scores) for scores, _ in seen) == result.queries_sent.sum() + result.profile.clean
    seen.clear()
    alone = dataclasses.replace(dfa.Racos(), archive=False)
    result = dfa.run(CLASSIFIER, IMAGES[:1], targets=7, epsilon=30, objective=degree, max_queries=100, optimizer=alone)
    assert sum(len(scores) for scores, _ in seen) == result.queries_sent.sum()

    def untargeted(scores, classes):
        seen.append((scores.copy(), classes.copy()))
        return untargeted_degree(scores, classes)

    seen.clear()
    result = dfa.run(CLASSIFIER, IMAGES[:1], epsilon=EPSILON, objective=untargeted, max_queries=100)
    assert {int(each) for _, classes in seen for each in classes} == {int(CLASSES[0])}
    assert result.config["objective"].endswith("untargeted")


def test_an_objective_goes_by_name_by_value_or_as_a_bare_function():
    def outcome(objective, optimizer):
        result = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, objective=objective, optimizer=optimizer, max_queries=100)
        return result.config["objective"], [(record.queries, record.trace) for record in result.records]

    by_name = {name: outcome(name, dfa.Racos.paper()) for name in ("paper", "log")}
    assert by_name["paper"][0] == "paper"
    assert by_name["log"][0] == "log"
    assert by_name["paper"][1] != by_name["log"][1]
    assert outcome(dfa.objectives.PAPER, dfa.Racos.paper()) == by_name["paper"]
    assert outcome(untargeted_degree, dfa.Racos.paper())[1] == by_name["paper"][1]
    # Without one, the optimizer's own.
    assert outcome(None, dfa.Racos.paper()) == by_name["paper"]
    assert outcome(None, dfa.Racos()) == outcome("odds", dfa.Racos())
    assert outcome(None, dfa.Racos()) != outcome("paper", dfa.Racos())


def test_the_papers_setting_is_as_printed_untargeted_and_as_run_towards_a_target():
    def outcome(targets, objective=None):
        optimizer = dfa.Racos.paper(targeted=targets is not None)
        result = dfa.run(
            CLASSIFIER,
            IMAGES,
            targets=targets,
            epsilon=EPSILON,
            objective=objective,
            optimizer=optimizer,
            max_queries=100,
        )
        return result.config["objective"], [(record.queries, record.trace) for record in result.records]

    assert outcome(None) == outcome(None, "paper")
    assert outcome(None) != outcome(None, "paper-code")
    assert outcome(dfa.rank(3)) == outcome(dfa.rank(3), "paper-code")
    assert outcome(dfa.rank(3))[1] != outcome(dfa.rank(3), "paper")[1]


def zero(scores, classes):
    return np.zeros(len(scores))


def not_a_number(scores, classes):
    return np.full(len(scores), np.nan)


def negative(scores, classes):
    return np.full(len(scores), -1.0)


def a_row_too_few(scores, classes):
    return np.ones(len(scores) - 1)


def failing(scores, classes):
    raise KeyError("no such degree")


@pytest.mark.parametrize(
    ("degree", "message"),
    [
        (zero, "must return 0 only for adversarial images; it returned 0 for a candidate of image"),
        (not_a_number, r"not_a_number must give finite degrees >= 0.*it gave nan"),
        (negative, r"negative must give finite degrees >= 0.*it gave -1\.0"),
        (a_row_too_few, "a_row_too_few must give one degree per image"),
        (failing, "failing failed on scores of shape .*KeyError.*no such degree"),
    ],
)
@pytest.mark.parametrize("targets", [None, 1])
def test_an_objective_that_breaks_its_promise_ends_the_run_with_what_was_found(degree, message, targets):
    calls = 0

    def degree_for_a_while(scores, classes):
        nonlocal calls
        calls += 1
        if calls > 60:
            return degree(scores, classes)
        return (
            dfa.objectives.PAPER.untargeted(scores, classes)
            if targets is None
            else (dfa.objectives.PAPER.targeted(scores, classes))
        )

    oracle = Recorder(brightness)
    # Dark images of class 0; the last one can never succeed.
    images = np.full((6, *SHAPE), 126, dtype=np.uint8)
    images[5] = 40
    degree_for_a_while.__qualname__ = degree.__name__
    with pytest.raises(dfa.ObjectiveError, match=message) as caught:
        dfa.run(oracle, images, targets=targets, objective=degree_for_a_while, max_queries=500, batch_size=1)
    result = caught.value.result
    assert result.success.tolist() == [True] * 5 + [False]
    assert result.records[5].status is dfa.Status.UNFINISHED
    assert "the degree function" in result.records[5].reason
    assert all(brightness(result.images[i][None])[0, 1] > 0.5 for i in range(5))
    assert oracle.num_images == 6 + 5 + result.queries_sent.sum()


def test_a_degree_of_zero_is_refused_before_the_image_is_called_adversarial():
    with pytest.raises(dfa.ObjectiveError, match="whose class is 0, where another than 0 was wanted") as caught:
        dfa.run(never, IMAGES, objective=zero)
    assert not any(record.found for record in caught.value.result.records)
    with pytest.raises(dfa.ObjectiveError, match="whose class is 0, where the target 1 was wanted"):
        dfa.run(never, IMAGES, targets=1, objective=zero)
