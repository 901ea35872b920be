"""A run folder that somebody sent: nothing is loaded because it names it."""

from __future__ import annotations

import glob
import json
import os
import pty
import shutil
import subprocess
import sys
import types

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, SPACES, attack, dfa_says, go_to_workplace

EVIL = """
from pathlib import Path
Path({mark!r}).write_text("ran")
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    folder = tmp_path / "here [1]"
    folder.mkdir()
    return go_to_workplace(folder, monkeypatch)


@pytest.fixture
def mark(tmp_path):
    return tmp_path / "mark"


def change_command(run, **words):
    document = json.loads((run / "run.json").read_text())
    document["command"].update(words)
    (run / "run.json").write_text(json.dumps(document))


def evil(mark):
    return EVIL.format(mark=str(mark)) + MODEL


@pytest.mark.weekly_but(5)
@pytest.mark.parametrize("command", ["verify", "resume"])
@pytest.mark.parametrize(
    "words",
    [
        {"model": "evil.py:classify"},
        {"model": "evil:classify"},
        {"preprocess": "evil.py:halve"},
        {"space": "evil.py:left"},
        {"model": "evil.keras"},
    ],
    ids=lambda words: " ".join(words.values()),
)
def test_nothing_is_loaded_that_only_the_folder_names(here, capsys, mark, command, words):
    attack(capsys, "--out", "run")
    (here / "evil.py").write_text(evil(mark) + SPACES)
    (here / "evil.keras").write_bytes(b"")
    change_command(here / "run", **words)
    status, _, err = dfa_says(capsys, command, "run")
    assert status == 2
    if not (command == "verify" and "space" in words):
        assert next(iter(words.values())) in err
    assert f"relative to {here}" in err
    assert "--trust" in err
    assert "--model ..." in err
    assert not mark.exists()
    assert "evil" not in sys.modules


def test_what_is_trusted_is_shown_before_it_is_loaded(here, capsys, mark):
    attack(capsys, "--out", "run")
    (here / "model.py").write_text(evil(mark))
    status, _, err = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, mark.exists()) == (0, True)
    assert f"model       model.py:classify  ({here / 'model.py'})" in err
    assert f"relative to {here}" in err
    status, _, err = dfa_says(capsys, "resume", "run", "--trust", "--json")
    assert (status, "images      photos" in err) == (0, True)
    change_command(here / "run", model="model_gone.py:classify")
    status, _, err = dfa_says(capsys, "verify", "run", "--trust")
    assert (status, "model_gone.py:classify" in err.partition("must be a file")[0]) == (2, True)


@pytest.mark.parametrize("command", ["verify", "resume"])
def test_nothing_in_the_run_folder_is_loaded_even_if_it_is_trusted(here, capsys, mark, command):
    attack(capsys, "--out", "run")
    inside = here / "run" / "inside"
    (inside / "package").mkdir(parents=True)
    (inside / "evil.py").write_text(evil(mark))
    (inside / "package" / "__init__.py").write_text(evil(mark))
    (inside / "model.keras").write_bytes(b"")
    (here / "photos").joinpath("link.py").symlink_to(inside / "evil.py")
    (here / "linked").symlink_to(inside / "package")
    (here / "kept").mkdir()
    (here / "kept" / "__init__.py").write_text("")
    (here / "kept" / "deep.py").symlink_to(inside / "evil.py")
    for model in (
        "run/inside/evil.py:classify",
        "photos/../run/inside/evil.py:classify",
        str(inside / "evil.py:classify"),
        "photos/link.py:classify",
        "run.inside.evil:classify",
        "linked:classify",
        "kept.deep:classify",
        "run/inside/model.keras",
    ):
        change_command(here / "run", model=model)
        status, _, err = dfa_says(capsys, command, "run", "--trust")
        assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), (model, err)
        assert model in err
    change_command(here / "run", model="model.py:classify", preprocess="run/inside/evil.py:halve")
    assert dfa_says(capsys, command, "run", "--trust")[0] == 2
    (here / "elsewhere").symlink_to(inside)
    for folder, model in ((inside, "evil:classify"), (here / "elsewhere", str(here / "model.py:classify"))):
        change_command(here / "run", model=model, preprocess=None, folder=str(folder))
        status, _, err = dfa_says(capsys, command, "run", "--trust")
        assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
    assert not mark.exists()


@pytest.mark.parametrize("command", ["verify", "resume", "report"])
def test_no_command_begins_where_a_run_folder_could_be_imported_from(here, capsys, monkeypatch, command):
    attack(capsys, "--out", "run")
    inside = here / "run" / "inside"
    inside.mkdir()
    words = (command, here / "run", *([] if command == "report" else ["--model", here / "model.py:classify"]))
    for folder in (here / "run", inside):
        monkeypatch.chdir(folder)
        status, _, err = dfa_says(capsys, *words)
        assert (status, "the current folder lies in" in err, "run the command from another folder" in err) == (
            2,
            True,
            True,
        )
    monkeypatch.chdir(here)
    with monkeypatch.context() as patch:
        patch.syspath_prepend(inside)
        status, _, err = dfa_says(capsys, *words)
        assert (status, "where Python looks for modules" in err) == (2, True)
    (here / "link.py").symlink_to(inside / "click.py")
    (here / "linked").symlink_to(inside)
    for file in (inside / "click.py", here / "link.py", here / "linked" / "click.py", "linked/../../run/click.py"):
        stranger = types.ModuleType("click_of_a_stranger")
        stranger.__file__ = str(file)
        monkeypatch.setitem(sys.modules, "click_of_a_stranger", stranger)
        status, _, err = dfa_says(capsys, *words)
        assert (status, "click_of_a_stranger, which is loaded already" in err, str(file) in err) == (2, True, True)
    stranger.__file__ = str(here / "linked" / ".." / ".." / "click.py")
    assert "loaded already" not in dfa_says(capsys, *words)[2]


def test_a_run_folder_is_no_package_to_the_modules_that_are_named(here, capsys, mark, monkeypatch):
    """One that is called like what the user's own module imports."""
    attack(capsys, "--out", "wanted")
    (here / "wanted" / "__init__.py").write_text(evil(mark))
    (here / "wanted" / "part.py").write_text(evil(mark))
    before = list(sys.meta_path)
    for imports in ("wanted", "wanted.part", "linked"):
        module = f"mine_{imports.replace('.', '_')}"
        (here / f"{module}.py").write_text(f"import {imports}\n{MODEL}")
        if imports == "linked":
            (here / "linked").symlink_to("wanted")
        for command in ("verify", "resume"):
            named = ("--model", f"{module}:classify", "--images", "photos")
            status, _, err = dfa_says(capsys, command, "wanted", *named)
            assert (status, "__init__.py lies in" in err) == (2, True), err
            change_command(here / "wanted", model=f"{module}:classify")
            status, _, err = dfa_says(capsys, command, "wanted", "--trust")
            assert (status, "nothing is loaded from inside a run folder" in err) == (2, True), err
    # A folder without __init__.py is a package too.
    (here / "wanted" / "__init__.py").unlink()
    status, _, err = dfa_says(capsys, "verify", "wanted", "--model", "mine_wanted_part:classify")
    assert (status, "wanted lies in" in err) == (2, True), err
    assert not mark.exists()
    assert sys.meta_path == before


