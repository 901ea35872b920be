"""How commands end when something ends them: an interrupt in any phase, a pipe that closes, a fault of dfa."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import MODEL, attack, dfa_says, go_to_workplace
from dfa.cli.commands import report

# A model that stops at a chosen moment until it is interrupted, and says when that moment has come.
SLOW = (
    MODEL
    + """
import sys, time
from pathlib import Path

def wait_here(seconds=60):
    Path("reached").write_text("")
    time.sleep(seconds)

if os.environ.get("AT") == "import":
    wait_here()

if os.environ.get("AT") == "saving":
    from dfa.engine import stored
    stored.complete_run = lambda *words, **more: wait_here()

if os.environ.get("AT") == "told":
    import dfa
    dfa.Result.summary = lambda result: wait_here()

calls = 0
def slow(images):
    global calls
    calls += 1
    if os.environ.get("AT") == "attack" and calls == 6:
        wait_here(seconds=2)  # what has been asked is waited for
    return classify(images)
"""
)
FAST = ("--max-queries", "60", "--batch-size", "4", "--epsilon", "12")


@pytest.fixture
def here(tmp_path, monkeypatch):
    go_to_workplace(tmp_path, monkeypatch)
    (tmp_path / "model.py").write_text(SLOW)
    return tmp_path


def interrupt(here, moment, *words):
    """Run a command, interrupt it when it has reached a moment, and return its exit status and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dfa.cli", *map(str, words)],
        env={**os.environ, "AT": moment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    reached = here / "reached"
    while not reached.exists() and process.poll() is None:
        time.sleep(0.01)
    reached.unlink()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize("moment", ["attack", "saving", "told"])
def test_an_interrupt_says_how_to_go_on_whenever_it_comes(here, capsys, moment):
    status, _, err = interrupt(here, moment, "attack", "model.py:slow", "photos", *FAST, "--out", "a run")
    assert status == 130
    assert "dfa: interrupted; go on with: dfa resume 'a run'" in err
    assert "Traceback" not in err
    status, out, err = interrupt(here, moment, "resume", "a run", "--trust", "--json")
    assert status == 130
    assert f"dfa: interrupted; go on with: dfa resume '{here / 'a run'}'" in err
    assert json.loads(out)["exit"] == 130
    assert dfa_says(capsys, "resume", "a run", "--trust")[0] == 0
    assert dfa.Result.load("a run").summary().unfinished == 0


def test_a_resume_that_is_stopped_while_it_loads_the_model_says_so_too(here, capsys):
    attack(capsys, "--out", "run")
    status, _, err = interrupt(here, "import", "resume", "run", "--trust")
    assert (status, "go on with: dfa resume" in err) == (130, True)


def test_an_attack_that_had_not_begun_leaves_nothing_to_go_on_with(here, capsys):
    words = ("attack", "model.py:slow", "photos", "--out", "run", "--overwrite")
    status, _, err = interrupt(here, "import", *words)
    assert (status, "interrupted before the run began" in err) == (130, True)
    attack(capsys, "--out", "run")
    # What is there is another run.
    status, _, err = interrupt(here, "import", *words)
    assert (status, "interrupted before the run began" in err) == (130, True)


def test_other_commands_are_interrupted_in_a_word(here, capsys):
    attack(capsys, "--out", "run")
    status, _, err = interrupt(here, "import", "verify", "run", "--trust")
    assert (status, err.splitlines()[-1]) == (130, "dfa: interrupted")


def fail_with(monkeypatch, error):
    def fail(*words, **more):
        raise error

    monkeypatch.setattr(report, "write_report", fail)


def test_the_end_of_a_file_is_no_interrupt(here, capsys, monkeypatch):
    fail_with(monkeypatch, EOFError("No data left in file"))
    status, _, err = dfa_says(capsys, "report", "photos")
    assert (status, "interrupted" in err, "No data left in file" in err) == (70, False, True)


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize(
    "error", [TypeError("wrong [x] {x}"), SystemExit(1), OSError(errno.EIO, "I/O"), RecursionError(), MemoryError()]
)
def test_what_nobody_foresaw_is_a_fault_of_dfa(here, capsys, monkeypatch, tmp_path, error):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("DFA_DEBUG", raising=False)
    fail_with(monkeypatch, error)
    status, out, err = dfa_says(capsys, "report", "photos", "--json")
    assert (status, json.loads(out)["exit"]) == (70, 70)
    assert f"this is a fault of dfa: {type(error).__name__}: {error}" in err
    assert "report it" in err
    (file,) = tmp_path.glob("dfa-fault-*.txt")
    assert str(file) in err
    text = file.read_text()
    assert f"dfa {dfa.__version__}" in text
    assert "dfa report photos --json" in text
    assert "Traceback" in text
    assert "Traceback" not in err
    monkeypatch.setenv("DFA_DEBUG", "1")
    status, _, err = dfa_says(capsys, "report", "photos")
    assert (status, "Traceback" in err, len(list(tmp_path.glob("dfa-fault-*.txt")))) == (70, True, 1)
    monkeypatch.delenv("DFA_DEBUG")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert "Traceback" in dfa_says(capsys, "report", "photos")[2]


def test_a_model_that_ends_the_process_is_a_wrong_word(here, capsys):
    (here / "ending.py").write_text("import sys\nsys.exit(1)\n")
    status, _, err = dfa_says(capsys, "attack", "ending.py:f", "photos", "--out", "run")
    assert (status, "cannot import 'ending.py': SystemExit: 1" in err) == (2, True)


def test_nobody_reading_on_is_no_verdict(here, capsys):
    attack(capsys, "--out", "run")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "dfa.cli", "verify", "run", "--model", "model.py:classify"],
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_shell_is_told_what_may_follow(here):
    environment = {**os.environ, "_DFA_COMPLETE": "bash_complete", "COMP_WORDS": "dfa ver", "COMP_CWORD": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "dfa.cli"], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "plain,verify\n")


def test_a_name_that_the_terminal_cannot_show_is_no_failure(here, capsys):
    np.save("images.npy", np.zeros((1, 8, 7, 3), np.uint8))
    (here / "images.npy").rename(here / "жλ.npy")
    words = ("attack", "model.py:classify", "жλ.npy", "--out", "жλ", "--max-queries", "5")
    done = subprocess.run(
        [sys.executable, "-m", "dfa.cli", *words],
        env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Kept in \\u0436\\u03bb" in done.stdout


@pytest.mark.parametrize("words", [("--out", "run"), ()])
def test_a_first_try_that_fails_is_followed_by_a_second(here, capsys, words):
    """With the same folder and no --overwrite, since nothing in it was of use."""
    base = ("attack", "model.py:logits", "photos", *FAST, *words)
    status, _, err = dfa_says(capsys, *base)
    assert (status, "pass --returns logits" in err, "go on with" in err) == (3, True, False)
    assert list(here.glob("run*/*")) == []
    assert dfa_says(capsys, *base, "--returns", "logits")[0] == 0
    # A run that is replaced is gone; what replaced it is not to be gone on with either.
    status, _, err = dfa_says(capsys, *base, *([*words, "--overwrite"] if words else []))
    assert (status, "go on with" in err) == (3, False)
