"""However a run ends, its profile and its journal count what the oracle saw, no more and no less."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

import dfa
from oracles import Recorder, Until, raising
from small_problem import CLASSIFIER, IMAGES
from stored_runs import SETTINGS as COMMON
from stored_runs import attack


def answers_one_row(images):
    raise dfa.PartialAnswer([0], CLASSIFIER(images[:1]), OSError("503"))


ENDS = [
    pytest.param(raising(OSError("off")), id="failure"),
    pytest.param(raising(KeyboardInterrupt()), id="interrupt"),
    pytest.param(raising(dfa.PartialAnswer([], None, OSError("503"))), id="no row"),
    pytest.param(answers_one_row, id="one row"),
]
SETTINGS = [
    pytest.param({}, id="default"),
    pytest.param({"optimizer": dfa.Racos.paper(), "batch_size": 7}, id="paper"),
    pytest.param({"confirmations": 3}, id="repeated"),
]


def in_all(profile):
    return profile.rows_sent + profile.clean + profile.verification + profile.files + profile.resent


def assert_counted(result, num_images):
    profile = result.profile
    assert in_all(profile) == num_images
    assert profile.rows_sent == result.queries_sent.sum()
    batch_size = result.config["batch_size"]
    assert profile.rows_sent <= profile.rows_capacity == profile.batches * batch_size
    assert profile.resent >= 0


def sent(folder):
    """Return what the journal counts, by purpose."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return dict(journal.execute("SELECT purpose, images FROM sent").fetchall())


@pytest.mark.weekly_but(10)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("is_kept", [False, True])
def test_what_waited_for_the_oracle_is_not_counted(tmp_path, settings, end, is_kept):
    for num_calls in (9, 31):
        oracle = Recorder(Until(num_calls, CLASSIFIER, end))
        folder = tmp_path / str(num_calls) if is_kept else None
        with pytest.raises((dfa.OracleError, dfa.Interrupted)) as caught:
            dfa.run(oracle, IMAGES, store=folder, **{**COMMON, **settings})
        result = caught.value.result
        assert_counted(result, oracle.num_images)
        assert result.profile.resent == 0
        over_time = result.profile.calls_over_time
        assert (sum(over_time.calls), sum(over_time.rows)) == (result.profile.batches, result.profile.rows_sent)
        if is_kept:
            assert sum(sent(folder).values()) == oracle.num_images


@pytest.mark.weekly_but(5)
@pytest.mark.parametrize("settings", SETTINGS)
@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_ends_again_and_again_counts_what_was_sent(tmp_path, settings, end):
    num_images = 0
    for num_calls in (9, 31, 40):
        oracle = Recorder(Until(num_calls, CLASSIFIER, end))
        with pytest.raises((dfa.OracleError, dfa.Interrupted)):
            attack(oracle, tmp_path, **settings)
        num_images += oracle.num_images
        assert sum(sent(tmp_path).values()) == num_images
    oracle = Recorder(CLASSIFIER)
    result = attack(oracle, tmp_path, **settings)
    num_images += oracle.num_images
    assert_counted(result, num_images)
    assert sum(sent(tmp_path).values()) == num_images
    assert_counted(dfa.Result.load(tmp_path), num_images)
    whole = dfa.run(CLASSIFIER, IMAGES, **{**COMMON, **settings})
    for name in ("clean", "verification", "rows_sent", "batches"):
        assert getattr(result.profile, name) == getattr(whole.profile, name)


def calls_of_a_run():
    """Return how often a run that is not kept asks, so that the next call is about the files."""
    oracle = Recorder(CLASSIFIER)
    dfa.run(oracle, IMAGES, **COMMON)
    return len(oracle.batches)


@pytest.mark.parametrize("confirmations", [1, 3])
def test_questions_about_files_have_a_place_of_their_own(tmp_path, confirmations):
    oracle = Recorder(CLASSIFIER)
    result = attack(oracle, tmp_path, confirmations=confirmations)
    assert result.profile.files == confirmations * result.success.sum() > 0
    assert_counted(result, oracle.num_images)
    assert result.profile.resent == 0
    assert sent(tmp_path)["files"] == result.profile.files
    assert result.profile.as_dict()["files"] == dfa.Result.load(tmp_path).profile.files == result.profile.files


@pytest.mark.parametrize("end", ENDS)
def test_questions_about_files_that_are_asked_twice_are_counted_twice(tmp_path, request, end):
    first = Recorder(Until(calls_of_a_run() + 2, CLASSIFIER, end))
    with pytest.raises((dfa.OracleError, dfa.Interrupted)) as caught:
        attack(first, tmp_path)
    partial = caught.value.result
    assert partial.profile.files == 12
    assert_counted(partial, first.num_images)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    kept = {"no row": 8, "one row": 9}.get(request.node.callspec.id, 0)
    assert again.num_images == result.success.sum() - kept
    assert result.profile.files == 12 + again.num_images
    assert result.profile.resent == 0
    assert_counted(result, first.num_images + again.num_images)
    assert dfa.Result.load(tmp_path).profile.files == result.profile.files


def test_a_kept_run_whose_files_could_not_be_asked_about_is_to_be_resumed(tmp_path):
    oracle = Until(calls_of_a_run(), CLASSIFIER, raising(OSError("off")))
    with pytest.raises(dfa.OracleError, match=r"are not checked.*resume the run, with resume=True") as caught:
        attack(oracle, tmp_path / "kept")
    assert "overwrite" not in str(caught.value)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path / "kept")
    np.testing.assert_array_equal(result.success, caught.value.result.success)
    assert again.num_images == result.success.sum()
    # What is saved by itself can be saved again.
    with pytest.raises(dfa.OracleError, match="save again with overwrite=True"):
        result.save(tmp_path / "saved", oracle=raising(OSError("off")))
