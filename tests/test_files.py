"""One door for files of users: whatever a decoder raises is one message with the file's name, and exit status 2."""

from __future__ import annotations

import ast
import io
import os
import socket
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
from command_line import IMAGES, dfa_says
from dfa.auditing.vectors import read_vectors
from dfa.data.arrays import load_array
from dfa.files import opened, reading
from oracles import LinearClassifier, random_images

PACKAGE = Path(dfa.__file__).parent


def png():
    buffer = io.BytesIO()
    PIL.Image.fromarray(random_images(1, (40, 40, 3))[0]).save(buffer, format="PNG")
    return buffer.getvalue()


def bomb():
    """A small PNG that says it is 30,000 x 30,000."""
    buffer = io.BytesIO()
    PIL.Image.new("1", (30_000, 30_000)).save(buffer, format="PNG")
    return buffer.getvalue()


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def huge_header():
    header = b"{'descr': '|u1', 'fortran_order': False, 'shape': (3000000000000, 8, 7, 3), }"
    return b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"


def archive_of(content):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("images.npy", content)
    return buffer.getvalue()


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :]


BAD_IMAGES = {
    "empty.png": b"",
    "text.png": b"no image",
    "half.png": png()[:1_000],
    "crc.png": flipped(png(), 60),
    "header.png": flipped(png(), 18),
    "bomb.png": bomb(),
    "half.jpg": b"\xff\xd8\xff\xe0\x00\x10JFIF",
    "half.gif": b"GIF89a\x05\x00\x05\x00",
    "half.tif": b"II*\x00\x08\x00\x00\x00\x05\x00",
    "half.webp": b"RIFF\x10\x00\x00\x00WEBPVP8 ",
    "half.bmp": b"BM" + b"\0" * 20,
    "half.ppm": b"P6\n5 6\n",
    "postscript.png": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n",
}
BAD_ARRAYS = {
    "empty.npy": b"",
    "text.npy": b"no array",
    "half.npy": npy(IMAGES)[:200],
    "header.npy": b"\x93NUMPY\x01\x00\x10\x00{'descr': oh no!",
    "version.npy": b"\x93NUMPY\x09\x00\x10\x00",
    "huge.npy": huge_header(),
    "pickle.npy": b"\x80\x04K\x01.",
    "empty.npz": b"",
    "half.npz": npz(images=IMAGES)[:-50],
    "crc.npz": flipped(npz(images=IMAGES), 300),
    "huge.npz": archive_of(huge_header()),
    "none.npz": npz(),
    "text.npz": archive_of(b"no array"),
}
BAD_TABLES = {
    "empty.csv": b"",
    "latin.csv": "file,label\nM\xfcller.png,3\n".encode("latin-1"),
    "utf16.csv": "file,label\np0.jpg,3\n".encode("utf-16"),
    "short.csv": b"label,file\n3\n",
    "no_label.csv": b"file,label\np0.jpg\n",
    "field.csv": b"file,label\n" + b"x" * 200_000 + b",3\n",
    "number.csv": b"file,label\np0.jpg," + b"9" * 30 + b"\n",
    "digits.csv": b"file,label\np0.jpg," + b"9" * 5_000 + b"\n",
    "negative.csv": b"file,label\np0.jpg,-1\n",
    "binary.csv": b"\0\1\2\3",
}


def refused(capsys, name, *words):
    status, out, err = dfa_says(capsys, *words)
    assert status == 2, err
    assert name in err
    assert "Traceback" not in err
    assert out == ""
    # What is attacked has been told by then.
    assert len(err[f"\n{err}".index("\ndfa: ") :]) < 400 + len(name)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("name", BAD_IMAGES)
def test_an_image_that_cannot_be_decoded_is_named(here, capsys, name):
    (here / "bad").mkdir()
    (here / "bad" / name).write_bytes(BAD_IMAGES[name])
    refused(capsys, name, "attack", "model.py:classify", "bad", "--out", "run")
    refused(capsys, name, "attack", "model.py:classify", "bad", "--out", "run", "--channels", "rgb")


