"""Runs that end early, and what their results must hold."""

from __future__ import annotations

import dfa
from oracles import Recorder
from small_problem import CLASSES, CLASSIFIER, IMAGES


def attack(oracle, images=IMAGES, **settings):
    # A small batch, so that some images are finished long before others.
    return dfa.run(oracle, images, **{"epsilon": 8, "max_queries": 150, "batch_size": 4, "threads": 1, **settings})


def assert_keeps_what_is_finished(result, oracle, whole):
    """Check a partial result against the run that was not cut short, and against what the oracle was asked."""
    assert [record.index for record in result.records] == list(range(len(IMAGES)))
    for index, (record, expected) in enumerate(zip(result.records, whole.records, strict=True)):
        image = result.images[index]
        assert (image is not None) == record.found
        if image is not None:
            assert (image == whole.images[index]).all()
            assert CLASSIFIER.classes(image[None])[0] != CLASSES[index]
            assert (record.linf, record.l0, record.l2) == (expected.linf, expected.l0, expected.l2)
            assert record.queries == expected.queries
            assert record.trace == expected.trace
        if record.status is dfa.Status.UNFINISHED:
            assert record.reason != ""
            assert record.queries_sent <= expected.queries_sent
            assert record.trace == expected.trace[: len(record.trace)]
        else:
            assert record.status is expected.status
            assert (record.queries, record.queries_sent) == (expected.queries, expected.queries_sent)
    summary = result.summary()
    assert summary.unfinished + summary.attacked == len(IMAGES)
    profile = result.profile
    assert oracle.num_images == profile.clean + profile.verification + result.queries_sent.sum()


def number_of_calls():
    oracle = Recorder(CLASSIFIER)
    attack(oracle)
    return len(oracle.batches)


NUM_CALLS = number_of_calls()
