"""A model that is a pickle is read only where the user says so in so many words, since reading it runs its code."""

from __future__ import annotations

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("joblib")

import joblib

from command_line import IMAGES, dfa_says

FAST = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12, "--json")
CLASSIFIER = """
import numpy as np

class Linear:
    def __init__(self):
        self.weights = np.random.default_rng(1).normal(size=(8 * 7 * 3, 10))

    def __call__(self, images):
        return images.reshape(len(images), -1) @ self.weights / 255
"""


class Evil:
    """What writes a file when it is read."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.fixture
def model(here, monkeypatch):
    """A pickle of a classifier, whose class is in a module."""
    (here / "linear_of_mine.py").write_text(CLASSIFIER)
    monkeypatch.syspath_prepend(here)
    import linear_of_mine

    joblib.dump(linear_of_mine.Linear(), here / "model.joblib")
    return "model.joblib"


def begin(capsys, model):
    status, _, err = dfa_says(
        capsys, "attack", model, "photos", "--returns", "logits", "--trust-pickle", *FAST, "--out", "run"
    )
    assert status == 0, err


def change_model(word):
    document = json.loads(Path("run", "run.json").read_text())
    document["command"]["model"] = word
    Path("run", "run.json").write_text(json.dumps(document))


def test_a_pickle_is_refused_unless_it_is_trusted(here, capsys):
    joblib.dump(Evil(), "evil.joblib")
    (here / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", IMAGES / 255)
    commands = (
        ("attack", "MODEL", "photos"),
        ("bench", "MODEL", "photos"),
        ("audit", "MODEL", "images.npy", "vectors.npy"),
    )
    commands = (*commands, ("audit", "model.py:classify", "images.npy", "vectors.npy", "--vector-model", "MODEL"))
    for name in ("evil.joblib", "evil.pkl"):
        for words in commands:
            status, _, err = dfa_says(capsys, *(name if word == "MODEL" else word for word in words))
            assert (status, "pass --trust-pickle" in err, "module:attribute" in err) == (2, True, True), err
            assert not (here / "ran").exists()
    assert dfa_says(capsys, "attack", "evil.joblib", "photos", "--trust-pickle")[0] == 2
    assert (here / "ran").exists()


def test_a_pickle_that_is_trusted_is_attacked(here, capsys, model):
    begin(capsys, model)
    assert dfa.Result.load("run").success.any()
    # That it was trusted is no part of the run, which may come from somebody else.
    assert "trust_pickle" not in (here / "run" / "run.json").read_text()


@pytest.mark.parametrize("command", ["verify", "resume"])
def test_a_pickle_that_a_folder_names_is_loaded_with_all_else_that_it_names_or_not_at_all(here, capsys, model, command):
    begin(capsys, model)
    joblib.dump(Evil(), model)
    for words in ((), ("--trust-pickle",)):
        status, _, err = dfa_says(capsys, command, "run", *words)
        assert (status, "go on with: dfa" in err, (here / "ran").exists()) == (2, True, False), err
    assert dfa_says(capsys, command, "run", "--trust")[0] == 2
    assert (here / "ran").exists()


@pytest.mark.parametrize("command", ["verify", "resume"])
def test_what_is_shown_of_a_pickle_is_what_would_be_read(here, capsys, model, command):
    """A colon before the suffix makes no module of it, and what reading it does is told."""
    begin(capsys, model)
    joblib.dump(Evil(), "json:evil.joblib")
    change_model("json:evil.joblib")
    status, _, err = dfa_says(capsys, command, "run")
    told = f"model       json:evil.joblib  (a pickle, which runs whatever code is in it; {here / 'json:evil.joblib'})"
    assert (status, told in err, "lib/python" in err) == (2, True, False), err
    (here / "run" / "json:evil.joblib").write_bytes(b"")
    change_model("run/json:evil.joblib")
    status, _, err = dfa_says(capsys, command, "run", "--trust")
    assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
    assert not (here / "ran").exists()


@pytest.mark.parametrize("command", ["verify", "resume"])
def test_the_words_that_are_proposed_beside_a_pickle_do(here, capsys, model, command):
    begin(capsys, model)
    given = {"--model ...": f"--model {model}", "--images ...": "--images photos"}
    for words in ((), ("--model", model)) if command == "resume" else ((),):
        status, _, err = dfa_says(capsys, command, "run", *words)
        assert status == 2
        (proposed,) = re.findall(r"(?:yourself|them too): dfa (.*)", err)
        for empty, full in given.items():
            proposed = proposed.replace(empty, full)
        status, _, err = dfa_says(capsys, *proposed.split())
        assert status == 0, (proposed, err)


def test_a_pickle_that_the_user_names_again_is_trusted_again(here, capsys, model):
    begin(capsys, model)
    shutil.copy(model, "copy.joblib")
    joblib.dump(Evil(), model)
    for words in (
        ("resume", "run", "--model", "copy.joblib", "--images", "photos"),
        ("resume", "run", "--model", "copy.joblib", "--trust"),
        ("verify", "run", "--model", "copy.joblib", "--returns", "logits"),
    ):
        status, _, err = dfa_says(capsys, *words)
        assert (status, "'copy.joblib' is a pickle" in err) == (2, True), err
        assert dfa_says(capsys, *words, "--trust-pickle")[0] == 0
    assert not (here / "ran").exists()


def test_a_pickle_in_the_run_folder_is_never_loaded(here, capsys, model):
    begin(capsys, model)
    joblib.dump(Evil(), here / "run" / "model.joblib")
    change_model("run/model.joblib")
    for command in ("verify", "resume"):
        status, _, err = dfa_says(capsys, command, "run", "--trust", "--trust-pickle")
        assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
    assert not (here / "ran").exists()


def test_pages_say_which_pickles_are_meant(capsys):
    told = " ".join(dfa_says(capsys, "attack", "--help-all")[1].split())
    assert "Read a MODEL that is a .joblib, .pkl or .pickle file" in told
    assert "Pickles of torch are never read." in told


def test_a_pickle_that_cannot_be_read_is_told_of(here, capsys):
    (here / "broken.joblib").write_bytes(b"no pickle")
    status, _, err = dfa_says(capsys, "attack", "broken.joblib", "photos", "--trust-pickle", "--out", "run")
    assert (status, "joblib cannot load 'broken.joblib'" in err) == (2, True), err


def test_an_estimator_is_attacked(here, capsys):
    pytest.importorskip("dfa.oracle.adapters.scikit_learn")
    linear_model = pytest.importorskip("sklearn.linear_model")
    flat = IMAGES.reshape(len(IMAGES), -1) / 255
    joblib.dump(linear_model.LogisticRegression().fit(flat, np.arange(len(IMAGES)) % 3), here / "estimator.joblib")
    words = ("estimator.joblib", "photos", "--value-range", "0,1", "--trust-pickle", *FAST, "--out", "run")
    status, _, err = dfa_says(capsys, "attack", *words)
    assert status == 0, err
    result = dfa.Result.load("run")
    assert result.success.any()
    assert result.config["oracle"]["kind"] == "sklearn"
    status, out, err = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, json.loads(out)["images"]) == (0, result.success.sum()), err
