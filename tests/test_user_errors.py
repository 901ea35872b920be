"""An error of a user's function is told with its place, and with what helps where that is plain."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import dfa
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


@pytest.mark.parametrize("change", ["batch //= 2", "batch[0] = 0"])
def test_a_function_that_changes_its_batch_is_told_to_copy_it(change):
    names = {}
    exec(f"def f(batch):\n    {change}\n    return batch", names)
    assert "read-only (<string>, line 2); the batch must not be changed, so work on a copy: batch = batch.copy()" in (
        fails(names["f"])
    )


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
    status, _, err = dfa_says(capsys, "attack", "model.py:missing", "photos", "--out", "b")
    assert (status, "go on with" in err) == (2, False)