def test_an_archive_that_unpacks_to_far_more_is_refused_by_its_directory(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("images.npy", "w") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (300, 2**20)})
        for _ in range(300):
            file.write(bytes(2**20))
    with pytest.raises(dfa.InvalidInputError, match=r"bomb\.npz': 'images\.npy' must not unpack.*314,572,9"):
        load_array(path, "images")
    np.savez_compressed(path, images=np.zeros(2**24, np.uint8))
    assert load_array(path, "images").size == 2**24


@pytest.mark.parametrize("name", ["text.npy", "pickle.npy", "empty.npz"])
def test_nobody_is_advised_to_load_a_pickle(here, capsys, name):
    (here / name).write_bytes(BAD_ARRAYS[name])
    err = dfa_says(capsys, "attack", "model.py:classify", name, "--out", "run")[2]
    assert "must be a .npy or .npz file of NumPy" in err


def test_no_decoder_is_asked_that_is_not_meant(here, capsys):
    """One of them would start another program."""
    (here / "bad").mkdir()
    (here / "bad" / "x.png").write_bytes(BAD_IMAGES["postscript.png"])
    err = dfa_says(capsys, "attack", "model.py:classify", "bad", "--out", "run")[2]
    assert "it is none of PNG, JPEG, BMP, GIF, TIFF, WEBP, PPM, or damaged" in err


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_an_array_that_cannot_be_read_is_named(here, capsys, name):
    (here / name).write_bytes(BAD_ARRAYS[name])
    refused(capsys, name, "attack", "model.py:classify", name, "--out", "run")
    refused(capsys, name, "attack", "model.py:classify", "photos", "--labels", name, "--out", "run")
    refused(capsys, name, "attack", "model.py:classify", "photos", "--target", name, "--out", "run")
    refused(capsys, name, "audit", "model.py:classify", "photos", name, "--vector-model", "model.py:classify")
    if name.endswith(".npy"):
        refused(capsys, name, "attack", "model.py:classify", "photos", "--epsilon", name, "--out", "run")


@pytest.mark.parametrize("name", BAD_TABLES)
def test_a_table_that_cannot_be_read_is_named(here, capsys, name):
    (here / name).write_bytes(BAD_TABLES[name])
    refused(capsys, name, "attack", "model.py:classify", "photos", "--labels", name, "--out", "run")
    refused(capsys, name, "audit", "model.py:classify", "photos", name, "--vector-model", "model.py:classify")


@pytest.mark.parametrize("name", ["model.keras", "model.h5"])
def test_a_keras_model_that_cannot_be_read_is_named(here, capsys, name):
    pytest.importorskip("keras")
    for content in (b"", b"no model", archive_of(b"no array")):
        (here / name).write_bytes(content)
        status, _, err = dfa_says(capsys, "attack", name, "photos", "--out", "run")
        assert (status, name in err, "Traceback" in err) == (2, True, False)


@pytest.mark.parametrize("content", [b"", b"no model", b"\x1c\0\0\0TFL3" + b"\xff" * 40])
def test_a_tflite_model_that_cannot_be_read_is_named(here, capsys, content):
    pytest.importorskip("ai_edge_litert")
    (here / "bad.tflite").write_bytes(content)
    refused(capsys, "bad.tflite", "attack", "bad.tflite", "photos", "--out", "run")


def pipe(path):
    os.mkfifo(path)


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as each:
        each.bind(path.name)


def link_to_nothing(path):
    path.symlink_to("gone")


def link_to_itself(path):
    path.symlink_to(path)


