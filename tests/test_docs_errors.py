"""The page of messages quotes what dfa says, and has every error class and exit status."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import dfa

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "reference" / "errors.md").read_text(encoding="utf-8")


def said(node: ast.AST) -> str:
    """Return a string of the source with `...` for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(map(said, node.values))
    return "..."


@pytest.fixture(scope="module")
def source() -> str:
    files = (ROOT / "python" / "dfa").rglob("*.py")
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in files]
    return "\n".join(said(node) for tree in trees for node in ast.walk(tree) if isinstance(node, ast.expr))


def test_every_message_that_is_quoted_is_said(source: str) -> None:
    quoted = re.findall(r"^```text\n(.*)\n```$", PAGE, re.MULTILINE)
    assert len(quoted) > 20
    assert [message for message in quoted if message not in source] == []


def test_every_error_and_warning_is_told_of() -> None:
    public = [getattr(dfa, name) for name in dfa.__all__]
    errors = {each.__name__ for each in public if isinstance(each, type) and issubclass(each, BaseException)}
    assert errors - {"DfaError"} == set(re.findall(r"^\| `(\w+)`", PAGE, re.MULTILINE))


def test_every_exit_status_is_told_of() -> None:
    pytest.importorskip("click")
    from dfa.cli.commands import outcome

    statuses = {value for name, value in vars(outcome).items() if name.isupper() and isinstance(value, int)}
    told = re.findall(r"^\| (\d+) \|", PAGE.split("## Exit statuses")[1], re.MULTILINE)
    assert sorted(statuses) == list(map(int, told))
