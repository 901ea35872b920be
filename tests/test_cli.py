"""The command line, as a user or a CI job meets it: words in, tables, JSON and exit statuses out."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import inspect
import io
import json
import subprocess
import sys

import numpy as np
import PIL.Image
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from dfa.cli.main import main
from oracles import random_images

SHAPE = (8, 7, 3)
IMAGES = random_images(10, SHAPE)

MODEL = """
import os
import numpy as np

def weights(size):
    return np.random.default_rng(1).integers(-9, 10, (size, 10)).astype(np.float64)

def classify(images):
    flat = images.reshape(len(images), -1).astype(np.float64)
    scores = flat @ (weights(flat.shape[1]) - weights(flat.shape[1]).mean(axis=1, keepdims=True))
    scores -= scores.min(axis=1, keepdims=True) - 1
    return scores / scores.sum(axis=1, keepdims=True)

def logits(images):
    return 5 * classify(images)

def halve(batch):
    return batch / 2

def broken(images):
    raise OSError("the line is dead")

def stubborn(images):
    return np.broadcast_to([0.75, 0.25], (len(images), 2))

def label(images):
    return classify(images).argmax(axis=1)

class Scores:
    __call__ = staticmethod(classify)

nested = Scores
"""

SPACES = """
import numpy as np
import dfa

left = dfa.LinfBall(12, mask=np.arange(8 * 7).reshape(8, 7) % 7 < 3)
ramp = dfa.Custom([-9], [9], lambda images, x: (images + x[:, :, None, None]).clip(0, 255).astype(images.dtype))
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a model and photographs, to be in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.py").write_text(MODEL)
    (tmp_path / "photos").mkdir()
    for index, image in enumerate(IMAGES):
        PIL.Image.fromarray(image).save(tmp_path / "photos" / f"p{index}.jpg", quality=90)
    (tmp_path / "photos" / "notes.txt").write_text("no image")
    return tmp_path


def dfa_says(capsys, *words):
    """Run a command; return its exit status and what it wrote to either stream."""
    status = main([str(word) for word in words])
    out, err = capsys.readouterr()
    return status, out, err


def attack(capsys, *words):
    """Attack with settings that take no time, and return what the command's JSON says."""
    fast = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12, "--json")
    status, out, err = dfa_says(capsys, "attack", "model.py:classify", "photos", *fast, *words)
    document = json.loads(out)
    assert document["exit"] == status
    return status, document, err


def test_photographs_are_attacked_as_the_pixels_that_were_decoded(here, capsys):
    status, document, _ = attack(capsys, "--out", "run")
    assert status == 0
    assert document["summary"]["attacked"] == 10
    assert "10 files (jpg), decoded once by Pillow" in document["images"]
    result = dfa.Result.load(here / "run")
    assert result.success.sum() > 0
    for index in result.images.held():
        with PIL.Image.open(here / "photos" / f"p{index}.jpg") as picture:
            decoded = np.array(picture)
        with PIL.Image.open(here / "run" / "originals" / f"{index:06d}.png") as picture:
            np.testing.assert_array_equal(np.array(picture), decoded)
        assert np.abs(result.images[index].astype(int) - decoded).max() <= 12
    assert document["saved"]["verified"] == result.success.sum()


def test_the_command_is_the_python_interface(here, capsys):
    np.save("images.npy", IMAGES)
    words = ("--epsilon", 9, "--max-queries", 90, "--seed", 3, "--samples", 2, "--window-halvings", "5,20", "--json")
    assert main([str(word) for word in ("attack", "model:classify", "images.npy", "--out", "run", *words)]) == 0
    optimizer = dfa.Racos(samples=2, window_halvings=(5, 20))
    namespace = {}
    exec(MODEL, namespace)
    expected = dfa.run(
        namespace["classify"], IMAGES, epsilon=9, max_queries=90, seed=3, optimizer=optimizer, progress=False
    )
    read = dfa.Result.load(here / "run")
    assert read.queries.tolist() == expected.queries.tolist()
    assert [record.trace for record in read.records] == [record.trace for record in expected.records]


