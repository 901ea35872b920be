"""`dfa.run` from end to end: what it finds, what it counts, what it says of every image.

Everything is computed again from what the oracle saw.
"""

from __future__ import annotations

import dataclasses
import io
import math
import sys
import threading
import time

import numpy as np
import pytest

import dfa
from dfa.search.objectives import untargeted_degree
from oracles import (
    Contradicting,
    LinearClassifier,
    Recorder,
    Slow,
    brightness,
    never,
    raising,
    random_images,
)

EPSILON = 8
SHAPE = (6, 6, 3)
IMAGES = random_images(24, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)

OPTIMIZERS = [
    pytest.param(dfa.Racos(), id="default"),
    pytest.param(dfa.Racos.paper(), id="paper"),
    pytest.param(dfa.Racos.paper(targeted=True), id="paper-targeted"),
]


def largest_change(images, original):
    return np.abs(images.astype(np.int64) - original).max(axis=0)


def assert_adversarial(result, images, classifier, epsilon):
    """Check every claim of success by what the classifier says of the image, and what is claimed beside it."""
    assert len(result.images) == len(result.records) == len(images)
    for record, original, adversarial in zip(result.records, images, result.images, strict=True):
        if record.status is not dfa.Status.SUCCESS:
            assert adversarial is None
            continue
        difference = adversarial.astype(np.int64) - original
        assert adversarial.dtype == np.uint8
        assert adversarial.shape == original.shape
        assert record.linf == np.abs(difference).max() <= epsilon
        assert record.l0 == np.count_nonzero(difference) > 0
        assert record.l2 == pytest.approx(math.sqrt((difference**2).sum()))
        (before, after) = classifier.classes(np.stack([original, adversarial]))
        probabilities = classifier(np.stack([original, adversarial]))
        assert (record.class_before, record.class_after) == (before, after)
        assert record.probability_before == probabilities[0, before]
        assert record.probability_after == probabilities[1, after]
        assert before != after
        if record.target is not None:
            assert after == record.target
        assert record.found
        assert record.verified
        assert record.reason == ""
        assert record.degree == 0.0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_an_untargeted_success_has_another_class_and_lies_within_epsilon(optimizer):
    result = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, optimizer=optimizer, max_queries=600)
    assert_adversarial(result, IMAGES, CLASSIFIER, EPSILON)
    assert set(result.status) == {dfa.Status.SUCCESS, dfa.Status.FAILURE}
    assert [record.class_before for record in result.records] == CLASSES.tolist()
    assert [record.index for record in result.records] == list(range(len(IMAGES)))
    assert {record.target for record in result.records} == {None}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_targeted_success_has_the_class_asked_for_image_by_image(optimizer):
    targets = (CLASSES + 1 + np.arange(len(IMAGES)) % 3) % 10
    result = dfa.run(CLASSIFIER, IMAGES, targets=targets, epsilon=30, optimizer=optimizer, max_queries=600)
    assert_adversarial(result, IMAGES, CLASSIFIER, 30)
    assert [record.target for record in result.records] == targets.tolist()
    successes = [record for record in result.records if record.verified]
    assert len(successes) >= 8
    assert {record.class_after for record in successes} != {0}


def test_a_rank_targets_the_class_of_that_place_on_the_clean_image():
    ranked = np.argsort(-CLASSIFIER(IMAGES), axis=1)
    for j in (2, 3, 10):
        result = dfa.run(CLASSIFIER, IMAGES, targets=dfa.rank(j), epsilon=20, max_queries=200)
        assert [record.target for record in result.records] == ranked[:, j - 1].tolist()
        assert_adversarial(result, IMAGES, CLASSIFIER, 20)
        assert result.success.any()


