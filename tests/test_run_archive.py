"""What images of a run learn from one another: who from whom, and that nothing else has a say in it.

Whole runs equal the plain reference, which lets every active image make one iteration after the other.
"""

from __future__ import annotations

import dataclasses
from dataclasses import replace

import numpy as np
import pytest

import dfa
import dfa.api
from core_driver import DEFAULT
from dfa import _core
from dfa.engine.plan import make_plan
from dfa.search.objectives import log_odds_degree, log_untargeted_degree
from oracles import LazyImages, LinearClassifier, Recorder, Until, raising, random_images
from outcomes import outcomes
from reference import tuning
from reference.attack import Target, attack, may_begin

SHAPE = (6, 6, 3)
IMAGES = random_images(19, SHAPE)
EPSILON = 8


class Hard:
    """A classifier that some images, and all near them, can hardly be taken from."""

    def __init__(self, classifier, images):
        self._classifier = classifier
        self._images = images.astype(np.int64)
        self._classes = classifier.classes(images)

    def __call__(self, images):
        scores = np.array(self._classifier(images))
        for row, image in zip(scores, images.astype(np.int64), strict=True):
            near = np.abs(self._images - image).max(axis=(1, 2, 3)) <= 20
            if near.any():
                row[self._classes[near.argmax()]] += 1.0
                row /= 2.0
        return scores

    def classes(self, images):
        return self(images).argmax(axis=1)


CLASSIFIER = Hard(LinearClassifier(SHAPE), IMAGES[[1, 6, 12]])


def run(images=IMAGES, oracle=CLASSIFIER, **settings):
    return dfa.run(oracle, images, **{"epsilon": EPSILON, "max_queries": 230, "threads": 1, **settings})


EVERYTHING = outcomes(run())