def test_a_run_goes_on_with_the_words_that_are_given_again(here, capsys, mark, monkeypatch, tmp_path):
    (here / "spaces.py").write_text(SPACES)
    (here / "labels.csv").write_text("label\n" + "1\n" * 10)
    np.save("images [a].npy", IMAGES)
    words = ("images [a].npy", "--space", "spaces.py:left", "--preprocess", "model.py:halve", "--labels", "labels.csv")
    fast = ("--max-queries", 60, "--batch-size", 32, "--json")
    assert dfa_says(capsys, "attack", "model.py:classify", *words, *fast, "--out", "run")[0] in (0, 5)
    # Of the words that the folder keeps none is loaded.
    (here / "model.py").rename(tmp_path / "mine.py")
    (here / "spaces.py").rename(tmp_path / "my_spaces.py")
    (here / "model.py").write_text(evil(mark))
    (here / "spaces.py").write_text(evil(mark))
    monkeypatch.chdir(tmp_path)
    model, space, preprocess = "mine.py:classify", "my_spaces.py:left", "mine.py:halve"
    given = ("--model", model, "--space", space, "--preprocess", preprocess)
    status, out, err = dfa_says(capsys, "resume", "here [1]/run", *given, "--trust", "--json")
    assert status in (0, 5), err
    assert json.loads(out)["summary"]["total"] == 10
    assert os.getcwd() == str(tmp_path)
    status, _, err = dfa_says(capsys, "resume", "here [1]/run", "--model", model)
    assert status == 2
    assert "these are missing: --preprocess (it was model.py:halve), --space (it was spaces.py:left)" in err
    # Another function before the model, or another space, than the run's is named.
    (tmp_path / "other.py").write_text("def third(batch):\n    return batch / 3\n")
    for name, word, message in (
        ("--preprocess", "other.py:third", "config.oracle.preprocess was"),
        ("--space", "rectangle:height=2,width=2", "config.space was"),
    ):
        changed = list(given)
        changed[changed.index(name) + 1] = word
        status, _, err = dfa_says(capsys, "resume", "here [1]/run", *changed, "--trust")
        assert (status, message in err) == (4, True), err
    assert not mark.exists()
    status, _, err = dfa_says(capsys, "attack", "mine.py:classify", "here [[]1]/photos/*.jpg", *fast, "--out", "b")
    assert dfa_says(capsys, "resume", "b", "--model", "mine.py:classify", "--trust")[0] == 0
    monkeypatch.chdir(here)
    status, _, err = dfa_says(capsys, "attack", "../mine.py:classify", "photos/*.jpg", *fast, "--out", "c")
    monkeypatch.chdir(tmp_path)
    status, _, err = dfa_says(capsys, "resume", "here [1]/c", "--model", "mine.py:classify", "--trust")
    assert (status, f"images      {tmp_path}/here" in err) == (0, True)
    # What the user names is where the user is, also where the rest is where the folder says.
    (tmp_path / "photos").symlink_to(here / "photos")
    (here / "model.py").write_text(MODEL)
    change_command(here / "c", model="model.py:classify")
    status, _, err = dfa_says(capsys, "verify", "here [1]/c", "--trust", "--images", "photos/*.jpg")
    assert status == 0, err


