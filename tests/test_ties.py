"""A tie is no success, wherever success is told and whichever class has the smaller id."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.auditing.repair_report import RepairStatus
from dfa.oracle.choice import top_k

SHAPE = (4, 4, 1)
IMAGES = np.full((3, *SHAPE), 100, dtype=np.uint8)
TIED = np.full((3, *SHAPE), 140, dtype=np.uint8)
BRIGHT = np.full((3, *SHAPE), 170, dtype=np.uint8)
REACHES_A_TIE, REACHES_MORE = 40, 70

# Which column is that of dark images; the other one is that of bright ones.
DARK = [0, 1]


def answers_in_eighths(dark, images):
    """As a model of few bits: images of mean 96 to 127 are dark, and from 160 on bright; in between the two tie."""
    eighths = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64) // (images[0].size * 32)
    scores = np.stack([8 - eighths, eighths], axis=1) / 8
    return scores if dark == 0 else scores[:, ::-1]


def oracle_of(dark):
    return lambda images: answers_in_eighths(dark, images)


def vector_oracle_of(dark):
    return lambda vectors: answers_in_eighths(dark, np.rint(vectors * 255).astype(np.uint8))


def argmax_degree(scores, classes):
    """A degree of a user's, who takes the first of the likeliest for the class."""
    own = scores[np.arange(len(scores)), classes]
    return np.where(scores.argmax(axis=1) == classes, 1.0 + own, 0.0)


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("is_targeted", [False, True])
@pytest.mark.parametrize("objective", ["odds", "log", "paper"])
@pytest.mark.parametrize("confirmations", [1, 2])
def test_a_run_ends_in_success_strictly_above_and_not_at_a_tie(dark, is_targeted, objective, confirmations):
    settings = {"objective": objective, "confirmations": confirmations, "max_queries": 60, "progress": False}
    targets = 1 - dark if is_targeted else None
    tied = dfa.run(oracle_of(dark), IMAGES, targets=targets, epsilon=REACHES_A_TIE, **settings)
    assert not any(record.found for record in tied.records)
    # So far the search got, and so it was a tie that was refused.
    assert min(record.degree for record in tied.records) < 1e-300
    above = dfa.run(oracle_of(dark), IMAGES, targets=targets, epsilon=REACHES_MORE, **settings)
    assert above.success.all()
    for image in above.images:
        own, other = answers_in_eighths(0, image[None])[0]
        assert other > own


def test_the_ids_of_the_classes_decide_nothing():
    runs = [dfa.run(oracle_of(dark), IMAGES, epsilon=REACHES_MORE, progress=False) for dark in DARK]
    assert runs[0].queries.tolist() == runs[1].queries.tolist()
    assert all((one == other).all() for one, other in zip(runs[0].images, runs[1].images, strict=True))


@pytest.mark.parametrize("dark", DARK)
def test_a_tie_that_a_users_degree_takes_for_success_is_none(dark):
    result = dfa.run(
        oracle_of(dark), IMAGES, epsilon=REACHES_A_TIE, objective=argmax_degree, max_queries=40, progress=False
    )
    assert not any(record.found for record in result.records)


@pytest.mark.parametrize("dark", DARK)
def test_a_tie_of_the_likeliest_classes_is_none(dark):
    oracle = top_k(oracle_of(dark), 2, num_classes=2)
    result = dfa.run(oracle, IMAGES, epsilon=REACHES_A_TIE, max_queries=40, progress=False)
    assert not any(record.found for record in result.records)


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("by", ["votes", "probabilities"])
def test_a_member_of_a_vote_that_ties_shares_its_vote(dark, by):
    vote = dfa.pipelines.Vote([oracle_of(dark), oracle_of(dark)], by=by)
    np.testing.assert_array_equal(vote.scores(TIED), np.full((3, 2), 0.5))
    result = dfa.run(vote, IMAGES, epsilon=REACHES_A_TIE, max_queries=40, progress=False)
    assert not any(record.found for record in result.records)


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("is_targeted", [False, True])
def test_files_that_tie_are_refuted_when_saved_and_verified(dark, is_targeted, tmp_path):
    targets = 1 - dark if is_targeted else None
    result = dfa.run(oracle_of(dark), IMAGES, targets=targets, epsilon=REACHES_MORE, progress=False)

    def tying(images):
        return np.where((images > 100).any(axis=(1, 2, 3))[:, None], 0.5, answers_in_eighths(dark, images))

    with pytest.warns(dfa.RefutedFilesWarning):
        assert len(result.save(tmp_path / "tied", oracle=tying).refuted) == 3
    result.save(tmp_path / "run", oracle=oracle_of(dark))
    assert dfa.verify(tmp_path / "run", oracle_of(dark)).holds
    assert dfa.verify(tmp_path / "run", tying).failed("adversarial") == 3


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("targets", [None, "other"])
def test_another_attacks_images_that_tie_are_no_successes(dark, targets):
    targets = None if targets is None else 1 - dark
    vectors = np.concatenate([TIED[:2], BRIGHT[2:]]) / 255.0
    report = dfa.audit(oracle_of(dark), IMAGES, vectors, targets=targets, vector_oracle=vector_oracle_of(dark))
    assert (report.class_vector == (1 - dark)).tolist() == [False, False, True]
    assert (report.class_image[0] == (1 - dark)).tolist() == [False, False, True]


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("targets", [None, "other"])
def test_a_repair_does_not_end_at_a_tie(dark, targets):
    targets = None if targets is None else 1 - dark
    # Half-way between the grey levels of a tie and of success: to the nearest one it is a tie.
    vectors = np.full((3, *SHAPE), 159.4) / 255.0
    report = dfa.repair(oracle_of(dark), IMAGES, vectors, targets=targets, claimed=np.ones(3, dtype=bool))
    for record in report.records:
        assert record.status is RepairStatus.REPAIRED
        own, other = answers_in_eighths(0, report.images[record.index][None])[0]
        assert other > own
    tied = dfa.repair(oracle_of(dark), IMAGES, TIED / 255.0, targets=targets, claimed=np.ones(3, dtype=bool))
    assert {record.status for record in tied.records} == {RepairStatus.FAILED}
    asked = dfa.repair(oracle_of(dark), IMAGES, TIED / 255.0, targets=targets, vector_oracle=vector_oracle_of(dark))
    assert {record.reason for record in asked.records} == {"the vector is not adversarial"}


@pytest.mark.parametrize("dark", DARK)
@pytest.mark.parametrize("is_targeted", [False, True])
def test_a_claim_that_ties_when_it_is_asked_again_is_not_confirmed(dark, is_targeted):
    seen = set()

    def tying_the_second_time(images):
        scores = answers_in_eighths(dark, images).copy()
        for row, image in enumerate(images):
            if image.tobytes() in seen and image.mean() > 100:
                scores[row] = 0.5
            seen.add(image.tobytes())
        return scores

    targets = 1 - dark if is_targeted else None
    result = dfa.run(tying_the_second_time, IMAGES, targets=targets, epsilon=REACHES_MORE, progress=False)
    assert {record.reason for record in result.records} == {"not verified"}


@pytest.mark.parametrize("dark", DARK)
def test_a_file_that_ties_in_a_batch_only_is_found_by_verify(dark, tmp_path):
    dfa.run(oracle_of(dark), IMAGES, epsilon=REACHES_MORE, progress=False).save(tmp_path)

    def tying_in_batches(images):
        scores = answers_in_eighths(dark, images)
        return np.full_like(scores, 0.5) if len(images) > 1 and (images > 100).any() else scores

    assert dfa.verify(tmp_path, tying_in_batches).failed("batch") == 3
