"""`--baseline`, `--junit`, `--sarif` and their exit statuses; the files are read back, whoever named the images."""

from __future__ import annotations

import json
import os
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import unquote

import numpy as np
import PIL.Image
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")

import dfa
from command_line import IMAGES, MODEL, attack, dfa_says
from dfa.cli.commands.judging import Bar
from dfa.results.images import AdversarialImages
from dfa.verdicts.judgement import Outcome
from dfa.verdicts.junit import junit_xml
from dfa.verdicts.sarif import sarif
from sample_results import failure, skipped, success

FAST = ("--max-queries", 60, "--batch-size", 32)
HOSTILE = [
    "<b>&\"'",
    "]]><script>",
    "{0}[x](http://a)\\",
    "line\nend\x1b[2J\u202e",
    "grün ₿ 🐈",
    "%2e%2e/..",
    "nul\x00\ufffe",
]


def hostile_result(number=7, **fields):
    """Return a result in which every third image broke, with names that would break a document."""
    names = [HOSTILE[index % len(HOSTILE)] for index in range(number)]
    records = [
        success(index, source=names[index], label=0, class_after=1, **fields)
        if index % 3 == 0
        else failure(index, source=names[index], label=0)
        for index in range(number)
    ]
    images = AdversarialImages(number)
    config = {"max_queries": 2_000, "epsilon": 4, "class_names": HOSTILE, "versions": {"dfa": "1"}}
    return dfa.Result(records, images, config=config)


def cases(text):
    """Return the tests of a JUnit document by their names, each as what it ended with and its message."""
    root = ET.fromstring(text)
    (suite,) = root
    found = [(case.get("name"), case) for case in suite]
    for counted in (root, suite):
        tags = [case[0].tag if len(case) else "" for _, case in found]
        assert int(counted.get("tests")) == len(found)
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            assert int(counted.get(name)) == tags.count(tag)
    assert all(case.get("classname") and float(case.get("time")) >= 0 for _, case in found)
    return [
        (name, case[0].tag if len(case) else "", case[0].get("message") if len(case) else "") for name, case in found
    ]


def junit(result, outcome=Outcome.BELOW, **more):
    return junit_xml(result, name="m<&>\x07", outcome=outcome, verdict="too many\x00", **more)


def test_junit_holds_whatever_images_and_classes_are_called():
    told = cases(junit(hostile_result(), fell=[3]))
    assert [name for name, *_ in told][:-1] == [
        "<b>&\"'",
        "]]><script>",
        "{0}[x](http://a)\\",
        "line\\nend\\x1b[2J\\u202e",
        "grün ₿ 🐈",
        "%2e%2e/..",
        "nul\\x00\\ufffe",
    ]
    assert told[0][1:] == ("failure", "broken by 10 queries: <b>&\"' became ]]><script>")
    assert told[1][1:] == ("system-out", None)
    assert told[3][2].startswith("not broken in the baseline, and now broken by 10 queries")
    assert told[-1] == ("verdict", "failure", "too many\\x00")


@pytest.mark.parametrize(
    ("outcome", "broken", "verdict"),
    [
        (None, "failure", "skipped"),
        (Outcome.PASSED, "skipped", "system-out"),
        (Outcome.BELOW, "failure", "failure"),
        (Outcome.WORSE, "failure", "failure"),
        (Outcome.NOT_JUDGED, "failure", "error"),
    ],
)
def test_what_a_bar_allows_is_no_failure(outcome, broken, verdict):
    records = [success(0), failure(1), skipped(2), dfa.Record(3, 3, dfa.Status.ERROR, "no image")]
    told = cases(junit(dfa.Result(records, AdversarialImages(4)), outcome))
    assert [tag for _, tag, _ in told] == [broken, "system-out", "skipped", "error", verdict]
    assert told[2][2] == "wrong before the attack: 0, and its label is 1"
    assert told[3][2] == "could not be attacked: no image"
    assert ("which the bar allows" in told[0][2]) == (outcome is Outcome.PASSED)


def test_of_many_images_a_test_is_a_class():
    told = cases(junit(hostile_result(1_001)))
    assert [each[:2] for each in told] == [("class <b>&\"'", "failure"), ("verdict", "failure")]
    assert told[0][2] == "334 of 1,001 images broken"
    text = ET.fromstring(junit(hostile_result(1_001)))[0][0][0].text
    assert text.count("\n") == 20
    assert text.endswith("and 314 more")
    assert len(cases(junit(hostile_result(1_000)))) == 1_001


