"""The search around a vector that rounding made benign: it finds what is there, inside its box and its budget."""

from __future__ import annotations

import math

import numpy as np
import pytest

import dfa
from dfa.auditing.repair_report import RepairStatus
from dfa.errors import InvalidInputError, OracleError
from oracles import Recorder
from reference import lattice

WEIGHTS = np.array([3.0, -2.0, 5.0, -7.0, 1.0, 4.0, -1.0, 2.0, 6.0])
SHAPE = (3, 3, 1)
SUM = 1100


def linear(limit):
    """Class 1 of levels (n, 3, 3, 1) whose weighted sum is past that of the originals by more than a limit."""

    def scores(levels):
        above = levels.reshape(len(levels), -1).astype(np.float64) @ WEIGHTS - SUM - limit
        probability = 0.5 + above / (2 * (np.abs(above) + 50))
        return np.stack([1 - probability, probability], axis=1)

    return scores


def originals_of(number, seed=0):
    """Images of 3x3 values of one weighted sum, so that one limit serves all."""
    rng = np.random.default_rng(seed)
    images = []
    while len(images) < number:
        image = rng.integers(90, 111, 9)
        image[4] += SUM - int(image @ WEIGHTS)
        if 20 <= image[4] <= 235:
            images.append(image)
    return np.array(images, dtype=np.uint8).reshape(number, *SHAPE)


ORIGINALS = originals_of(12)
# Half a level, or a little less, each way that helps: rounding to nearest takes all of it back.
SHIFT = 0.4 * np.sign(WEIGHTS).reshape(SHAPE)
VECTORS = (ORIGINALS + SHIFT) / 255
REACH = float(0.4 * np.abs(WEIGHTS).sum())


def repair(vectors=VECTORS, oracle=None, **arguments):
    oracle = linear(REACH - 1) if oracle is None else oracle
    return dfa.repair(oracle, ORIGINALS, vectors, **arguments)


@pytest.mark.parametrize("stage", ["outward", "stochastic", "blocks", "coordinates"])
def test_every_stage_mends_what_it_can(stage):
    report = repair(stages=(stage,), num_stochastic=200)
    summary = report.summary()
    assert (summary.kept, summary.repaired, summary.failed) == (0, 12, 0)
    assert (summary.GAP_before, summary.GAP_after, summary.closed) == (1, 0, 1)
    assert summary.by_stage == dict.fromkeys(["outward", "stochastic", "blocks", "coordinates"], 0) | {stage: 12}
    for record in report.records:
        image = report.images[record.index]
        levels = VECTORS[record.index] * 255
        assert np.all((image == np.floor(levels)) | (image == np.ceil(levels)))
        assert linear(REACH - 1)(image[None]).argmax() == 1 == record.class_after
        assert record.linf == 1
        assert record.linf_vector == pytest.approx(0.4)
        assert (record.free, record.degree, record.class_before) == (9, 0, 0)
    assert report.queries["candidates"] == sum(record.queries for record in report.records)
    assert summary.queries_mean == report.queries["candidates"] / 12


def test_outward_needs_one_query():
    report = repair()
    assert [record.queries for record in report.records] == [1] * 12
    assert report.queries == {"clean": 12, "candidates": 12, "nearest and confirmed": 24, "vectors": 0}


def test_one_coordinate_at_a_time_finds_the_best_corner_of_a_linear_model():
    # Only the best of the 512 images of each box is past the limit.
    report = repair(oracle=linear(np.abs(WEIGHTS).sum() - 0.5), stages=("coordinates",))
    assert report.summary().repaired == 12
    assert max(record.queries for record in report.records) <= 9
    report = repair(oracle=linear(np.abs(WEIGHTS).sum() - 0.5), stages=("blocks",))
    assert report.summary().repaired == 12


def test_where_there_is_none_it_ends_and_says_why():
    recorder = Recorder(linear(np.abs(WEIGHTS).sum() + 0.5))
    report = repair(oracle=recorder)
    assert {record.status for record in report.records} == {RepairStatus.FAILED}
    assert {record.reason for record in report.records} == {"no flip helps any more"}
    assert report.images == {}
    assert report.summary().GAP_after == 1
    assert all(record.degree > 0 for record in report.records)
    # Much fewer than the 512 images of the box.
    assert max(record.queries for record in report.records) < 100


@pytest.mark.parametrize("budget", [1, 3, 10])
def test_the_budget_is_kept_to_the_query(budget):
    recorder = Recorder(linear(np.abs(WEIGHTS).sum() + 0.5))
    report = repair(oracle=recorder, max_queries=budget)
    assert [record.queries for record in report.records] == [budget] * 12
    assert {record.reason for record in report.records} == {"out of queries"}
    # The original and the nearest image are asked apart.
    assert recorder.num_images == 12 * (budget + 2)


