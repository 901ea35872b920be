"""What cannot be asked by workers is told with its cure, whatever a run is begun from."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

import dfa
import worker_models
from wrong_factories import imports_another, make, needs_device, returns_nothing

IMAGES = np.full((2, 6, 6, 3), 99, np.uint8)
RUN = "dfa.run({oracle}, np.full((2, 6, 6, 3), 99, np.uint8), workers=2, max_queries=9, progress=False)"
BEGINNING = """
import dfa
import numpy as np
import models
"""
MODELS = """
import numpy as np

def classify(images):
    return np.broadcast_to([0.75, 0.25], (len(images), 2))
"""


def last_line(tmp_path, text, *, way="script"):
    """Run a text as a script, as what is typed in, or from the input; return the error's line and all that was told."""
    (tmp_path / "models.py").write_text(MODELS)
    (tmp_path / "script.py").write_text(f"{BEGINNING}\n{text}")
    words = {"script": ["script.py"], "typed": ["-c", f"{BEGINNING}\n{text}"], "input": ["-"]}[way]
    done = subprocess.run(
        [sys.executable, *words],
        cwd=tmp_path,
        input=f"{BEGINNING}\n{text}" if way == "input" else None,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return done.stderr.splitlines()[-1], done.stderr


def begun(oracle):
    return RUN.format(oracle=oracle)


GUARDED = "if __name__ == '__main__':\n    "


def test_a_script_that_does_not_guard_its_run_is_told_to(tmp_path):
    last, told = last_line(tmp_path, begun("models.classify"))
    assert 'under `if __name__ == "__main__":`' in last
    # Workers themselves say nothing.
    assert (told.count('script.py", line'), "bootstrapping" in told) == (1, False)


def test_a_function_that_a_script_has_only_where_it_is_run_is_told_of(tmp_path):
    text = f"if __name__ == '__main__':\n    def own(images): ...\n    {begun('own')}"
    last, _ = last_line(tmp_path, text)
    assert "worker 0: what makes the model must be importable where a worker is" in last
    assert "'own'" in last
    assert "define it at the top level of a module" in last


@pytest.mark.parametrize(
    "oracle", ["own", "dfa.factory(own)", "dfa.factory(models.classify, functools.partial(own, 1))"]
)
def test_a_function_that_was_typed_in_is_told_of(tmp_path, oracle):
    text = f"import functools\ndef own(images): ...\n{GUARDED}{begun(oracle)}"
    last, _ = last_line(tmp_path, text, way="typed")
    assert "own is of a notebook, or was typed in" in last
    assert "write it into a module" in last


def test_a_script_that_is_no_file_is_told_of(tmp_path):
    last, _ = last_line(tmp_path, f"{GUARDED}{begun('models.classify')}", way="input")
    assert "<stdin> is no file; write it into one" in last


@pytest.mark.parametrize(
    ("oracle", "kind", "message"),
    [
        (
            make,
            dfa.InvalidInputError,
            r"^a function must be the model, .*make does not.*pass dfa\.factory\(make, \.\.\.\)",
        ),
        (
            dfa.factory(needs_device, "x"),
            dfa.InvalidInputError,
            r"needs_device must be given a device=.*workers=\['cuda:0'",
        ),
        (
            dfa.factory(returns_nothing),
            dfa.InvalidInputError,
            "returns_nothing must return the model, and returned None",
        ),
        (
            dfa.factory(imports_another),
            dfa.OracleError,
            r"worker 0 could not make its model: ModuleNotFoundError: .*no_such_module' \(.*wrong_factories\.py, line",
        ),
        (dfa.factory(needs_device), dfa.OracleError, "missing 2 required positional arguments"),
    ],
    ids=["no factory", "device", "nothing", "missing module", "arguments"],
)
def test_a_function_that_makes_no_model_is_told_how_to(oracle, kind, message):
    with pytest.raises(kind, match=message):
        dfa.run(oracle, IMAGES, workers=1, progress=False)


def test_a_device_may_be_given_to_the_factory():
    assert len(dfa.run(dfa.factory(needs_device, "x", device="y"), IMAGES, workers=1, progress=False).records) == 2


@pytest.mark.parametrize("kind", ["torch", "keras", "object", "oracle"])
def test_a_model_is_told_to_be_made_by_a_factory(kind):
    if kind == "torch":
        model = pytest.importorskip("torch").nn.Flatten()
    elif kind == "keras":
        model = pytest.importorskip("keras").Sequential()
    else:
        model = worker_models.Logged(None, 0.0)
        model = dfa.as_oracle(model) if kind == "oracle" else model
    with pytest.raises(dfa.InvalidInputError, match=rf"pass dfa\.factory\(make_model, .*got {type(model).__name__}"):
        dfa.run(model, IMAGES, workers=2)
