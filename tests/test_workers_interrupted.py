"""What becomes of workers when whoever asks them is interrupted, or fails: no answer goes astray, nothing is left."""

from __future__ import annotations

import contextlib
import copy
import multiprocessing
import os
import pickle
import signal
import threading
import time

import numpy as np
import pytest

import dfa
import worker_models
from dfa.oracle.workers.pool import PoolOracle
from dfa.testing import check_oracle
from oracles import random_images

IMAGES = random_images(12, worker_models.SHAPE)


@contextlib.contextmanager
def pool(function, *arguments, number=2):
    """Yield workers that are asked as `Result.save` asks them: from the main thread."""
    made = PoolOracle(dfa.factory(function, *arguments), dfa.LocalWorkers(number))
    try:
        yield made
    finally:
        made.close()


@pytest.mark.parametrize("number", [1, 2])
def test_after_an_interrupt_no_answer_is_taken_for_that_to_another_batch(number):
    with pool(worker_models.make, None, 0.3, number=number) as oracle:
        oracle.prepare(worker_models.SHAPE, 4)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            oracle.scores(IMAGES[:4])
        for start in (4, 8):
            images = IMAGES[start : start + 4]
            np.testing.assert_array_equal(oracle.scores(images), worker_models.classify(images))


def test_images_of_a_shape_that_the_model_cannot_take_do_not_spoil_it_for_others():
    with pool(worker_models.make) as oracle:
        oracle.prepare(worker_models.SHAPE, 4)
        with pytest.raises(ValueError, match="mismatch"):
            oracle.prepare((7, 7, 3), 4)
        for _ in range(2):
            np.testing.assert_array_equal(oracle.scores(IMAGES[:4]), worker_models.classify(IMAGES[:4]))
        oracle.prepare(worker_models.SHAPE, 4)
        np.testing.assert_array_equal(oracle.scores(IMAGES[:4]), worker_models.classify(IMAGES[:4]))


def test_a_worker_that_cannot_be_had_again_is_told_of_each_time(tmp_path):
    file = tmp_path / "weights"
    file.touch()
    with pool(worker_models.from_file, str(file)) as oracle:
        oracle.close()
        file.unlink()
        for _ in range(2):
            with pytest.raises(dfa.OracleError, match="worker 0 could not make its model: FileNotFoundError"):
                oracle.scores(IMAGES)
        file.touch()
        np.testing.assert_array_equal(oracle.scores(IMAGES), worker_models.classify(IMAGES))


def test_whoever_waits_for_a_worker_is_told_when_all_end():
    with pool(worker_models.make, None, 0.5, number=1) as oracle:
        oracle.prepare(worker_models.SHAPE, 4)
        told = []

        def ask():
            try:
                oracle.scores(IMAGES[:4])
            except dfa.OracleError as error:
                told.append(str(error))

        # Two are in the worker's line, and two wait for it.
        threads = [threading.Thread(target=ask, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        oracle.close()
        for thread in threads:
            thread.join(10)
        assert not any(thread.is_alive() for thread in threads)
        assert sum("told to end before one of them was free" in each for each in told) == 2


@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_workers_are_not_copied(copied):
    with pool(worker_models.make) as oracle:
        with pytest.raises(TypeError, match="neither copied nor pickled"):
            copied(oracle)
        np.testing.assert_array_equal(oracle.scores(IMAGES), worker_models.classify(IMAGES))


def test_workers_keep_what_is_promised_of_oracles():
    with pool(worker_models.of_any_shape) as oracle:
        check_oracle(oracle, IMAGES, batch_size=4)


def test_a_further_interrupt_while_workers_end_costs_no_result(monkeypatch):
    close = PoolOracle.close

    def interrupted(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.1)
        close(self)

    monkeypatch.setattr(PoolOracle, "close", interrupted)
    try:
        found = dfa.run(worker_models.classify, IMAGES, workers=2, max_queries=50, progress=False)
    except KeyboardInterrupt:
        pytest.fail("the interrupt took the result's place")
    assert len(found.records) == len(IMAGES)
    assert multiprocessing.active_children() == []


def test_a_process_that_may_have_none_is_told_so():
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(
        target=worker_models.begins_workers, args=(theirs,), daemon=True
    )
    process.start()
    theirs.close()
    assert "started by a process that may have some" in ours.recv()
    process.join()
