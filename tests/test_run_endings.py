"""However a run ends, what it found is in the error, and in its folder."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

import dfa
from dfa.engine import stored
from dfa.engine.loop import Loop
from oracles import Recorder, Until, raising
from partial_runs import NUM_CALLS, assert_keeps_what_is_finished, attack
from small_problem import CLASSIFIER, IMAGES


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


def assert_saved(folder, partial):
    document = json.loads((folder / "results.json").read_text())
    assert document["complete"]
    loaded = dfa.Result.load(folder)
    assert [record.status for record in loaded.records] == [record.status for record in partial.records]
    assert loaded.images.held() == partial.images.held()


ENDS = [SystemExit(3), GeneratorExit(), asyncio.CancelledError(), OSError("off")]


@pytest.mark.parametrize("end", ENDS, ids=repr)
@pytest.mark.parametrize("is_stored", [False, True])
def test_an_oracle_that_would_end_the_process_ends_the_run(tmp_path, whole, end, is_stored):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(end)))
    with pytest.raises(dfa.OracleError, match=type(end).__name__) as caught:
        attack(oracle, store=tmp_path / "run" if is_stored else None)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)
    assert caught.value.result.success.any()
    if is_stored:
        assert_saved(tmp_path / "run", caught.value.result)


def test_an_oracle_that_would_end_the_process_while_it_gets_ready(whole):
    class Exiting(dfa.Oracle):
        def prepare(self, shape, batch_size):
            raise SystemExit(3)

        def scores(self, images):
            return CLASSIFIER(images)

    with pytest.raises(dfa.OracleError, match=r"could not get ready.*SystemExit"):
        attack(Exiting())


def test_a_degree_that_would_end_the_process_ends_the_run():
    def exits(scores, classes):
        raise SystemExit(3)

    with pytest.raises(dfa.ObjectiveError, match="SystemExit") as caught:
        attack(CLASSIFIER, objective=exits)
    assert len(caught.value.result.records) == len(IMAGES)


class StopError(Exception):
    """What a user raises to end a run."""


@pytest.mark.parametrize("end", [StopError("enough"), SystemExit(3), dfa.InvalidInputError("no")], ids=repr)
def test_whatever_a_follower_raises_carries_the_result(tmp_path, whole, end):
    told = []

    def follow(record):
        told.append(record.index)
        if len(told) == 5:
            raise end

    oracle = Recorder(CLASSIFIER)
    with pytest.raises(type(end)) as caught:
        attack(oracle, store=tmp_path, progress=follow)
    assert caught.value is end
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    # It failed once, and is not called again while what was found is put together.
    assert len(told) == 5
    assert all(result.records[index].status is not dfa.Status.UNFINISHED for index in told)
    assert_saved(tmp_path, result)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", [raising(KeyboardInterrupt()), raising(OSError("off"))])
@pytest.mark.parametrize("place", ["partial_result", "complete_run"])
def test_a_second_interrupt_waits_until_what_was_found_is_saved(tmp_path, monkeypatch, whole, how, place):
    def interrupted_in_the_middle(function):
        def between(*arguments, **settings):
            signal.raise_signal(signal.SIGINT)
            value = function(*arguments, **settings)
            signal.raise_signal(signal.SIGINT)
            return value

        return between

    where = Loop if place == "partial_result" else stored
    monkeypatch.setattr(where, place, interrupted_in_the_middle(getattr(where, place)))
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, how))
    with pytest.raises(dfa.Interrupted) as caught:
        attack(oracle, store=tmp_path)
    assert_keeps_what_is_finished(caught.value.result, oracle, whole)
    assert caught.value.result.success.any()
    assert_saved(tmp_path, caught.value.result)
    # Ctrl-C interrupts again.
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_a_follower_that_fails_when_a_run_goes_on_is_not_told_what_was_kept(tmp_path, whole):
    with pytest.raises(dfa.OracleError):
        attack(Until(NUM_CALLS // 2, CLASSIFIER, raising(OSError("off"))), store=tmp_path)
    told = []

    def follow(record):
        told.append(record.index)
        raise StopError("enough")

    with pytest.raises(StopError) as caught:
        attack(CLASSIFIER, store=tmp_path, resume=True, progress=follow)
    assert len(told) == 1
    assert caught.value.result.success.sum() > 1