def test_every_setting_has_its_flag_with_its_own_default_and_words(capsys):
    from dfa.cli.commands.app import app

    options = {name: option for option in app.commands["attack"].params for name in option.opts}
    for field in dataclasses.fields(dfa.Racos):
        if field.name != "objective":
            option = options[f"--{field.name.replace('_', '-')}"]
            assert option.default is None
            assert str(field.default) in option.help or field.default is None
    for name in ("max_queries", "max_seconds", "batch_size", "seed", "threads"):
        assert options[f"--{name.replace('_', '-')}"].default == inspect.signature(dfa.run).parameters[name].default
    assert "Budget per image" in options["--max-queries"].help
    assert list(options["--shape"].type.choices) == ["scattered", "window"]


@pytest.mark.parametrize("name", dfa.objectives.NAMED)
def test_a_degree_goes_by_its_name(here, capsys, name):
    attack(capsys, "--out", "run", "--objective", name)
    assert dfa.Result.load("run").config["objective"] == name


def test_the_papers_setting_follows_the_goal(here, capsys):
    attack(capsys, "--out", "u", "--preset", "paper")
    attack(capsys, "--out", "t", "--preset", "paper", "--target", "rank:2", "--coordinates", "0.1")
    assert dfa.Result.load("u").config["optimizer"]["samples"] == 3
    optimizer = dfa.Result.load("t").config["optimizer"]
    assert (optimizer["samples"], optimizer["coordinates"]) == (10, 0.1)


def test_a_rate_above_the_one_allowed_fails(here, capsys):
    status, document, _ = attack(capsys, "--out", "a", "--fail-above", "0.0")
    assert (status, document["fail_above"]) == (1, 0.0)
    rate = document["summary"]["TSR"]
    assert attack(capsys, "--out", "b", "--fail-above", rate)[0] == 0
    status, out, _ = dfa_says(
        capsys, "attack", "model.py:stubborn", "photos", "--max-queries", 5, "--out", "c", "--fail-above", 0
    )
    assert status == 0
    assert "Kept in c" in out


