"""An .onnx file as MODEL: what the file does not tell is said in flags."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

from command_line import dfa_says
from onnx_models import classifier
from test_cli_models import attacked, refused


@pytest.fixture
def model(here):
    """A classifier of images in 0..1 with its channels first."""
    return classifier(here / "net.onnx", ["n", 3, 8, 7]).name


def classes(path, result, **settings):
    held = result.images.held()
    images = np.stack([result.images[index] for index in held])
    oracle = dfa.OnnxOracle(path, **settings)
    found = oracle.scores(images).argmax(axis=1).tolist()
    return found == [result.records[index].class_after for index in held]


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--value-range", "0,1"], {"value_range": (0, 1)}),
        (["--value-range", "-1,1"], {"value_range": (-1, 1)}),
        (["--mean", "0.5,0.25,0.125", "--std", "0.5"], {"mean": (0.5, 0.25, 0.125), "std": 0.5}),
        (["--value-range", "0,1", "--device", "cpu", "--returns", "probabilities"], {"value_range": (0, 1)}),
    ],
)
def test_an_onnx_model_is_attacked_as_it_is_declared(here, capsys, model, words, settings):
    result = attacked(capsys, model, "photos", *words)
    assert result.success.any()
    assert result.config["oracle"]["kind"] == "onnx"
    assert classes(model, result, **settings)


def test_a_layout_that_no_file_tells_is_said(here, capsys):
    model = classifier(here / "free.onnx", ["n", None, None, 3 * 8 * 7]).name
    assert "--model-layout" in refused(capsys, model, "--value-range", "0,1")
    last = classifier(here / "last.onnx", ["n", 8, 7, 3]).name
    assert attacked(capsys, last, "photos", "--value-range", "0,1").config["oracle"]["layout"] == "NHWC"


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            [],
            ["--value-range 0,255 if it takes", "--value-range 0,1 or -1,1 if", "--mean and --std if", "--preprocess"],
        ),
        (["--value-range", "0,1", "--mean", "0.5", "--std", "1"], ["instead of --value-range"]),
        (["--value-range", "1"], ["--value-range must be two numbers"]),
        (["--value-range", "a,b"], ["--value-range must be"]),
        (["--value-range", "0,1", "--num-classes", "7"], ["is an .onnx file, and goes with", "not with --num-classes"]),
        (["--value-range", "0,1", "--class-offset", "1"], ["--class-offset is for .tflite files"]),
        (["--value-range", "0,1", "--device", "nowhere"], ["--device must be of those", "leave --device out"]),
        (["--value-range", "0,1", "--device", "cuda:1"], ["--device must be of those", "CUDAExecutionProvider"]),
    ],
)
def test_what_does_not_go_together_is_named(here, capsys, model, words, messages):
    err = refused(capsys, model, *words)
    for message in messages:
        assert message in err, err
    assert "value_range" not in err
    assert not (here / "never").exists()


def test_a_function_has_no_value_range(here, capsys):
    assert "a function takes no --value-range" in refused(capsys, "model.py:classify", "--value-range", "0,1")


def test_how_the_model_is_asked_is_part_of_the_run(here, capsys, model):
    attacked(capsys, model, "photos", "--value-range", "-1,1")
    assert "--value-range -1,1" in dfa_says(capsys, "verify", "run")[2]
    assert dfa_says(capsys, "verify", "run", "--model", model, "--value-range", "-1,1")[0] == 0
    status, _, err = dfa_says(capsys, "verify", "run", "--model", model, "--value-range", "0,1", "--json")
    assert status == 1, err
    document = json.loads((here / "run" / "run.json").read_text())
    assert document["command"]["value_range"] == "-1,1"


def test_a_file_that_holds_no_model_is_told_of(here, capsys):
    (here / "broken.onnx").write_bytes(b"no model")
    assert "must be an ONNX model" in refused(capsys, "broken.onnx", "--value-range", "0,1")