def mask(shape):
    radii = np.random.default_rng(8).integers(0, 25, shape).astype(np.int64)
    radii[: shape[0] // 3] = 0
    return radii


def two_sizes(images):
    return np.where(np.arange(len(images)) % 2 == 0, 9, 5)


CASES = {
    "default": {},
    "targeted": {"targets": 2, "max_queries": 60},
    "masked": {"epsilon": mask(SHAPE), "max_queries": 60},
    "an epsilon per image": {"epsilon": two_sizes(IMAGES), "max_queries": 60},
    "one channel": {"shape": (9, 7, 1), "max_queries": 60},
    "several samples and positives": {"optimizer": {"samples": 3, "positives": 2}, "max_queries": 80},
    "one positive of several": {"optimizer": {"samples": 4, "positives": 1, "values": "extremes"}, "max_queries": 80},
    "searches that begin anew": {"optimizer": {"restart_after": 16}},
    "a budget within the starts": {"max_queries": 9},
    "some that are skipped": {"labels": True, "max_queries": 40},
    "some that are given up at rest": {"give_up_after": 24, "epsilon": 4},
    "a budget for each": {"budgets": 20 + np.arange(19) ** 2 % 211, "epsilon": 5},
    "forecast, each by its budget": {
        "budgets": 20 + np.arange(19) ** 2 % 211,
        "give_up_after": 8,
        "forecast": 0.7,
        "epsilon": 4,
    },
}


@pytest.mark.weekly_but(6)
@pytest.mark.parametrize("name", CASES)
def test_whole_runs_are_the_reference(name, monkeypatch):
    case = {"epsilon": EPSILON, "max_queries": 230, **CASES[name]}
    shape = case.pop("shape", SHAPE)
    images = IMAGES if shape == SHAPE else random_images(19, shape)
    classifier = CLASSIFIER if shape == SHAPE else LinearClassifier(shape)
    changes = case.pop("optimizer", {})
    classes = classifier.classes(images)
    if case.pop("labels", False):
        case["labels"] = np.where(np.isin(np.arange(19), [0, 3, 9]), (classes + 1) % 10, classes)
    targeted = "targets" in case
    goals = np.full(19, case["targets"]) if targeted else classes

    def degree(image, goal):
        function = log_odds_degree if targeted else log_untargeted_degree
        return float(function(classifier(image[None]), np.array([goal]))[0])

    epsilon = np.asarray(case["epsilon"])
    radii = np.broadcast_to(epsilon.reshape(-1, 1, 1, 1) if epsilon.ndim == 1 else epsilon, images.shape)
    is_searched = (case.get("labels", classes) == classes) & (goals != classes if targeted else True)
    targets = [
        Target(images[i], radii[i], 7 * i, int(goals[i])) if is_searched[i] else None for i in range(len(images))
    ]
    optimizer = dataclasses.replace(dfa.Racos(), **changes)
    settings = dataclasses.replace(DEFAULT, improvements=optimizer.improvements_wanted, **changes)
    give_up_after = case.get("give_up_after")
    limits = {"max_queries": case["max_queries"], "give_up_after": give_up_after}
    own = {name: case.pop(name) for name in ("budgets", "forecast") if name in case}
    monkeypatch.setattr(dfa.api, "make_plan", lambda *given, **named: replace(make_plan(*given, **named), **own))
    expected = attack(targets, settings, degree, seed=5, **limits, **own)
    result = dfa.run(
        classifier,
        images,
        ids=np.arange(19) * 7,
        seed=5,
        batch_size=16,
        threads=1,
        optimizer=optimizer,
        **case,
    )
    for record, image, outcome in zip(result.records, result.images, expected, strict=True):
        assert (record.status is dfa.Status.SKIPPED) == (outcome is None)
        if outcome is None:
            continue
        assert list(record.trace) == outcome.trace, record.index
        assert record.queries_sent == outcome.sent
        assert record.found == (outcome.adversarial is not None)
        assert record.at_rest == outcome.is_at_rest
        assert np.array_equal(image, outcome.adversarial) if record.found else image is None
    # At the first look, or later, or not at all.
    stopped = {record.queries_sent for record in result.records if record.at_rest}
    assert (give_up_after is None) == (not stopped)
    assert give_up_after is None or (min(stopped) < 2 * give_up_after <= max(stopped))


def test_the_runs_above_are_worth_comparing():
    """Perturbations are found, tried on other images, and break some; some searches outlast their lesson."""
    result = run()
    assert 8 <= result.success.sum() < 19
    assert (result.queries_sent > _core.Lesson.CANDIDATES).sum() >= 3
    # The first know nothing, and try all textures that there are.
    alone = run(optimizer=dataclasses.replace(dfa.Racos(), archive=False, starts=_core.NUM_TEXTURED_STARTS))
    assert outcomes(alone)[:4] == EVERYTHING[:4]
    assert [a == b for a, b in zip(outcomes(alone), EVERYTHING, strict=True)].count(False) > 8
    anew = run(optimizer=dataclasses.replace(dfa.Racos(), **CASES["searches that begin anew"]["optimizer"]))
    assert [a == b for a, b in zip(outcomes(anew), EVERYTHING, strict=True)].count(False) >= 3


def test_few_images_are_new_at_a_time_and_more_the_more_is_known():
    def most_new(num_learned):
        return next(number for number in range(10_000) if not may_begin(number, num_learned))

    assert [most_new(number) for number in (0, 1, 16, 17, 25, 26, 64, 65, 1_000, 10_000)] == [
        *[4, 4, 4, 5, 5, 6, 8, 9, 125, 1_250]
    ]
    assert tuning.LESSON_CANDIDATES == _core.Lesson.CANDIDATES


@pytest.mark.parametrize("number", [1, 3, 4, 5, 8, 9, 17])
def test_an_image_fares_as_if_those_after_it_were_not_there(number):
    assert outcomes(run(IMAGES[:number])) == EVERYTHING[:number]


def test_the_first_four_know_nothing_of_the_rest_and_nothing_of_one_another():
    order = [3, 1, 0, 2, *range(18, 3, -1)]
    shuffled = outcomes(run(IMAGES[order]))
    assert shuffled[:4] == [EVERYTHING[i] for i in order[:4]]
    assert shuffled[4:] != [EVERYTHING[i] for i in order[4:]]
    assert outcomes(run(IMAGES[[2]])) == [EVERYTHING[2]]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 64, 256])
def test_the_batch_size_changes_nothing(batch_size):
    assert outcomes(run(batch_size=batch_size)) == EVERYTHING
    several = dataclasses.replace(dfa.Racos(), samples=3, positives=2)
    assert outcomes(run(batch_size=batch_size, optimizer=several, max_queries=90)) == outcomes(
        run(batch_size=17, optimizer=several, max_queries=90)
    )


def test_the_number_of_threads_changes_nothing():
    # Large enough that the core does use its threads.
    shape = (160, 160, 3)
    images = random_images(24, shape)
    classifier = LinearClassifier(shape)
    by_one, by_two, by_seven = (
        outcomes(run(images, classifier, epsilon=2, max_queries=30, threads=threads, batch_size=64))
        for threads in (1, 2, 7)
    )
    assert by_two == by_one
    assert by_seven == by_one