@pytest.mark.parametrize("epsilon", [1, 2, [1] * 6 + [2] * 6])
def test_no_candidate_is_past_epsilon(epsilon):
    vectors = (ORIGINALS + 6 * SHIFT) / 255  # 2.4 levels away
    recorder = Recorder(linear(10_000.0))
    report = repair(vectors, oracle=recorder, epsilon=epsilon, max_queries=50)
    limits = np.broadcast_to(epsilon, (12,))
    for index, original in enumerate(ORIGINALS):
        around = recorder.around(original, 5)
        assert np.abs(around.astype(int) - original).max() == limits[index]
    # All coordinates end on the ball, where nothing is left to choose.
    assert {record.reason for record in report.records} == {"nothing to choose between"}
    assert [record.queries for record in report.records] == [0] * 12
    free = repair(vectors, epsilon=3).records
    assert {record.free for record in free} == {9}


def test_what_is_adversarial_when_rounded_is_kept():
    vectors = (ORIGINALS + 0.6 * np.sign(WEIGHTS).reshape(SHAPE)) / 255
    report = repair(vectors)
    assert report.summary().kept == 12
    assert math.isnan(report.summary().closed)
    assert report.queries["candidates"] == 0
    assert np.array_equal(report.images[3], np.rint(vectors[3] * 255))


def test_coordinates_that_were_never_touched_stay():
    shift = SHIFT.copy()
    shift[0] = 0
    # Arithmetic leaves whole levels a little beside themselves.
    vectors = (ORIGINALS + shift + 1e-4) / 255
    recorder = Recorder(linear(1_000.0))
    report = repair(vectors, oracle=recorder)
    assert {record.free for record in report.records} == {6}
    for original in ORIGINALS:
        assert np.array_equal(
            recorder.around(original, 1)[:, 0], np.broadcast_to(original[0], (len(recorder.around(original, 1)), 3, 1))
        )


def test_only_the_attacks_successes_are_tried():
    claimed = np.arange(12) < 5
    labels = np.zeros(12, dtype=int)
    labels[0] = 1
    report = repair(claimed=claimed, labels=labels)
    assert [record.status.value for record in report.records] == ["skipped"] + ["repaired"] * 4 + ["skipped"] * 7
    assert report.records[0].reason == "misclassified"
    assert report.records[6].reason == "the vector is not adversarial"
    assert report.summary().vectors == 4
    # Asked instead: the model of vectors finds none beyond this limit.
    report = repair(oracle=linear(REACH + 1), vector_oracle=lambda v: linear(REACH + 1)(v * 255))
    assert report.summary().vectors == 0
    assert report.queries["vectors"] == 12
    report = repair(vector_oracle=lambda v: linear(REACH - 1)(v * 255))
    assert report.summary().repaired == 12


def test_targets():
    def three(levels):
        scores = linear(REACH - 1)(levels)
        return np.stack([scores[:, 0], np.zeros(len(scores)), scores[:, 1]], axis=1)

    report = repair(oracle=three, targets=2)
    assert report.summary().repaired == 12
    assert {record.target for record in report.records} == {2}
    report = repair(oracle=three, targets=1, max_queries=30)
    assert report.summary().failed == 12
    assert {record.reason for record in repair(oracle=three, targets=0).records} == {"already the target class"}


def test_results_do_not_depend_on_the_batch_or_the_order():
    oracle = linear(np.abs(WEIGHTS).sum() - 0.5)
    stages = ("stochastic", "blocks")
    wanted = repair(oracle=oracle, stages=stages)
    assert wanted.summary().by_stage["blocks"] > 0
    for batch_size in (1, 5, 100):
        recorder = Recorder(oracle)
        found = repair(oracle=recorder, stages=stages, batch_size=batch_size)
        assert found.records == wanted.records
        assert max(map(len, recorder.batches)) <= batch_size
    order = np.random.default_rng(0).permutation(12)
    found = dfa.repair(oracle, ORIGINALS[order], VECTORS[order], stages=stages)
    for place, index in enumerate(order):
        assert np.array_equal(found.images[place], wanted.images[index])
        assert found.records[place].queries == wanted.records[index].queries
    assert [record.queries for record in repair(oracle=oracle, stages=stages, seed=1).records] != [
        record.queries for record in wanted.records
    ]


