"""A run that fails before an answer was of use leaves its folder as free as it was."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import Until, raising
from small_problem import CLASSIFIER, IMAGES
from stored_runs import attack

DEAD = raising(OSError("off"))


def logits(images):
    return CLASSIFIER.activations(images)


def fail(oracle, folder, error=dfa.OracleError, **settings):
    with pytest.raises(error) as caught:
        attack(oracle, folder, **settings)
    return caught.value


@pytest.mark.parametrize(
    ("oracle", "settings", "error"),
    [
        (DEAD, {}, dfa.OracleError),
        (logits, {}, dfa.OracleError),
        (CLASSIFIER, {"labels": np.full(len(IMAGES), 10)}, dfa.InvalidInputError),
        (CLASSIFIER, {"class_names": ["a", "b"]}, dfa.InvalidInputError),
        (dfa.OneByOne(DEAD), {}, dfa.OracleError),
    ],
    ids=["dead", "logits", "labels", "names", "one by one"],
)
def test_a_folder_that_the_run_made_goes(tmp_path, oracle, settings, error):
    folder = tmp_path / "run"
    told = fail(oracle, folder, error, resume=False, **settings)
    assert not folder.exists()
    assert {record.status for record in told.result.records} == {dfa.Status.UNFINISHED}
    assert attack(CLASSIFIER, folder, resume=False).success.any()


def test_a_folder_that_was_there_stays_with_what_is_the_users(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    fail(logits, tmp_path, resume=False)
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]
    assert attack(CLASSIFIER, tmp_path, resume=False).success.any()


def test_a_folder_that_was_there_stays_empty(tmp_path):
    fail(logits, tmp_path, resume=False)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_the_run_made_stays_with_what_somebody_else_put_there(tmp_path):
    folder = tmp_path / "run"

    def fails(images):
        (folder / "notes.txt").write_text("mine")
        raise OSError("off")

    fail(fails, folder, resume=False)
    assert [each.name for each in folder.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("num_calls", [1, 2])
def test_what_was_of_use_is_kept(tmp_path, num_calls):
    fail(Until(num_calls, CLASSIFIER, DEAD), tmp_path / "run")
    assert len(dfa.Result.load(tmp_path / "run").records) == len(IMAGES)
    assert attack(CLASSIFIER, tmp_path / "run").success.any()


def test_a_run_that_goes_on_is_kept_whatever_happens(tmp_path):
    fail(Until(2, CLASSIFIER, DEAD), tmp_path / "run")
    fail(DEAD, tmp_path / "run")
    assert (tmp_path / "run" / "run.json").exists()


def test_answers_to_a_part_of_the_first_batch_are_kept(tmp_path):
    calls = []

    def third_fails(image):
        calls.append(image)
        if len(calls) == 3:
            raise OSError("off")
        return CLASSIFIER(image[None])[0]

    fail(dfa.OneByOne(third_fails), tmp_path / "run")
    attack(dfa.OneByOne(third_fails), tmp_path / "run")
    assert not any(np.array_equal(image, calls[0]) for image in calls[3:6])


def test_an_interrupted_run_is_kept(tmp_path):
    fail(raising(KeyboardInterrupt()), tmp_path / "run", dfa.Interrupted)
    assert (tmp_path / "run" / "run.json").exists()
