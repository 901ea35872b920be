"""`python -m dfa.selftest` and `dfa info`: what they look at, that a fault is seen, and that nobody is named."""

from __future__ import annotations

import getpass
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import dfa
from dfa import selftest


def test_the_selftest_holds_here(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "dfa.selftest"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    first, *lines = done.stdout.splitlines()
    assert f"dfa {dfa.__version__}" in first
    assert "compiler" in first
    assert len(lines) == 2 + 2 * len(selftest.GOLDEN)
    assert all(line.startswith("ok ") for line in lines)


def test_another_trajectory_is_a_fault(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(selftest.GOLDEN, "the default", "0" * 16)
    assert selftest.main() == 1
    told = capsys.readouterr()
    assert [line for line in told.out.splitlines() if line.startswith("FAULT")] == [
        f"FAULT  the default: the known trajectory: {selftest.digest_of('the default')}, expected {'0' * 16}"
    ]
    assert "1 of these do not hold: do not trust" in told.err


def test_a_candidate_beyond_epsilon_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selftest, "EPSILON", 9)
    classifier = selftest.Classifier()
    image = selftest.images()[0]
    classifier.original = image
    classifier(image[None])
    assert classifier.num_beyond == 0
    classifier(image[None] ^ 255)
    assert classifier.num_beyond > 300


def test_every_golden_run_is_long_and_breaks_some_images_and_not_others() -> None:
    for name, arguments in selftest.runs().items():
        oracle = dfa.as_oracle(selftest.Classifier(), num_classes=5)
        oracle = dfa.label_only(oracle) if name == "labels alone" else oracle
        result = dfa.run(oracle, selftest.images(), progress=False, **arguments)
        found = [record.found for record in result.records]
        assert 0 < sum(found) < len(found)
        assert result.summary().queries_sent > 200


@pytest.fixture
def click() -> None:
    pytest.importorskip("click", reason="the command line is not installed")


@pytest.mark.usefixtures("click")
@pytest.mark.parametrize("words", [[], ["--json"]])
def test_info_tells_versions_and_build_and_names_nobody(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    from dfa.cli.main import main

    assert main(["info", *words]) == 0
    told = capsys.readouterr().out
    for each in (dfa.__version__, sys.version.split()[0], "compiler", "openmp", "cores"):
        assert each in told
    assert str(Path.home()) not in told
    assert getpass.getuser() not in told.split()
    assert socket.gethostname() not in told
    if words:
        assert json.loads(told)["packages"]["pillow"]