@pytest.mark.parametrize("batch_size", [2, 6, 64])
def test_an_image_that_takes_long_keeps_nobody_waiting(batch_size):
    """With a budget of 900 the hard images that come first outlive all the others."""
    oracle = Recorder(CLASSIFIER)
    result = run(oracle=oracle, max_queries=900, batch_size=batch_size)
    assert outcomes(result) == outcomes(run(max_queries=900, batch_size=17))
    assert result.records[1].queries_sent == 900
    if batch_size == 2:
        return  # two hard images fill the window
    asked = oracle.images.astype(np.int64)
    of_first_hard, of_last = (np.flatnonzero(np.abs(asked - IMAGES[i]).max(axis=(1, 2, 3)) <= EPSILON) for i in (1, 18))
    assert result.records[18].queries_sent == len(of_last) - 2  # beside the clean query and that after success
    assert of_last[-2] < of_first_hard[-1]


def test_images_that_are_not_searched_teach_nothing_and_block_nothing():
    """Unreadable, misclassified, or the target class already: several in a row, and the last."""
    labels = CLASSIFIER.classes(IMAGES)
    wrong = [2, 4, 5, 6, 7, 15, 18]
    labels[wrong] = (labels[wrong] + 1) % 10
    skipped = outcomes(run(labels=labels, batch_size=3))
    assert [i for i, (record, _) in enumerate(skipped) if record.status is dfa.Status.SKIPPED] == wrong
    unreadable = LazyImages(IMAGES, {i: lambda: IMAGES[0] / 255 for i in wrong})
    failed = outcomes(run(unreadable, batch_size=64))
    assert [i for i, (record, _) in enumerate(failed) if record.status is dfa.Status.ERROR] == wrong
    for i in range(19):
        if i not in wrong:
            assert dataclasses.replace(skipped[i][0], label=None) == failed[i][0]
            assert skipped[i][1] == failed[i][1]
    with pytest.warns(dfa.MostSkippedWarning):
        all_skipped = outcomes(run(labels=(CLASSIFIER.classes(IMAGES) + 1) % 10))
    assert {record.status for record, _ in all_skipped} == {dfa.Status.SKIPPED}


@pytest.mark.parametrize("num_calls", [1, 5, 40, 120])
def test_what_an_interrupted_run_finished_is_what_it_would_have_been(num_calls):
    with pytest.raises(dfa.Interrupted) as interrupted:
        run(oracle=Until(num_calls, CLASSIFIER, raising(KeyboardInterrupt())), batch_size=5)
    result = interrupted.value.result
    assert len(result.records) == 19
    finished = [i for i, record in enumerate(result.records) if record.status is dfa.Status.FAILURE]
    for i in finished:
        assert outcomes(result)[i] == EVERYTHING[i]
    for record, (expected, _) in zip(result.records, EVERYTHING, strict=True):
        # As far as it got: every search is on its way to the same end.
        assert record.trace == expected.trace[: len(record.trace)]


def test_the_archive_counts_as_a_setting():
    with pytest.raises(dfa.InvalidInputError, match="an archive ranks textured starts"):
        dfa.Racos(start="stripes", starts=None)
    with pytest.raises(dfa.InvalidInputError, match="archive must be True or False, got 1"):
        dfa.Racos(archive=1)
    with pytest.raises(dfa.InvalidInputError, match=r"starts .* must be at most that, got 19"):
        dfa.Racos(starts=19)
    with pytest.raises(dfa.InvalidInputError, match="at most that, got 20"):
        dfa.Racos(starts=None, samples=19)
    with pytest.raises(dfa.InvalidInputError, match=r"starts \(unless None\) must be an integer of at least 5"):
        dfa.Racos(samples=3, positives=2, starts=4)
    with pytest.raises(dfa.InvalidInputError, match="values='textures' need shape='window'"):
        dfa.Racos(shape="scattered")
    with pytest.raises(dfa.InvalidInputError, match=r"values='textures' need .*region='none'"):
        dfa.Racos(region="ordered")
    for wrong in (1, -1, False, 2.0):
        with pytest.raises(dfa.InvalidInputError, match="restart_after must be"):
            dfa.Racos(restart_after=wrong)  # type: ignore[arg-type]
    for beyond in (-0.1, 64.5, float("nan")):
        with pytest.raises(dfa.InvalidInputError, match="improvements must be None or in"):
            dfa.Racos(improvements=beyond)
    with pytest.raises(dfa.InvalidInputError, match="improvements need shape='window' and region='none'"):
        dataclasses.replace(dfa.Racos.paper(), improvements=1.0)
    for wrong in (0, -1, False, 2.0):
        with pytest.raises(dfa.InvalidInputError, match="placements must be"):
            dfa.Racos(placements=wrong)  # type: ignore[arg-type]
    for share in (0.0, -0.5, 1.01, float("nan")):
        with pytest.raises(dfa.InvalidInputError, match=r"rest_ratio must be in \(0, 1\]"):
            dfa.Racos(rest_ratio=share)
    paper = dfa.Racos.paper()
    assert (paper.restart_after, paper.placements, paper.improvements) == (0, 1, 0)
    assert not dfa.Racos.paper().archive
