"""What MODEL may be: files of several frameworks, models of hubs by name, objects; and how it is asked."""

from __future__ import annotations

import json
import shutil
import warnings

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")
pytest.importorskip("torch")

import torch

from command_line import IMAGES, SHAPE, dfa_says
from dfa.cli.forecast import Throughput, recommend

FAST = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12, "--json")
MEAN, STD = (0.5, 0.25, 0.125), (0.5, 0.25, 0.5)
STATISTICS = ("--mean", "0.5,0.25,0.125", "--std", "0.5,0.25,0.5")

NETS = """
import torch

class Net(torch.nn.Module):
    def __init__(self, channels_last: bool = False):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = torch.nn.Parameter(torch.randn(8 * 7 * 3, 10, generator=generator))
        self.channels_last = channels_last

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        if not self.channels_last:
            images = images.permute(0, 2, 3, 1)
        return images.reshape(images.shape[0], -1) @ self.weight

net = Net().eval()
learning = Net()

def make():
    return Net().eval()
"""


@pytest.fixture
def nets(here):
    """Write a module of torch models into the folder, and return what is in it."""
    (here / "nets.py").write_text(NETS)
    namespace = {"__name__": "nets_of_the_test"}
    exec(NETS, namespace)
    return namespace


@pytest.fixture
def script(here, nets):
    """A TorchScript file."""
    save_script(nets["net"], torch.zeros(2, 3, 8, 7), here / "net.pt")
    return "net.pt"


def save_script(net, images, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.save(torch.jit.trace(net, images), path)


def attacked(capsys, *words):
    """Attack the photographs, take the run up and verify it, and return the result."""
    status, out, err = dfa_says(capsys, "attack", *words, *FAST, "--out", "run")
    assert status == 0, err
    assert json.loads(out)["summary"]["attacked"] == 10
    result = dfa.Result.load("run")
    status, out, err = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, json.loads(out)["images"]) == (0, result.success.sum()), err
    status, _, err = dfa_says(capsys, "resume", "run", "--trust", "--json")
    assert status == 0, err
    return result


def refused(capsys, *words):
    """Return what is said of words that do not go together."""
    status, _, err = dfa_says(capsys, "attack", words[0], "photos", *words[1:], "--out", "never")
    assert status == 2, err
    return err


def test_a_torch_program_is_attacked_as_it_is_declared(here, capsys, script, nets):
    result = attacked(capsys, script, "photos", *STATISTICS)
    assert result.success.any()
    oracle = result.config["oracle"]
    assert (oracle["kind"], oracle["name"], oracle["returns"]) == ("torch", "net.pt", "logits")
    held = result.images.held()
    images = np.stack([result.images[index] for index in held])
    classes = dfa.as_oracle(nets["net"], mean=MEAN, std=STD).scores(images).argmax(axis=1)
    assert classes.tolist() == [result.records[index].class_after for index in held]


def test_how_a_torch_model_is_asked_changes_its_answers(here, capsys, script):
    def before(*words):
        status, _, err = dfa_says(capsys, "attack", script, "photos", *words, *FAST, "--overwrite", "--out", "run")
        assert status == 0, err
        return [record.probability_before for record in dfa.Result.load("run").records]

    plain = before()
    assert before(*STATISTICS) != plain
    assert before("--mean", "0", "--std", "1") == plain
    assert before("--device", "cpu") == plain


def test_a_layout_is_that_of_the_model(here, capsys, nets):
    last = nets["Net"](True).eval()
    save_script(last, torch.zeros(2, 8, 7, 3), here / "last.ts")
    result = attacked(capsys, "last.ts", "photos", "--model-layout", "NHWC")
    assert result.config["oracle"]["layout"] == "NHWC"
    (here / "picky.py").write_text(
        "import torch\n\nclass Picky(torch.nn.Conv2d):\n    pass\n\nnet = Picky(8, 2, 1).eval()\n"
    )
    err = refused(capsys, "picky.py:net")
    assert "--model-layout NHWC if that is what it takes" in err
    assert "--size HxW resizes image files" in err
    assert "transform=" not in err


