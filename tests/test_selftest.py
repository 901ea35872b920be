"""`python -m dfa.selftest` and `dfa info`: what they look at, that a fault is seen, and that nobody is named."""

from __future__ import annotations

import dataclasses
import getpass
import json
import os
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
    assert len(lines) == 3 + 2 * len(selftest.GOLDEN)
    assert all(line.startswith("ok ") for line in lines)


@pytest.mark.parametrize("words", ["-m dfa.selftest", "-m dfa --help"])
def test_a_reader_that_leaves_early_is_no_fault(words: str, tmp_path: Path) -> None:
    """As in `python -m dfa.selftest | head -1`."""
    process = subprocess.Popen(
        [sys.executable, *words.split()], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait(60) == 141


DEFAULT = "the default with the paper's degree"


def faults(capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Return what a self-test that must fail says of what does not hold."""
    assert selftest.main() == 1
    told = capsys.readouterr()
    found = [line.removeprefix("FAULT  ") for line in told.out.splitlines() if line.startswith("FAULT")]
    assert f"{len(found)} of these do not hold: do not trust" in told.err
    return found


def test_another_trajectory_is_a_fault(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(selftest.GOLDEN, DEFAULT, "0" * 16)
    assert faults(capsys) == [f"{DEFAULT}: the known trajectory: {selftest.digest_of(DEFAULT)}, expected {'0' * 16}"]


def test_what_threads_or_batches_change_is_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    digest_of = selftest.digest_of
    monkeypatch.setattr(
        selftest, "digest_of", lambda name, **how: digest_of(name) if not how else digest_of(name)[::-1]
    )
    found = faults(capsys)
    assert len(found) == len(selftest.GOLDEN)
    assert all("the same with other threads and batches: " in each for each in found)


def test_a_candidate_beyond_epsilon_is_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The searches go as far as before, and what they are held to is less."""
    run, epsilon = dfa.run, selftest.EPSILON
    monkeypatch.setattr(selftest, "EPSILON", epsilon - 1)
    monkeypatch.setattr(
        dfa, "run", lambda *images, **how: run(*images, **how | ({"epsilon": epsilon} if "epsilon" in how else {}))
    )
    monkeypatch.setattr(selftest, "GOLDEN", {})
    found = faults(capsys)
    assert [each.partition(":")[0] for each in found] == [
        "every candidate lies within epsilon, the paper's setting",
        "every candidate lies within epsilon, the default",
    ]
    assert all("values lay beyond 8 grey levels" in each for each in found)


def test_a_degree_that_is_another_is_a_fault(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    odds = dfa.objectives.ODDS
    for wrong in ({"untargeted": dfa.objectives.PAPER.untargeted}, {"targeted": dfa.objectives.LOG.targeted}):
        monkeypatch.setattr(dfa.objectives, "ODDS", dataclasses.replace(odds, **wrong))
        monkeypatch.setattr(selftest, "GOLDEN", {})
        (found,) = faults(capsys)
        assert found.startswith("the default's degrees are those of their formulas: image 0: ")


def test_what_raises_is_a_fault_and_the_rest_is_looked_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(name: str, **how: int) -> str:
        raise dfa.SpaceError("beyond")

    monkeypatch.setattr(selftest, "digest_of", broken)
    found = faults(capsys)
    assert len(found) == 2 * len(selftest.GOLDEN)
    assert all(each.endswith(": SpaceError: beyond") for each in found)


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


@pytest.mark.usefixtures("click")
@pytest.mark.skipif(os.name != "posix", reason="a program is made of a shell's lines")
def test_info_tells_devices_without_their_ids_and_no_other_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from dfa.cli.main import main

    program = tmp_path / "nvidia-smi"
    program.write_bytes(
        b"#!/bin/sh\ncat <<END\nGPU 0: Fast (UUID: GPU-1234)\n  MIG 1g: (UUID: MIG-5678)\n"
        b"No more \xff of /home/me\nEND\n"
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("OMP_NUM_THREADS", "/home/me")
    assert main(["info", "--json"]) == 0
    told = capsys.readouterr().out
    assert json.loads(told)["devices"] == ["GPU 0: Fast", "MIG 1g"]
    assert json.loads(told)["OMP_NUM_THREADS"] == "set, to no number"
    assert "1234" not in told
    assert "/home/me" not in told