def test_the_search_is_that_of_the_reference():
    weights = np.sign(WEIGHTS).reshape(SHAPE)
    oracle = linear(np.abs(WEIGHTS).sum() - 0.5)
    recorder = Recorder(oracle)
    report = repair(oracle=recorder, stages=("stochastic", "blocks"), num_stochastic=3, seed=5, ids=np.arange(12) + 40)
    for index, original in enumerate(ORIGINALS):
        box = lattice.Box.around(VECTORS[index] * 255, original, 255)
        assert np.array_equal(box.nearest, original)

        def degree(image):
            scores = oracle(image[None])
            return float(np.log(scores[0, 0]) - np.log(scores[0, 1]))

        steps = lattice.search(
            box, degree(box.nearest), stages=("stochastic", "blocks"), num_stochastic=3, seed=5, image_id=40 + index
        )
        asked = 0
        _, image = next(steps)
        while True:
            asked += 1
            if oracle(image[None]).argmax() == 1:
                break
            _, image = steps.send(degree(image))
        assert report.records[index].queries == asked
        assert np.array_equal(report.images[index], image)
        assert np.array_equal(image - original.astype(int), (weights > 0) * 1 - (weights < 0))


def test_results_do_not_depend_on_the_threads():
    # Images large enough that the core does work in parallel.
    rng = np.random.default_rng(0)
    originals = rng.integers(60, 190, (24, 128, 128, 3), dtype=np.uint8)
    vectors = (originals + rng.uniform(-2, 2, originals.shape)) / 255
    # The first value names the image, whole so that no candidate changes it.
    names = np.arange(24, dtype=np.uint8)
    originals[:, 0, 0, 0] = names
    vectors[:, 0, 0, 0] = names / 255
    wanted = np.rint(vectors * 255).sum(axis=(1, 2, 3)) + 150

    def brighter(levels):
        above = levels.sum(axis=(1, 2, 3), dtype=np.float64) - wanted[np.searchsorted(names, levels[:, 0, 0, 0])]
        probability = 0.5 + above / (2 * (np.abs(above) + 50))
        return np.stack([1 - probability, probability], axis=1)

    reports = [
        dfa.repair(brighter, originals, vectors, stages=("stochastic", "blocks"), max_queries=60, threads=threads)
        for threads in (1, 3)
    ]
    assert reports[0].summary().repaired > 12
    assert reports[0].summary().by_stage["blocks"] > 0
    assert reports[0].records == reports[1].records
    for index, image in reports[0].images.items():
        assert np.array_equal(image, reports[1].images[index])


def test_a_success_that_is_taken_back_is_none():
    seen = set()

    def fickle(levels):
        scores = linear(REACH - 1)(levels)
        for row, image in enumerate(levels):
            if scores[row, 1] > 0.5:
                if image.tobytes() in seen:
                    scores[row] = [0.9, 0.1]
                seen.add(image.tobytes())
        return scores

    report = repair(oracle=fickle)
    assert {record.reason for record in report.records} == {"the oracle took its answer back"}
    assert report.images == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"epsilon": 0}, "epsilon must be None"),
        ({"epsilon": 0.5}, "epsilon must be None"),
        ({"epsilon": [1] * 3}, "epsilon must be None"),
        ({"max_queries": 0}, "max_queries must be an integer"),
        ({"stages": ("up",)}, "stages must be one of 'outward'"),
        ({"num_stochastic": -1}, "num_stochastic must be"),
        ({"vectors": VECTORS * 255}, "must lie within grey levels"),
        ({"vectors": VECTORS[:3]}, "one per original"),
        ({"normalizer": (lambda d: d / 255, lambda v: v * 256)}, r"T\^-1\(T\(d\)\)"),
        ({"labels": [0] * 3}, "labels must be"),
        ({"claimed": [1] * 12}, "claimed must be bool"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"threads": 0}, "threads must be"),
        ({"objective": "steep"}, "objective must be"),
    ],
)
def test_what_cannot_be_repaired_is_refused(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        repair(**arguments)


def test_an_error_keeps_what_had_ended():
    def fails_late(levels):
        if len(recorder.batches) > 8:
            raise ConnectionError("gone")
        return linear(REACH - 1)(levels)

    recorder = Recorder(fails_late)
    with pytest.raises(OracleError, match="gone") as caught:
        repair(oracle=recorder, batch_size=4)
    assert 0 < len(caught.value.result.records) < 12
    assert set(caught.value.result.images) == {record.index for record in caught.value.result.records}


def test_the_summary_is_readable():
    text = str(repair().summary())
    assert "12 repaired" in text
    assert "12 outward" in text
    assert repr(repair()) == "RepairReport(12 vectors, 12 adversarial images)"
