"""Models of timm and torchvision by their names, with weights of a file, which is where there is no network."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("torch")
pytest.importorskip("safetensors")

import torch
from safetensors.torch import save_file

from command_line import dfa_says
from dfa.cli.sources.hubs import hub_of, weights_in

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3), np.uint8)
FAST = ("--max-queries", 14, "--batch-size", 4, "--json", "--out", "run")


@pytest.fixture
def timm(torchvision):
    """The package timm, which imports torchvision."""
    return pytest.importorskip("timm")


@pytest.fixture
def images(here):
    """Write images of the size that the small models of timm take."""
    np.save(here / "images.npy", IMAGES)
    return "images.npy"


@pytest.fixture
def weights(here, timm):
    """Write weights of a model with seven classes."""
    torch.manual_seed(0)
    model = timm.create_model("test_resnet", num_classes=7).eval()
    save_file(model.state_dict(), here / "weights.safetensors")
    return model


@pytest.mark.parametrize(
    ("word", "hub", "file"),
    [
        ("timm:resnet10t", "timm", None),
        ("timm:resnet18.a1_in1k@dir/a@b.safetensors", "timm", "dir/a@b.safetensors"),
        ("torchvision:resnet18", "torchvision", None),
        ("timmy:model", None, None),
        ("my.timm:model", None, None),
        ("timm.py:model", None, None),
    ],
)
def test_a_word_of_a_hub_is_told_from_others(word, hub, file):
    assert hub_of(word) == hub
    assert (None if weights_in(word) is None else str(weights_in(word))) == file


def test_a_timm_model_is_asked_as_its_config_says(here, capsys, images, timm, weights):
    word = "timm:test_resnet@weights.safetensors"
    status, out, err = dfa_says(capsys, "attack", word, images, *FAST)
    assert status == 0, err
    result = dfa.Result.load("run")
    expected = dfa.from_timm(weights).scores(IMAGES).argmax(axis=1)
    assert [record.class_before for record in result.records] == expected.tolist()
    assert result.config["oracle"]["mean"] == pytest.approx(timm.get_pretrained_cfg("test_resnet").mean)
    status, _, err = dfa_says(capsys, "resume", "run")
    assert (status, f"model       {word}  ({here / 'weights.safetensors'})" in err) == (2, True), err
    status, out, err = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, json.loads(out)["images"]) == (0, result.success.sum()), err
    status, _, err = dfa_says(capsys, "verify", "run", "--model", word)
    assert status == 0, err
    np.save(here / "others.npy", IMAGES[:, :100, :100])
    status, _, err = dfa_says(capsys, "attack", word, "others.npy", *FAST, "--out", "other")
    assert status == 0, err


def test_a_torchvision_model_is_asked_behind_its_transforms(here, capsys, images, torchvision):
    torch.manual_seed(0)
    models = torchvision.models
    model = models.squeezenet1_1().eval()
    save_file(model.state_dict(), here / "weights.safetensors")
    status, _, err = dfa_says(capsys, "attack", "torchvision:squeezenet1_1@weights.safetensors", images, *FAST)
    assert status == 0, err
    result = dfa.Result.load("run")
    oracle = dfa.from_torchvision(model, models.SqueezeNet1_1_Weights.DEFAULT)
    expected = oracle.scores(IMAGES).argmax(axis=1)
    assert [record.class_before for record in result.records] == expected.tolist()
    assert result.config["class_names"][:2] == ["tench", "goldfish"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("timm:test_resnett", "timm has no model 'test_resnett'; timm's list_models() names them all"),
        ("timm:resnet10", "timm has no model 'resnet10'; it has "),
        ("timm:", "MODEL must be timm:NAME, or timm:NAME@weights.safetensors"),
        ("timm:test_resnet@", "MODEL must be timm:NAME, or timm:NAME@weights.safetensors"),
        ("timm:hf-hub:somebody/model", "MODEL must be timm:NAME, or timm:NAME@weights.safetensors"),
        ("timm:local-dir:folder", "MODEL must be timm:NAME, or timm:NAME@weights.safetensors"),
        ("timm:test_resnet@gone.safetensors", "cannot read 'gone.safetensors'"),
        ("timm:test_resnet@pickle.pth", "weights must be a .safetensors file, and 'pickle.pth' is none"),
        ("timm:test_resnet@broken.safetensors", "cannot read weights from 'broken.safetensors'"),
        ("timm:test_vit@weights.safetensors", "'weights.safetensors' must hold the weights of test_vit"),
        ("torchvision:squeezenet", "torchvision has no model 'squeezenet'; it has squeezenet1_0, squeezenet1_1"),
        ("torchvision:alexnet@weights.safetensors", "'weights.safetensors' must hold the weights of alexnet"),
    ],
)
def test_what_is_no_model_of_a_hub_is_told_of(here, capsys, images, weights, word, message):
    torch.save(weights.state_dict(), here / "pickle.pth")
    (here / "broken.safetensors").write_bytes(b"not such a file")
    status, _, err = dfa_says(capsys, "attack", word, images, "--out", "run")
    assert (status, message in err) == (2, True), err
    assert not (here / "run").exists()


@pytest.mark.parametrize("word", ["timm:test_resnet", "torchvision:squeezenet1_1"])
def test_without_a_network_a_file_of_weights_is_asked_for(here, capsys, images, timm, torchvision, monkeypatch, word):
    def offline(name, **settings):
        raise OSError("no network")

    monkeypatch.setattr(timm, "create_model", offline)
    monkeypatch.setattr(torchvision.models, "get_model", offline)
    status, _, err = dfa_says(capsys, "attack", word, images, "--out", "run")
    assert (status, "OSError: no network" in err, f"{word}@weights.safetensors" in err) == (2, True, True), err


def test_a_hub_is_no_module_of_the_folder(here, capsys, images, weights, monkeypatch):
    """What lies beside it under that name is neither shown nor loaded."""
    assert dfa_says(capsys, "attack", "timm:test_resnet@weights.safetensors", images, *FAST)[0] == 0
    (here / "timm.py").write_text("raise SystemExit('loaded')")
    err = dfa_says(capsys, "verify", "run")[2]
    assert "timm.py" not in err
    assert "where modules are looked for first" not in err
    assert dfa_says(capsys, "verify", "run", "--trust")[0] == 0


def test_what_would_be_downloaded_is_shown_so(here, capsys, images, weights, timm):
    assert dfa_says(capsys, "attack", "timm:test_resnet@weights.safetensors", images, *FAST)[0] == 0
    document = json.loads((here / "run" / "run.json").read_text())
    document["command"] |= {"model": "timm:test_resnet", "preprocess": "timm:create_model"}
    (here / "run" / "run.json").write_text(json.dumps(document))
    err = dfa_says(capsys, "verify", "run")[2]
    assert "model       timm:test_resnet  (timm, with weights that it downloads)" in err
    # Only a model is looked for there.
    assert f"preprocess  timm:create_model  ({Path(timm.__file__).parent})" in err
