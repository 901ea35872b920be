"""An oracle or a disk that fails ends a run, and costs nothing that was paid for."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dfa
from dfa.results.images import AdversarialImages
from dfa.space.ball import BoundBall
from oracles import Recorder, Until, brightness, never, raising
from partial_runs import NUM_CALLS, assert_keeps_what_is_finished, attack
from small_problem import CLASSES, CLASSIFIER, IMAGES, SHAPE


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


@pytest.mark.parametrize("num_calls", [0, 1, 2, 7, NUM_CALLS // 3, NUM_CALLS // 2, NUM_CALLS - 3, NUM_CALLS - 1])
def test_an_oracle_that_raises_gives_back_what_is_finished(whole, num_calls):
    cause = OSError("the line is dead")
    oracle = Recorder(Until(num_calls, CLASSIFIER, raising(cause)))
    with pytest.raises(dfa.OracleError, match=r"failed on a batch of shape .*OSError: the line is dead") as caught:
        attack(oracle)
    assert caught.value.__cause__ is cause
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    # The batch of the other half of the window may be on its way already.
    assert len(oracle.batches) <= num_calls + 2
    unfinished = [record for record in result.records if record.status is dfa.Status.UNFINISHED]
    assert all("the line is dead" in record.reason for record in unfinished)
    assert unfinished
    if num_calls >= NUM_CALLS // 3:
        assert result.success.any()
    if num_calls >= NUM_CALLS - 3:
        assert dfa.Status.FAILURE in result.status
    if num_calls > 7:
        assert any(record.queries_sent > 0 for record in unfinished)


def test_an_image_that_was_only_asked_about_as_it_is_keeps_what_was_said():
    # The batch of clean predictions is larger than there is room for at first.
    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(20, CLASSIFIER, raising(OSError("off"))), batch_size=5, max_queries=10**4)
    result = caught.value.result
    assert result.profile.clean > np.count_nonzero(result.queries_sent)
    for record in result.records:
        is_known = record.index < result.profile.clean
        assert (record.class_before, record.id > 0) == ((CLASSES[record.index], True) if is_known else (None, False))


def all_nan(images):
    return np.full((len(images), 10), np.nan)


def logits(images):
    return CLASSIFIER.activations(images)


def a_row_too_few(images):
    return CLASSIFIER(images)[1:]


def a_row_too_many(images):
    return CLASSIFIER(np.concatenate([images, images[:1]]))


def another_number_of_classes(images):
    return np.full((len(images), 4), 0.25)


UNUSABLE = [
    (all_nan, "must answer with finite scores; it gave nan for class 0 in row 0"),
    (logits, "must answer with probabilities within.*looks like logits.*returns='logits'"),
    (a_row_too_few, r"one row per image and one column per class; it gave shape \("),
    (a_row_too_many, r"one row per image and one column per class; it gave shape \("),
    (another_number_of_classes, "must score the same classes every time; it gave 4 columns, and 10 before"),
]


@pytest.mark.parametrize(
    ("answer", "message", "num_calls"),
    # The first answer cannot have another number of classes than before.
    [(*each, NUM_CALLS // 2) for each in UNUSABLE] + [(*each, 0) for each in UNUSABLE[:-1]],
)
def test_an_answer_that_cannot_be_used_gives_back_what_is_finished(whole, answer, message, num_calls):
    oracle = Recorder(Until(num_calls, CLASSIFIER, answer))
    with pytest.raises(dfa.OracleError, match=message) as caught:
        attack(oracle)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)
    assert caught.value.result.success.any() == (num_calls > 0)


@pytest.mark.parametrize("error", [dfa.InvalidInputError("mine"), dfa.StoreError("mine"), dfa.ObjectiveError("mine")])
def test_an_oracle_that_raises_an_error_of_this_package_loses_nothing_either(whole, error):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(error)))
    with pytest.raises(dfa.DfaError, match="mine") as caught:
        attack(oracle)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)


def test_a_partial_result_can_be_summed_up_and_saved(tmp_path):
    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(NUM_CALLS // 2, CLASSIFIER, raising(OSError("off"))))
    result = caught.value.result
    assert "unfinished" in str(result.summary())
    report = result.save(tmp_path / "partial", oracle=CLASSIFIER)
    assert report.written == report.verified == sum(record.found for record in result.records) > 0


STRIPED = dataclasses.replace(dfa.Racos(), start="stripes", starts=None, archive=False)


def test_images_found_but_not_yet_verified_are_kept():
    # Images fall to their first candidates, and their first verification fails.
    images = np.full((6, *SHAPE), 127, dtype=np.uint8)
    images[:, 0, 0, 0] = np.arange(6)
    seen = set()

    def fails_to_verify(batch):
        keys = [image.tobytes() for image in batch]
        if seen.intersection(keys):
            raise OSError("asked before")
        seen.update(keys)
        return brightness(batch)

    with pytest.raises(dfa.OracleError, match="asked before") as caught:
        dfa.run(fails_to_verify, images, max_queries=100, optimizer=STRIPED)
    result = caught.value.result
    assert not result.success.any()
    assert result.images.held() == [1, 2, 3, 4, 5]
    for record, image in zip(result.records, result.images, strict=True):
        assert record.status is dfa.Status.UNFINISHED
        assert record.found == (image is not None)
        if image is None:
            continue
        assert record.reason.startswith("found but not verified: ")
        assert "asked before" in record.reason
        assert brightness(image[None])[0, 1] > 0.5
        assert record.linf == np.abs(image.astype(int) - images[record.index]).max() <= 10
        assert record.degree == 0.0
        assert record.trace[-1] == (record.queries, 0.0)


def test_a_hit_in_an_iteration_that_is_not_finished_is_kept():
    # Ten candidates per iteration, one per batch: the first is adversarial, the fourth is never answered.
    def class_one(batch):
        return np.repeat([[0.25, 0.75]], len(batch), axis=0)

    answers = Until(1, never, Until(3, class_one, raising(OSError("off"))))
    optimizer = dfa.Racos.paper(targeted=True)
    with pytest.raises(dfa.OracleError, match="off") as caught:
        dfa.run(answers, IMAGES[:1], optimizer=optimizer, batch_size=1)
    (record,) = caught.value.result.records
    assert record.status is dfa.Status.UNFINISHED
    assert record.found
    assert (record.queries, record.queries_sent) == (1, 4)
    assert record.linf == np.abs(caught.value.result.images[0].astype(int) - IMAGES[0]).max() <= 10


def test_a_disk_that_is_full_keeps_what_was_kept(monkeypatch, whole):
    put = AdversarialImages.put
    held = []

    def put_until_full(self, index, image):
        if len(held) == 5:
            raise dfa.StoreError("no room")
        held.append(index)
        put(self, index, image)

    monkeypatch.setattr(AdversarialImages, "put", put_until_full)
    with pytest.raises(dfa.StoreError, match="no room") as caught:
        attack(CLASSIFIER)
    assert caught.value.result.images.held() == sorted(held)


def test_what_was_found_is_held_against_its_space_apart_from_the_search(monkeypatch):
    monkeypatch.setattr(BoundBall, "why_broken", lambda *_: "it is elsewhere")
    with pytest.raises(dfa.SpaceError, match="is not of the search space: it is elsewhere; this is a defect of dfa"):
        attack(CLASSIFIER)
