"""A run with `store=`: its folder holds what it found, however it ends."""

from __future__ import annotations

import json
import shutil
import sqlite3
import traceback
from contextlib import closing

import pytest

import dfa
from dfa.runs import backlog as backlog_module
from dfa.runs.store import Store
from oracles import Recorder, Until, raising
from partial_runs import NUM_CALLS, assert_keeps_what_is_finished, attack
from small_problem import CLASSIFIER, IMAGES


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


def outcome(result):
    return [(record.status, record.queries, record.trace, record.linf) for record in result.records]


def saved(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_stored_run_lies_in_the_folder(tmp_path, whole):
    result = attack(CLASSIFIER, store=tmp_path / "new" / "run")
    assert outcome(result) == outcome(whole)
    read = dfa.Result.load(tmp_path / "new" / "run")
    assert outcome(read) == outcome(whole)
    for index in whole.images.held():
        assert (read.images[index] == whole.images[index]).all()
    document = saved(tmp_path / "new" / "run")
    assert document["complete"]
    assert document["saved"]["verified"] == whole.success.sum()


def test_a_second_run_into_one_folder_is_refused_before_any_query(tmp_path):
    attack(CLASSIFIER, store=tmp_path)
    before = (tmp_path / "results.json").read_bytes()
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"must not hold a saved result.*overwrite=True"):
        attack(oracle, store=tmp_path)
    assert oracle.num_images == 0
    assert (tmp_path / "results.json").read_bytes() == before
    attack(oracle, IMAGES[:3], store=str(tmp_path), overwrite=True)
    assert oracle.num_images > 0
    assert len(saved(tmp_path)["records"]) == 3


def test_a_folder_that_cannot_be_written_is_refused_before_any_query(tmp_path):
    (tmp_path / "file").write_text("in the way")
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"cannot write .*file"):
        attack(oracle, store=tmp_path / "file" / "run")
    assert oracle.num_images == 0


def test_a_bad_argument_leaves_no_folder_behind(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="ids must be"):
        attack(CLASSIFIER, store=tmp_path / "run", ids=[1, 2])
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("error", [OSError("off"), KeyboardInterrupt()])
def test_a_run_cut_short_is_saved_as_far_as_it_got(tmp_path, whole, error):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(error)))
    with pytest.raises((dfa.OracleError, KeyboardInterrupt), match=r"off|what was finished") as caught:
        attack(oracle, store=tmp_path)
    partial = caught.value.result
    read = dfa.Result.load(tmp_path)
    assert outcome(read) == outcome(partial)
    assert read.images.held() == partial.images.held() != []
    for index in partial.images.held():
        assert (read.images[index] == whole.images[index]).all()
    # An oracle that just failed is not asked about the files.
    assert saved(tmp_path)["saved"]["unchecked"] == len(read.images.held())


def test_a_partial_result_that_cannot_be_saved_is_told_of_and_kept(tmp_path, monkeypatch):
    folder = tmp_path / "run"
    # No file is written while the oracle breaks the folder, which would be the first to fail now and then.
    monkeypatch.setattr(backlog_module, "_SHARE", -1.0)

    def breaks_both(images):
        shutil.rmtree(folder)
        folder.write_text("in the way")
        raise OSError("off")

    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(NUM_CALLS // 2, CLASSIFIER, breaks_both), store=folder)
    assert caught.value.result.success.any()
    assert "could not be saved" in "".join(traceback.format_exception(caught.value))


def test_an_objective_that_fails_saves_what_was_found(tmp_path):
    calls = 0

    def degree(scores, classes):
        nonlocal calls
        calls += 1
        if calls > NUM_CALLS // 2:
            raise ValueError("enough")
        return dfa.objectives.LOG.untargeted(scores, classes)

    with pytest.raises(dfa.ObjectiveError, match="enough"):
        attack(CLASSIFIER, store=tmp_path, objective=degree)
    assert dfa.Result.load(tmp_path).images.held()


def test_a_folder_that_breaks_ends_the_run_and_does_not_cost_what_was_found(tmp_path, whole):
    folder = tmp_path / "run"

    def breaks(images):
        if folder.is_dir():
            shutil.rmtree(folder)
            folder.write_text("in the way")
        return CLASSIFIER(images)

    oracle = Recorder(breaks)
    with pytest.raises(dfa.StoreError, match="cannot write") as caught:
        attack(oracle, store=folder)
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    assert any(record.found for record in result.records)
    # Going on would pay for queries whose answers nobody keeps.
    assert len(oracle.batches) < NUM_CALLS / 2


def test_an_interrupt_or_a_failing_oracle_while_saving_does_not_cost_the_result(tmp_path, whole):
    oracle = Recorder(Until(NUM_CALLS, CLASSIFIER, raising(OSError("off"))))
    with pytest.raises(dfa.OracleError, match=r"the files are written, but .* are not checked") as failed:
        attack(oracle, store=tmp_path / "failed")
    assert outcome(failed.value.result) == outcome(whole)

    oracle = Recorder(Until(NUM_CALLS, CLASSIFIER, raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt, match="in the `result` of this error") as interrupted:
        attack(oracle, store=tmp_path / "interrupted")
    assert isinstance(interrupted.value, dfa.Interrupted)
    assert outcome(interrupted.value.result) == outcome(whole)


def test_a_folder_that_breaks_when_the_run_is_over_does_not_cost_the_result(tmp_path, monkeypatch, whole):
    def full(self):
        raise dfa.StoreError("no room")

    monkeypatch.setattr(Store, "end", full)
    with pytest.raises(dfa.StoreError, match="no room") as caught:
        attack(CLASSIFIER, store=tmp_path)
    assert outcome(caught.value.result) == outcome(whole)


def test_what_was_finished_last_lies_in_the_journal_too(tmp_path):
    told = []

    def interrupt(record):
        told.append(record.index)
        if len(told) == 6:
            raise KeyboardInterrupt

    with pytest.raises(dfa.Interrupted):
        attack(CLASSIFIER, store=tmp_path, progress=interrupt)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        kept = {place for (place,) in journal.execute("SELECT place FROM records")}
    assert kept == set(told)