def test_a_rate_of_nothing_does_not_pass_silently(here, capsys):
    (here / "labels.csv").write_text("file,label\n" + "".join(f"p{index}.jpg,77\n" for index in range(10)))
    words = ("attack", "model.py:stubborn", "photos", "--labels", "labels.csv", "--out", "a", "--fail-above", 0.5)
    status, _, err = dfa_says(capsys, *words)
    assert status == 2
    assert "labels must be class ids 0..1" in err
    (here / "labels.csv").write_text("label\n" + "1\n" * 10)
    status, _, err = dfa_says(capsys, *words, "--overwrite")
    assert status == 2
    assert "no image was attacked" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.keras", "photos"], "MODEL must be a file that exists"),
        (["model.py", "photos"], r"must be a .keras or a .tflite file, or module:attribute"),
        (["nothing.tflite", "photos"], "MODEL must be a file that exists"),
        (["model.py:classify", "photos", "--class-offset", "1"], "--class-offset is for .tflite files"),
        (
            ["model.py:classify", "photos", "--confirmations", "5/3"],
            "confirmation must need at least 1 and at most all",
        ),
        (["model.py:classify", "photos", "--confirmations", "many"], "confirmations must be"),
        (["model.py:absent", "photos"], "has no 'absent'; it has Scores, broken, classify"),
        (
            ["model.py:classify", "photos", "--space", "circles"],
            "one of lighting, pixels, rectangle, shift, tiled, tin",
        ),
        (["model.py:classify", "photos", "--space", "pixels:radius=2"], "pixels has number; got 'radius=2'"),
        (["model.py:classify", "photos", "--space", "pixels:number=few"], "must be NAME=INTEGER.*got 'number=few'"),
        (["model.py:classify", "photos", "--space", "pixels:number=²"], "must be NAME=INTEGER.*got 'number=²'"),
        (["model.py:classify", "photos", "--size", "²"], "must be HEIGHTxWIDTH"),
        (["model.py:classify", "photos", "--target", "rank:²"], "must be rank:J, class:ID or"),
        (["model.py:classify", "photos", "--space", "pixels:number=0"], "Pixels, images of shape .*: number must be"),
        (["model.py:classify", "photos", "--space", "pixels:number=2x2"], "Pixels: number must be an integer"),
        (["model.py:classify", "photos", "--space", "model.py:label"], "'model.py:label' must be a dfa.Space, got"),
        (["model.py:classify", "photos", "--space", "pixels", "--epsilon", "8"], "the space 'pixels' is none; leave"),
        (["model.py:classify", "photos", "--space", "pixels", "--shape", "window"], "its optimizer must have shape"),
        (["model.py:label", "photos", "--returns", "label"], "num_classes must be an integer of 2 or more"),
        (["model.py:classify", "photos", "--shows", "label"], "num_classes must be an integer of 2 or more"),
        (["model.py:classify", "photos", "--k", "3"], "goes with returns='top_k'"),
        (["no_such_module:classify", "photos"], "cannot import 'no_such_module': ModuleNotFoundError"),
        (["gone.py:classify", "photos"], "'gone.py' must be a file that exists"),
        (["model.py:nested", "photos"], "got the class Scores"),
        (["model.py:classify", "nowhere"], "IMAGES must be a folder or a glob with images"),
        (["model.py:classify", "photos/*.png"], "IMAGES must be a folder or a glob with images"),
        (["model.py:classify", "photos", "--epsilon", "0.03"], "did you mean 8, for 8/255"),
        (["model.py:classify", "photos", "--epsilon", "0"], "epsilon must be in grey levels"),
        (["model.py:classify", "photos", "--target", "eleventh"], "must be rank:J, class:ID or"),
        (["model.py:classify", "photos", "--labels", "none.csv"], "cannot read 'none.csv'"),
        (["model.py:classify", "photos", "--size", "big"], "must be HEIGHTxWIDTH"),
        (["model.py:classify", "photos", "--max-queries", "1"], "max_queries must be at least the population"),
        (["model.py:classify", "photos", "--checkpoint", "5"], "at least four batches"),
        (["model.py:classify", "photos", "--shape", "round"], "'round' is not one of"),
        (["model.py:classify", "photos", "--window-halvings", "a,b"], "must be integers with commas"),
        (["model.py:classify", "photos", "--fail-above", "2"], "is not in the range"),
        (["model.py:classify"], "Missing argument"),
        (["--epsilonn"], "No such option"),
    ],
)
def test_a_wrong_word_is_told_of_before_anything_is_done(here, capsys, words, message):
    status, _, err = dfa_says(capsys, "attack", *words, "--out", "run")
    assert status == 2
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(err)
    assert not (here / "run").exists()


def test_a_failing_oracle_and_a_bad_folder_have_statuses_of_their_own(here, capsys):
    status, out, err = dfa_says(capsys, "attack", "model.py:broken", "photos", "--out", "a", "--json")
    assert status == 3
    assert "the line is dead" in err
    assert json.loads(out) == {"error": err.removeprefix("dfa: ").strip(), "exit": 3}
    (here / "file").write_text("")
    assert dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "file/run")[0] == 4
    attack(capsys, "--out", "b")
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "b")
    assert status == 4
    assert "must not hold a saved result" in err


