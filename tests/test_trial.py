"""The trial on noise: which models are told of, and which are asked row by row."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

from dfa.errors import RandomAnswersWarning
from dfa.oracle.adapters.static_batch import ask_in_batches
from dfa.oracle.adapters.trial import rows_after_trial

SHAPE = (4, 4, 3)


def scores(batch):
    return batch.reshape(len(batch), -1)[:, :2].astype(np.float32)


def by_place(batch):
    # Seen in the last row alone, as rows are that a kernel leaves over.
    answer = scores(batch)
    answer[-1] = np.nextafter(answer[-1], np.float32(np.inf))
    return answer


def after(ask, rows=8, free=True):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return rows_after_trial(rows, SHAPE, ask, "model", free=free)


def test_only_a_model_that_minds_places_is_asked_row_by_row():
    assert after(scores) == 8
    assert after(by_place) == 1


def test_a_number_that_somebody_chose_stays():
    assert after(by_place, free=False) == 8
    assert after(scores, rows=None) is None
    assert after(scores, rows=1) == 1


def test_a_random_model_is_told_of_and_rounding_from_call_to_call_is_not():
    rng = np.random.default_rng(0)
    with pytest.warns(RandomAnswersWarning, match=r"'model' answers otherwise .* pass confirmations="):
        assert rows_after_trial(8, SHAPE, lambda batch: rng.random((len(batch), 2)), "model", free=True) == 8
    assert after(lambda batch: scores(batch) + rng.random((len(batch), 2)) * 1e-6) == 8


def test_no_numbers_are_themselves():
    rng = np.random.default_rng(0)
    assert after(lambda batch: np.full((len(batch), 2), np.nan, dtype=np.float16)) == 8
    assert after(lambda batch: np.stack([rng.random(len(batch)) * 1e-6, np.full(len(batch), np.nan)], 1)) == 8


def test_labels_that_change_are_told_of():
    labels = iter([np.zeros(8, dtype=np.int64), np.ones(8, dtype=np.int64)])
    with pytest.warns(RandomAnswersWarning):
        rows_after_trial(8, SHAPE, lambda batch: next(labels), "model", free=True)


def by_neighbours(batch):
    return scores(batch) / max(1.0, batch.max() / 200)


def test_a_model_that_minds_its_neighbours_is_asked_row_by_row():
    assert after(by_neighbours) == 1
    assert after(lambda batch: scores(batch) - batch.mean()) == 1


def test_where_neighbours_cannot_be_left_out_it_is_told():
    for rows in (8, None):
        with pytest.warns(RandomAnswersWarning, match=r"when others are in its batch.*static_batch=1"):
            assert rows_after_trial(rows, SHAPE, lambda b: scores(b) - b.mean(), "model", free=False) == rows
    assert after(by_place, free=False) == 8  # rounding alone


def test_what_fills_a_batch_is_not_what_was_asked_before():
    room = np.zeros((4, *SHAPE), dtype=np.uint8)
    images = np.random.default_rng(1).integers(1, 256, (6, *SHAPE), dtype=np.uint8)
    seen = []
    ask_in_batches(images, room, lambda batch: seen.append(batch.copy()) or scores(batch))
    assert np.array_equal(seen[1][:2], images[4:])
    assert not seen[1][2:].any()
