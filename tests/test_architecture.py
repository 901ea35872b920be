"""Who may know whom: the layers of the package. Those of the core are in test_core_architecture.py."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dfa

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "python" / "dfa"

# From the bottom up. A module may import those of the lines above its own, and none of its own line.
LAYERS = [
    ["errors"],
    ["types", "charts", "trace", "checks", "frames", "intervals"],
    ["confirmation"],
    ["objectives", "promises"],
    ["optimizer", "targets", "inputs", "generations", "asking"],
    ["space.base"],
    ["space.ball"],
    ["space.boxes"],
    ["space.custom"],
    ["space"],
    ["oracle.base"],
    ["oracle.answers", "oracle.callable", "oracle.keras", "oracle.tflite"],
    ["oracle.restricted"],
    ["oracle", "oracle.gate", "folder"],
    ["store", "sources"],
    ["results", "verify"],
    ["runner", "auditing.normalizers", "auditing.codecs"],
    ["api", "picture", "pipelines", "auditing.roundings", "auditing.vectors"],
    ["demo", "report", "bench", "auditing.report"],
    ["auditing.audit"],
    ["auditing.attacks", "auditing.repair"],
    ["auditing"],
    ["commands"],
    ["cli"],
]
LEVEL = {module: level for level, modules in enumerate(LAYERS) for module in modules}

KNOW_THE_CORE = {
    "optimizer",
    "space.base",
    "space.ball",
    "space.boxes",
    "space.custom",
    "generations",
    "runner",
    "api",
    "auditing.repair",
    "",
}
OPTIONAL = {
    "keras",
    "tensorflow",
    "ai_edge_litert",
    "torch",
    "jax",
    "pandas",
    "sklearn",
    "click",
    "rich",
    "jinja2",
    "matplotlib",
    "foolbox",
    "eagerpy",
    "art",
    "torchattacks",
}


def module_of(path: Path) -> str:
    """Return a module's name below `dfa`; the package itself is the empty name."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path): ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def imported_by(nodes: Iterator[ast.AST]) -> Iterator[str]:
    """Return the full names of what import statements name: modules, and names that may be modules."""
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def of_this_package(module: str) -> set[str]:
    """Return the modules of this package that a module imports, wherever in its text."""
    names = {name.removeprefix("dfa.") for name in imported_by(ast.walk(MODULES[module])) if name.startswith("dfa.")}
    return {name for name in names if name in MODULES or name == "_core"}


def at_import_time(tree: ast.AST) -> Iterator[ast.AST]:
    """Walk what runs when a module is imported: no function bodies, nothing that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        yield from at_import_time(node)


def test_every_module_has_its_layer_and_every_layer_its_modules():
    assert {name for name in MODULES if name} == set(LEVEL)


def test_the_installed_package_is_the_one_in_the_repository():
    installed = Path(dfa.__file__).parent
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == {
        path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")
    }
    assert (installed / "py.typed").exists()
    assert (installed / "_core.pyi").exists()


@pytest.mark.parametrize("module", sorted(LEVEL))
def test_a_module_imports_only_from_the_layers_below(module):
    below = {name for name, level in LEVEL.items() if level < LEVEL[module]}
    assert of_this_package(module) - {"_core"} <= below


def test_the_package_itself_imports_no_demo():
    assert {"demo", "picture"} & of_this_package("") == set()


def test_verification_shares_nothing_with_the_optimizer():
    seen, waiting = set(), {"verify"}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= of_this_package(module) - seen - {"_core"}
        assert "_core" not in of_this_package(module)
    assert seen & {"runner", "optimizer", "api", "space", "objectives", "results"} == set()
    assert "oracle.gate" in seen


def test_only_the_modules_that_drive_the_core_import_it():
    assert {module for module in MODULES if "_core" in of_this_package(module)} == KNOW_THE_CORE


# `cli` imports it once it has seen that what it needs is there.
COMMANDS = {"commands"}


@pytest.mark.parametrize("module", sorted(name or "dfa" for name in MODULES if name not in COMMANDS))
def test_no_module_needs_an_optional_package_to_be_imported(module):
    tree = MODULES["" if module == "dfa" else module]
    assert {name.partition(".")[0] for name in imported_by(at_import_time(tree))} & OPTIONAL == set()


def test_importing_the_package_imports_no_framework():
    code = "import sys, dfa; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "dfa.runner" in loaded
    assert loaded & OPTIONAL == set()


def test_the_version_is_the_same_everywhere():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert dfa.__version__ == version
    assert importlib.metadata.version("dfa-attack") == version