def test_an_exported_program_is_one_too(here, capsys, nets):
    rows = torch.export.Dim("rows", min=2, max=64)
    program = torch.export.export(nets["net"], (torch.zeros(2, 3, 8, 7),), dynamic_shapes=({0: rows},))
    torch.export.save(program, here / "net.pt2")
    assert attacked(capsys, "net.pt2", "photos").config["oracle"]["name"] == "net.pt2"


def test_a_pickle_of_torch_is_refused_with_what_to_do(here, capsys, nets):
    torch.save(nets["net"].state_dict(), here / "state.pt")
    err = refused(capsys, "state.pt")
    assert "pickle" in err
    assert "torch.export.save" in err
    assert "module:attribute" in err


def test_a_module_of_a_module_is_asked_as_declared(here, capsys, nets):
    result = attacked(capsys, "nets:net", "photos", *STATISTICS)
    assert result.config["oracle"]["mean"] == list(MEAN)
    assert "model.eval()" in refused(capsys, "nets:learning")


def test_files_in_grey_become_what_the_statistics_are_of(here, capsys, script):
    import PIL.Image

    (here / "grey").mkdir()
    for index, image in enumerate(IMAGES):
        PIL.Image.fromarray(image[:, :, 0]).save(here / "grey" / f"{index}.png")
    attacked(capsys, script, "grey", *STATISTICS)
    assert dfa.Result.load("run").config["shape"] == list(SHAPE)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["net.pt", "--preprocess", "model.py:halve"], "with --returns, --mean, --std, --model-layout, --device, not"),
        (["net.pt", "--preprocess", "model.py:halve"], "not with --preprocess"),
        (["net.pt", "--num-classes", "10"], "not with --num-classes; --num-classes and --k go with --shows"),
        (["net.pt", "--class-offset", "1"], "--class-offset is for .tflite files, and net.pt is none"),
        (["net.pt", "--mean", "0.5"], "--mean and --std go together"),
        (["net.pt", "--mean", "a,b", "--std", "1"], "--mean must be one number, or one per channel with commas"),
        (["net.pt", "--mean", "123", "--std", "58"], "look like grey levels"),
        (["net.pt", "--device", "nowhere"], "--device must be one that torch has here, got 'nowhere'"),
        (["net.pt", "--returns", "label"], "to show less of them, pass --shows top_k, top_1 or label"),
        (["gone.pt"], "MODEL must be a file that exists"),
        (["GONE.PT"], "MODEL must be a file that exists"),
        (["model.py:classify", "--mean", "0.5", "--std", "1"], "a function takes no --mean"),
        (["model.py:classify", "--model-layout", "NCHW"], "a function takes no --model-layout"),
        (["model.keras", "--mean", "0.5", "--std", "1"], "goes with --returns, --preprocess, not with --mean, --std"),
        (["model.tflite", "--device", "cpu"], "--class-offset, not with --device"),
        (["timm:resnet10t", "--mean", "0.5", "--std", "1"], "knows its mean and std, and goes with"),
        (
            ["nets.py:make"],
            "nets.py:make must be a model, or a function that can be called with a batch alone, and make()",
        ),
        (["nets.py:make", "--mean", "0.5", "--std", "1"], "write net = make(...) in nets.py, and give nets.py:net"),
        (["model.py:os"], "MODEL must be an Oracle, a"),
        (["nets:net", "--device", "meta"], "--device meta"),
    ],
)
def test_what_does_not_go_together_is_named(here, capsys, script, words, message):
    err = refused(capsys, *words)
    assert message in err, err
    assert not (here / "never").exists()


