"""An error of a user's function is told with its place, and with what helps where that is plain."""

from __future__ import annotations

import inspect
import json

import numpy as np
import pytest

import dfa
import dfa.runs.journal as journal_module
from dfa.engine.stored import _save_partial
from dfa.errors import told_with_place
from oracles import random_images

IMAGES = random_images(4, (6, 6, 3))
WEIGHTS = np.ones((6 * 6 * 3, 3)) / 3


def fails(function, **settings):
    with pytest.raises(dfa.OracleError) as caught:
        dfa.run(function, IMAGES, epsilon=3, max_queries=30, progress=False, **settings)
    return str(caught.value)


def one_image(image):
    return image.reshape(6 * 6 * 3) @ WEIGHTS


def test_an_error_names_the_innermost_line_of_the_users_code():
    def inner(batch):
        raise KeyError("weights")

    def outer(batch):
        return inner(batch)

    line = inspect.getsourcelines(inner)[1] + 1
    assert f"KeyError: 'weights' ({__file__}, line {line})" in fails(outer)
    assert f"ZeroDivisionError: division by zero ({__file__}, line " in fails(lambda batch: 1 / 0)
    failing = dfa.OneByOne(inner)
    assert f"({__file__}, line {line})" in fails(failing)


def test_code_of_libraries_is_not_the_users():
    def inside_numpy(batch):
        return np.linalg.inv(np.zeros((2, 3)))

    assert f"({__file__}, line {inspect.getsourcelines(inside_numpy)[1] + 1})" in fails(inside_numpy)
    in_python = fails(lambda batch: json.loads("{"))
    assert f"({__file__}, line " in in_python
    with pytest.raises(ValueError, match="invalid") as caught:
        int("x")
    told = "ValueError: invalid literal for int() with base 10: 'x'"
    assert told_with_place(caught.value).startswith(f"{told} ({__file__}, line ")
    assert told_with_place(caught.value.with_traceback(None)) == told


def test_a_function_of_one_image_is_told_of_the_way_in():
    assert "a function of one image goes in as dfa.OneByOne(function)" in fails(one_image)
    assert "dfa.OneByOne" not in fails(dfa.OneByOne(lambda image: image.reshape(7)))
    assert "dfa.OneByOne" not in fails(lambda batch: {}["key"])
    assert "Pass dfa.OneByOne(function)" in fails(lambda image: np.full(3, 1 / 3))
    assert "Pass dfa.OneByOne(function)" in fails(lambda image: np.full((1, 3), 1 / 3))


def test_a_function_that_gives_an_array_to_torch_is_told_of_the_module():
    torch = pytest.importorskip("torch")
    told = "pass the torch module itself to dfa.as_oracle"
    for module in (torch.nn.Conv2d(3, 2, 3), torch.nn.Linear(3, 2)):
        assert told in fails(lambda batch, module=module: module(batch))
    assert told in fails(lambda batch: batch.permute(0, 3, 1, 2))
    assert told not in fails(lambda batch: torch.nn.Conv2d(3, 2, 3)(torch.zeros(1)))


def test_a_function_of_an_estimator_is_told_of_the_estimator():
    linear_model = pytest.importorskip("sklearn.linear_model")
    estimator = linear_model.LogisticRegression().fit(IMAGES.reshape(4, -1) / 255, [0, 1, 0, 1])
    assert "pass the estimator itself" in fails(estimator.predict_proba)
    assert dfa.run(dfa.as_oracle(estimator, value_range=(0, 1)), IMAGES, max_queries=9, progress=False).records


@pytest.mark.parametrize("change", ["batch //= 2", "batch[0] = 0"])
def test_a_function_that_changes_its_batch_is_told_to_copy_it(change):
    names = {}
    exec(f"def f(batch):\n    {change}\n    return batch", names)
    assert "read-only (<string>, line 2); the batch must not be changed, so work on a copy: batch = batch.copy()" in (
        fails(names["f"])
    )


class Broken:
    """A store that cannot be written."""

    def flush(self):
        raise dfa.StoreError("cannot write x; make room")


def test_what_cannot_be_written_is_told_once():
    full, dead = dfa.StoreError("cannot write y; make room"), dfa.OracleError("gone", result=object())
    full.result = object()
    for error in (full, dead):
        _save_partial(error, Broken())
    assert str(full) == "cannot write y; make room"
    assert str(dead) == "gone; the partial result could not be saved either: cannot write x; make room"


def test_a_command_that_failed_says_how_to_go_on(tmp_path, monkeypatch, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import MODEL, dfa_says, go_to_workplace

    here = go_to_workplace(tmp_path, monkeypatch)
    (here / "late.py").write_text(
        f"{MODEL}\nasked = 0\ndef f(batch):\n    global asked\n    asked += 1\n"
        "    if asked > 3:\n        raise OSError('gone')\n    return classify(batch)\n"
    )
    words = ("late.py:f", "photos", "--max-queries", 60, "--epsilon", 1, "--batch-size", 8)
    status, _, err = dfa_says(capsys, "attack", *words, "--out", "my run")
    assert (status, "OSError: gone (" in err) == (3, True), err
    assert err.endswith("); then go on with: dfa resume 'my run'\n")

    open_journal = journal_module.open_journal

    def small(folder):
        journal = open_journal(folder)
        journal.execute("PRAGMA max_page_count = 12")
        return journal

    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "open_journal", small)
        words = ("model.py:classify", "photos", "--max-queries", 300, "--epsilon", 1)
        words += ("--batch-size", 2, "--checkpoint", 8)
        status, _, err = dfa_says(capsys, "attack", *words, "--out", "full")
    assert status == 4, err
    assert err.count("make room") == 1
    assert err.endswith("; then go on with: dfa resume full\n")
    (here / "full" / "journal.sqlite").write_bytes(b"no database")
    status, _, err = dfa_says(capsys, "resume", "full", "--trust")
    assert (status, "go on with" in err) == (4, False), err
    status, _, err = dfa_says(capsys, "attack", "model.py:missing", "photos", "--out", "b")
    assert (status, "go on with" in err) == (2, False)
