"""Classifiers on real servers of the Open Inference Protocol, attacked. The Makefile installs the servers."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

import dfa

DIGITS = Path(__file__).with_name("oip_digits.py")
SECONDS = 120
"""Until a server that does not answer has failed to start; it takes about five."""


class Served(NamedTuple):
    """A server and what its classifier is."""

    url: str
    coefficients: NDArray[np.float64]
    intercept: NDArray[np.float64]

    def probabilities(self, images: NDArray[np.uint8]) -> NDArray[np.float64]:
        logits = images.reshape(len(images), -1) / 255 @ self.coefficients.T + self.intercept
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)


def python_of(server: str) -> Path:
    """Return the Python that has a server, or skip."""
    python = Path(sys.prefix) / "servers" / server / "bin" / "python"
    if not python.exists():
        pytest.skip(
            f"{server} is not installed: python -m venv {python.parents[1]}, and there pip install --group {server}"
        )
    return python


@contextlib.contextmanager
def served(server: str, folder: Path) -> Iterator[Served]:
    """Serve the classifier while the block runs."""
    python = python_of(server)
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3 if server == "mlserver" else 1)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    log = folder / "log.txt"
    with log.open("wb") as output:
        # In a session of its own, so that whatever it starts ends with it.
        process = subprocess.Popen(
            [python, DIGITS, server, folder, *map(str, ports)],
            cwd=folder,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        deadline = time.monotonic() + SECONDS
        while not is_ready(ports[0]):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        with np.load(folder / "weights.npz") as weights:
            yield Served(f"http://127.0.0.1:{ports[0]}", weights["coefficients"], weights["intercept"])
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def is_ready(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/v2/models/digits/ready")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


@pytest.fixture
def digits() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Ten digits in grey levels, and what they are."""
    datasets = pytest.importorskip("sklearn.datasets")
    images, labels = datasets.load_digits(return_X_y=True)
    return np.round(images[:10] * 255 / 16).astype(np.uint8).reshape(-1, 8, 8, 1), labels[:10]


def check(server: Served, digits: tuple[NDArray[Any], NDArray[Any]], **settings: Any) -> dict[str, Any]:
    """Attack a server's classifier, see that it was fooled, and return what the run kept of the oracle."""
    images, labels = digits
    oracle = dfa.OipOracle(server.url, value_range=(0, 1), **{"model": "digits"} | settings)
    try:
        np.testing.assert_allclose(oracle.scores(images), server.probabilities(images), rtol=1e-9)
        before = oracle.books.use
        result = dfa.run(oracle, images, labels=labels, epsilon=40, max_queries=60)
        use = oracle.books.use
    finally:
        oracle.close()
    assert result.success.sum() >= 3
    fooled = server.probabilities(result.adversarial()[result.success]).argmax(axis=1)
    assert (fooled != labels[result.success]).all()
    assert use.images - before.images >= result.queries.sum()
    assert use.answered == use.requests
    return result.config["oracle"]


def check_labels(server: Served, digits: tuple[NDArray[Any], NDArray[Any]]) -> None:
    images, _ = digits
    settings: dict[str, Any] = {"output": "predict", "returns": "label", "num_classes": 10}
    oracle = dfa.OipOracle(server.url, "digits", value_range=(0, 1), **settings)
    try:
        np.testing.assert_array_equal(oracle.scores(images), server.probabilities(images).argmax(axis=1))
    finally:
        oracle.close()


def check_what_it_has_not(server: Served) -> None:
    oracle = dfa.OipOracle(server.url, "nothing")
    try:
        with pytest.raises(dfa.InvalidInputError, match=r"has not the model 'nothing': status 404, Model .*not"):
            oracle.prepare((8, 8, 1), 16)
    finally:
        oracle.close()


# One test for each server, since a server takes longer to start than all of this.
def test_mlserver(tmp_path, digits):
    with served("mlserver", tmp_path) as server:
        told = check(server, digits, output="predict_proba")
        assert told["server"]["name"] == "mlserver"
        assert told["binary"] is False
        described = {"name": "x", "datatype": "FP64", "shape": [-1, 64]}
        check(server, digits, model="undescribed", input=described, output="predict_proba")
        check_labels(server, digits)
        check_what_it_has_not(server)


def test_kserve(tmp_path, digits):
    with served("kserve", tmp_path) as server:
        for binary in (True, False):
            told = check(server, digits, output="predict_proba", binary=binary)
            assert told["server"]["name"] == "kserve"
            assert told["binary"] is binary
        check_labels(server, digits)
        check_what_it_has_not(server)
