"""Images whose channels stand in the wrong place are refused, wherever images come in, unless they are meant so."""

from __future__ import annotations

import json

import numpy as np
import pytest

import dfa
from dfa.originals import is_channels_first
from oracles import LazyImages, LinearClassifier, Recorder, random_images
from outcomes import outcomes

SHAPE = (3, 8, 7)
IMAGES = random_images(4, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
VECTORS = IMAGES / 255
ASKED = (
    r"each image must be of shape \(H, W, C\), and \(3, 8, 7\) looks like \(C, H, W\); pass layout='NCHW' if it is, or "
    r"layout='NHWC' if it is 3 high and has 7 channels"
)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32), (4, 5, 9), (3, 4, 12)])
def test_shapes_that_look_like_channels_first(shape):
    assert is_channels_first(shape)


@pytest.mark.parametrize(
    "shape", [(28, 28, 1), (3, 32, 3), (3, 8, 4), (1, 9, 1), (3, 3, 8), (2, 8, 8), (4, 8, 2), (1, 1, 30), (32, 32)]
)
def test_shapes_that_may_be_meant_as_they_are(shape):
    assert not is_channels_first(shape)


@pytest.mark.parametrize("settings", [{}, {"space": dfa.Pixels(1)}, {"epsilon": 5}])
def test_a_run_of_channels_first_is_refused_unless_it_is_declared(settings):
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.InvalidInputError, match=ASKED):
        dfa.run(oracle, IMAGES, progress=False, **settings)
    assert oracle.num_images == 0
    mended = LinearClassifier((8, 7, 3))
    declared = dfa.run(mended, IMAGES, layout="NCHW", max_queries=60, progress=False, **settings)
    turned = dfa.run(mended, IMAGES.transpose(0, 2, 3, 1), max_queries=60, progress=False, **settings)
    assert outcomes(declared) == outcomes(turned)
    assert declared.config["shape"] == [8, 7, 3]


def tensor(images):
    return pytest.importorskip("torch").from_numpy(images)


@pytest.mark.parametrize("sequence", [list, LazyImages, tensor])
def test_a_sequence_of_channels_first_is_refused_unless_it_is_declared(sequence):
    images = sequence(IMAGES)
    with pytest.raises(dfa.InvalidInputError, match=ASKED):
        dfa.run(CLASSIFIER, images, progress=False)
    classes = LinearClassifier((8, 7, 3)).classes(IMAGES.transpose(0, 2, 3, 1))
    result = dfa.run(LinearClassifier((8, 7, 3)), images, layout="NCHW", max_queries=20, progress=False)
    assert [each.class_before for each in result.records] == classes.tolist()


def test_a_sequence_that_is_turned_keeps_its_names():
    images = LazyImages(IMAGES)
    images.names = ["a", "b", "c", "d"]
    result = dfa.run(LinearClassifier((8, 7, 3)), images, layout="NCHW", max_queries=20, progress=False)
    assert [each.source for each in result.records] == ["a", "b", "c", "d"]


def test_what_is_wrong_otherwise_too_is_told_of_its_layout():
    with pytest.raises(
        dfa.InvalidInputError, match=r"got float64.*look like \(N, C, H, W\), so pass layout='NCHW'.*\* 255"
    ):
        dfa.run(CLASSIFIER, IMAGES / 255, progress=False)
    with pytest.raises(dfa.InvalidInputError, match=r"images\.transpose\(1, 2, 0\)\[None\] for one image \(C, H, W\)"):
        dfa.run(CLASSIFIER, IMAGES[0], progress=False)


@pytest.mark.parametrize("images", [IMAGES, list(IMAGES)], ids=["array", "list"])
def test_a_caller_may_insist(images):
    result = dfa.run(CLASSIFIER, images, layout="NHWC", max_queries=20, progress=False)
    assert result.config["shape"] == [3, 8, 7]


@pytest.mark.parametrize("layout", ["CHW", "nhwc", 3, np.array(["NHWC", "NHWC"])])
def test_another_layout_is_refused(layout):
    with pytest.raises((dfa.InvalidInputError), match=r"layout must be None, 'NHWC' or 'NCHW', got"):
        dfa.run(CLASSIFIER, IMAGES, layout=layout, progress=False)


def test_other_arrays_have_no_channels():
    space = dfa.Custom([-3] * 7, [3] * 7, lambda rows, x: rows + x[:, None, None, :])
    with pytest.raises(dfa.InvalidInputError, match="layout='NCHW' is of images"):
        dfa.run(CLASSIFIER, IMAGES.astype(np.int64), space=space, layout="NCHW", progress=False)
    result = dfa.run(CLASSIFIER, IMAGES.astype(np.int64), space=space, max_queries=20, progress=False)
    assert result.config["shape"] == [3, 8, 7]


@pytest.mark.parametrize("function", [dfa.audit, dfa.repair])
def test_an_audit_and_a_repair_ask_for_the_same(function):
    claimed = np.ones(4, dtype=bool)
    with pytest.raises(dfa.InvalidInputError, match=ASKED):
        function(CLASSIFIER, IMAGES, VECTORS, claimed=claimed)
    # A PNG holds no seven channels.
    more = {"codec": "none"} if function is dfa.audit else {}
    assert len(function(CLASSIFIER, IMAGES, VECTORS, claimed=claimed, layout="NHWC", **more).records) == 4
    turned = VECTORS.transpose(0, 2, 3, 1)
    report = function(LinearClassifier((8, 7, 3)), IMAGES, turned, claimed=claimed, layout="NCHW")
    assert len(report.records) == 4


def test_an_attack_is_not_run_before_its_images_are_looked_at():
    with pytest.raises(dfa.InvalidInputError, match=ASKED):
        dfa.audit_attack(None, CLASSIFIER, IMAGES, np.zeros(4, dtype=np.int64))
    with pytest.raises(dfa.InvalidInputError, match="attack must be a Foolbox"):
        dfa.audit_attack(None, CLASSIFIER, IMAGES, np.zeros(4, dtype=np.int64), layout="NHWC")


@pytest.mark.parametrize("command", ["attack", "bench", "audit"])
@pytest.mark.parametrize("file", ["images.npy", "images.npz"])
def test_the_command_line_asks_for_the_same(tmp_path, monkeypatch, capsys, command, file):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import dfa_says, go_to_workplace

    here = go_to_workplace(tmp_path, monkeypatch)
    np.save(here / "images.npy", IMAGES)
    np.savez(here / "images.npz", images=IMAGES)
    np.save(here / "vectors.npy", VECTORS)
    more = {
        "attack": ["--out", "run", "--max-queries", "60"],
        "bench": ["--sizes", "2", "--seconds", "0.01", "--max-queries", "60"],
        "audit": ["vectors.npy", "--vector-model", "model.py:classify", "--codec", "none"],
    }[command]
    status, _, err = dfa_says(capsys, command, "model.py:classify", file, *more)
    assert status == 2
    assert "pass --image-layout NCHW if it is, or --image-layout NHWC if" in err
    status, out, err = dfa_says(capsys, command, "model.py:classify", file, *more, "--image-layout", "NHWC", "--json")
    assert (status, json.loads(out)["exit"], err) == (0, 0, "")
    if command == "attack":
        assert dfa_says(capsys, "resume", "run", "--trust", "--json")[0] == 0
        words = ("--out", "turned", "--max-queries", "60", "--image-layout", "NCHW")
        assert dfa_says(capsys, command, "model.py:classify", file, *words)[0] == 0
        assert dfa.Result.load(here / "turned").config["shape"] == [8, 7, 3]
