"""`--prior`: a surrogate from words does what `dfa.run` does with it, and is loaded as warily as the model."""

from __future__ import annotations

import importlib
import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import dfa

pytest.importorskip("click")
pytest.importorskip("rich")

from command_line import IMAGES, MODEL, SHAPE, dfa_says

HINTS = (
    MODEL
    + """
def towards(images, goals):
    return np.stack([weights(images[0].size)[:, goal].reshape(images.shape[1:]) for goal in goals])
"""
)
WORDS = ("--epsilon", 9, "--max-queries", 90, "--seed", 3, "--target", "rank:4")


def attack(capsys: Any, *words: object) -> tuple[int, str]:
    status, _, err = dfa_says(capsys, "attack", "model.py:classify", "images.npy", *WORDS, *words, "--json")
    return status, err


def ends(result: dfa.Result) -> list[Any]:
    return [(record.queries, record.status, record.trace) for record in result.records]


def expected(prior: Any) -> dfa.Result:
    namespace: dict[str, Any] = {}
    exec(MODEL, namespace)
    given: dict[str, Any] = {"targets": dfa.rank(4), "epsilon": 9, "max_queries": 90, "seed": 3, "progress": False}
    return dfa.run(namespace["classify"], IMAGES, prior=prior, **given)


@pytest.fixture
def folder(here: Path) -> Path:
    np.save("images.npy", IMAGES)
    (here / "hints.py").write_text(HINTS)
    return here


def test_a_function_is_a_prior_as_in_python(folder: Path, capsys: Any) -> None:
    status, err = attack(capsys, "--prior", "hints.py:towards", "--out", "run")
    assert status == 0, err
    namespace: dict[str, Any] = {"__name__": "hints"}
    exec(HINTS, namespace)
    run = dfa.Result.load("run")
    assert ends(run) == ends(expected(namespace["towards"])) != ends(expected(None))
    assert run.config["prior"] == {"kind": "function", "name": "towards", "module": "hints"}
    assert run.summary().prior == "towards"
    assert json.loads((folder / "run" / "run.json").read_text())["command"]["prior"] == "hints.py:towards"
    assert dfa_says(capsys, "report", "run")[0] == 0
    assert "--prior hints.py:towards" in (folder / "run" / "report.html").read_text(encoding="utf-8")


def test_a_torch_file_is_a_prior_as_in_python(folder: Path, capsys: Any) -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    batch = torch.export.Dim("batch")
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(int(np.prod(SHAPE)), 10)).eval()
    torch.export.save(torch.export.export(module, (torch.zeros(2, 3, 8, 7),), dynamic_shapes=[{0: batch}]), "net.pt2")
    status, err = attack(capsys, "--prior", "net.pt2", "--out", "run")
    assert status == 0, err
    run = dfa.Result.load("run")
    assert ends(run) == ends(expected(module))
    assert run.config["prior"]["name"] == "net.pt2"
    assert run.config["prior"]["fingerprint"]


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_keras_file_is_a_prior_as_in_python(folder: Path, capsys: Any) -> None:
    keras = pytest.importorskip("keras")
    if keras.backend.backend() == "jax":
        pytest.skip("no gradients on this backend")
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")])
    model.save("surrogate.keras")
    status, err = attack(capsys, "--prior", "surrogate.keras", "--out", "run")
    assert status == 0, err
    run = dfa.Result.load("run")
    assert ends(run) == ends(expected(model))
    assert run.config["prior"]["kind"] == "model"


def test_a_pickle_is_refused_unless_it_is_trusted(folder: Path, capsys: Any) -> None:
    pytest.importorskip("joblib")

    class Evil:
        def __reduce__(self) -> Any:
            return Path.touch, (folder / "ran",)

    (folder / "evil.pkl").write_bytes(pickle.dumps(Evil()))
    status, err = attack(capsys, "--prior", "evil.pkl", "--out", "run")
    assert (status, "pass --trust-pickle" in err, (folder / "ran").exists()) == (2, True, False), err
    status, err = attack(capsys, "--prior", "evil.pkl", "--trust-pickle", "--out", "run")
    assert (status, "--prior must name a surrogate, and evil.pkl" in err, (folder / "ran").exists()) == (
        2,
        True,
        True,
    ), err