def test_class_zero_is_a_class_and_an_image_that_has_the_target_class_is_skipped():
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, targets=0, epsilon=30, max_queries=300)
    assert_adversarial(result, IMAGES, CLASSIFIER, 30)
    of_class_zero = np.flatnonzero(CLASSES == 0)
    assert of_class_zero.size > 0
    for index, record in enumerate(result.records):
        assert record.target == 0
        if index in of_class_zero:
            assert (record.status, record.reason) == (dfa.Status.SKIPPED, "already the target class")
            assert (record.queries, record.queries_sent, record.class_after) == (0, 0, None)
            assert len(oracle.around(IMAGES[index], 30)) == 1
        else:
            assert record.queries_sent > 0
    assert result.success.sum() > 8
    assert result.summary().skipped == of_class_zero.size
    assert result.summary().attacked == len(IMAGES) - of_class_zero.size


def test_a_misclassified_image_is_skipped_and_counted():
    labels = CLASSES.copy()
    wrong = [0, 7, 23]
    labels[wrong] = (labels[wrong] + 1) % 10
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, labels, epsilon=EPSILON, max_queries=300)
    assert [record.label for record in result.records] == labels.tolist()
    assert [record.class_before for record in result.records] == CLASSES.tolist()
    for index, record in enumerate(result.records):
        is_skipped = record.status is dfa.Status.SKIPPED
        assert is_skipped == (index in wrong)
        if is_skipped:
            assert record.reason == "misclassified"
            assert record.probability_before == CLASSIFIER(IMAGES[[index]])[0, CLASSES[index]]
            assert len(oracle.around(IMAGES[index], EPSILON)) == 1
    summary = result.summary()
    assert (summary.total, summary.skipped, summary.attacked) == (24, 3, 21)
    assert result.profile.clean == 24
    # A misclassified image is that first, also where it happens to have the target class.
    targeted = dfa.run(CLASSIFIER, IMAGES[:1], labels[:1], targets=CLASSES[:1], epsilon=1, max_queries=10)
    assert targeted.records[0].reason == "misclassified"


def test_labels_that_are_right_change_nothing_but_the_label():
    with_labels = dfa.run(CLASSIFIER, IMAGES, CLASSES.tolist(), epsilon=EPSILON, max_queries=100)
    without = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, max_queries=100)
    assert {record.label for record in without.records} == {None}
    assert with_labels.queries.tolist() == without.queries.tolist()
    assert with_labels.success.tolist() == without.success.tolist()


def test_logits_are_taken_where_they_are_declared():
    def logits(images):
        return CLASSIFIER.activations(images) / 1e4

    oracle = dfa.as_oracle(logits, returns="logits")
    result = dfa.run(oracle, IMAGES, epsilon=EPSILON, max_queries=300)
    for record, original, adversarial in zip(result.records, IMAGES, result.images, strict=True):
        scores = logits(original[None])[0]
        assert record.probability_before == pytest.approx(np.exp(scores).max() / np.exp(scores).sum())
        if adversarial is not None:
            assert logits(adversarial[None]).argmax() != scores.argmax()
    assert result.success.sum() > 8


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_image_has_its_own_epsilon(optimizer):
    epsilon = np.arange(1, 25)
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, epsilon=epsilon, optimizer=optimizer, max_queries=60)
    for index, original in enumerate(IMAGES):
        # Random images lie far more than twice the largest epsilon apart.
        candidates = oracle.around(original, 48)
        assert len(candidates) > 1
        assert largest_change(candidates, original).max() == epsilon[index]
        if result.success[index]:
            assert result.records[index].linf <= epsilon[index]
    assert any(record.linf > 12 for record in result.records if record.verified)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("is_per_image", [False, True], ids=["shared", "per-image"])
