"""What lies in a folder or a file and is not used is told of; what exists by a name is meant by it."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, dfa_says

FAST = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12)
ATTACK = ("attack", "model.py:classify")


def test_files_that_are_left_out_are_counted_and_named(here, capsys):
    photos = here / "photos"  # there is a notes.txt in it
    for name in ("a", ".b.png", "c.jfif", "d.jp2", "e.jpe"):
        shutil.copy(photos / "p0.jpg", photos / name)
    (photos / "more").mkdir()
    (photos / ".cache").mkdir()
    status, _, err = dfa_says(capsys, *ATTACK, "photos", *FAST, "--out", "a")
    assert status == 0
    assert "10 files (jpg)" in err
    assert "left out, hidden or not named like an image: 6 files (.b.png, a, c.jfif, d.jp2, e.jpe, ...)\n" in err
    assert "not entered: 1 folder (more); 'photos/**/*.jpg' would be\n" in err
    out = dfa_says(capsys, *ATTACK, "photos", *FAST, "--out", "b", "--json")[1]
    assert [note.partition(":")[0] for note in json.loads(out)["notes"]] == [
        "left out, hidden or not named like an image",
        "not entered",
    ]
    err = dfa_says(capsys, *ATTACK, "photos/*", *FAST, "--out", "c")[2]
    assert "5 files (a, c.jfif, d.jp2, e.jpe, notes.txt)" in err
    assert "not entered" not in err
    assert "left out" in dfa_says(capsys, "bench", "model.py:classify", "photos", "--sizes", "1", "--seconds", 0)[2]


def test_nothing_is_said_where_nothing_is_left_out(here, capsys):
    status, out, err = dfa_says(capsys, *ATTACK, "photos/*.jpg", *FAST, "--out", "a", "--json")
    assert (status, err, json.loads(out)["notes"]) == (0, "", [])


def test_labels_beside_the_images_are_told_of(here, capsys):
    np.savez("both.npz", images=IMAGES, labels=np.zeros(10, dtype=int))
    told = "both.npz also holds labels, which are not used; --labels both.npz uses them"
    assert told in dfa_says(capsys, *ATTACK, "both.npz", *FAST, "--out", "a")[2]
    assert told not in dfa_says(capsys, *ATTACK, "both.npz", *FAST, "--out", "b", "--labels", "both.npz")[2]
    np.savez("alone.npz", images=IMAGES)
    assert "also holds" not in dfa_says(capsys, *ATTACK, "alone.npz", *FAST, "--out", "c")[2]
    np.save("vectors.npy", IMAGES.astype(np.float32))
    words = ("audit", "model.py:classify", "both.npz", "vectors.npy", "--range", "0,255")
    assert told in dfa_says(capsys, *words, "--vector-model", "model.py:classify")[2]


@pytest.mark.parametrize(
    "word", ["my [2024]/img[1].jpg", "my [2024]/*[[]1].jpg", "my [2024]", "*/img*", "./my [2024]/i*"]
)
def test_what_exists_by_its_name_is_no_pattern(here, capsys, word):
    (here / "my [2024]").mkdir()
    shutil.copy(here / "photos" / "p0.jpg", here / "my [2024]" / "img[1].jpg")
    shutil.copy(here / "photos" / "p1.jpg", here / "photos" / "img1.jpg")
    for path in (word, here / word):
        status, out, err = dfa_says(capsys, *ATTACK, path, *FAST, "--json", "--out", f"run{path == word}")
        assert (status, err) == (0, "")
        assert json.loads(out)["images"].startswith("2 files" if word == "*/img*" else "1 file (jpg)")


def test_a_folder_of_folders_is_told_the_glob_that_finds_its_images(here, capsys):
    (here / "nested").mkdir()
    shutil.copytree(here / "photos", here / "nested" / "gold [1]")
    status, _, err = dfa_says(capsys, *ATTACK, "nested", *FAST, "--out", "a")
    assert (status, "folders in it have images, which 'nested/*/*.jpg' finds (with the quotes)" in err) == (2, True)
    assert dfa_says(capsys, *ATTACK, "nested/*/*.jpg", *FAST, "--out", "a")[0] == 0
    assert "nothing of that name is there" in dfa_says(capsys, *ATTACK, "neested", "--out", "a")[2]
    (here / "empty").mkdir()
    assert "'empty' is none; it is empty" in dfa_says(capsys, *ATTACK, "empty", "--out", "a")[2]
    assert "no file matches it" in dfa_says(capsys, *ATTACK, "no/*.png", "--out", "a")[2]
    assert "what is there: 1 file (notes.txt)" in dfa_says(capsys, *ATTACK, "photos/notes.txt", "--out", "a")[2]


def label(capsys, table, *words, images="photos"):
    """Attack with a table of labels, and return the exit status and what is said."""
    with open("labels.csv", "w", encoding="utf-8") as file:
        file.write(table)
    return dfa_says(capsys, *ATTACK, images, *FAST, "--out", "run", "--overwrite", "--labels", "labels.csv", *words)[
        ::2
    ]


def rows(start="", number=10, label=1):
    return "".join(f"{start}p{index}.jpg,{label}\n" for index in range(number))


def test_rows_of_no_image_are_counted_and_named(here, capsys):
    told = "labels.csv: 6 rows of no image (x0.jpg, x1.jpg, x2.jpg, x3.jpg, x4.jpg, ...)\n"
    more = "".join(f"x{index}.jpg,1\n" for index in range(6))
    assert told in label(capsys, f"file,label\n{rows()}{more}")[1]
    assert told in label(capsys, f"file,label\n{rows('photos/')}{more}")[1]
    assert "of no image" not in label(capsys, f"file,label\n{rows('photos/')}")[1]
    table = f"file,target\n{rows(label=3)}gone.jpg,3\n"
    (here / "target.csv").write_text(table)
    err = label(capsys, f"file,label\n{rows()}", "--target", "target.csv")[1]
    assert "target.csv: 1 row of no image (gone.jpg)\n" in err


@pytest.mark.parametrize("start", ["", "nested/", "./nested/", "/data/nested/"])
def test_labels_of_files_of_the_same_name_may_be_by_longer_paths(here, capsys, start):
    (here / "nested").mkdir()
    shutil.copytree(here / "photos", here / "nested" / "gold")
    shutil.move(here / "photos", here / "nested" / "crow")
    table = f"file,label\n{rows(f'{start}gold/', label=1)}{rows(f'{start}crow/', label=7)}"
    status, err = label(capsys, table, "--overwrite", "--allow-missing", 1, images="nested/*/*.jpg")
    assert status == 0, err
    records = json.loads((here / "run" / "results.json").read_text())["records"]
    assert {each["source"].partition("/")[0]: each["label"] for each in records} == {"gold": 1, "crow": 7}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("file;label\np0.jpg;1\n", "has the columns 'file;label'; it has semicolons where commas are needed"),
        ("filename,class\np0.jpg,1\n", "has the columns 'filename', 'class'; such as\nfile,label\n"),
        ("file,label\n", "has no rows"),
        ("file,label\np0.jpg,22.0\n", "row 1 holds '22.0': ids are integers; write 22"),
        ("file,label\np0.jpg,-1\n", "row 1 holds '-1': ids are 0 or more"),
        ("file,label\np0.jpg,cat\n", "names need --class-names"),
        (
            f"file,label\n{rows(number=9)}",
            "must give every image a label, and lacks 1, the first 'p9.jpg'; it names p0",
        ),
        (f"file,label\n{rows(label=10)}", "--labels must be class ids 0..9, since the oracle knows 10 classes"),
        (f"file,label\n{rows(label=10)}", "they seem to count from 1, and classes count from 0: subtract 1 from each"),
    ],
)
def test_a_table_is_told_of_with_what_is_seen_in_it(here, capsys, table, message):
    status, err = label(capsys, table)
    assert (status, message in err) == (2, True), err


def test_a_table_of_targets_is_not_told_of_as_one_of_labels(here, capsys):
    (here / "target.csv").write_text("file,target\np0.jpg,3\n")
    err = dfa_says(capsys, *ATTACK, "photos", *FAST, "--out", "run", "--target", "target.csv")[2]
    assert "must give every image a target, and lacks 9" in err


def test_a_full_disk_is_not_told_of_as_if_the_command_went_on(here, capsys):
    (here / "names.txt").write_text("ant\n")
    status, _, err = dfa_says(capsys, *ATTACK, "photos", *FAST, "--out", "names.txt")
    assert (status, "cannot write names.txt" in err, "in memory" in err) == (4, True, False)
