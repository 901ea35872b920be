"""Oracles that are asked in the thread that the run was begun in: the same runs, whole and cut short."""

from __future__ import annotations

import threading

import pytest

import dfa
from dfa.oracle import Oracle
from oracles import Until, raising
from small_problem import CLASSIFIER, IMAGES
from stored_runs import assert_same, attack, run_whole


class Here(Oracle):
    """A function that is asked where the run was begun."""

    in_callers_thread = True

    def __init__(self, ask=CLASSIFIER):
        self._ask = ask
        self.threads = set()

    def scores(self, images):
        self.threads.add(threading.current_thread())
        return self._ask(images)


def test_a_run_is_the_same_in_the_callers_thread(tmp_path):
    expected, _ = run_whole()
    oracle = Here()
    assert_same(attack(oracle, tmp_path), expected)
    assert oracle.threads == {threading.current_thread()}


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize("error", [OSError("off"), KeyboardInterrupt()], ids=["fails", "is interrupted"])
@pytest.mark.parametrize("num_calls", [0, 1, 5, 6, 30])
def test_a_run_that_is_cut_short_there_goes_on_as_if_nothing_had_happened(tmp_path, error, num_calls):
    expected, _ = run_whole()
    with pytest.raises((dfa.OracleError, KeyboardInterrupt)) as caught:
        attack(Here(Until(num_calls, CLASSIFIER, raising(error))), tmp_path)
    assert len(caught.value.result.records) == len(expected.records)
    assert_same(attack(Here(), tmp_path), expected)


def test_the_time_there_is_that_of_waiting_for_the_oracle():
    slow = threading.Event()
    oracle = Here(lambda images: (slow.wait(0.005), CLASSIFIER(images))[1])
    profile = dfa.run(oracle, IMAGES, epsilon=8, max_queries=100, batch_size=4, progress=False).profile
    assert profile.wait > 0.5 * profile.oracle > 0


def test_wrappers_are_asked_where_their_models_are():
    inner = Here()
    assert dfa.Pipeline([dfa.pipelines.BitDepth(4)], inner).in_callers_thread
    assert dfa.top_1(inner, num_classes=10).in_callers_thread
    assert not dfa.Pipeline([dfa.pipelines.BitDepth(4)], CLASSIFIER).in_callers_thread


def test_a_torch_module_on_a_cpu_is_asked_there():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert dfa.as_oracle(torch.nn.Flatten().eval()).in_callers_thread
