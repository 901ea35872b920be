"""The command line, as a user or a CI job meets it: words in, tables, JSON and exit statuses out."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, attack, dfa_says
from dfa.extras import how_to_install


def test_a_failing_oracle_and_a_bad_folder_have_statuses_of_their_own(here, capsys):
    status, out, err = dfa_says(capsys, "attack", "model.py:broken", "photos", "--out", "a", "--json")
    assert status == 3
    assert "the line is dead" in err
    assert json.loads(out) == {"error": err.partition("dfa: ")[2].strip(), "exit": 3}
    (here / "file").write_text("")
    assert dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "file/run")[0] == 4
    attack(capsys, "--out", "b")
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "b")
    assert status == 4
    assert "must not hold a saved result" in err


def test_a_run_is_verified_by_its_own_model_or_another(here, capsys):
    attack(capsys, "--out", "run")
    status, out, _ = dfa_says(capsys, "verify", "run", "--trust", "--json")
    document = json.loads(out)
    assert (status, document["exit"], document["holds"]) == (0, 0, True)
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--images", "photos")[0] == 0
    (here / "model2.py").write_text(MODEL.replace("default_rng(1)", "default_rng(2)"))
    status, out, _ = dfa_says(capsys, "verify", "run", "--model", "model2.py:classify")
    assert status == 1
    assert "things do not hold" in out
    status, out, _ = dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--epsilon", 1)
    assert (status, "where 1 are allowed" in " ".join(out.split())) == (1, True)
    assert "believed of the folder: epsilon" not in out
    assert "believed of the folder: targets: none" in out
    assert "believed of the folder: epsilon" in dfa_says(capsys, "verify", "run", "--trust")[1]
    status, out, _ = dfa_says(
        capsys, "verify", "run", "--model", "model.py:classify", "--confirmations", "2/3", "--json"
    )
    assert (status, "alone" in json.loads(out)["checks"], "confirmations" in json.loads(out)["believed"]) == (0, 0, 0)
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:classify", "--confirmations", "x")[0] == 2
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:broken")[0] == 3
    assert dfa_says(capsys, "verify", "photos", "--model", "model.py:classify")[0] == 4


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


@pytest.mark.parametrize("package", ["click", "rich"])
def test_without_the_extra_dfa_still_says_what_it_is(monkeypatch, capsys, package):
    monkeypatch.setitem(sys.modules, package, None)
    for word in ("--help", "-h"):
        status, out, err = dfa_says(capsys, word)
        assert (status, err) == (0, "")
        assert "Adversarial images by querying alone" in out
        assert how_to_install("cli") in out
    assert dfa_says(capsys, "--version")[:2] == (0, f"{dfa.__version__}\n")
    status, out, err = dfa_says(capsys, "attack", "model.keras", "photos")
    assert (status, out) == (2, "")
    assert f"the command line is installed with: {how_to_install('cli')}" in err
    assert package in err


@pytest.mark.parametrize("module", ["dfa", "dfa.cli"])
def test_the_command_is_installed(module):
    (entry,) = [each for each in importlib.metadata.entry_points(group="console_scripts") if each.name == "dfa"]
    assert entry.value == "dfa.cli.main:main"
    done = subprocess.run(
        [sys.executable, "-m", module, "attack", "--nonsense"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "No such option" in done.stderr
