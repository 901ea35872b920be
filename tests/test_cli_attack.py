"""`dfa attack` and `dfa resume`: their settings, what they keep, how they end."""

from __future__ import annotations

import dataclasses
import inspect
import io
import json

import numpy as np
import PIL.Image
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, attack, dfa_says
from dfa.cli.main import main


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
    from dfa.cli.commands.flags import written

    options = {name: option for option in app.commands["attack"].params for name in option.opts}
    for field in dataclasses.fields(dfa.Racos):
        if field.name != "objective":
            option = options[f"--{field.name.replace('_', '-')}"]
            assert option.default is None
            assert written(field.default) in option.help or field.default is None
    for name in ("max_queries", "max_seconds", "give_up_after", "batch_size", "seed", "threads"):
        assert options[f"--{name.replace('_', '-')}"].default == inspect.signature(dfa.run).parameters[name].default
    assert "Budget per image" in options["--max-queries"].help
    assert list(options["--shape"].type.choices) == ["scattered", "window", "ray", "own"]


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
    words = ("attack", "model.py:stubborn", "photos", "--max-queries", 5, "--fail-above", 0)
    status, _, err = dfa_says(capsys, *words, "--out", "c")
    assert (status, "the model has one class for all 10 images, 0, whatever is done" in err) == (5, True)
    (here / "labels.csv").write_text("label\n" + "0\n" * 10)
    status, out, _ = dfa_says(capsys, *words, "--labels", "labels.csv", "--out", "d")
    assert status == 0
    assert "Kept in d" in out


def test_a_rate_of_nothing_does_not_pass_silently(here, capsys):
    (here / "labels.csv").write_text("file,label\n" + "".join(f"p{index}.jpg,77\n" for index in range(10)))
    words = ("attack", "model.py:stubborn", "photos", "--labels", "labels.csv", "--out", "a", "--fail-above", 0.5)
    status, _, err = dfa_says(capsys, *words)
    assert status == 2
    assert "labels must be class ids 0..1" in err
    (here / "labels.csv").write_text("label\n" + "1\n" * 10)
    status, _, err = dfa_says(capsys, *words, "--overwrite")
    assert status == 5
    assert "10 of 10 images were not attacked, so the run is not judged\n" in err


def test_repeated_answers_are_asked_for_by_a_flag(here, capsys):
    _, document, _ = attack(capsys, "--out", "run", "--confirmations", "2/3")
    summary = document["summary"]
    assert summary["verified"] > 0
    assert (summary["answers"], summary["confidence"]) == (3 * summary["verified"], 1.0)
    assert document["profile"]["clean"] == 30
    assert dfa.Result.load("run").config["confirmations"] == {"needed": 2, "of": 3}
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0
    status, out, _ = dfa_says(capsys, "verify", "run", "--trust", "--json")
    assert (status, json.loads(out)["checks"]["adversarial"]["checked"]) == (0, summary["verified"])


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
    status, out, _ = dfa_says(capsys, "resume", here / "run", "--trust", "--json", "--fail-above", 0)
    assert status == 1
    document = json.loads(out)
    assert document["summary"]["unfinished"] == 0
    assert 0 < document["profile"]["resent"] <= 48
    read, whole = dfa.Result.load(here / "run"), dfa.Result.load(here / "whole")
    assert [each.trace for each in read.records] == [each.trace for each in whole.records]
    # It has ended, so there is nothing to go on with.
    assert dfa_says(capsys, "resume", here / "run", "--trust", "--json")[0] == 0
    (here / "photos" / "p4.jpg").write_bytes((here / "photos" / "p5.jpg").read_bytes())
    assert dfa_says(capsys, "resume", here / "photos")[0] == 4


def test_a_terminal_sees_the_run_go_on():
    from dfa.cli.commands.progress import show_progress
    from dfa.cli.commands.screen import Screen

    screen = Screen()
    screen.file, screen.width, screen._force_terminal = io.StringIO(), 200, True
    folder = "some[b]where{0}{x} [/b]"
    with show_progress(screen, 10, dfa.Storage(folder)) as show:
        dfa.run(lambda images: np.broadcast_to([0.75, 0.25], (len(images), 2)), IMAGES, max_queries=3, progress=show)
    text = screen.file.getvalue()
    assert folder in text
    assert "10/10" in text
    assert "0 fell (0.0 %)" in text
