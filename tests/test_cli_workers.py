"""Commands with workers: the same run, whoever is asked, and nobody is left behind when it ends."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import joblib
import psutil
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, attack, dfa_says, go_to_workplace
from dfa.cli.commands.app import app
from dfa.cli.commands.wording import in_options
from outcomes import outcomes

# Says when workers have reached a moment, and stays there.
SLOW = (
    MODEL
    + """
import time
from pathlib import Path

def exact(images):  # to the last bit, whatever the batch
    scores = images.reshape(len(images), -1).astype(np.float64) @ weights(images[0].size)
    scores -= scores.min(axis=1, keepdims=True) - 1
    return scores / scores.sum(axis=1, keepdims=True)

def wait_here(seconds):
    Path(f"reached-{os.getpid()}").write_text("")
    time.sleep(seconds)

if os.environ.get("AT") == "import":
    wait_here(60)

def slow(images):
    if os.environ.get("AT") == "attack" and len(images) != 4:  # not the noise before the first query
        wait_here(1)
    return exact(images)

class Grey:
    input_shape = (None, 8, 7, 1)
    __call__ = staticmethod(exact)

grey = Grey()

def stuck(images):
    if len(images) != 4:
        wait_here(60)
    return exact(images)

def failing(images):
    with open("calls", "ab") as file:
        file.write(b".")
    if Path("off").exists() and Path("calls").stat().st_size > 12:
        raise OSError("the line is dead")
    return exact(images)
"""
)
SCRIPT = """
import os, sys, time
from pathlib import Path
if __name__ == "__main__":
    from dfa.cli.main import main
    sys.exit(main())
elif os.environ.get("AT") == "start":
    Path(f"reached-{os.getpid()}").write_text("")
    time.sleep(1)