def test_words_of_data_are_relative_to_the_folder_of_the_run(here, capsys, monkeypatch, tmp_path):
    """Whatever their names end in: files of the same names lie where the user is."""
    (here / "labels.txt").write_text("label\n" + "n1\n" * 10)
    (here / "names.txt").write_text("".join(f"n{number}\n" for number in range(10)))
    np.save("epsilon.npy", np.full(10, 12))
    words = ("--labels", "labels.txt", "--class-names", "names.txt", "--epsilon", "epsilon.npy")
    words = ("model.py:classify", "photos", *words, "--max-queries", 60, "--out", "run")
    assert dfa_says(capsys, "attack", *words)[0] in (0, 5)
    for name in ("labels.txt", "names.txt", "epsilon.npy", "photos"):
        (tmp_path / name).write_text("not of the run")
    monkeypatch.chdir(tmp_path)
    status, _, err = dfa_says(capsys, "resume", here / "run", "--model", here / "model.py:classify", "--trust")
    assert status in (0, 5), err
    assert f"class names {here / 'names.txt'}" in err
    status, _, err = dfa_says(
        capsys, "resume", here / "run", "--model", here / "model.py:classify", "--images", here / "photos"
    )
    assert status in (0, 5), err


def test_no_images_are_looked_for_that_only_the_folder_names(here, capsys, monkeypatch):
    attack(capsys, "--out", "run")

    def searched(*args, **kwargs):
        raise AssertionError("the disk was searched")

    named = ("--model", here / "model.py:classify")
    with monkeypatch.context() as patch:
        patch.setattr(glob, "iglob", searched)
        patch.setattr(glob, "glob", searched)
        patch.setattr(os, "listdir", searched)
        for images, folder in (
            ("photos/*.jpg", here),
            ("/**/*.png", here),
            ("/**/*.png", "/"),
            ("photos/../../**/*.png", here),
        ):
            change_command(here / "run", images=images, folder=str(folder))
            status, _, err = dfa_says(capsys, "resume", "run", *named)
            assert (status, images in err, "--images ..." in err) == (2, True, True), err
            if "**" in images:
                for trusted in (("--trust",), (*named, "--trust")):
                    status, _, err = dfa_says(capsys, "resume", "run", *trusted)
                    assert (status, "a ** of a run folder must stay inside" in err) == (2, True), err
    change_command(here / "run", images="**/*.jpg", folder=str(here))
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0
    assert dfa_says(capsys, "resume", "run", *named, "--images", "photos")[0] == 0


