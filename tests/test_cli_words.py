"""What the words of `dfa attack` name: models, images, labels, targets, spaces; and what is said of wrong ones."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, SHAPE, SPACES, attack, dfa_says


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nothing.keras", "photos"], "MODEL must be a file that exists"),
        (["model.py", "photos"], r".tflite, .onnx, .pt, .ts or .pt2 file, timm:NAME or torchvision:NAME, or module"),
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
            "one of frame, lighting, patch, pixels, rectangle",
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
        (
            ["model.py:classify", "photos", "--space", "pixels", "--shape", "window"],
            "its optimizer must have --shape own",
        ),
        (["model.py:label", "photos", "--returns", "label"], "--num-classes must be an integer of 2 or more"),
        (
            ["model.py:classify", "photos", "--shows", "label"],
            "does not tell how many classes it has; pass --num-classes",
        ),
        (["model.py:classify", "photos", "--k", "3"], "goes with --returns top_k"),
        (["no_such_module:classify", "photos"], "cannot import 'no_such_module': ModuleNotFoundError"),
        (["gone.py:classify", "photos"], "cannot read 'gone.py': No such file"),
        (["model.py:nested", "photos"], "got the class Scores"),
        (["model.py:classify", "nowhere"], "IMAGES must be a folder or a glob with images"),
        (["model.py:classify", "photos/*.png"], "IMAGES must be a folder or a glob with images"),
        (["model.py:classify", "photos", "--epsilon", "0.03"], "did you mean 8, for 8/255"),
        (["model.py:classify", "photos", "--epsilon", "0"], "epsilon must be in grey levels"),
        (["model.py:classify", "photos", "--target", "eleventh"], "must be rank:J, class:ID or"),
        (["model.py:classify", "photos", "--labels", "none.csv"], "cannot read 'none.csv'"),
        (["model.py:classify", "photos", "--size", "big"], "must be HEIGHTxWIDTH"),
        (["model.py:classify", "photos", "--max-queries", "1"], "--max-queries must be at least the population"),
        (["model.py:classify", "photos", "--checkpoint", "5"], "at least four batches"),
        (["model.py:classify", "photos", "--shape", "round"], "'round' is not one of"),
        (["model.py:classify", "photos", "--window-halvings", "a,b"], "must be integers with commas"),
        (["model.py:classify", "photos", "--fail-above", "2"], "must be a rate within 0..1"),
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
    (here / "in_order.csv").write_text("target\n" + "\n".join(str(index) for index in range(10)))
    attack(capsys, "--target", "in_order.csv", "--out", "in order")
    rows = [f"p{index}.jpg,{index}" for index in reversed(range(10))]
    (here / "by_file.csv").write_text("file,target\n" + "\n".join(rows))
    attack(capsys, "--target", "by_file.csv", "--out", "by file")
    assert dfa.Result.load("rank").config["targets"] == {"j": 3}
    assert {record.target for record in dfa.Result.load("class").records} == {0}
    for folder in ("in order", "by file"):
        assert [record.target for record in dfa.Result.load(folder).records] == list(range(10))


def test_arrays_are_attacked_as_they_are(here, capsys):
    np.savez("images.npz", images=IMAGES, labels=np.arange(10))
    np.save("epsilon.npy", np.full(SHAPE, 3))
    base = ("attack", "model.py:classify", "images.npz", "--max-queries", 5, "--json")
    assert dfa_says(capsys, *base, "--epsilon", "epsilon.npy", "--out", "a")[0] == 0
    assert dfa.Result.load("a").summary().total == 10
    assert dfa_says(capsys, *base, "--labels", "images.npz", "--out", "b")[0] == 5
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


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize(
    ("words", "space"),
    [
        (["pixels"], dfa.Pixels()),
        (["patch:size=5"], dfa.Patch(5)),
        (["frame"], dfa.Frame(2)),
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
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--trust", "--json")
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
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, json.loads(out)["images"]) == (0, result.success.sum())
