"""The reference has every public name once, every command, and no error message that dfa does not say."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

import dfa

REFERENCE = Path(__file__).parents[1] / "docs" / "reference"
MODULES = {"data", "objectives", "pipelines", "testing"}
"""Public modules; a page tells which module its names are of."""


def test_every_public_name_is_in_the_reference_once() -> None:
    pages = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE.glob("*.md"))
    counts = Counter(re.findall(r"^\.\. auto\w+:: dfa\.(\w+)$", pages, re.MULTILINE))
    assert counts == Counter(set(dfa.__all__) - MODULES)
    told = re.findall(r"^`dfa\.(\w+)` (?:is|holds) |`dfa\.(\w+)` is this module", pages, re.MULTILINE)
    assert Counter(first or second for first, second in told) == Counter(MODULES)


def test_every_command_is_in_the_reference() -> None:
    pytest.importorskip("click")
    from dfa.cli.commands.app import app

    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    assert re.findall(
        r"^## dfa (\w+)\n\n```\{code-cell\}\n.*\n\nshow\(\"(\w+)\"(?:, option=\"--help-all\")?\)$", page, re.MULTILINE
    ) == [(name, name) for name in app.commands]


def test_the_reference_has_the_long_page_of_every_command_that_has_one() -> None:
    pytest.importorskip("click")
    from dfa.cli.commands.app import app
    from dfa.cli.commands.flags import LongCommand

    page = (REFERENCE / "cli.md").read_text(encoding="utf-8")
    long = [name for name, command in app.commands.items() if isinstance(command, LongCommand)]
    assert long == re.findall(r'^show\("(\w+)", option="--help-all"\)$', page, re.MULTILINE) == ["attack", "frontier"]