"""
FAST = ("--max-queries", "60", "--batch-size", "32", "--epsilon", "12")


@pytest.fixture
def here(tmp_path, monkeypatch):
    go_to_workplace(tmp_path, monkeypatch)
    (tmp_path / "model.py").write_text(SLOW)
    return tmp_path


def found_in(run):
    return outcomes(dfa.Result.load(run))


@pytest.fixture
def alone(here, capsys):
    """What is found without workers."""
    assert dfa_says(capsys, "attack", "model.py:exact", "photos", *FAST, "--out", "alone")[0] == 0
    return found_in("alone")


@pytest.fixture
def script(tmp_path_factory):
    """What an installed command is: a script that workers read as well, where one may meet them."""
    script = tmp_path_factory.mktemp("bin") / "dfa"
    script.write_text(SCRIPT)
    return script


def begin(script, *words, **environment):
    """Begin a command in a session of its own, as a terminal does."""
    return subprocess.Popen(
        [sys.executable, script, *map(str, words)],
        env={**os.environ, **environment},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for_workers(here, process, number):
    """Wait until so many workers have reached their moment, and return them."""
    while len(list(here.glob("reached-*"))) < number and process.poll() is None:
        time.sleep(0.01)
    return [psutil.Process(int(file.name.removeprefix("reached-"))) for file in here.glob("reached-*")]


@pytest.mark.parametrize("model", ["model.py:exact", "model:exact"])
def test_a_run_is_the_same_with_workers(here, capsys, alone, model):
    status, out, err = dfa_says(capsys, "attack", model, "photos", *FAST, "--json", "--out", "run", "--workers", 2)
    assert status == 0, err
    assert json.loads(out)["summary"]["verified"] > 0
    assert found_in("run") == alone
    config = dfa.Result.load("run").config
    assert (config["workers"]["kind"], config["workers"]["number"]) == ("local", 2)
    # Who was asked is no part of what a run is.
    assert "workers" not in json.loads((here / "run" / "run.json").read_text())["command"]
    assert dfa_says(capsys, "verify", "run", "--model", "model.py:exact")[0] == 0


def test_files_become_what_the_workers_model_takes(here, capsys):
    assert dfa_says(capsys, "attack", "model.py:grey", "photos", *FAST, "--out", "run", "--workers", 1)[0] == 0
    assert dfa.Result.load("run").config["shape"] == [8, 7, 1]


def test_a_run_goes_on_with_other_workers_or_none(here, capsys, alone):
    for others in (("--workers", 1), ()):
        (here / "off").write_text("")
        (here / "calls").unlink(missing_ok=True)
        words = ("attack", "model.py:failing", "photos", *FAST, "--out", "run", "--overwrite", "--workers", 2)
        status, _, err = dfa_says(capsys, *words)
        assert (status, "OSError: the line is dead" in err, "go on with: dfa resume run" in err) == (3, True, True)
        assert dfa.Result.load("run").summary().unfinished > 0
        (here / "off").unlink()
        status, _, err = dfa_says(capsys, "resume", "run", "--trust", *others)
        assert status == 0, err
        assert found_in("run") == alone


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--workers", "0"), "--workers must be a number of 1..1024, or the device of each worker"),
        (("--workers", "cuda:0,"), "such as cuda:0,cuda:1, got 'cuda:0,'"),
        (("--ray", "local"), "--ray needs --workers N"),
        (("--gpus-per-worker", "1"), "--gpus-per-worker needs --workers N"),
        (("--mixed-workers",), "--mixed-workers needs --workers N"),
        (("--workers", "2", "--gpus-per-worker", "1"), "goes with --ray"),
        (("--workers", "cuda:0", "--ray", "local"), "with --ray --workers must be a number"),
        (("--workers", "2", "--ray", "local", "--gpus-per-worker", "-1"), "--gpus-per-worker must be a number of 0 or"),
        (("--workers", "cpu,cpu", "--device", "cpu"), "so --device has no place"),
        (("--workers", "2", "--class-offset", "1"), "--class-offset is for .tflite files"),
    ],
    ids=lambda words: " ".join(words) if isinstance(words, tuple) else "",
)
def test_words_that_do_not_go_together_begin_nothing(here, capsys, monkeypatch, words, message):
    monkeypatch.setattr("dfa.oracle.workers.local._LocalWorker", None)
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "photos", "--out", "run", *words)
    assert (status, len(err.splitlines())) == (2, 1)
    assert message in err
    assert not (here / "run").exists()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("gone.keras", "MODEL must be a file that exists, and 'gone.keras' does not"),
        ("net.joblib", "'net.joblib' is a pickle, .* pass --trust-pickle"),
        ("model.txt", "MODEL must be a .keras, "),
    ],
)
def test_a_model_that_this_process_refuses_begins_no_worker(here, capsys, monkeypatch, model, message):
    joblib.dump(3, here / "net.joblib")
    monkeypatch.setattr("dfa.oracle.workers.local._LocalWorker", None)
    status, _, err = dfa_says(capsys, "attack", model, "photos", "--out", "run", "--workers", 2)
    assert status == 2
    assert message.partition(" .* ")[0] in err
    (here / "model.keras").write_bytes(b"")
    status, _, err = dfa_says(capsys, "attack", "model.keras", "photos", "--out", "run", "--workers", "cuda:0")
    assert (status, "for torch and ONNX models, not for model.keras; give a number" in err) == (2, True)


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        ("gone.py:f", 2, "dfa: worker 0: cannot read 'gone.py'"),
        ("ending.py:f", 2, "dfa: worker 0: cannot import 'ending.py': SystemExit: 1 (ending.py, line 2)"),
        ("model.py:nothing", 2, "dfa: worker 0: 'model.py' has no 'nothing'"),
        ("net.joblib", 2, "dfa: worker 0: MODEL must be an Oracle"),
        ("model.py:broken", 3, "OSError: the line is dead (model.py, line "),
    ],
)
def test_errors_of_workers_are_one_line(here, capfd, model, status, message):
    (here / "ending.py").write_text("import sys\nsys.exit(1)\n")
    joblib.dump(3, here / "net.joblib")
    words = ("attack", model, "photos", "--out", "run", "--workers", 2, "--trust-pickle")
    found, _, err = dfa_says(capfd, *words)
    told = [line for line in err.splitlines() if not line.endswith("attacked") and not line.startswith("left out")]
    assert (found, len(told)) == (status, 1), err
    assert message in told[0].replace(f"{here}/", "")


def test_what_each_worker_would_say_is_said_once(here, capfd):
    (here / "loud.py").write_text(f"{MODEL}\nprint('a word')\nos.write(2, b'a note\\n')\n")
    status, out, err = dfa_says(capfd, "attack", "loud.py:classify", "photos", *FAST, "--out", "run", "--workers", 3)
    assert (status, out.count("a word"), err.count("a note")) == (0, 1, 1)


def test_workers_import_nothing_from_the_run_folder(here, capsys):
    attack(capsys, "--out", "run")
    (here / "run" / "helper.py").write_text("open('mark', 'w')")
    (here / "model.py").write_text(f"import sys\nsys.path.insert(0, 'run')\nimport helper\n{SLOW}")
    status, _, err = dfa_says(capsys, "resume", "run", "--trust", "--workers", 2)
    assert (status, "worker 0: cannot import 'model.py'" in err) == (2, True), err
    assert "nothing is loaded from inside a run folder" in err
    assert not (here / "mark").exists()


def test_workers_take_no_module_of_the_current_folder_for_one_from_elsewhere(here, script):
    for name in ("runpy", "pickle", "json"):
        (here / f"{name}.py").write_text("open('mark', 'w')")
    (here / "model.py").write_text(f"{MODEL}\nassert 'PYTHONSAFEPATH' not in os.environ\n")
    words = ("attack", "model:classify", "photos", *FAST, "--out", "run", "--workers", "2")
    done = subprocess.run([sys.executable, script, *words], capture_output=True, text=True, check=False)
    assert (done.returncode, (here / "mark").exists()) == (0, False), done.stderr


@pytest.mark.parametrize(
    ("moment", "message"),
    [
        ("start", "interrupted before the run began"),
        ("import", "interrupted before the run began"),
        ("attack", "interrupted; go on with: dfa resume run"),
    ],
)
def test_an_interrupt_ends_a_run_with_workers_at_once(here, capsys, script, alone, moment, message):
    process = begin(script, "attack", "model.py:slow", "photos", *FAST, "--out", "run", "--workers", "2", AT=moment)
    wait_for_workers(here, process, 2)
    workers = psutil.Process(process.pid).children()
    # A terminal sends it to all, and workers may hear of it first.
    for worker in workers:
        worker.send_signal(signal.SIGINT)
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert message in err
    assert "Traceback" not in err
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []
    if moment == "attack":
        assert dfa_says(capsys, "resume", "run", "--trust", "--workers", 3)[0] == 0
        assert found_in("run") == alone


def test_a_killed_command_leaves_no_worker_not_even_in_the_middle_of_a_call(here, script):
    process = begin(script, "attack", "model.py:stuck", "photos", "--batch-size", 5, "--out", "run", "--workers", "2")
    workers = wait_for_workers(here, process, 2)
    assert len(workers) == 2
    process.kill()
    process.wait()
    process.stdout.close()
    process.stderr.close()
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert [each for each in alive if each.status() != psutil.STATUS_ZOMBIE] == []


def test_a_network_is_put_on_each_workers_device(here, capsys):
    pytest.importorskip("torch")
    (here / "net.py").write_text(
        "import torch\ntorch.manual_seed(0)\n"
        f"model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear({IMAGES[0].size}, 10)).eval()\n"
    )
    status, _, err = dfa_says(capsys, "attack", "net.py:model", "photos", *FAST, "--out", "run", "--workers", "cpu,cpu")
    assert status == 0, err
    assert dfa.Result.load("run").config["workers"]["devices"] == ["cpu", "cpu"]
    status, _, err = dfa_says(capsys, "attack", "net.py:model", "photos", "--out", "other", "--workers", "cuda:77")
    assert (status, "worker 0 (cuda:77): --device must be one that torch has here" in err) == (2, True), err


@pytest.mark.weekly
def test_a_cluster_may_be_begun_here(here, capsys, alone):
    pytest.importorskip("ray")
    words = ("attack", "model:exact", "photos", *FAST, "--out", "run", "--workers", 2, "--ray", "local")
    status, _, err = dfa_says(capsys, *words)
    assert status == 0, err
    assert found_in("run") == alone
    assert dfa.Result.load("run").config["workers"]["kind"] == "ray"


def test_what_the_library_says_of_workers_is_said_in_options():
    told = in_options("or pass mixed=True, which the result records", app.commands["resume"])
    assert told == "or pass --mixed-workers, which the result records"


def test_the_time_left_is_told_from_the_last_images(here, monkeypatch):
    from dfa.cli.commands import progress
    from dfa.cli.commands.screen import Screen

    now = 1000.0
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now))
    screen = Screen()
    screen.file, screen.width, screen._force_terminal = io.StringIO(), 200, True
    with progress.show_progress(screen, 1000, dfa.Storage("run")) as show:
        # The first 300 were there before, the others take a minute each.
        for index in range(700):
            now += 60 * (index >= 300)
            show(dfa.Record(index, 0, dfa.Status.FAILURE))
    assert "700/1000" in screen.file.getvalue()
    assert "5:00:00 left" in screen.file.getvalue()