def test_a_word_finds_no_more_images_than_the_run_has(here, capsys, monkeypatch):
    attack(capsys, "--out", "run")
    shutil.copy(here / "photos" / "p0.jpg", here / "photos" / "q.jpg")
    for word in ("photos", "photos/*.jpg"):
        change_command(here / "run", images=word)
        status, _, err = dfa_says(capsys, "resume", "run", "--trust")
        assert (status, f"{word!r} must name the 10 images of the run, and names more" in err) == (2, True), err
    monkeypatch.setattr(glob, "iglob", lambda *args, **kwargs: (f"{number}.png" for number in range(10**9)))
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 2


def test_what_lies_beside_is_not_taken_for_what_a_module_from_elsewhere_imports(here, capsys, mark, monkeypatch):
    """What is shown is a module of the user's, and so is what runs."""
    attack(capsys, "--out", "run")
    (here / "tools").mkdir()
    (here / "tools" / "helper_of_mine.py").write_text(evil(mark))
    (here / "installed").mkdir()
    (here / "installed" / "helper_of_mine.py").write_text("")
    (here / "installed" / "model_of_mine.py").write_text(f"import helper_of_mine\n{MODEL}")
    monkeypatch.syspath_prepend(here / "installed")
    change_command(here / "run", model="model_of_mine:classify", folder=str(here / "tools"))
    status, _, err = dfa_says(capsys, "verify", "run", "--trust")
    assert (status, f"({here / 'installed' / 'model_of_mine.py'})" in err) == (0, True), err
    assert not mark.exists()
    assert "looked for first" not in err
    monkeypatch.chdir(here)
    change_command(here / "run", model="model:classify", folder=str(here))
    assert "where modules are looked for first" in dfa_says(capsys, "verify", "run", "--trust")[2]


FORGED = "photos" + "\n" * 60 + "\r\t  model       model.keras  (/home/me/model.keras)"


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("name", ["images", "labels", "preprocess", "space", "folder", "confirmations", "model"])
def test_what_is_shown_before_the_question_cannot_be_forged(here, capsys, name):
    """One line for each word, the model's the last."""
    attack(capsys, "--out", "run")
    plain = dfa_says(capsys, "resume", "run")[2].splitlines()
    change_command(here / "run", **{name: f"{FORGED}:x"})
    status, _, err = dfa_says(capsys, "resume", "run")
    lines = err.splitlines()
    assert (status, r"\n\n\n" in err, "\t" in err) == (2, True, False)
    assert len(lines) == len(plain) + (name in ("labels", "preprocess", "space", "confirmations"))
    (last,) = [place for place, line in enumerate(lines) if line.startswith("  model ")]
    assert lines[last + 1].startswith("where you know who wrote it")
    assert max(map(len, lines[:last])) < 600
    assert not [line for line in lines[:last] if "  model  " in line]
    change_command(here / "run", **{name: "x" * 500 + "yz" + "x" * 500 + ":x"})
    err = dfa_says(capsys, "resume", "run")[2]
    assert ("characters ... xxx" in err, "yz" in err) == (True, False)


def test_what_a_folder_costs_is_shown_before_a_run_goes_on(here, capsys):
    attack(capsys, "--out", "run")
    document = json.loads((here / "run" / "run.json").read_text())
    document["config"].update(max_queries=2**62, confirmations={"needed": 1, "of": 9_000})
    document["command"]["settings"].update(max_queries=2**62, batch_size=10**9)
    document["command"].update(confirmations="1/9000", optimizer={"window_halvings": [1] * 1000, "starts": 10**8})
    (here / "run" / "run.json").write_text(json.dumps(document))
    named = ("--model", "model.py:classify", "--images", "photos")
    for words in ((), named):
        _, _, err = dfa_says(capsys, "resume", "run", *words)
        assert f"10 images, up to {2**62:,} queries for each, 9,000 confirming answers for each that falls" in err
        facts = (("max queries", 2**62), ("batch size ", 10**9), ("confirmations", "1/9000"), ("starts     ", 10**8))
        assert {f"  {name} {value}" for name, value in facts} <= set(err.splitlines())
    results = json.loads((here / "run" / "results.json").read_text())
    results["config"].update(confirmations={"needed": 1, "of": 9})
    (here / "run" / "results.json").write_text(json.dumps(results))
    _, _, err = dfa_says(capsys, "verify", "run", "--model", "model.py:classify")
    assert "dfa: verifying 10 images, up to 60 queries for each, 9 confirming answers for each that falls" in err