def test_a_mask_holds_for_every_candidate_at_every_coordinate(optimizer, is_per_image):
    shape = (4, *SHAPE) if is_per_image else SHAPE
    mask = np.random.default_rng(3).choice([0, 0, 2, 9, 255], shape)
    oracle = Recorder(never)
    result = dfa.run(oracle, IMAGES[:4], epsilon=mask, optimizer=optimizer, max_queries=150)
    for index, original in enumerate(IMAGES[:4]):
        allowed = mask[index] if is_per_image else mask
        candidates = candidates_of(oracle, original, allowed)
        assert len(candidates) == 1 + result.queries_sent[index] == 151
        reached = largest_change(candidates, original)
        room = np.minimum(allowed, np.maximum(original.astype(int), 255 - original.astype(int)))
        assert (reached <= room).all()
        # Not merely harmless: what may change does, and as far as it may where many values were tried.
        assert (reached[allowed > 0] > 0).all()
        if optimizer.values == "extremes":
            assert (reached == room)[allowed > 0].mean() > 0.8


def candidates_of(oracle, original, allowed):
    asked = oracle.images
    change = np.abs(asked.astype(np.int64) - original)
    return asked[(change <= allowed).all(axis=(1, 2, 3))]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_queries_stop_at_the_first_hit_and_queries_sent_count_every_candidate(optimizer, batch_size):
    oracle = Recorder(CLASSIFIER)
    settings = {"epsilon": EPSILON, "optimizer": optimizer, "max_queries": 150, "batch_size": batch_size}
    result = dfa.run(oracle, IMAGES, **settings)
    hits_inside_an_iteration = 0
    for index, (record, original) in enumerate(zip(result.records, IMAGES, strict=True)):
        asked = oracle.around(original, EPSILON)
        assert (asked[0] == original).all()
        candidates = asked[1 : len(asked) - record.verified]
        assert record.queries_sent == len(candidates)
        hits = np.flatnonzero(CLASSIFIER.classes(candidates) != CLASSES[index])
        if record.status is dfa.Status.SUCCESS:
            assert record.queries == hits[0] + 1
            assert (result.images[index] == candidates[hits[0]]).all()
            assert (result.images[index] == asked[-1]).all()
            # An iteration is finished, and nothing beyond it is sent.
            start = optimizer.population
            iterations = max(0, math.ceil((record.queries - start) / optimizer.samples))
            assert record.queries_sent == min(150, start + iterations * optimizer.samples)
            hits_inside_an_iteration += record.queries < record.queries_sent
        else:
            assert not hits.size
            assert record.queries == record.queries_sent == 150
    assert result.success.sum() >= 8
    assert hits_inside_an_iteration > 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_clean_predictions_and_verifications_are_counted_apart(optimizer):
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, epsilon=EPSILON, optimizer=optimizer, max_queries=150, batch_size=16)
    profile = result.profile
    assert profile.clean == len(IMAGES)
    assert profile.verification == result.success.sum() > 0
    assert profile.rows_sent == result.queries_sent.sum() == result.summary().queries_sent
    assert oracle.num_images == profile.clean + profile.verification + profile.rows_sent
    assert max(map(len, oracle.batches)) <= 16
    assert profile.batches <= len(oracle.batches)
    assert 0 < profile.occupancy <= 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("beyond", [0, 1, 2, 23])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_the_budget_binds_every_candidate_sent(optimizer, beyond, batch_size):
    budget = optimizer.population + beyond
    oracle = Recorder(never)
    result = dfa.run(
        oracle, IMAGES[:5], epsilon=EPSILON, optimizer=optimizer, max_queries=budget, batch_size=batch_size
    )
    for record, original in zip(result.records, IMAGES, strict=False):
        assert (record.status, record.reason) == (dfa.Status.FAILURE, "query budget")
        assert record.queries == record.queries_sent == budget
        assert len(oracle.around(original, EPSILON)) == 1 + budget
        assert not record.found


def test_a_hit_in_an_iteration_cut_short_by_the_budget_counts():
    # Once with room and once with a budget that ends right at the hit.
    roomy = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=400)
    late = [record for record in roomy.records if record.verified and 6 <= record.queries < record.queries_sent]
    assert late
    for record in late:
        budget = record.queries
        tight = dfa.run(
            CLASSIFIER, IMAGES[[record.index]], epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=budget
        ).records[0]
        assert tight.verified
        assert (tight.queries, tight.queries_sent) == (budget, budget)
        assert tight.trace == record.trace


