"""A success is told, and kept, a few batches after it is found, however few images a run has."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import Recorder
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES, OPTIMIZERS

BATCH_SIZE = 64


class Watcher(Recorder):
    """Notes with which batch each image was first seen in another class than its own."""

    def __init__(self):
        super().__init__(CLASSIFIER)
        self.first_hits = []

    def __call__(self, images):
        scores = super().__call__(images)
        # Images are so unlike one another that a candidate tells whose it is.
        distances = np.abs(IMAGES[None].astype(int) - images[:, None]).max(axis=(2, 3, 4))
        owners = np.where(distances.min(axis=1) <= EPSILON, distances.argmin(axis=1), 0)
        found = set(owners[CLASSIFIER.classes(images) != CLASSES[owners]].tolist())
        for index in sorted(found - {index for index, _ in self.first_hits}):
            self.first_hits.append((index, len(self.batches)))
        return scores


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_success_is_told_a_few_batches_after_it_is_found(optimizer, tmp_path):
    watcher = Watcher()
    told, kept = {}, {}

    def note(record):
        if record.verified:
            told[record.index] = len(watcher.batches)
            kept[record.index] = dfa.Result.load(tmp_path).success.sum()

    result = dfa.run(
        watcher,
        IMAGES,
        epsilon=EPSILON,
        max_queries=200,
        batch_size=BATCH_SIZE,
        optimizer=optimizer,
        progress=note,
        store=tmp_path,
        seed=3,
    )
    assert len(told) == result.success.sum() > 5
    first_hits = dict(watcher.first_hits)
    # Of each image's iteration all candidates are sent, and two batches are under way: not all of them wait for it.
    slow = [index for index, number in told.items() if number - first_hits[index] > 16]
    assert not slow
    # Told is kept: what was told before the last one is in the folder already.
    assert max(kept.values()) > 0
