"""An oracle that writes into its batch is an error that says so; no false success comes of it."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest

import dfa
from oracles import never
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES, OPTIMIZERS

MESSAGE = "must leave the batch that it is given as it is, and has changed it; let it work on a copy"


def by_torch(batch, change):
    import torch

    change(torch.from_numpy(batch).numpy())


def by_flags(batch, change):
    batch.setflags(write=True)
    change(batch)


def by_address(batch, change):
    whole = (ctypes.c_uint8 * batch.nbytes).from_address(batch.__array_interface__["data"][0])
    change(np.frombuffer(whole, np.uint8).reshape(batch.shape))


def blacken(batch):
    batch *= 0


def reverse_channels(batch):
    batch[:] = batch[..., ::-1].copy()


def change_the_last(batch):
    batch[-1, -1, -1, -1] ^= 1


class Changing:
    """Answers, and then changes its batch; the first so many images are left as they are."""

    def __init__(self, way, change, after):
        self.way, self.change, self.left = way, change, after

    def __call__(self, batch):
        scores = CLASSIFIER(np.array(batch))
        self.left -= len(batch)
        if self.left < 0:
            self.way(batch, self.change)
        return scores


@pytest.mark.filterwarnings("ignore:The given NumPy array is not writable")
@pytest.mark.parametrize("way", [by_torch, by_flags, by_address])
@pytest.mark.parametrize("change", [blacken, reverse_channels, change_the_last])
@pytest.mark.parametrize("confirmations", [1, 3])
# From the first batch on, and only once candidates are asked.
@pytest.mark.parametrize("after", [0, 100])
def test_a_batch_that_was_changed_ends_the_run(way, change, confirmations, after):
    if way is by_torch:
        # Within the oracle, a skip would be the oracle's failure.
        pytest.importorskip("torch")
    oracle = Changing(way, change, after)
    with pytest.raises(dfa.OracleError, match=MESSAGE) as caught:
        dfa.run(
            oracle, IMAGES, epsilon=EPSILON, confirmations=confirmations, batch_size=16, max_queries=200, progress=False
        )
    assert_true(caught.value.result)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_no_success_comes_from_a_batch_that_was_changed(optimizer):
    with pytest.raises(dfa.OracleError, match=MESSAGE) as caught:
        dfa.run(
            Changing(by_address, blacken, 2 * len(IMAGES)), IMAGES, epsilon=EPSILON, optimizer=optimizer, progress=False
        )
    assert_true(caught.value.result)


def test_originals_that_were_changed_end_the_run_before_anything_is_searched():
    with pytest.raises(dfa.OracleError, match=MESSAGE) as caught:
        dfa.run(Changing(by_address, blacken, 0), IMAGES, epsilon=EPSILON, progress=False)
    assert not caught.value.result.queries_sent.any()


def test_audits_repairs_and_verifications_refuse_it_too(tmp_path):
    result = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, max_queries=200, progress=False)
    result.save(tmp_path)
    found = result.success
    vectors = np.stack([image for image in result.images if image is not None]) / 255.0
    claimed = np.ones(len(vectors), dtype=bool)
    for ask in (
        lambda oracle: dfa.audit(oracle, IMAGES[found], vectors, claimed=claimed),
        lambda oracle: dfa.repair(oracle, IMAGES[found], vectors, claimed=claimed),
        lambda oracle: dfa.verify(tmp_path, oracle),
        lambda oracle: result.save(tmp_path, oracle=oracle, overwrite=True),
    ):
        with pytest.raises(dfa.OracleError, match=MESSAGE):
            ask(Changing(by_address, blacken, 0))


def test_a_candidate_of_a_repair_that_was_changed_ends_the_repair():
    originals = IMAGES[:4]
    vectors = (originals + 0.4) / 255.0
    asked = 0

    def changing_attack_queries(batch):
        nonlocal asked
        asked += 1
        # The originals and the nearest images are asked about for other purposes.
        if asked > 2:
            by_address(batch, blacken)
        return never(batch)

    with pytest.raises(dfa.OracleError, match=MESSAGE):
        dfa.repair(changing_attack_queries, originals, vectors, claimed=np.ones(4, dtype=bool), max_queries=50)


def assert_true(result):
    for record, image in zip(result.records, result.images, strict=True):
        if image is None:
            assert not record.found
            continue
        change = np.abs(image.astype(int) - IMAGES[record.index])
        assert change.max() <= EPSILON
        assert record.linf in (None, change.max())
        if record.verified:
            assert CLASSIFIER.classes(image[None])[0] != CLASSES[record.index]
