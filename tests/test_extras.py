"""Hints how to install something work where they are read: in a clone, elsewhere, and without one."""

from __future__ import annotations

import importlib.metadata
import json
import re
from pathlib import Path

import pytest

from dfa.extras import how_to_install

ROOT = Path(__file__).parents[1]


class Distribution:
    """Stands for what pip notes of an installed distribution."""

    def __init__(self, direct_url):
        self._direct_url = direct_url

    def read_text(self, name):
        assert name == "direct_url.json"
        return self._direct_url


@pytest.fixture
def installed(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def from_where(direct_url):
        def distribution(name):
            if direct_url is LookupError:
                raise importlib.metadata.PackageNotFoundError(name)
            return Distribution(direct_url)

        monkeypatch.setattr(importlib.metadata, "distribution", distribution)

    return from_where


def clone(folder):
    folder.mkdir()
    (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return folder


def test_inside_a_clone_the_clone_is_installed(installed, monkeypatch, tmp_path):
    installed(None)
    monkeypatch.chdir(clone(tmp_path / "clone"))
    assert how_to_install("cli") == "pip install '.[cli]'"
    assert how_to_install() == "pip install ."


def test_elsewhere_it_is_the_clone_that_was_installed(installed, tmp_path):
    folder = clone(tmp_path / "a clone")
    installed(json.dumps({"url": folder.as_uri(), "dir_info": {}}))
    assert how_to_install("report") == f"pip install '{folder}[report]'"
    assert how_to_install() == f"pip install '{folder}'"


@pytest.mark.parametrize(
    "direct_url",
    [
        None,
        LookupError,
        "",
        "garbage",
        "[]",
        "{}",
        json.dumps({"url": "file:///gone", "dir_info": {}}),
        json.dumps({"url": "file:///somewhere/dfa_attack-1.whl", "archive_info": {}}),
        json.dumps({"url": "https://example.org/dfa", "dir_info": {}}),
    ],
)
def test_without_a_clone_it_is_the_name(installed, direct_url):
    installed(direct_url)
    assert how_to_install("cli") == "pip install 'dfa-attack[cli]'"


def test_another_project_is_no_clone(installed, tmp_path):
    installed(None)
    for text in ('[project]\nname = "mine"\ndependencies = ["dfa-attack"]\n', "\udcff"):
        (tmp_path / "pyproject.toml").write_bytes(text.encode("utf-8", "surrogateescape"))
        assert how_to_install("cli") == "pip install 'dfa-attack[cli]'"


def test_every_hint_is_made_in_one_place_and_names_an_extra_that_there_is():
    declared = set(re.findall(r"^(\w+) = \[", (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE))
    named = set()
    for path in sorted((ROOT / "python").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if path.name != "extras.py":
            assert "dfa-attack[" not in text, path
            assert not re.search(r"pip install ['\"]?\.", text), path
        named |= set(re.findall(r"how_to_install\([\"'](\w+)[\"']\)", text))
    assert named
    assert named <= declared
