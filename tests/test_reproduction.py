"""How a report says that a run is done again: with every word that began it."""

from __future__ import annotations

import ast
import dataclasses
import html
import json
import re
import shlex
import shutil

import pytest

import dfa
from oracles import LinearClassifier, random_images

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
pytest.importorskip("click")
pytest.importorskip("rich")

from dfa.cli.commands import attack as command_line
from dfa.cli.request import RUN_SETTINGS, Request
from dfa.runs.documents import Command
from dfa.views.report import write_report

SHAPE = (6, 6, 3)
WORDS = {
    "model": "-nets.py:model",
    "images": "my photos/*.jpg",
    "labels": "labels.csv",
    "target": "class:3",
    "epsilon": "4",
    "space": "patch:size=5",
    "objective": "log",
    "preset": "paper",
    "returns": "logits",
    "shows": "top_k",
    "k": 3,
    "num_classes": 10,
    "class_names": "names.txt",
    "prior": "surrogate.keras",
    "class_offset": 1,
    "preprocess": "keras.applications.vgg16:preprocess_input",
    "mean": "-0.5,0.4,0.3",
    "std": "0.2,0.2,0.2",
    "value_range": "-1,1",
    "model_layout": "NHWC",
    "device": "cuda:0",
    "channels": "rgb",
    "size": "32x32",
    "image_layout": "NCHW",
    "confirmations": "8/10",
    "part": "3/16",
    "parse": "mine.py:parse",
    "encode": "png",
    "rate": "20/s,5000/day",
    "rate_file": "rates.sqlite",
    "price": "0.0015",
    "max_cost": "5.00",
    "currency": "EUR",
    "concurrency": 16,
    "images_per_request": 2,
    "token_env": "VISION_TOKEN",
    "header": "X-Key=VISION_KEY,X-Other=OTHER",
    "watch_every": 0,
    "on_drift": "mark",
    "retries": 3,
    "timeout": 2.5,
    "ca_file": "ca.pem",
    "settings": {
        "max_queries": 500,
        "max_seconds": 2.5,
        "give_up_after": 100,
        "batch_size": 64,
        "seed": 7,
        "threads": 2,
    },
    "optimizer": {
        "samples": 2,
        "positives": 3,
        "shape": "scattered",
        "coordinates": 0.25,
        "window_share": 0.05,
        "window_halvings": [20, 40],
        "placements": 2,
        "values": "extremes",
        "region": "ordered",
        "start": "stripes",
        "starts": 9,
        "restart_after": 64,
        "rest_ratio": 0.5,
        "improvements": 0.0,
        "archive": False,
        "domain": "ball",
        "ties": "older",
        "max_iterations": 90,
    },
    "folder": "/some/where else",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduction") / "run"
    attack(folder)
    return folder


def attack(folder, **settings):
    return dfa.run(LinearClassifier(SHAPE), random_images(4, SHAPE), max_queries=60, store=folder, **settings)


def shown(folder):
    text = write_report(folder).read_text()
    return html.unescape(re.search(r"<h3>How to reproduce</h3>\s*<pre>(.*?)</pre>", text, re.DOTALL).group(1))


def test_what_is_shown_again_are_all_the_fields_of_a_request():
    assert {field.name for field in dataclasses.fields(Command)} == {
        field.name for field in dataclasses.fields(Request)
    }
    assert set(WORDS) == {field.name for field in dataclasses.fields(Request)}
    assert set(WORDS["settings"]) == set(RUN_SETTINGS)
    assert set(WORDS["optimizer"]) == {field.name for field in dataclasses.fields(dfa.Racos)} - {"objective"}
    plain = Command("m", "i", "f", {}, {})
    assert [name for name, word in WORDS.items() if getattr(plain, name) == word] == []


def test_each_recorded_word_comes_back(run, tmp_path, monkeypatch):
    shutil.copytree(run, tmp_path / "run")
    document = json.loads((tmp_path / "run" / "run.json").read_text())
    (tmp_path / "run" / "run.json").write_text(json.dumps({**document, "command": WORDS}))
    place, command = shown(tmp_path / "run").splitlines()
    assert shlex.split(place) == ["cd", WORDS["folder"]]
    asked = []

    def instead(request, *_, **__):
        asked.append(request)
        return 0

    monkeypatch.setattr(command_line, "run_request", instead)
    program, name, *words = shlex.split(command)
    assert (program, name) == ("dfa", "attack")
    command_line.attack.main(["--out", str(tmp_path / "new"), *words], standalone_mode=False)
    (request,) = asked
    again = json.loads(json.dumps(dataclasses.asdict(request)))
    assert {**again, "folder": WORDS["folder"]} == WORDS


def test_python_says_that_there_was_a_prior(run, tmp_path):
    assert "prior" not in shown(run)

    def towards(images, goals):
        return images.astype(float) - 100

    towards.__qualname__ = "towards"
    attack(tmp_path / "run", prior=towards)
    assert "\n    prior=...,  # towards, as it was\n)" in shown(tmp_path / "run")


@pytest.mark.parametrize("end", ["\n", "\r", "\x0c", "\u2028"])
def test_the_name_of_a_prior_is_no_python(run, tmp_path, end):
    shutil.copytree(run, tmp_path / "run")
    for name in ("run.json", "results.json"):
        document = json.loads((tmp_path / "run" / name).read_text())
        document["config"]["prior"] = {"name": f"towards{end}    seed=print('!'),#"}
        (tmp_path / "run" / name).write_text(json.dumps(document))
    text = shown(tmp_path / "run")
    code = ast.parse(text)
    assert "print" not in {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
    (call,) = [node for node in ast.walk(code) if isinstance(node, ast.Call) and ast.unparse(node.func) == "dfa.run"]
    assert [each.arg for each in call.keywords][-1] == "prior"
