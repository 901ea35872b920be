"""Spaces, kinds of answers, pipelines and confirmations were built apart, and go together."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dfa

CLASSES = 5
RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 8, 8, 3), dtype=np.uint8)
WEIGHTS = RNG.normal(size=(8 * 8 * 3, CLASSES))


def classifier(batch):
    # Row by row, so that answers do not depend on what else is in the batch.
    logits = np.array([(row.reshape(-1) / 255) @ WEIGHTS for row in batch])
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    return exponentials / exponentials.sum(axis=1, keepdims=True)


SPACES = [
    dfa.LinfBall(20),
    dfa.Pixels(3),
    dfa.Patch(3),
    dfa.Frame(1),
    dfa.Rectangle(3, 3),
    dfa.TinyRectangles(4, 1),
    dfa.Lighting(64, 32),
    dfa.Tiled(dfa.LinfBall(30), 2),
    dfa.Shift(2, 2),
]
ORACLES = {
    "all": (classifier, {}),
    "top_2": (dfa.top_k(classifier, 2, num_classes=CLASSES), {}),
    "top_1": (dfa.top_1(classifier, num_classes=CLASSES), {}),
    "label": (dfa.label_only(classifier, num_classes=CLASSES), {}),
    "pipeline": (dfa.Pipeline([dfa.pipelines.BitDepth(5)], dfa.label_only(classifier, num_classes=CLASSES)), {}),
    "confirmed": (classifier, {"confirmations": 3}),
}


@pytest.mark.parametrize("oracle", ORACLES)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: type(space).__name__)
def test_every_space_goes_with_every_oracle_whatever_the_batches(space, oracle):
    model, arguments = ORACLES[oracle]

    def attack(batch_size):
        result = dfa.run(
            model, IMAGES, space=space, max_queries=150, batch_size=batch_size, progress=False, **arguments
        )
        assert all(record.queries_sent <= 150 for record in result.records)
        return [dataclasses.replace(record, seconds=0.0) for record in result.records], result

    records, result = attack(16)
    assert attack(5)[0] == records
    assert result.summary().SR == result.summary().TSR
    for record in result.records:
        if record.status is dfa.Status.SUCCESS:
            shown = dfa.Pipeline([dfa.pipelines.BitDepth(5)], classifier).scores if oracle == "pipeline" else classifier
            assert shown(result.images[record.index][np.newaxis]).argmax() == record.class_after != record.class_before


def test_labels_alone_need_images():
    table = RNG.integers(0, 1000, (4, 8 * 8 * 3))
    space = dfa.Custom(-np.full(192, 50), np.full(192, 50), lambda rows, x: rows + x)
    with pytest.raises(dfa.InvalidInputError, match=r"by labels alone only images can be searched.*Custom"):
        dfa.run(dfa.label_only(classifier, num_classes=CLASSES), table, space=space, progress=False)


def test_repeated_answers_are_about_what_the_oracle_was_shown():
    """Of a user's space the core's rows are vectors, and what is asked again are rows of the table."""
    table = RNG.integers(0, 256, (6, 8 * 8 * 3))
    space = dfa.Custom(-np.full(192, 50), np.full(192, 50), lambda rows, x: np.clip(rows + x, 0, 255))
    once = dfa.run(classifier, table, space=space, max_queries=300, progress=False)
    thrice = dfa.run(classifier, table, space=space, max_queries=300, confirmations=3, progress=False)
    assert thrice.success.sum() > 0
    assert thrice.queries.tolist() == once.queries.tolist()
    assert all(record.agreeing == 3 for record in thrice.records if record.status is dfa.Status.SUCCESS)