def test_labels_are_looked_up_by_file(here, capsys):
    namespace = {}
    exec(MODEL, namespace)
    pixels = np.stack([np.array(PIL.Image.open(here / "photos" / f"p{index}.jpg")) for index in range(10)])
    classes = namespace["classify"](pixels).argmax(axis=1)
    classes[3] = (classes[3] + 1) % 10
    order = np.random.default_rng(0).permutation(10)
    rows = [f"somewhere/p{index}.jpg,{classes[index]}" for index in order]
    (here / "labels.csv").write_text("\ufefffile, label\n" + "\n".join(rows) + "\n", encoding="utf-8")
    _, document, _ = attack(capsys, "--labels", "labels.csv", "--out", "a")
    assert document["summary"]["skipped"] == 1
    assert dfa.Result.load("a").records[3].status is dfa.Status.SKIPPED
    for text, message in (
        ("file,label\np0.jpg,1\n", "lacks 9, the first 'p1.jpg'"),
        ("file,label\np0.jpg,1\np0.jpg,2\n", "gives p0.jpg twice, as 1 and as 2"),
        ("file,label\np0.jpg,cat\n", "row 1 holds 'cat'"),
        ("name,class\np0.jpg,1\n", "a column 'label'"),
        ("label\n1\n", "one row for each of the 10 images"),
        ("", "a column 'label'"),
    ):
        (here / "labels.csv").write_text(text)
        status, _, err = dfa_says(
            capsys, "attack", "model.py:classify", "photos", "--labels", "labels.csv", "--out", "x"
        )
        assert (status, message in err) == (2, True), err


def test_targets_come_as_a_rank_a_class_or_a_table(here, capsys):
    attack(capsys, "--target", "rank:3", "--out", "rank")
    attack(capsys, "--target", "class:0", "--out", "class")
    (here / "targets.csv").write_text("index,target\n" + "\n".join(f"p{index}.jpg,{index}" for index in range(10)))
    (here / "targets.csv").write_text("target\n" + "\n".join(str(index) for index in range(10)))
    attack(capsys, "--target", "targets.csv", "--out", "table")
    assert dfa.Result.load("rank").config["targets"] == {"j": 3}
    assert {record.target for record in dfa.Result.load("class").records} == {0}
    assert [record.target for record in dfa.Result.load("table").records] == list(range(10))


def test_arrays_are_attacked_as_they_are(here, capsys):
    np.savez("images.npz", images=IMAGES, labels=np.arange(10))
    np.save("epsilon.npy", np.full(SHAPE, 3))
    base = ("attack", "model.py:classify", "images.npz", "--max-queries", 5, "--json")
    assert dfa_says(capsys, *base, "--epsilon", "epsilon.npy", "--out", "a")[0] == 0
    assert dfa.Result.load("a").summary().total == 10
    assert dfa_says(capsys, *base, "--labels", "images.npz", "--out", "b")[0] == 0
    assert dfa.Result.load("b").records[7].label == 7
    status, _, err = dfa_says(capsys, *base, "--size", "4", "--out", "c")
    assert (status, "only image files can be resized" in err) == (2, True)
    np.save("floats.npy", IMAGES / 255)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "floats.npy", "--out", "d")
    assert (status, "convert with" in err) == (2, True)
    np.savez("others.npz", a=IMAGES, b=IMAGES)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "others.npz", "--out", "d")
    assert (status, "must hold an array 'images', and holds a, b" in err) == (2, True)


def test_files_of_several_kinds_become_one(here, capsys):
    mixed = here / "mixed"
    mixed.mkdir()
    grey = PIL.Image.fromarray(IMAGES[0][:, :, 0])
    grey.save(mixed / "a.png")
    PIL.Image.fromarray(IMAGES[1]).convert("RGBA").save(mixed / "b.png")
    PIL.Image.fromarray(IMAGES[2]).quantize().save(mixed / "c.gif")
    PIL.Image.fromarray(IMAGES[3][:, :, 0].astype(np.uint16) * 256).save(mixed / "d.png")
    turned = PIL.Image.Exif()
    turned[0x0112] = 6
    PIL.Image.fromarray(IMAGES[4]).save(mixed / "e.jpg", exif=turned)
    (mixed / ".hidden.png").write_bytes(b"")
    base = ("attack", "model.py:classify", "mixed", "--max-queries", 5, "--json")
    status, out, _ = dfa_says(capsys, *base, "--channels", "rgb", "--out", "rgb")
    assert status == 0
    result = dfa.Result.load("rgb")
    assert result.config["shape"] == [8, 7, 3]
    assert [record.status is dfa.Status.ERROR for record in result.records] == [False, False, False, True, False]
    assert "d.png must have 8 bits per channel" in result.records[3].reason
    assert json.loads(out)["exif_orientation_not_applied"] == 1
    # Without a word, the first file decides.
    assert dfa_says(capsys, *base, "--out", "first")[0] == 0
    assert dfa.Result.load("first").config["shape"] == [8, 7, 1]
    status, out, _ = dfa_says(capsys, *base, "--channels", "rgb", "--size", "5x4", "--out", "small")
    assert dfa.Result.load("small").config["shape"] == [5, 4, 3]
    assert "resized once to 5x4" in json.loads(out)["images"]


