"""Images that were not attacked are told of, and a run most of which did not happen is not judged."""

from __future__ import annotations

import json

import numpy as np
import PIL.Image
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, dfa_says

FAST = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12)


def classes(shift=0):
    """The model's own answers about the images, shifted."""
    namespace = {}
    exec(MODEL, namespace)
    return (namespace["classify"](IMAGES).argmax(axis=1) + shift) % 10


def resize(here, number):
    for index in range(number):
        path = here / "photos" / f"p{9 - index}.jpg"
        PIL.Image.open(path).resize((5, 5)).save(path)


def test_a_folder_of_several_sizes_is_not_judged(here, capsys):
    resize(here, 6)
    words = ("attack", "model.py:classify", "photos", *FAST)
    for more in ((), ("--fail-above", 1), ("--json",)):
        status, out, err = dfa_says(capsys, *words, *more, "--out", f"run{len(more)}")
        assert status == 5
        assert "6 of 10 images could not be attacked:" in err
        assert "p9.jpg: image 9 must have the shape of the first" in err
        assert "--size HEIGHTxWIDTH makes image files one size" in err
        assert "6 of 10 images were not attacked, so the run is not judged; --allow-missing 0.6 lets that pass" in err
    document = (
        json.loads(out) if more == ("--json",) else json.loads(dfa_says(capsys, *words, "--json", "--out", "j")[1])
    )
    assert document["exit"] == 5
    assert [each["file"] for each in document["errors"]] == [f"p{index}.jpg" for index in range(4, 10)]
    assert "must have the shape" in document["errors"][0]["reason"]
    assert dfa_says(capsys, *words, "--allow-missing", 0.6, "--out", "a")[0] == 0
    assert dfa_says(capsys, *words, "--allow-missing", 0.6, "--fail-above", 0, "--out", "b")[0] == 1
    assert dfa_says(capsys, "resume", "a", "--trust")[0] == 5
    assert dfa_says(capsys, "resume", "a", "--trust", "--allow-missing", 0.6)[0] == 0
    status, _, err = dfa_says(capsys, *words, "--size", "8x7", "--out", "c")
    assert (status, "could not be attacked" in err) == (0, False)


def test_half_a_run_is_judged_and_what_is_missing_is_told(here, capsys):
    resize(here, 5)
    words = ("attack", "model.py:classify", "photos", *FAST)
    status, _, err = dfa_says(capsys, *words, "--fail-above", 0, "--out", "a")
    assert (status, "5 of 10 images could not be attacked" in err) == (5, True)
    assert "--allow-missing 0.5 lets that pass" in err
    assert dfa_says(capsys, *words, "--fail-above", 0, "--allow-missing", 0.5, "--out", "c")[0] == 1
    assert dfa_says(capsys, *words, "--fail-above", 0, "--allow-missing", 0.4, "--out", "b")[0] == 5


@pytest.mark.parametrize("name", ["aa.png", "zz.png"])
def test_a_rate_is_not_held_against_a_run_with_an_image_in_error(here, capsys, name):
    (here / "photos" / name).write_bytes(b"no image")
    words = ("attack", "model.py:classify", "photos", *FAST)
    status, _, err = dfa_says(capsys, *words, "--fail-above", 1, "--out", "a")
    assert (status, f"  {name}: " in err) == (5, True)
    assert "1 of 11 images were not attacked, so the run is not judged; --allow-missing 0.1 lets that pass" in err
    assert dfa_says(capsys, *words, "--fail-above", 1, "--allow-missing", 0.1, "--out", "b")[0] == 0
    assert dfa_says(capsys, *words, "--out", "c")[0] == 0
    assert dfa_says(capsys, "resume", "a", "--trust", "--fail-above", 1)[0] == 5


def sixteen_bits(path):
    PIL.Image.fromarray(np.full((8, 7), 40_000, dtype=np.uint16)).save(path)


@pytest.mark.parametrize("spoil", [lambda path: path.write_bytes(path.read_bytes()[:45]), sixteen_bits])
def test_the_first_file_is_like_any_other(here, capsys, spoil):
    runs = {}
    for name in ("aa.png", "zz.png"):
        path = here / "photos" / name
        PIL.Image.fromarray(np.full((8, 7), 3, dtype=np.uint8)).save(path)  # grey, and the others are not
        spoil(path)
        status, out, err = dfa_says(capsys, "attack", "model.py:classify", "photos", *FAST, "--json", "--out", name)
        assert (status, f"  {name}: " in err) == (0, True)
        runs[name] = json.loads(out)
        assert "RGB" in runs[name]["images"]
        assert runs[name]["summary"]["attacked"] == 10
        path.unlink()


def test_at_most_ten_files_are_named(here, capsys):
    for index in range(14):
        (here / "photos" / f"x{index:02d}.png").write_bytes(b"no image")
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", *FAST, "--out", "run")
    assert status == 5
    assert "14 of 24 images could not be attacked:" in err
    assert "  x09.png: " in err
    assert "x10.png: " not in err
    assert "\n  and 4 more\n" in err
    assert "--size" not in err


