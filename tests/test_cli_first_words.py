"""Words that people try first, and what their files have that is not attacked."""

from __future__ import annotations

import json
import struct

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, dfa_says
from dfa.checks import counted

FAST = ("--max-queries", 60, "--batch-size", 32, "--epsilon", 12)
ATTACK = ("attack", "model.py:classify")


def test_what_a_file_has_that_is_not_attacked_is_told_of(here, capsys):
    odd = here / "odd"
    odd.mkdir()
    pictures = [PIL.Image.fromarray(image) for image in IMAGES]
    pictures[0].convert("RGBA").save(odd / "a.png")
    pictures[1].quantize().save(odd / "b.png", transparency=0)
    pictures[2].convert("LA").save(odd / "c.png")
    pictures[3].convert("CMYK").save(odd / "d.jpg")
    pictures[4].save(odd / "e.tif", save_all=True, append_images=pictures[5:7])
    pictures[5].save(odd / "f.gif", save_all=True, append_images=pictures[6:7])
    pictures[6].save(odd / "g.png")
    status, out, err = dfa_says(capsys, *ATTACK, "odd", *FAST, "--channels", "rgb", "--out", "a")
    assert (status, "could not be attacked" in err) == (0, False)
    told = [
        "3 files with transparency, which was dropped",
        "1 file in CMYK, which Pillow converted without a colour profile",
        "2 files with several frames, of which the first was attacked",
    ]
    assert [line.strip() for line in out.splitlines() if line.strip() in told] == told
    out = dfa_says(capsys, *ATTACK, "odd", *FAST, "--channels", "rgb", "--json", "--out", "b")[1]
    assert json.loads(out)["not_attacked_of_files"] == told
    out = dfa_says(capsys, *ATTACK, "photos", *FAST, "--json", "--out", "c")[1]
    assert json.loads(out)["not_attacked_of_files"] == []


def test_damage_behind_the_first_frame_is_of_no_account(here, capsys):
    odd = here / "odd"
    odd.mkdir()
    pictures = [PIL.Image.fromarray(image) for image in IMAGES]
    pictures[0].save(odd / "a.gif", save_all=True, append_images=pictures[1:3])
    content = (odd / "a.gif").read_bytes()
    (odd / "a.gif").write_bytes(content[: 2 * len(content) // 5])
    with PIL.Image.open(odd / "a.gif") as picture, pytest.raises((IndexError, struct.error)):
        picture.n_frames  # noqa: B018 -- it is looked for
    status, _, err = dfa_says(capsys, *ATTACK, "odd", *FAST, "--out", "a")
    assert (status, "could not be attacked" in err) == (0, False)


@pytest.mark.parametrize("command", [ATTACK, ("bench", "model.py:classify")])
def test_a_glob_without_quotes_is_told_of(here, capsys, command):
    status, _, err = dfa_says(capsys, *command, "photos/p0.jpg", "photos/p1.jpg", "photos/p2.jpg")
    assert (status, "A glob goes in quotes, such as 'photos/*.png'" in err) == (2, True)
    out = dfa_says(capsys, *command, "a.png", "b.png", "--json")[1]
    assert "A glob goes in quotes" in json.loads(out)["error"]


@pytest.mark.parametrize("word", ["5%", "0.05", "5.0 %"])
def test_a_rate_may_be_a_percentage(here, capsys, word):
    status, out, _ = dfa_says(capsys, *ATTACK, "photos", *FAST, "--fail-above", word, "--json", "--out", "a")
    assert (status, json.loads(out)["fail_above"]) == (1, 0.05)


@pytest.mark.parametrize("word", ["5", "101%", "-1%", "nan", "%", "half"])
def test_what_is_no_rate_is_told_of(here, capsys, word):
    for option in ("--fail-above", "--allow-missing"):
        status, _, err = dfa_says(capsys, *ATTACK, "photos", option, word)
        assert (status, "must be a rate within 0..1, such as 0.05, or a percentage, such as 5%" in err) == (2, True)


@pytest.mark.parametrize(("word", "hint"), [("8/255", 8), ("0.03", 8), ("4 / 255", 4), ("1/0", None), ("a/b", None)])
def test_a_share_for_epsilon_is_told_of_in_grey_levels(here, capsys, word, hint):
    status, _, err = dfa_says(capsys, *ATTACK, "photos", "--epsilon", word)
    assert status == 2
    assert (f"did you mean {hint}, for {hint}/255?" in err) == (hint is not None)


@pytest.mark.parametrize("words", [("attack", "a", "b", "--epsilom", "3"), ("attack",), ("attak",), ("report", "gone")])
def test_a_wrong_option_is_an_error_in_json_as_well(here, capsys, words):
    status, out, err = dfa_says(capsys, *words, "--json")
    document = json.loads(out)
    assert (status, document["exit"]) == (2, 2)
    assert document["error"].partition(". A glob")[0] in err


def test_a_module_that_is_elsewhere_may_be_named_by_its_file(here, capsys):
    (here / "empty").mkdir()
    err = dfa_says(capsys, "attack", "nowhere_mod:f", "photos")[2]
    assert "go to its folder, or name its file: path/to/nowhere_mod.py:f" in err
    (here / "inner.py").write_text("import nowhere_mod\n")
    assert "name its file" not in dfa_says(capsys, "attack", "inner:f", "photos")[2]


def test_a_comparison_replaces_no_report_of_a_run(here, capsys):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    for name in ("a", "b"):
        dfa_says(capsys, *ATTACK, "photos", *FAST, "--out", f"runs/{name}")
    assert dfa_says(capsys, "report", "runs/a", "--json")[0] == 0
    before = (here / "runs" / "a" / "report.html").read_bytes()
    status, out, _ = dfa_says(capsys, "report", "runs/a", "runs/b", "--json")
    assert (status, json.loads(out)["report"]) == (0, "runs/comparison.html")
    assert (here / "runs" / "comparison.html").exists()
    assert (here / "runs" / "a" / "report.html").read_bytes() == before
    assert "dfa report runs/first" in dfa_says(capsys, "report", "--help")[1]


def test_one_thing_is_told_of_in_the_singular(here, capsys):
    assert [counted(number, "file") for number in (0, 1, 2_000)] == ["0 files", "1 file", "2,000 files"]
    np.save("one.npy", IMAGES[:1])
    _, out, err = dfa_says(capsys, *ATTACK, "one.npy", "--max-queries", 12, "--batch-size", 32, "--out", "a")
    assert "1 image of one.npy" in err
    assert " 1 images" not in out + err
    assert " 1 calls" not in out + err