def test_how_the_model_is_asked_is_part_of_the_run(here, capsys, script, monkeypatch, tmp_path):
    """A run goes on, and is verified, as it was begun, wherever the model is named again."""
    attacked(capsys, script, "photos", *STATISTICS)
    shutil.copy(here / script, here / "copy.pt")
    status, _, err = dfa_says(capsys, "resume", "run", "--model", "copy.pt", "--images", "photos")
    assert status == 0, err
    status, _, err = dfa_says(capsys, "verify", "run")
    assert (status, "--mean 0.5,0.25,0.125 --std 0.5,0.25,0.5" in err) == (2, True), err
    status, out, err = dfa_says(capsys, "verify", "run", "--model", "copy.pt", *STATISTICS, "--json")
    assert status == 0, err
    assert json.loads(out)["asked_otherwise"] == []
    status, out, _ = dfa_says(capsys, "verify", "run", "--model", "copy.pt")
    first = out.splitlines()[0]
    assert (status, "mean was [0.5, 0.25, 0.125], and is null; std was [0.5, 0.25, 0.5], and is null" in first) == (
        1,
        True,
    )
    assert first.endswith("; the run was begun with --mean 0.5,0.25,0.125 --std 0.5,0.25,0.5")
    # And where a table of findings has come between, so that nobody misses it.
    assert "which may be all that is wrong: see the first line" in " ".join(out.splitlines()[-3:])


def test_other_commands_ask_a_torch_model_too(here, capsys, script):
    words = (*STATISTICS, "--seconds", 0.05, "--sizes", "4,8", "--pilot", 2, "--max-queries", 30, "--json")
    status, out, err = dfa_says(capsys, "bench", script, "photos", *words)
    assert status == 0, err
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", np.ascontiguousarray(IMAGES.transpose(0, 3, 1, 2), np.float32) / 255)
    words = ("--vector-model", script, "--layout", "NCHW", "--json")
    status, out, err = dfa_says(capsys, "audit", script, "images.npy", "vectors.npy", *words)
    assert status == 0, err
    assert json.loads(out)["audits"]


@pytest.mark.parametrize("shown", [(), ("--shows", "top_1", "--num-classes", 10)])
def test_a_measurement_says_where_batches_are_filled_up(here, capsys, nets, shown):
    (here / "filled.py").write_text(f"import dfa\n{NETS}\noracle = dfa.TorchOracle(net, static_batch=64)\n")
    words = ("filled.py:oracle", "photos", *shown, "--seconds", 0.02, "--pilot", 2, "--max-queries", 20)
    status, out, err = dfa_says(capsys, "bench", *words, "--sizes", "1,64,65", "--json")
    assert status == 0, err
    assert [each["rows"] for each in json.loads(out)["throughput"]] == [64, 64, 128]
    status, out, err = dfa_says(capsys, "bench", *words, "--sizes", "1,64,65")
    assert status == 0, err
    assert "asked, here as in a run: 64 rows for 1, 128 rows for 65." in " ".join(out.split())
    (line,) = [line for line in out.splitlines() if "recommended" in line]
    assert line.split()[1] == "64"
    status, out, err = dfa_says(capsys, "bench", *words, "--sizes", "64")
    assert (status, "filled up" in out) == (0, False), err


def test_batches_that_are_filled_up_are_recommended_only_where_there_are_no_others():
    filled, whole = Throughput(8, 16, 1000.0, 3), Throughput(16, 16, 1000.0, 3)
    assert recommend([filled, whole]) is whole
    assert recommend([filled]) is filled


def test_a_file_that_is_asked_about_images_is_no_model_of_vectors(here, capsys):
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", IMAGES / 255)
    (here / "net.tflite").write_bytes(b"")
    words = ("model.py:classify", "images.npy", "vectors.npy", "--vector-model", "net.tflite")
    status, _, err = dfa_says(capsys, "audit", *words)
    assert (status, "--vector-model must be a Keras or a torch model" in err) == (2, True), err


def test_a_model_in_the_run_folder_is_not_loaded(here, capsys, script):
    attacked(capsys, script, "photos")
    shutil.copy(here / script, here / "run" / script)
    document = json.loads((here / "run" / "run.json").read_text())
    for word in (f"run/{script}", f"timm:resnet10t@run/{script}"):
        document["command"]["model"] = word
        (here / "run" / "run.json").write_text(json.dumps(document))
        for command in ("verify", "resume"):
            status, _, err = dfa_says(capsys, command, "run", "--trust")
            assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
