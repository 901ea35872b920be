"""What a command says is said in the words of the command line: options, not arguments of Python."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import click

import dfa
from command_line import IMAGES, MODEL, dfa_says
from dfa.cli.commands.app import app
from dfa.cli.commands.wording import in_options

PACKAGE = Path(dfa.__file__).parent
OPTIONS = [
    pytest.param(command, option, id=f"{name} {option.opts[-1]}")
    for name, command in app.commands.items()
    for option in command.params
    if isinstance(option, click.Option)
]


@pytest.mark.parametrize(("command", "option"), OPTIONS)
def test_every_argument_is_called_by_its_option(command, option):
    name, flag = option.name, option.opts[-1]
    if name == "layout":  # of vectors; that of images has another name in Python
        assert in_options("pass dfa.Affine(layout='NCHW')", command) == "pass --layout NCHW"
        return
    assert in_options(f"pass {name}= of yours", command) == f"pass {flag} of yours"
    assert in_options(f"pass {name}='a b', or not", command) == f"pass {flag} 'a b', or not"
    assert in_options(f"{name} must be 3", command) == f"{flag} must be 3"
    assert in_options(f"x; {name} must be 3", command) == f"x; {flag} must be 3"
    assert in_options(f"set {name}=True", command) == f"set {flag}" + ("" if option.is_flag else " true")
    if "_" in name:
        assert in_options(f"give {name}.", command) == f"give {flag}."


@pytest.mark.parametrize(
    "message",
    [
        "cannot read 'overwrite=True'",
        "/tmp/overwrite=True must not hold a run",
        "runs/class_names is none",
        "the oracle 'f' failed: ValueError: pass returns='logits' or class_names=",
        "numpy.concatenate([1 - p, p], axis=1)",
        "resume it from Python: dfa.run(..., store=folder, overwrite=True)",
        "a model's layout, targets and epsilon",
    ],
)
def test_words_of_others_paths_and_code_stay_as_they_are(message):
    assert in_options(message, app.commands["attack"]) == message
    assert in_options(f"{message}; epsilon must be 1", None) == f"{message}; epsilon must be 1"


def messages():
    """Every text of the modules that commands reach which names an argument as Python does."""
    reached = (path for path in PACKAGE.rglob("*.py") if path.parent.name in ("oracle", "search", "runs", "engine"))
    for path in reached:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Raise):
                formatted = [each for each in ast.walk(node) if isinstance(each, ast.JoinedStr)]
                parts = {id(part) for each in formatted for part in each.values}
                for each in formatted:
                    yield "".join(str(part.value) if isinstance(part, ast.Constant) else "9" for part in each.values)
                for text in ast.walk(node):
                    if isinstance(text, ast.Constant) and isinstance(text.value, str) and id(text) not in parts:
                        yield text.value


def test_no_message_keeps_an_argument_that_has_an_option():
    attack = app.commands["attack"]
    names = {option.name for option in attack.params if isinstance(option, click.Option)} | {"targets", "store"}
    argument = re.compile(rf"(?:pass|need|needs|with|of|set|and) (?:{'|'.join(names)})=")
    found = [text for text in messages() if argument.search(text)]
    assert len(found) >= 8
    for text in found:
        assert not argument.search(in_options(text, attack).replace("space=dfa.LinfBall(", "")), text


def say(capsys, *words):
    return dfa_says(capsys, "attack", *words)[::2]


def test_a_folder_that_is_not_empty_is_told_of_with_overwrite(here, capsys):
    words = ("model.py:classify", "photos", "--max-queries", 30, "--out", "a")
    assert say(capsys, *words)[0] == 0
    status, err = say(capsys, *words)
    assert (status, "pass --overwrite to replace it" in err, "overwrite=True" in err) == (4, True, False)


def test_answers_of_another_kind_are_told_of_with_returns(here, capsys):
    status, err = say(capsys, "model.py:classify", "photos", "--returns", "logits", "--out", "a")
    assert (status, "pass --returns probabilities" in err) == (3, True)
    status, err = say(capsys, "model.py:logits", "photos", "--out", "b")
    assert (status, "pass --returns logits" in err, "returns=" in err) == (3, True, False)


def test_probabilities_that_are_rounded_are_told_of_without_a_flag_that_is_none(here, capsys):
    (here / "rounded.py").write_text(MODEL + "\ndef f(b):\n    return classify(b) * 1.01\n")
    status, err = say(capsys, "rounded.py:f", "photos", "--out", "a")
    assert (status, "dfa.as_oracle(model, tolerance=...)" in err, "pass a larger" in err) == (3, True, False)


def test_an_interval_is_called_by_its_option(here, capsys):
    status, err = say(capsys, "model.py:classify", "photos", "--checkpoint", 20, "--out", "a")
    assert (status, "dfa: --checkpoint (at least four batches) must be an integer" in err) == (2, True)


def test_names_of_classes_are_told_of_with_class_names(here, capsys):
    (here / "labels.csv").write_text("file,label\np0.jpg,cat\n")
    status, err = say(capsys, "model.py:classify", "photos", "--labels", "labels.csv", "--out", "a")
    assert (status, "names need --class-names" in err, "class_names" in err) == (2, True, False)


def test_images_of_another_layout_are_told_of_once(here, capsys):
    np.save("first.npy", IMAGES.transpose(0, 3, 1, 2))
    status, err = say(capsys, "model.py:classify", "first.npy", "--out", "a")
    assert (status, err.count("--image-layout NHWC"), "layout='NHWC'" in err) == (2, 1, False)


@pytest.mark.parametrize(
    "verb",
    [
        "inputs of shape (32, 24, 3) and the images have (28, 28, 3); resize, reshape or",
        "images of shape (32, 24, 3), and these have (8, 8, 3); resize them first, or",
    ],
)
def test_images_of_another_size_are_told_of_with_the_size(verb):
    assert "; --size 32x24 resizes image files, --channels" in in_options(
        f"the model 'm' takes {verb} x", app.commands["attack"]
    )


def test_a_vector_model_is_told_of_without_what_no_option_is(here, capsys):
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", IMAGES / 255)
    status, _, err = dfa_says(capsys, "audit", "model.py:classify", "images.npy", "vectors.npy")
    assert (status, "pass --vector-model" in err, "claimed" in err) == (2, True, False), err


def test_numbers_without_commas_between_them_are_told_of(here, capsys):
    words = ("attack", "model.py:classify", "photos", "--mean", "0.5", "0.25", "0.5", "--std", "1")
    status, _, err = dfa_says(capsys, *words)
    assert (status, "have commas between them, such as --mean 0.485,0.456,0.406" in err) == (2, True), err
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", "other")
    assert (status, "A glob goes in quotes" in err, "commas" in err) == (2, True, False), err
