"""TensorFlow starts in silence on the command line; what else goes to the error stream comes through."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click")
pytest.importorskip("rich")
keras = pytest.importorskip("keras", reason="Keras is not installed")

# TensorFlow's tensors have it from NumPy, when Keras makes arrays of them.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't:DeprecationWarning")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    layers = [keras.Input((6, 6, 1)), keras.layers.Flatten(), keras.layers.Dense(3, activation="softmax")]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    np.save(tmp_path / "images.npy", np.arange(3 * 36, dtype=np.uint8).reshape(3, 6, 6, 1))
    return tmp_path


def dfa_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dfa", *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def test_a_keras_file_is_attacked_without_a_word_of_tensorflow(folder: Path) -> None:
    done = dfa_in(folder, "attack", "model.keras", "images.npy", "--max-queries", "20", "--json", "--out", "run")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_goes_wrong_is_told(folder: Path) -> None:
    (folder / "model.keras").write_bytes(b"no model")
    done = dfa_in(folder, "attack", "model.keras", "images.npy")
    assert done.returncode == 2
    assert "Keras cannot load" in done.stderr


def test_a_closed_error_stream_is_no_obstacle(folder: Path) -> None:
    words = "attack model.keras images.npy --max-queries 20 --json --out run"
    command = f"exec '{sys.executable}' -m dfa {words} 2>&-"
    done = subprocess.run(command, cwd=folder, shell=True, stdout=subprocess.PIPE, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