def test_scores_and_preprocessing_are_declared(here, capsys):
    base = ("attack", "model.py:logits", "photos", "--max-queries", 5, "--json")
    words = ("--returns", "logits", "--preprocess", "model.py:halve", "--out", "a")
    assert dfa_says(capsys, *base, *words)[0] == 0
    oracle = dfa.Result.load("a").config["oracle"]
    assert (oracle["returns"], oracle["preprocess"]) == ("logits", "halve")
    assert dfa_says(capsys, *base, "--out", "b")[0] == 3


@pytest.mark.parametrize(
    ("words", "space"),
    [
        (["pixels"], dfa.Pixels()),
        (["rectangle:height=4,width=3"], dfa.Rectangle(4, 3)),
        (["rectangle:height=5,width=5,colour=0"], dfa.Rectangle(5, 5, 0)),
        (["tiny-rectangles:number=6,size=1x3"], dfa.TinyRectangles(6, (1, 3))),
        (["tiled:factor=2", "--epsilon", 20], dfa.Tiled(dfa.LinfBall(20), 2)),
        (["tiled"], dfa.Tiled(dfa.LinfBall(10), 4)),
        (["lighting:gamma=2"], dfa.Lighting(gamma=2)),
        (["spaces.py:left"], dfa.LinfBall(12, mask=np.arange(8 * 7).reshape(8, 7) % 7 < 3)),
    ],
)
def test_a_space_is_searched_that_words_name(here, capsys, words, space):
    (here / "spaces.py").write_text(SPACES)
    np.save("images.npy", IMAGES)
    base = ("attack", "model:classify", "images.npy", "--max-queries", 60, "--json", "--out", "run", "--space")
    assert dfa_says(capsys, *base, *words)[0] == 0
    namespace = {}
    exec(MODEL, namespace)
    expected = dfa.run(namespace["classify"], IMAGES, space=space, max_queries=60, progress=False)
    read = dfa.Result.load(here / "run")
    assert read.success.sum() > 0
    assert [record.trace for record in read.records] == [record.trace for record in expected.records]
    assert dfa_says(capsys, "resume", "run")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--json")
    assert (status, json.loads(out)["images"]) == (0, read.success.sum())


def test_a_space_of_other_arrays_is_searched_too(here, capsys):
    (here / "spaces.py").write_text(SPACES)
    np.save("images.npy", IMAGES)
    words = ("--space", "spaces.py:ramp", "--max-queries", 60, "--json", "--out", "run", "--samples", 2)
    assert dfa_says(capsys, "attack", "model:classify", "images.npy", *words)[0] == 0
    assert dfa.Result.load(here / "run").config["optimizer"]["samples"] == 2


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        (["model.py:label", "--returns", "label", "--num-classes", 10], ("label", None)),
        (["model.py:classify", "--shows", "label", "--num-classes", 10], ("label", None)),
        (["model.py:logits", "--returns", "logits", "--shows", "top_1", "--num-classes", 10], ("top_1", 1)),
        (["model.py:classify", "--shows", "top_k", "--k", 3, "--num-classes", 10], ("top_k", 3)),
    ],
)
def test_less_may_be_seen_of_a_model(here, capsys, words, shown):
    base = (words[0], "photos", *words[1:], "--max-queries", 200, "--epsilon", 12, "--json", "--out", "run")
    status, out, _ = dfa_says(capsys, "attack", *base)
    assert (status, json.loads(out)["summary"]["attacked"]) == (0, 10)
    result = dfa.Result.load("run")
    oracle = result.config["oracle"]
    assert (oracle["returns"], oracle.get("num_shown")) == shown
    assert result.success.sum() > 0
    assert dfa_says(capsys, "resume", "run")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--json")
    assert (status, json.loads(out)["images"]) == (0, result.success.sum())