@pytest.mark.skipif(os.name == "nt", reason="Windows has none of these")
@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (Path.mkdir, "(s a|1) (folder|directory)"),
        (pipe, "it must be a file, and is a pipe"),
        (bound_socket, "No such device or address|socket"),
        (link_to_nothing, "No such file|must be a (folder or a glob|file that exists)"),
        (link_to_itself, "Too many levels|No such file|must be a (folder or a glob|file that exists)"),
    ],
)
def test_what_is_no_file_is_told_of_and_waited_for_by_nobody(here, capsys, make, reason):
    (here / "bad").mkdir()
    for name in ("x.png", "x.npy", "x.npz", "x.csv", "x.keras", "x.tflite", "x.py"):
        make(here / name)
    make(Path("bad.png"))
    Path("bad.png").rename("bad/x.png")
    asked = [
        ("x.png", ["attack", "model.py:classify", "bad"]),
        ("x.npy", ["attack", "model.py:classify", "x.npy"]),
        ("x.npz", ["attack", "model.py:classify", "x.npz"]),
        ("x.csv", ["attack", "model.py:classify", "photos", "--labels", "x.csv"]),
        ("x.keras", ["attack", "x.keras", "photos"]),
        ("x.tflite", ["attack", "x.tflite", "photos"]),
        ("x.py", ["attack", "x.py:classify", "photos"]),
    ]
    for name, words in asked:
        status, _, err = dfa_says(capsys, *words, "--out", "run")
        assert (status, name in err) == (2, True), err
        with pytest.raises(AssertionError, match=reason):
            raise AssertionError(err)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told_of(here, capsys):
    (here / "labels.csv").write_text("label\n3\n")
    (here / "labels.csv").chmod(0)
    refused(capsys, "labels.csv", "attack", "model.py:classify", "photos", "--labels", "labels.csv", "--out", "run")


def test_a_name_that_no_file_can_have_is_told_of(here, capsys):
    long = "x" * 300
    refused(capsys, long, "attack", "model.py:classify", long, "--out", "run")
    refused(capsys, long, "attack", f"{long}.keras", "photos", "--out", "run")
    refused(capsys, long, "attack", "model.py:classify", "photos", "--labels", f"{long}.csv", "--out", "run")


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), MemoryError(), SyntaxError("bad chunk"), KeyError("x")]
)
def test_whatever_is_raised_is_one_error_that_names_the_file(tmp_path, error):
    with pytest.raises(dfa.InvalidInputError, match=r"^cannot read 'a\.png': \S+.*[^ :]$") as caught, reading("a.png"):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [dfa.OracleError("dead"), KeyboardInterrupt()])
def test_what_dfa_or_its_user_raises_stays_as_it_is(tmp_path, error):
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(type(error)) as caught, opened(tmp_path / "a"):
        raise error
    assert caught.value is error


def test_one_bad_file_of_a_folder_costs_the_others_nothing_and_is_named(here, capsys):
    (here / "photos" / "p5.jpg").write_bytes(BAD_IMAGES["half.jpg"])
    assert dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "run", "--max-queries", 60)[0] == 0
    records = dfa.Result.load("run").records
    assert [record.index for record in records if record.status is dfa.Status.ERROR] == [5]
    assert records[5].reason.startswith("image 5: cannot read 'photos/p5.jpg': ")


def test_an_array_of_no_dimension_is_no_images(here, capsys):
    np.save(here / "one.npy", np.uint8(3))
    refused(capsys, "one.npy", "attack", "model.py:classify", "one.npy", "--out", "run")


def test_vectors_are_read_through_the_door(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"\xff\xfe\0")
    with pytest.raises(dfa.InvalidInputError, match=r"a\.csv': it is not UTF-8 text"):
        read_vectors(tmp_path / "a.csv", 1, (2,))


def test_no_other_module_opens_a_file_of_users():
    """Rooms that keep files of their own, and the demo's cache, have their own doors."""
    own = {
        "files.py",
        "runs/door.py",
        "runs/folder.py",
        "runs/verify.py",
        "runs/saved_run.py",
        "runs/recorded.py",
        "oracle/codecs.py",
        "oracle/workers/local.py",
        "extras.py",
        "integrations/wandb.py",
    }
    found = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            if called in ("open", "np.load") or called.endswith((".read_text", ".read_bytes", "path.open")):
                found.add(path.relative_to(PACKAGE).as_posix())
    assert found <= own
    assert "files.py" in found


def test_labels_of_an_oracle_are_still_read(here, capsys):
    classes = LinearClassifier(IMAGES.shape[1:]).classes(IMAGES)
    np.savez(here / "labels.npz", labels=classes)
    np.savez(here / "images.npz", images=IMAGES)
    words = ("--labels", "labels.npz", "--out", "run", "--max-queries", 60, "--allow-missing", 1)
    assert dfa_says(capsys, "attack", "model.py:classify", "images.npz", *words)[0] == 0
