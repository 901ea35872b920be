"""`dfa.run` from end to end: what it finds, and what it says of every image.

Everything is computed again from what the oracle saw.
"""

from __future__ import annotations

import io
import math
import sys

import numpy as np
import pytest

import dfa
from oracles import (
    Contradicting,
    Recorder,
    brightness,
    never,
    raising,
    random_images,
)
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES, OPTIMIZERS, SHAPE


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
    with pytest.warns(
        dfa.MostSkippedWarning, match="1 of 1 images were skipped.* has the label 6 and the answer 5; look"
    ):
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
        "give_up_after": None,
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