def test_repeated_answers_are_asked_for_by_a_flag(here, capsys):
    _, document, _ = attack(capsys, "--out", "run", "--confirmations", "2/3")
    summary = document["summary"]
    assert summary["verified"] > 0
    assert (summary["answers"], summary["confidence"]) == (3 * summary["verified"], 1.0)
    assert document["profile"]["clean"] == 30
    assert dfa.Result.load("run").config["confirmations"] == {"needed": 2, "of": 3}
    assert dfa_says(capsys, "resume", "run")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--json")
    assert (status, json.loads(out)["checks"]["adversarial"]["checked"]) == (0, summary["verified"])


def test_a_run_is_verified_by_its_own_model_or_another(here, capsys):
    attack(capsys, "--out", "run")
    status, out, _ = dfa_says(capsys, "verify", "run", "--json")
    document = json.loads(out)
    assert (status, document["exit"], document["holds"]) == (0, 0, True)
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--images", "photos")[0] == 0
    (here / "model2.py").write_text(MODEL.replace("default_rng(1)", "default_rng(2)"))
    status, out, _ = dfa_says(capsys, "verify", "run", "--model", "model2.py:classify")
    assert status == 1
    assert "things do not hold" in out
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:broken")[0] == 3
    assert dfa_says(capsys, "verify", "photos", "--model", "model.py:classify")[0] == 4
    dfa.run(lambda images: np.eye(2)[np.zeros(len(images), int)], IMAGES[:1], max_queries=3, store="python")
    status, _, err = dfa_says(capsys, "verify", "python")
    assert (status, "was not begun by `dfa attack`" in err) == (4, True)


def test_a_run_that_was_cut_short_goes_on_from_anywhere(here, capsys, monkeypatch, tmp_path_factory):
    flaky = (
        MODEL
        + """
calls = 0
def flaky(images):
    global calls
    calls += 1
    if calls == 30 and not os.path.exists("mended"):
        raise OSError("the line is dead")
    return classify(images)
"""
    )
    (here / "model.py").write_text(flaky)
    fast = ("--max-queries", 60, "--batch-size", 4, "--epsilon", 12, "--checkpoint", 40, "--json")
    assert dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "whole", *fast)[0] == 0
    status, _, _ = dfa_says(capsys, "attack", "model.py:flaky", "photos", "--out", "run", *fast)
    assert status == 3
    assert dfa.Result.load("run").summary().unfinished > 0
    (here / "mended").write_text("")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    status, out, _ = dfa_says(capsys, "resume", here / "run", "--json", "--fail-above", 0)
    assert status == 1
    document = json.loads(out)
    assert document["summary"]["unfinished"] == 0
    assert 0 < document["profile"]["resent"] <= 48
    read, whole = dfa.Result.load(here / "run"), dfa.Result.load(here / "whole")
    assert [each.trace for each in read.records] == [each.trace for each in whole.records]
    # It has ended, so there is nothing to go on with.
    assert dfa_says(capsys, "resume", here / "run", "--json")[0] == 0
    (here / "photos" / "p4.jpg").write_bytes((here / "photos" / "p5.jpg").read_bytes())
    assert dfa_says(capsys, "resume", here / "photos")[0] == 4


def test_a_terminal_sees_the_run_go_on():
    from rich.console import Console

    from dfa.cli.commands.progress import show_progress

    out = io.StringIO()
    console = Console(force_terminal=True, width=200, file=out)
    with show_progress(console, 10, dfa.Storage("somewhere")) as show:
        dfa.run(lambda images: np.broadcast_to([0.75, 0.25], (len(images), 2)), IMAGES, max_queries=3, progress=show)
    text = out.getvalue()
    assert "somewhere" in text
    assert "10/10" in text
    assert "0.0 % fell" in text