def test_the_number_of_iterations_ends_a_search():
    for iterations in (1, 4):
        optimizer = dataclasses.replace(dfa.Racos.paper(), max_iterations=iterations)
        result = dfa.run(never, IMAGES[:3], optimizer=optimizer, max_queries=1_000)
        assert {record.reason for record in result.records} == {"iterations"}
        assert result.status == [dfa.Status.FAILURE] * 3
        # Line 1 of Algorithm 1 evaluates a population before the first of the T iterations.
        assert result.queries_sent.tolist() == [5 + 3 * iterations] * 3


def test_time_ends_a_search_and_every_image_has_its_own():
    slow = Slow(0.001, never)
    started = time.perf_counter()
    # A batch of one lets two images in at a time, so the last ones start when the time of the first is over.
    result = dfa.run(slow, IMAGES[:6], optimizer=dfa.Racos.paper(), max_seconds=0.1, max_queries=10**6, batch_size=1)
    wall = time.perf_counter() - started
    assert {record.reason for record in result.records} == {"time"}
    assert result.status == [dfa.Status.FAILURE] * 6
    assert result.queries_sent.min() > dfa.Racos.paper().population
    assert (result.queries_sent == result.queries).all()
    assert 0.3 <= wall < 5


def test_an_oracle_that_contradicts_itself_gets_no_success():
    images = random_images(12) // 2
    mask = np.full(SHAPE, 255)
    mask[0, 0, 0] = 0
    images[:, 0, 0, 0] = np.arange(12)
    result = dfa.run(Contradicting(brightness), images, epsilon=mask, max_queries=200)
    for index, record in enumerate(result.records):
        assert record.found
        assert record.class_after == (0 if index % 2 else 1)
        if index % 2:
            assert (record.status, record.reason, record.verified) == (dfa.Status.FAILURE, "not verified", False)
            assert result.images[index] is None
        else:
            assert record.status is dfa.Status.SUCCESS
    summary = result.summary()
    assert (summary.SR, summary.TSR, summary.GAP) == (1.0, 0.5, 0.5)
    assert summary.attacked == 12
    assert result.profile.verification == 12


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_trace_is_the_running_minimum_of_the_degrees_of_what_was_asked(optimizer):
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, epsilon=EPSILON, optimizer=optimizer, objective="paper", max_queries=100)
    for index, (record, original) in enumerate(zip(result.records, IMAGES, strict=True)):
        candidates = oracle.around(original, EPSILON)[1 : 1 + record.queries_sent]
        degrees = untargeted_degree(CLASSIFIER(candidates), np.repeat(CLASSES[index], len(candidates)))
        best = np.minimum.accumulate(degrees)
        improvements = np.flatnonzero(np.diff(best, prepend=np.inf) < 0)
        assert record.trace == tuple((int(i) + 1, best[i]) for i in improvements)
        assert record.degree == record.trace[-1][1] == best[-1]
        if record.verified:
            assert record.trace[-1] == (record.queries, 0.0)
    assert result.success.any()
    assert not result.success.all()


def test_the_seconds_of_the_images_add_up_to_the_wall_time():
    started = time.perf_counter()
    result = dfa.run(Slow(0.004, CLASSIFIER), IMAGES, epsilon=EPSILON, max_queries=40, batch_size=16)
    measured = time.perf_counter() - started
    profile = result.profile
    assert 0.8 * measured <= profile.wall <= measured
    assert 0.8 * profile.wall <= result.seconds.sum() <= profile.wall
    assert result.seconds.min() > 0
    parts = [profile.propose, profile.wait, profile.score, profile.update, profile.other]
    assert sum(parts) == pytest.approx(profile.wall)
    assert min(parts) >= 0
    assert 0.5 * profile.wall <= profile.oracle <= profile.wall
    assert 0.004 * profile.batches <= profile.oracle


