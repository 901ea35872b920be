"""A tutorial names the extras that it needs: what `pip install` brings is what its code and its commands use."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("0*.md"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "keras": "tensorflow"}
"""What is imported by another name than it is installed by, or comes along."""


def brought_by(page: Path) -> set[str]:
    (extras,) = re.findall(r"`pip install '\.\[([\w,]+)\]'`", page.read_text(encoding="utf-8"))
    requirements = [*PROJECT["dependencies"]]
    for extra in extras.split(","):
        requirements += PROJECT["optional-dependencies"][extra]
    return {re.split(r"[<>=\[]", each)[0] for each in requirements}


def used_by(page: Path) -> set[str]:
    """What its cells import, and what its commands and tables need."""
    text = page.read_text(encoding="utf-8")
    cells = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    written = {file for cell in cells for file in re.findall(r"^%%writefile (\w+)\.py$", cell, re.MULTILINE)}
    used = set()
    for cell in cells:
        code = "\n".join(line for line in cell.splitlines() if not line.startswith(("%", ":tags:")))
        for node in ast.walk(ast.parse(code)):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
            used |= {name.partition(".")[0] for name in names}
    used -= {"dfa", *written, *sys.stdlib_module_names}
    more = {r"^\$ dfa ": "click", r"^\$ dfa report|\"report\", ": "jinja2", r"\.to_pandas\(": "pandas"}
    more[r"\.plot\("] = "matplotlib"
    used |= {package for pattern, package in more.items() if re.search(pattern, text, re.MULTILINE)}
    return {DISTRIBUTIONS.get(name, name) for name in used}


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_a_tutorial_names_the_extras_that_it_needs(page: Path) -> None:
    used = used_by(page)
    assert {"numpy", "click"} <= used
    assert used - brought_by(page) == set()