def test_sarif_has_a_result_for_each_image_that_broke(tmp_path):
    result = hostile_result()
    files = [tmp_path / f"{index} ü%.png" for index in range(6)] + [tmp_path.parent / "else where.png"]
    document = json.loads(json.dumps(sarif(result, files=files, folder=tmp_path, verdict="v", fell=[3])))
    (run,) = document["runs"]
    driver = run["tool"]["driver"]
    assert (document["version"], driver["name"], driver["version"]) == ("2.1.0", "dfa", "1")
    assert [rule["id"] for rule in driver["rules"]] == ["broken-image"]
    assert [(each["ruleId"], each["ruleIndex"]) for each in run["results"]] == [("broken-image", 0)] * 3
    assert [each["level"] for each in run["results"]] == ["warning", "error", "warning"]
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]]
    assert places == ["0%20%C3%BC%25.png", "3%20%C3%BC%25.png", (tmp_path.parent / "else where.png").as_uri()]
    assert unquote(places[0]) == "0 ü%.png"
    messages = [each["message"]["text"] for each in run["results"]]
    assert messages[0] == "<b>&\"': broken by 10 queries: <b>&\"' became ]]><script>".replace("]", "\\]")
    assert "not broken in the baseline, and now broken" in messages[1]
    assert all(text.isprintable() for text in messages)
    assert "not broken by so many, and may be by more" in driver["rules"][0]["help"]["text"]
    assert "2,000 queries" in driver["rules"][0]["fullDescription"]["text"]


def test_in_a_sarif_message_nothing_is_a_placeholder_or_a_link():
    result = hostile_result()
    result.records[0] = success(0, source="{0}[x](http://a)")
    (first, *_) = sarif(result, files=["a"] * 7, folder=".", verdict="v")["runs"][0]["results"]
    assert first["message"]["text"].startswith("{{0}}\\[x\\](http://a): ")


def test_the_command_line_writes_both(here, capsys):
    PIL.Image.fromarray(IMAGES[0]).save(here / "photos" / "a <&> {0}\udcff.png")
    words = ("--out", "run", "--fail-above", "0", "--junit", "j.xml", "--sarif", "s.json")
    status, document, _ = attack(capsys, *words)
    assert status == 1
    result = dfa.Result.load("run")
    told = cases((here / "j.xml").read_text(encoding="utf-8"))
    assert [tag == "failure" for _, tag, _ in told] == [*result.success, True]
    assert told[0][0] == "a <&> {0}\\udcff.png"
    assert told[-1][2] == document["verdict"]
    assert document["verdict"].startswith(f"TSR {result.summary().TSR:.3f} is above --fail-above 0.0: ")
    assert document["TSR_interval"] == list(result.summary().TSR_interval)
    (run,) = json.loads((here / "s.json").read_text(encoding="utf-8"))["runs"]
    places = [each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]]
    assert len(places) == result.success.sum()
    assert "photos/p1.jpg" in places
    assert attack(capsys, "--out", "b", "--fail-above", 1, "--junit", "j.xml")[0] == 0
    assert {tag for _, tag, _ in cases((here / "j.xml").read_text())} == {"skipped", "system-out"}
    assert attack(capsys, "--out", "c", "--junit", "j.xml")[0] == 0
    assert cases((here / "j.xml").read_text())[-1][1:] == ("skipped", cases((here / "j.xml").read_text())[-1][2])