def test_a_report_is_written(here, capsys):
    pytest.importorskip("matplotlib")
    attack(capsys, "--out", "run")
    status, out, _ = dfa_says(capsys, "report", "run", "--json")
    assert (status, json.loads(out)["report"]) == (0, "run/report.html")
    html = (here / "run" / "report.html").read_text()
    assert "dfa attack model.py:classify photos --epsilon 12" in html


def test_a_model_is_measured_and_a_run_projected(here, capsys):
    words = ("--sizes", "1,4", "--seconds", 0, "--pilot", 4, "--number", 1000, "--max-queries", 40)
    base = ("bench", "model.py:classify", "photos", "--epsilon", 12, *words)
    status, out, _ = dfa_says(capsys, *base, "--trace", "trace.json", "--json")
    assert status == 0
    document = json.loads(out)
    assert [each["batch_size"] for each in document["throughput"]] == [1, 4]
    assert document["recommended"] in (1, 4)
    assert document["pilot"]["total"] == 4
    forecast = document["forecast"]
    mean = document["pilot"]["queries_sent"] / 4
    assert forecast["images"] == 1000
    assert forecast["queries"] == pytest.approx(1000 * mean)
    assert forecast["queries_low"] <= forecast["queries"] <= forecast["queries_high"]
    per_query = document["oracle_seconds"] + document["optimizer_seconds"]
    assert forecast["seconds"] == pytest.approx(1000 * mean * per_query)
    assert document["optimizer_share"] == pytest.approx(document["optimizer_seconds"] / per_query)
    assert json.loads((here / "trace.json").read_text())["traceEvents"]
    status, out, _ = dfa_says(capsys, *base)
    assert (status, "recommended" in out, "1,000 images would take" in out) == (0, True, True)


def test_vectors_of_another_tool_are_audited(here, capsys):
    pytest.importorskip("dfa.auditing")
    np.save("images.npy", IMAGES)
    np.save("vectors.npy", np.clip(IMAGES.astype(np.float32) + 7.6, 0, 255))
    words = ("audit", "model.py:classify", "images.npy", "vectors.npy", "--vector-model", "model.py:classify")
    status, out, _ = dfa_says(capsys, *words, "--range", "0,255", "--rounding", "nearest,truncate", "--json")
    document = json.loads(out)
    assert (status, document["exit"]) == (0, 0)
    assert [each["rounding"] for each in document["audits"]] == ["nearest", "truncate"]
    assert document["audits"][0]["attacked"] == 10
    status, out, _ = dfa_says(capsys, *words, "--range", "0,255", "--codec", "png,none")
    assert (status, "TSR" in out) == (0, True)
    status, _, err = dfa_says(capsys, *words, "--range", "0")
    assert (status, "must be two numbers" in err) == (2, True)


def test_help_has_examples_and_statuses(capsys):
    for words in (["--help"], ["attack", "-h"], ["bench", "--help"]):
        status, out, _ = dfa_says(capsys, *words)
        assert status == 0
        assert "Examples:\n" in out
        assert "Exit status: 0 done, 1 attacks above --fail-above" in out
    assert dfa_says(capsys, "--version")[1].strip().endswith(dfa.__version__)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(capsys, shell):
    status, out, _ = dfa_says(capsys, "completion", shell)
    assert status == 0
    assert "_DFA_COMPLETE" in out


def test_what_is_missing_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "click", None)
    status, _, err = dfa_says(capsys, "--help")
    assert status == 2
    assert "pip install 'dfa-attack[cli]'" in err


def test_the_command_is_installed():
    (entry,) = [each for each in importlib.metadata.entry_points(group="console_scripts") if each.name == "dfa"]
    assert entry.value == "dfa.cli.main:main"
    done = subprocess.run(
        [sys.executable, "-m", "dfa.cli", "attack", "--nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No such option" in done.stderr
