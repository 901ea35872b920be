"""Runs by labels alone: every query counts, and neither batches, threads, order nor interruptions change anything."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError, OracleError
from oracles import Recorder, Until, brightness, raising
from outcomes import outcomes, timeless
from shown import ALONE, attack, label, of_labels
from small_problem import CLASSIFIER, IMAGES, SHAPE

STEPS = dataclasses.replace(ALONE, start="stripes")
"""Without textured starts there are no rays, and steps beyond candidates are asked."""


@pytest.mark.parametrize("optimizer", [ALONE, STEPS], ids=["rays", "steps"])
def test_labels_find_more_than_chance_does(optimizer):
    """Where nothing is asked beyond it, a candidate is no better than another, and the search walks at random."""
    settings = {"max_queries": 400, "epsilon": 12, "optimizer": optimizer}

    def one_hot(images):
        return np.eye(10)[label(images)]

    assert attack(of_labels(), **settings).success.sum() >= attack(one_hot, **settings).success.sum() + 3


@pytest.mark.parametrize(
    ("oracle", "optimizer", "wanted"),
    [
        (of_labels(), None, 0.0),
        (of_labels(), dfa.Racos(archive=False), 0.0),
        (of_labels(), dfa.Racos(improvements=2.0), 2.0),
        (CLASSIFIER, None, 1.0),
    ],
)
def test_by_labels_candidates_go_one_at_a_time_unless_told_otherwise(oracle, optimizer, wanted):
    result = attack(oracle, max_queries=40, optimizer=optimizer)
    assert result.config["optimizer"].improvements_wanted == wanted


@pytest.mark.parametrize(
    ("shape", "space", "targets", "settings"),
    [
        ("ray", dfa.LinfBall(8), None, {}),
        ("ray", dfa.LinfBall(8, np.indices(SHAPE[:2]).sum(axis=0) % 3 > 0), None, {}),
        ("window", dfa.LinfBall(8), 3, {}),
        ("window", dfa.LinfBall(8), None, {"optimizer": STEPS}),
        ("scattered", dfa.LinfBall(8), None, {"optimizer": dfa.Racos.paper()}),
        ("own", dfa.Pixels(2), None, {}),
        ("window", dfa.LinfBall(8), None, {"optimizer": dfa.Racos(samples=12, starts=None)}),
        (
            "window",
            dfa.LinfBall(8),
            None,
            {"optimizer": dfa.Racos(values="uniform", region="ordered", improvements=0.0)},
        ),
    ],
)
def test_rays_lie_in_a_ball_and_lead_from_an_image(shape, space, targets, settings):
    result = attack(of_labels(), epsilon=10, space=space, targets=targets, max_queries=30, **settings)
    assert result.config["optimizer"].shape == shape


@pytest.mark.parametrize("max_queries", [10, 11, 30, 151])
@pytest.mark.parametrize("batch_size", [1, 7, 64])
@pytest.mark.parametrize(("optimizer", "each"), [(None, 1), (STEPS, 2)], ids=["rays", "steps"])
def test_every_image_that_a_label_costs_is_counted(max_queries, batch_size, optimizer, each):
    recorder = Recorder(label)
    oracle = of_labels(recorder)
    result = attack(oracle, max_queries=max_queries, batch_size=batch_size, optimizer=optimizer)
    profile = result.profile
    sent = int(result.queries_sent.sum())
    assert recorder.num_images == sent + profile.clean + profile.verification
    assert profile.rows_sent == sent
    assert profile.batches == sum(len(batch) > 0 for batch in recorder.batches) - _aside(recorder, profile)
    assert max(map(len, recorder.batches)) <= batch_size
    assert profile.occupancy <= 1
    assert result.queries_sent.max() <= max_queries
    for record in result.records:
        assert record.queries_sent % each == 0
        assert record.queries <= record.queries_sent
        assert all(queries <= record.queries_sent for queries, _ in record.trace)
        if not record.found:
            # What is left is too little for a candidate.
            assert max_queries - each < record.queries_sent <= max_queries
            assert record.reason == "query budget"


def _aside(recorder, profile):
    """Return the calls that were no attack, which come alone."""
    return len(recorder.batches) - profile.batches


@pytest.mark.parametrize(("optimizer", "each"), [(ALONE, 1), (STEPS, 2)], ids=["rays", "steps"])
def test_the_queries_of_a_success_end_with_the_candidate_itself(optimizer, each):
    result = attack(of_labels(), max_queries=300, optimizer=optimizer)
    checked = 0
    for index in np.flatnonzero(result.success):
        # Of one image alone the order is known: the clean image, then candidate and step in turn.
        alone = Recorder(label)
        single = attack(of_labels(alone), IMAGES[[index]], max_queries=300, optimizer=optimizer, batch_size=1)
        (own,) = single.records
        if not own.verified:
            continue
        asked = alone.images[1:]
        assert own.queries % each == 1 % each
        np.testing.assert_array_equal(asked[own.queries - 1], single.images[0])
        (before,) = label(IMAGES[[index]])
        # No candidate before it had another label, whatever was seen beyond the ball.
        within = [image for image in asked[: own.queries - 1] if np.abs(image.astype(int) - IMAGES[index]).max() <= 8]
        assert all(label(image[None])[0] == before for image in within)
        checked += own.queries > 20 and len(within) > 10
    assert checked


def test_a_step_beyond_is_no_success():
    """A step that leaves epsilon may be of another class; only a candidate can be adversarial."""

    def bright(images):
        return (images.reshape(len(images), -1).mean(axis=1) > 135).astype(np.int64)

    images = np.full((3, *SHAPE), 120, dtype=np.uint8)
    recorder = Recorder(bright)
    result = attack(dfa.as_oracle(recorder, returns="label", num_classes=2), images, max_queries=60, epsilon=10)
    assert (bright(recorder.images) == 1).any()
    assert not result.success.any()
    assert not any(record.found for record in result.records)
    assert all(record.degree > 0 for record in result.records)


def test_the_budget_must_hold_the_start(tmp_path):
    with pytest.raises(InvalidInputError, match="at least the population of 2"):
        attack(of_labels(), max_queries=1)
    with pytest.raises(InvalidInputError, match="at least 2 times the population of 2"):
        attack(of_labels(), max_queries=3, optimizer=STEPS)
    with pytest.raises(InvalidInputError, match=r"interval \(at least four batches\)"):
        attack(of_labels(), store=dfa.Storage(tmp_path, interval=64), batch_size=16, optimizer=STEPS)


SETTINGS = [
    pytest.param({"optimizer": ALONE}, id="default"),
    pytest.param({"optimizer": ALONE, "targets": 3}, id="targeted"),
    pytest.param({"optimizer": dfa.Racos.paper()}, id="paper"),
    pytest.param({"optimizer": STEPS}, id="steps"),
    pytest.param({}, id="archive"),
]


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("settings", SETTINGS)
def test_labels_give_the_same_for_any_batch_size_and_threads(settings):
    first = attack(of_labels(), batch_size=64, **settings)
    assert len(set(first.queries.tolist())) > 3
    for batch_size, threads in ((1, 1), (3, 2), (17, 1), (256, 2)):
        assert outcomes(attack(of_labels(), batch_size=batch_size, threads=threads, **settings)) == outcomes(first)


@pytest.mark.parametrize("settings", SETTINGS[:4])
def test_labels_give_the_same_in_any_order(settings):
    in_order = outcomes(attack(of_labels(), **settings))
    order = np.random.default_rng(1).permutation(len(IMAGES))
    shuffled = outcomes(attack(of_labels(), IMAGES[order], **settings))
    assert shuffled == [in_order[index] for index in order]


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("batch_size", [4, 5])
def test_a_run_of_labels_that_was_cut_short_goes_on_to_the_bit(settings, batch_size, tmp_path):
    settings = settings | {"batch_size": batch_size}
    whole_oracle = Recorder(label)
    whole = attack(of_labels(whole_oracle), **settings)
    num_calls = len(whole_oracle.batches)
    for part in (0.2, 0.5, 0.8):
        folder = tmp_path / str(part)
        storage = dfa.Storage(folder, resume=True, interval=40)
        cut = Recorder(Until(int(part * num_calls), label, raising(OSError("off"))))
        with pytest.raises(OracleError):
            attack(of_labels(cut), store=storage, **settings)
        rest = Recorder(label)
        result = attack(of_labels(rest), store=storage, **settings)
        assert timeless(result.records) == timeless(whole.records)
        assert result.profile.rows_sent == whole.profile.rows_sent
        assert result.profile.batches == whole.profile.batches
        assert result.profile.rows_capacity == whole.profile.rows_capacity
        for index in whole.images.held():
            np.testing.assert_array_equal(result.images[index], whole.images[index])
        # Saving and the probes on resuming ask too; what is sent twice is what was sent after the checkpoint.
        assert 0 <= result.profile.resent <= 40 + 8


def test_verify_and_save_ask_labels(tmp_path):
    result = attack(of_labels(), epsilon=30, max_queries=300)
    report = result.save(tmp_path / "labels", oracle=of_labels())
    assert report.verified == report.written == result.success.sum() > 0
    verification = dfa.verify(tmp_path / "labels", of_labels())
    assert verification.holds


def test_repair_asks_labels():
    two = dfa.label_only(brightness, num_classes=2)
    images = np.full((2, 4, 4, 1), 126, dtype=np.uint8)
    vectors = np.full((2, 4, 4, 1), 127.6 / 255, dtype=np.float32)
    report = dfa.repair(two, images, vectors, normalizer=dfa.Affine())
    assert len(report.records) == 2
