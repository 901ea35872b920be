"""`dfa frontier`: the Python interface in words, and how it ends."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, dfa_says, go_to_workplace

WORDS = ("frontier", "model.py:classify", "images.npy", "--max-epsilon", 20, "--max-queries", 100)


@pytest.fixture
def here(tmp_path, monkeypatch):
    np.save(tmp_path / "images.npy", IMAGES)
    return go_to_workplace(tmp_path, monkeypatch)


def test_the_command_is_the_python_interface(here, capsys):
    status, out, _ = dfa_says(capsys, *WORDS, "--seed", 3, "--target", "rank:2", "--out", "run", "--json")
    namespace = {}
    exec(MODEL, namespace)
    found = dfa.frontier(
        namespace["classify"],
        IMAGES,
        targets=dfa.rank(2),
        max_epsilon=20,
        max_queries=100,
        seed=3,
        progress=False,
    )
    document = json.loads(out)
    assert status == document["exit"] == 0
    assert document["critical"] == found.critical.tolist()
    assert [each["unbroken"] for each in document["curve"]] == [each.unbroken for each in found.curve()]
    assert dfa.Frontier.load("run").queries.tolist() == found.queries.tolist()


def test_other_spaces_have_words(here, capsys):
    status, out, _ = dfa_says(
        capsys, "frontier", "model.py:classify", "photos", "--space", "square", "--max-epsilon", 3, "--out", "run"
    )
    assert status == 0
    assert "up to size 3" in out
    assert "(an upper bound on robustness)" in out


def test_it_ends_with_the_statuses_of_other_commands(here, capsys):
    status, _, err = dfa_says(capsys, *WORDS[:1], "model.py:broken", *WORDS[2:], "--out", "run")
    assert status == 3
    assert "the line is dead" in err
    assert dfa_says(capsys, *WORDS, "--out", "run", "--fail-below", "1:10%")[0] == 0
    status, _, err = dfa_says(capsys, *WORDS, "--out", "run")
    assert status == 4
    assert "run must not hold a frontier, and holds one; resume it (--resume)" in err
    status, out, _ = dfa_says(capsys, *WORDS, "--out", "run", "--resume", "--fail-below", "20:100%")
    assert status == 1
    assert "images not broken at epsilon 20, below --fail-below 20:1" in out
    for word in ("21:50%", "8", "8:x", "8:150%"):
        assert dfa_says(capsys, *WORDS, "--out", "other", "--fail-below", word)[0] == 2
    status, _, err = dfa_says(capsys, *WORDS[:1], "https://host/path", *WORDS[2:], "--out", "other")
    assert status == 2
    assert "asks no service" in err


def test_a_model_that_has_one_class_for_all_is_not_judged(here, capsys):
    words = ("frontier", "model.py:stubborn", "images.npy", "--max-queries", 20, "--out", "run", "--fail-below", "4:1%")
    status, _, err = dfa_says(capsys, *words)
    assert status == 5
    assert "one class for all 10 images" in err


def test_an_interrupt_says_how_to_go_on(here, capsys):
    (here / "model.py").write_text(
        MODEL
        + """
asked = 0

def interrupted(images):
    global asked
    asked += len(images)
    if asked > 60:
        raise KeyboardInterrupt
    return classify(images)
"""
    )
    status, _, err = dfa_says(capsys, *WORDS[:1], "model.py:interrupted", *WORDS[2:], "--out", "run")
    assert status == 130
    assert "go on with: the same command and --resume" in err