def test_the_oracle_answers_one_half_of_the_window_while_the_other_is_scored():
    # Scoring batch n waits for the oracle to be busy with batch n + 1, and the oracle stays busy with that one until
    # batch n is being scored. A loop that does one after the other would wait for ever.
    num_checked = 20
    meeting = threading.Condition()
    asked, scored, in_time = 0, 0, []

    def ask(images):
        nonlocal asked
        with meeting:
            asked += 1
            meeting.notify_all()
            # The first call is the clean prediction, and there is nothing to score during the second.
            if 2 < asked <= num_checked:
                in_time.append(meeting.wait_for(lambda: scored >= asked - 2, timeout=10))
        return never(images)

    def degree(scores, classes):
        nonlocal scored
        with meeting:
            scored += 1
            meeting.notify_all()
            if scored <= num_checked - 2:
                in_time.append(meeting.wait_for(lambda: asked >= scored + 2, timeout=10))
        return untargeted_degree(scores, classes)

    dfa.run(ask, IMAGES[:8], optimizer=dfa.Racos.paper(), objective=degree, max_queries=60, batch_size=8)
    assert len(in_time) == 2 * (num_checked - 2)
    assert all(in_time)


def test_a_batch_too_small_for_all_candidates_serves_the_images_in_turn():
    # Two images with three candidates each share a batch of four.
    oracle = Recorder(never)
    dfa.run(oracle, IMAGES[:4], epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=90, batch_size=4)
    oracle.batches = oracle.batches[: len(oracle.batches) // 2]
    asked = [len(oracle.around(image, EPSILON)) for image in IMAGES[:4]]
    assert max(asked) - min(asked) <= dfa.Racos.paper().population
    assert min(asked) > 20


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


def test_nothing_is_drawn_where_the_error_stream_is_no_terminal(capfd):
    dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, max_queries=20)
    with pytest.raises(dfa.OracleError, match="off"):
        dfa.run(raising(OSError("off")), IMAGES)
    captured = capfd.readouterr()
    assert captured.out == ""
    assert captured.err == ""


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_drawn_on_a_terminal_unless_unwanted(monkeypatch, progress):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, max_queries=20, progress=progress)
    assert ("24/24" in terminal.getvalue()) == progress


def test_the_result_tells_every_setting_of_the_run():
    optimizer = dfa.Racos.paper()
    result = dfa.run(
        CLASSIFIER, IMAGES, targets=3, epsilon=5, optimizer=optimizer, max_queries=20, batch_size=9, seed=2, threads=2
    )
    settings = {
        "num_images": 24,
        "shape": [6, 6, 3],
        "targets": 3,
        "epsilon": 5,
        "objective": "paper",
        "optimizer": optimizer,
        "max_queries": 20,
        "max_seconds": None,
        "batch_size": 9,
        "seed": 2,
        "threads": 2,
    }
    assert {name: result.config[name] for name in settings} == settings
    assert result.config["oracle"]["kind"] == "callable"
    assert result.config["versions"]["dfa"] == dfa.__version__


def test_a_space_may_be_given_in_place_of_epsilon():
    by_space = dfa.run(CLASSIFIER, IMAGES, space=dfa.LinfBall(EPSILON), max_queries=50)
    by_epsilon = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, max_queries=50)
    assert [record.trace for record in by_space.records] == [record.trace for record in by_epsilon.records]
    assert by_space.config["epsilon"] == EPSILON


def test_an_epsilon_of_255_reaches_every_pixel_value():
    oracle = Recorder(never)
    dfa.run(oracle, IMAGES[:1], epsilon=255, max_queries=20)
    assert oracle.images.min() == 0
    assert oracle.images.max() == 255


def test_one_image_and_one_pixel_are_enough():
    images = np.full((1, 1, 1, 1), 125, dtype=np.uint8)
    for optimizer in (dfa.Racos(), dfa.Racos.paper()):
        result = dfa.run(brightness, images, optimizer=optimizer, max_queries=40)
        assert result.records[0].verified
        assert result.images[0][0, 0, 0] > 127
