"""The table of promises names tests, and those are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PAGE = (HERE.parent / "docs" / "reference" / "promises.md").read_text(encoding="utf-8")
NAMED = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", PAGE)


@pytest.mark.parametrize(("file", "name"), NAMED, ids="::".join)
def test_a_promise_is_held_by_a_test(file, name):
    tree = ast.parse((HERE / file).read_text(encoding="utf-8"))
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert not name or name in names


def test_every_promise_names_one():
    assert len(NAMED) > 30
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| what")]
    # dfa cannot know a lie from an answer, and says so.
    assert [row for row in rows if "`test_" not in row] == [row for row in rows if row.startswith("| a service lies")]


def test_make_test_holds_promises_without_asserts_too():
    """`make` says which files; under `python -O` pytest still runs what tests assert."""
    makefile = (HERE.parent / "Makefile").read_text(encoding="utf-8")
    (names,) = re.findall(
        r"^PROMISES := \$\(addprefix tests/test_,\$\(addsuffix \.py,(.*)\)\)$", makefile, re.MULTILINE
    )
    assert {"gate", "run_budget", "spaces", "ties"} <= set(names.split())
    assert [name for name in names.split() if not (HERE / f"test_{name}.py").is_file()] == []
    assert re.search(r"^\t\$\(BIN\)/python -O -m pytest \$\(PROMISES\)", makefile, re.MULTILINE)