@pytest.mark.parametrize(("shift", "word"), [(1, "minus"), (-1, "plus")])
def test_labels_that_are_off_by_one_are_told_of(here, capsys, shift, word):
    np.save("images.npy", IMAGES)
    labels = classes(shift)
    np.save("labels.npy", labels)
    words = ("attack", "model.py:classify", "images.npy", *FAST, "--labels", "labels.npy")
    status, _, err = dfa_says(capsys, *words, "--out", "run")
    assert status == 5
    assert "10 of 10 images were skipped; 10 are not what their labels say: 0 has the label" in err
    assert err.count("has the label") == 3
    assert f"2 has the label {labels[2]} and the answer {classes()[2]}; " in err
    assert f"most answers are the label {word} 1, so the ids seem to be off by one" in err
    assert (
        "look at --preprocess, or --mean and --std (does the model take 0..255?), --size and --channels, --lab" in err
    )
    assert "Warning" not in err
    assert "off by one" in json.loads(dfa_says(capsys, *words, "--json", "--out", "j")[1])["skips"]
    namespace = {}
    exec(MODEL, namespace)
    settings = {"epsilon": 12, "max_queries": 60, "progress": False}
    with pytest.warns(dfa.MostSkippedWarning, match=r"image 2 has the label .*off by one.*labels=") as caught:
        dfa.run(namespace["classify"], IMAGES, labels, **settings)
    assert [each.filename for each in caught] == [__file__]


def test_images_that_look_black_are_told_of(here, capsys):
    np.save("images.npy", IMAGES // 255)
    _, _, err = dfa_says(capsys, "attack", "model.py:classify", "images.npy", *FAST, "--out", "run")
    assert err.count("no value of the first 10 images is above 1") == 1
    assert "Warning" not in err


def test_few_skipped_images_are_no_matter(here, capsys):
    np.save("images.npy", IMAGES)
    labels = classes()
    labels[:5] = (labels[:5] + 3) % 10
    np.save("labels.npy", labels)
    words = ("attack", "model.py:classify", "images.npy", *FAST, "--labels", "labels.npy")
    status, _, err = dfa_says(capsys, *words, "--out", "a")
    assert (status, "skipped" in err) == (0, False)
    labels[5] = (labels[5] + 3) % 10
    np.save("labels.npy", labels)
    status, _, err = dfa_says(capsys, *words, "--out", "b")
    assert (status, "6 of 10 images were skipped" in err, "off by one" in err) == (5, True, False)
    assert dfa_says(capsys, *words, "--allow-missing", 1, "--out", "c")[0] == 0


def test_images_of_the_target_class_are_told_of(here, capsys):
    (here / "model.py").write_text(MODEL.replace("return scores / ", "scores[:, 4] = 1e9\n    return scores / "))
    status, _, err = dfa_says(
        capsys, "attack", "model.py:classify", "photos", *FAST, "--target", "class:4", "--out", "a"
    )
    assert (status, "10 of 10 images were skipped; 10 are of the target class already\n" in err) == (5, True)
    # There is no rate to hold against, whatever may be missing.
    words = ("--target", "class:4", "--allow-missing", 1, "--fail-above", 1, "--out", "b")
    assert dfa_says(capsys, "attack", "model.py:classify", "photos", *FAST, *words)[0] == 5


def test_an_audit_of_nothing_is_no_verdict_either(here, capsys):
    np.save("images.npy", IMAGES)
    np.save("labels.npy", classes(1))
    np.save("vectors.npy", np.clip(IMAGES.astype(np.float32) + 7.6, 0, 255))
    words = ("audit", "model.py:classify", "images.npy", "vectors.npy", "--range", "0,255", "--fail-above", 1)
    words += ("--vector-model", "model.py:classify")
    status, _, err = dfa_says(capsys, *words, "--labels", "labels.npy")
    assert (status, "10 of 10 images were not attacked" in err) == (5, True)
    assert "10 are not what their labels say: 0 has the label" in err
    assert "off by one; look at --preprocess" in err
    assert "Warning" not in err
    namespace = {}
    exec(MODEL, namespace)
    model, vectors = namespace["classify"], np.load("vectors.npy")
    with pytest.warns(dfa.MostSkippedWarning, match="image 1 has the label .*off by one.*labels="):
        dfa.audit(model, IMAGES, vectors, classes(1), vector_oracle=model, normalizer=dfa.Affine.between(0, 255))
    assert dfa_says(capsys, *words)[0] == 0


def test_a_forecast_of_images_of_several_sizes_is_refused_in_words(here, capsys):
    resize(here, 5)
    status, _, err = dfa_says(capsys, "bench", "model.py:classify", "photos", "--sizes", "1", "--seconds", 0)
    assert (status, "must have the shape of the first" in err) == (2, True)
    (here / "photos" / "p3.jpg").write_bytes(b"no image")
    status, _, err = dfa_says(capsys, "bench", "model.py:classify", "photos", "--sizes", "1", "--seconds", 0)
    assert (status, "image 3: cannot read 'photos/p3.jpg'" in err) == (2, True)