def test_a_pickle_that_a_folder_names_is_told_of(folder: Path, capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    joblib = pytest.importorskip("joblib")
    (folder / "hints_of_mine.py").write_text(HINTS)
    monkeypatch.syspath_prepend(folder)
    joblib.dump(importlib.import_module("hints_of_mine").towards, "hint.joblib")
    assert attack(capsys, "--prior", "hint.joblib", "--trust-pickle", "--out", "run")[0] == 0
    status, _, err = dfa_says(capsys, "resume", "run")
    told = f"prior       hint.joblib  (a pickle, which runs whatever code is in it; {folder / 'hint.joblib'})"
    assert (status, told in err, "--prior ... --images ... --trust-pickle" in err) == (2, True, True), err
    named = ("resume", "run", "--model", "model.py:classify", "--images", "images.npy", "--prior", "hint.joblib")
    status, _, err = dfa_says(capsys, *named)
    assert (status, "pass --trust-pickle" in err) == (2, True), err
    assert dfa_says(capsys, *named, "--trust-pickle")[0] == 0


@pytest.mark.parametrize("word", ["net.onnx", "net.tflite", "torchvision:resnet18"])
def test_what_has_no_gradients_is_refused(folder: Path, capsys: Any, word: str) -> None:
    status, err = attack(capsys, "--prior", word, "--out", "run")
    assert (status, f"gradients from its class back to grey levels, which {word} does not have" in err) == (2, True)


def test_where_it_cannot_be_the_flag_is_named(folder: Path, capsys: Any) -> None:
    status, _, err = dfa_says(
        capsys, "attack", "model.py:classify", "images.npy", "--space", "shift", "--prior", "hints.py:towards"
    )
    assert (status, "leave out --prior" in err) == (2, True), err


def test_a_run_goes_on_with_the_surrogate_that_is_trusted_or_named_again(folder: Path, capsys: Any) -> None:
    assert attack(capsys, "--prior", "hints.py:towards", "--out", "run")[0] == 0
    (folder / "hints.py").write_text(f"import pathlib\npathlib.Path({str(folder / 'ran')!r}).touch()\n{HINTS}")
    status, _, err = dfa_says(capsys, "resume", "run")
    told = f"prior       hints.py:towards  ({folder / 'hints.py'})"
    assert (status, told in err, (folder / "ran").exists()) == (2, True, False), err
    named = ("--model", "model.py:classify", "--images", "images.npy")
    status, _, err = dfa_says(capsys, "resume", "run", *named)
    assert (status, "missing: --prior (it was hints.py:towards)" in err) == (2, True), err
    assert dfa_says(capsys, "resume", "run", *named, "--prior", "hints.py:towards")[0] == 0
    assert dfa_says(capsys, "resume", "run", "--trust")[0] == 0
    status, _, err = dfa_says(capsys, "resume", "run", *named, "--prior", "model.py:halve")
    assert (status, "config.prior" in err) == (4, True), err
    assert dfa_says(capsys, "verify", "run", "--trust")[0] == 0


def test_no_surrogate_in_a_run_folder_is_loaded(folder: Path, capsys: Any) -> None:
    assert attack(capsys, "--prior", "hints.py:towards", "--out", "run")[0] == 0
    (folder / "hints.py").rename(folder / "run" / "hints.py")
    document = json.loads((folder / "run" / "run.json").read_text())
    for word in ("run/hints.py:towards", "run/hints.keras"):
        (folder / "run" / "hints.keras").write_bytes(b"")
        document["command"]["prior"] = word
        (folder / "run" / "run.json").write_text(json.dumps(document))
        status, _, err = dfa_says(capsys, "resume", "run", "--trust")
        assert (status, "nothing is loaded from inside a run folder" in err, word in err) == (2, True, True), err