def test_images_of_an_array_are_in_its_file(here, capsys):
    np.savez("images.npz", images=IMAGES)
    status, *_ = dfa_says(capsys, "attack", "model.py:classify", "images.npz", *FAST, "--sarif", "s.json", "--out", "r")
    (run,) = json.loads((here / "s.json").read_text())["runs"]
    assert (status, len(run["results"]) > 0) == (0, True)
    places = {each["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for each in run["results"]}
    assert places == {"images.npz"}


HARD = """
def hard(images):  # only a large change of one value is another class
    return np.eye(10)[(images[:, 0, 0, 0] < 60).astype(int)] * 0.9 + 0.01
"""


def test_a_model_worse_than_the_baseline_exits_6(here, capsys, monkeypatch, tmp_path_factory):
    (here / "model.py").write_text(MODEL + HARD)
    words = ("photos", *FAST, "--epsilon", 20, "--json")
    dfa_says(capsys, "attack", "model.py:hard", *words, "--out", "hard")
    before = dfa.Result.load("hard")
    status, out, _ = dfa_says(
        capsys, "attack", "model.py:classify", *words, "--out", "run", "--baseline", "hard", "--junit", "j.xml"
    )
    document, now = json.loads(out), dfa.Result.load("run")
    comparison = dfa.compare(before, now)
    assert document["baseline"]["only_b"] == comparison.only_b
    assert comparison.is_worse, str(comparison)
    assert (status, document["exit"]) == (6, 6)
    told = cases((here / "j.xml").read_text())
    assert {place for place, each in enumerate(told[:-1]) if "in the baseline, and now" in (each[2] or "")} == set(
        comparison.fell
    )
    resumed = ("resume", "run", "--trust")
    status, out, _ = dfa_says(capsys, *resumed, "--baseline", "hard")
    names = ", ".join(now.records[place].source for place in comparison.fell)
    assert (status, f"not broken in --baseline, and now: {names}" in " ".join(out.split())) == (6, True)
    assert "the model is easier to break than that of --baseline: " in out
    assert dfa_says(capsys, *resumed, "--baseline", "hard", "--fail-above", 0)[0] == 1
    assert dfa_says(capsys, "resume", "hard", "--trust", "--baseline", "run")[0] == 0
    # It goes to the folder that the run's words are relative to, and its own words are not.
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    words = ("--baseline", os.path.relpath(here / "hard"), "--junit", "j.xml", "--sarif", "s.json")
    assert dfa_says(capsys, "resume", here / "run", "--trust", *words)[0] == 6
    (run,) = json.loads((elsewhere / "s.json").read_text())["runs"]
    place = run["results"][0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert place == (here / "photos" / now.records[int(now.success.argmax())].source).as_uri()
    assert cases((elsewhere / "j.xml").read_text()) == told
    shutil.copytree(here / "run", elsewhere / "copy")
    monkeypatch.chdir(elsewhere)
    status, out, _ = dfa_says(capsys, "resume", here / "run", "--trust", "--baseline", "copy")
    assert (status, f"{now.success.sum()} are broken in both" in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "status", "told"),
    [
        (
            ("--baseline", "first", "--epsilon", 9),
            2,
            "of one attack, and epsilon is 12 in the first and 9 in the second",
        ),
        (
            ("--baseline", "first", "--part", "1/2"),
            2,
            "--baseline must be of the same images, and is of 10; here are 5",
        ),
        (("--baseline", "photos"), 4, "photos"),
        (
            ("--baseline", "out", "--overwrite"),
            2,
            "--baseline must be an earlier run, and 'out' is where this one goes",
        ),
        (("--junit", "nowhere/j.xml"), 4, "cannot write nowhere/j.xml: there is no folder nowhere; make it first"),
    ],
)
def test_what_is_wrong_with_a_word_is_told(here, capsys, words, status, told):
    attack(capsys, "--out", "first")
    (here / "out").mkdir()
    base = ("attack", "model.py:classify", "photos", *FAST, "--epsilon", 12, "--out", "out")
    found, _, err = dfa_says(capsys, *base, *words)
    assert (found, told in err) == (status, True), err


def test_a_run_that_is_not_judged_is_an_error_in_junit(here, capsys):
    (here / "photos" / "aa.png").write_bytes(b"no image")
    assert attack(capsys, "--out", "run", "--fail-above", 1, "--junit", "j.xml")[0] == 5
    told = cases((here / "j.xml").read_text())
    assert (told[0][:2], told[-1][:2]) == (("aa.png", "error"), ("verdict", "error"))
    assert "1 of 11 images were not attacked, so the run is not judged" in told[-1][2]


def test_a_run_that_the_clock_ended_is_not_judged(here, capsys):
    words = ("attack", "model.py:classify", "photos", "--max-queries", 2_000, "--epsilon", 12, "--max-seconds", 1e-9)
    status, out, err = dfa_says(capsys, *words, "--fail-above", 0.9, "--junit", "clock.xml")
    assert (status, "ended before their budget and tell nothing" in out + err) == (5, True)
    assert cases((here / "clock.xml").read_text())[-1][:2] == ("verdict", "error")
    assert dfa_says(capsys, *words, "--fail-above", 1)[0] == 0
    assert dfa_says(capsys, *words, "--fail-above", 0.9, "--allow-missing", 1)[0] == 0
    assert dfa_says(capsys, *words)[0] == 0


def test_an_image_in_error_is_not_judged_beside_a_baseline_either(here, capsys):
    words = ("attack", "model.py:classify", "photos", "--max-queries", 60, "--epsilon", 12)
    assert dfa_says(capsys, *words, "--out", "before")[0] == 0
    (here / "photos" / "p3.jpg").write_bytes(b"no image")
    status, out, err = dfa_says(capsys, *words, "--baseline", "before", "--junit", "now.xml", "--out", "now")
    assert (status, "not in the second" in out + err) == (5, False)
    assert cases((here / "now.xml").read_text())[-1][0] == "verdict"
    assert dfa_says(capsys, *words, "--baseline", "before", "--allow-missing", 0.5)[0] == 0


def test_a_rate_that_is_just_allowed_is_judged():
    for broken in range(1, 101):
        records = [success(index) if index < broken else failure(index) for index in range(100)]
        result = dfa.Result(records, AdversarialImages(100), config={"max_queries": 9})
        bar = Bar.of(fail_above=broken / 100, allow_missing=None, baseline=None, junit=None, sarif=None, out=Path("x"))
        assert bar.judge(result).status == 0, broken