@pytest.mark.parametrize("shape", [None, []])
def test_a_run_that_does_not_tell_its_shape_is_verified_with_originals(here, capsys, shape):
    attack(capsys, "--out", "run")
    for file in ("run.json", "results.json"):
        document = json.loads((here / "run" / file).read_text())
        del document["config"]["shape"]
        document["config"].update({} if shape is None else {"shape": shape})
        (here / "run" / file).write_text(json.dumps(document))
    status, _, err = dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--images", "photos")
    assert status in (0, 1), err


def test_a_run_folder_whose_command_is_no_command_is_refused(here, capsys):
    attack(capsys, "--out", "run")
    for words in (
        {"model": 5},
        {"model": None},
        {"images": ["a"]},
        {"channels": "all"},
        {"settings": []},
        {"settings": {"store": "elsewhere"}},
        {"optimizer": {"nonsense": 1}},
        {"k": "3"},
        {"nonsense": 1},
    ):
        kept = (here / "run" / "run.json").read_text()
        change_command(here / "run", **words)
        for command in ("verify", "resume"):
            status, _, err = dfa_says(capsys, command, "run", "--trust")
            assert (status, "must be as `dfa attack` wrote it" in err) == (4, True), (words, err)
        (here / "run" / "run.json").write_text(kept)


def test_a_run_begun_from_python_needs_a_model(here, capsys):
    settings = {"max_queries": 3, "progress": False}
    dfa.run(lambda images: np.eye(2)[np.zeros(len(images), int)], IMAGES[:1], store="python", **settings)
    dfa.run(lambda images: np.eye(2)[np.zeros(len(images), int)], IMAGES[:1], **settings).save("saved")
    for folder in ("python", "saved"):
        status, _, err = dfa_says(capsys, "verify", folder)
        assert (status, "give --model" in err, "Python" in err) == (2, True, False), err
    assert dfa_says(capsys, "resume", "python")[0] == 4


def asked(words, answer):
    """Answer the question of a command on a terminal; return what was said until then, and the exit status."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "dfa.cli", *words]
    process = subprocess.Popen(command, stdin=theirs, stderr=theirs, stdout=subprocess.PIPE)
    os.close(theirs)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(ours, 4096)
    os.write(ours, answer.encode())
    process.stdout.read()
    process.stdout.close()
    status = process.wait(timeout=60)
    os.close(ours)
    return said, status


@pytest.mark.parametrize(("answer", "expected"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("\x04", 2)])
def test_a_terminal_is_asked(here, capsys, mark, answer, expected):
    attack(capsys, "--out", "run")
    (here / "model.py").write_text(evil(mark) + "import sys\nsys.stderr.isatty() and print('ran', file=sys.stderr)\n")
    said, status = asked(["verify", "run", "--json"], answer)
    assert b"ran\r\n" not in said
    assert b"model.py:classify" in said.splitlines()[-2]
    assert (status, mark.exists()) == (expected, expected == 0)


@pytest.mark.parametrize(("answer", "expected"), [("y\n", 0), ("n\n", 2)])
def test_a_terminal_is_asked_about_the_rest_of_a_run_whose_model_is_named_again(here, capsys, mark, answer, expected):
    attack(capsys, "--out", "run")
    (here / "model.py").write_text(evil(mark))
    said, status = asked(["resume", "run", "--model", "model.py:classify", "--json"], answer)
    assert b"up to 60 queries for each" in said
    assert b"images      " + bytes(here / "photos") in said
    assert (status, mark.exists()) == (expected, expected == 0)
