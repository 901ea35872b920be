"""What make says and does on a machine that lacks packages of the system: package managers here are stand-ins."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).with_name("system_packages.sh")
DEV, VENV = ("-y --no-install-recommends python3.12-" + each for each in ("dev", "venv"))

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="there is no sh")


class Machine:
    """A folder of programs that is all of PATH; its Python lacks what `parts` has no file for."""

    def __init__(self, folder: Path, *, root: bool = True) -> None:
        self.folder = folder
        self.parts = folder / "parts"
        self.parts.mkdir()
        for program in ("sh", "basename", "touch"):
            (folder / program).symlink_to(str(shutil.which(program)))
        self.has("id", f"echo {0 if root else 1000}")
        self.has("python3.12", f"case $2 in *Python.h*) test -e {self.parts}/dev;; *) test -e {self.parts}/venv;; esac")

    def has(self, program: str, body: str) -> None:
        path = self.folder / program
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def asked(self) -> list[str]:
        log = self.folder / "asked"
        return log.read_text().splitlines() if log.exists() else []

    def has_package_manager(self, program: str = "apt-get") -> None:
        """What it installs is then there, and it writes down what it was asked for."""
        self.has(program, f'echo "$*" >> {self.folder}/asked; for last; do :; done; touch {self.parts}/${{last##*-}}')

    def says(
        self, *words: str, python: str = "python3.12", script: Path = SCRIPT, **more: str
    ) -> tuple[int, list[str]]:
        environment = {"PATH": str(self.folder), "PYTHON": python} | more
        done = subprocess.run(["sh", script, *words], env=environment, capture_output=True, text=True)
        return done.returncode, done.stderr.splitlines()


def test_root_has_what_its_python_lacks_installed(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.has_package_manager()
    assert machine.says("--python") == (0, [])
    assert machine.asked() == ["update -qq", f"install {DEV}", "update -qq", f"install {VENV}"]


def test_nothing_is_asked_for_where_nothing_lacks(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.has_package_manager()
    for part in ("dev", "venv"):
        (machine.parts / part).touch()
    assert machine.says("--python") == (0, [])
    assert machine.asked() == []


def test_a_user_without_rights_is_told_one_command(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=False)
    machine.has_package_manager()
    status, lines = machine.says("--python")
    assert status == 1
    assert lines == [
        "make: nothing can be built with python3.12, of which this is missing: headers venv",
        f"make: sudo apt-get install {DEV} && sudo apt-get install {VENV}",
    ]
    assert machine.asked() == []


@pytest.mark.parametrize(
    ("manager", "package"), [("dnf", "install -y python3.12-devel"), ("apk", "add python3.12-dev")]
)
def test_other_package_managers_call_the_headers_otherwise(tmp_path: Path, manager: str, package: str) -> None:
    machine = Machine(tmp_path, root=False)
    machine.has_package_manager(manager)
    (machine.parts / "venv").touch()
    assert machine.says("--python")[1][-1] == f"make: sudo {manager} {package}"


def test_a_python_that_is_not_there_is_named(tmp_path: Path) -> None:
    status, lines = Machine(tmp_path).says("--python", python="python3.99")
    assert status == 1
    assert lines == ["make: there is no program python3.99: name a Python of 3.11 or newer, make PYTHON=..."]


def test_this_python_has_its_parts() -> None:
    """As it was built with: what is looked for is what is there."""
    for part in ("headers", "venv"):
        done = subprocess.run(["sh", SCRIPT, "--has", part], env=os.environ | {"PYTHON": sys.executable})
        assert done.returncode == 0


def test_a_missing_browser_is_told_of_and_fails_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=False)
    machine.has_package_manager()
    status, lines = machine.says("--check", DFA_DOCTEST_DIR="anywhere")
    assert status == 0
    assert lines[1:] == ["make: sudo apt-get install -y --no-install-recommends chromium"]
    machine.has("chromium", "")
    assert machine.says("--check", DFA_DOCTEST_DIR="anywhere") == (0, [])


def test_a_missing_doctest_fails_at_the_end(tmp_path: Path) -> None:
    machine = Machine(tmp_path, root=False)
    machine.has_package_manager()
    machine.has("chromium", "")
    # This machine has one, or it would not be tested.
    text = SCRIPT.read_text()
    elsewhere = text.replace("/usr/include /usr/local/include /opt/homebrew/include", "/nowhere")
    assert elsewhere != text
    script = tmp_path / "script.sh"
    script.write_text(elsewhere)
    status, lines = machine.says("--check", script=script)
    assert status == 1
    assert lines[1:] == ["make: sudo apt-get install -y --no-install-recommends doctest-dev"]


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
@pytest.mark.parametrize("target", ["demo", "lint", "docs"])
def test_python_is_looked_at_before_anything_is_built(tmp_path: Path, target: str) -> None:
    words = ["make", "--dry-run", target, f"VENV={tmp_path}/venv", "PYTHON=python3.12"]
    # Under make itself, it would tell of folders too.
    environment = {
        name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    folder = SCRIPT.parents[1]
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0] == "PYTHON=python3.12 tests/system_packages.sh --python"
    assert lines[1] == f"python3.12 -m venv {tmp_path}/venv"


@pytest.mark.skipif(shutil.which("cmake") is None, reason="there is no cmake")
def test_the_build_names_the_headers_that_it_lacks(tmp_path: Path) -> None:
    words = ["cmake", "-S", SCRIPT.parents[1], "-B", tmp_path, "-DDFA_BUILD_EXTENSION=ON"]
    lacking = [f"-DPython_EXECUTABLE={sys.executable}", "-DPython_INCLUDE_DIR=/nowhere"]
    done = subprocess.run([*words, *lacking], capture_output=True, text=True)
    assert done.returncode != 0
    assert "apt-get install python3-dev" in " ".join(done.stderr.split())
