"""Who may know whom: the layers of the package. Those of the core are in test_core_architecture.py."""

from __future__ import annotations

import ast
import graphlib
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

# From the ground up. A module may import those of its own room, without circles, and those of the rooms before it.
ROOMS = [
    "ground",  # what do we call things?
    "search",  # what is minimised, and how are candidates made?
    "oracle",  # what is attacked, what does it answer, who counts?
    "space",  # what may become of an image?
    "data",  # which images, in which order, by which names?
    "results",  # what was found? plain data, no files, no loop
    "runs",  # how does a run live on disk?
    "engine",  # how are batches kept full until every image has its record?
    "critical",  # how far is it safe?
    "auditing",  # what is left of another attack's vectors?
    "views",  # how do people see it?
    "verdicts",  # may it ship?
    "face",  # what does a user call?
    "integrations",  # how do other libraries call it?
    "cli",  # which words stand for that?
]
ROOM_OF_TOP = dict.fromkeys(
    ("errors", "types", "checks", "cores", "extras", "files", "interrupts", "originals"), "ground"
) | {
    "": "face",
    "api": "face",
    "assertions": "face",
    "suites": "face",
    "testing": "face",
    "selftest": "face",
    "demo": "cli",
    "__main__": "cli",
}

# Doors that lead up, opened when they are called: methods of plain data that users look for on it.
DOORS = {
    ("critical.found", "views.charts"),
    ("critical.found", "views.frontiers"),
    ("results.profile", "views.trace"),
    ("results.result", "runs.loading"),
    ("results.result", "runs.saving"),
    ("results.result", "views.charts"),
    ("results.result", "views.curves"),
    ("results.result", "views.notebook"),
    ("results.result", "views.report"),
    ("results.result", "views.shown"),
}

KNOW_THE_CORE = {
    "selftest",
    "search.racos",
    "search.racos_search",
    "space.base",
    "space.ball",
    "space.boxes",
    "space.custom",
    "engine.guidance",
    "engine.plan",
    "engine.searches",
    "engine.thread_choice",
    "auditing.repair_search",
    "",
}
OPTIONAL = {
    "keras",
    "tensorflow",
    "ai_edge_litert",
    "torch",
    "onnxruntime",
    "jax",
    "flax",
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
    "datasets",
    "timm",
    "torchvision",
    "safetensors",
    "joblib",
    "ray",
    "maite",
    "mlflow",
    "wandb",
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


def room_of(module: str) -> str:
    return module.partition(".")[0] if "." in module or module in ROOMS else ROOM_OF_TOP[module]


def test_there_are_thirteen_rooms_beside_the_ground_and_the_face():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders == set(ROOMS) - {"ground", "face"}
    assert len(folders) <= 13


def test_the_installed_package_is_the_one_in_the_repository():
    installed = Path(dfa.__file__).parent
    assert {path.relative_to(installed) for path in installed.rglob("*.py")} == {
        path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py")
    }
    assert (installed / "py.typed").exists()
    assert (installed / "_core.pyi").exists()


def test_the_picture_for_newcomers_shows_these_rooms_in_this_order():
    text = (ROOT / ".github" / "CONTRIBUTING.md").read_text(encoding="utf-8")
    pictured = re.findall(r"^ {4}python/dfa/(\w+) +(?:what|how|which|may)", text, re.MULTILINE)
    assert pictured == [room for room in ROOMS if room not in ("ground", "face")]
    diagram = (ROOT / "docs" / "_static" / "rooms.svg").read_text(encoding="utf-8")
    drawn = re.findall(r'<text x="30"[^>]*>(\w+)<', diagram)
    assert drawn[: len(ROOMS)] == ROOMS[::-1]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_module_imports_only_from_its_room_and_those_below(module):
    level = ROOMS.index(room_of(module))
    above = {name for name in of_this_package(module) - {"_core"} if ROOMS.index(room_of(name)) > level}
    assert {(module, name) for name in above} <= DOORS
    if above:
        assert not above & set(imported_by(at_import_time(MODULES[module])))


@pytest.mark.parametrize("room", ROOMS)
def test_inside_a_room_modules_import_without_circles(room):
    inside = {module: of_this_package(module) for module in MODULES if room_of(module) == room}
    graphlib.TopologicalSorter({module: names & set(inside) - {module} for module, names in inside.items()}).prepare()


WRITTEN = [
    path
    for room in ("python", "cpp", "tests", "benchmarks")
    for path in (ROOT / room).rglob("*")
    if path.suffix in (".py", ".pyi", ".cpp", ".hpp")
]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def test_no_file_is_longer_than_a_reader_can_hold():
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in WRITTEN}
    assert len(lengths) > 100
    assert {str(path.relative_to(ROOT)): length for path, length in lengths.items() if length > 500} == {}


def test_no_class_is_longer_than_a_reader_can_hold():
    classes = {
        f"{module}.{each.name}": (each.end_lineno - each.lineno, sum(isinstance(part, FUNCTIONS) for part in each.body))
        for module, tree in MODULES.items()
        for each in ast.walk(tree)
        if isinstance(each, ast.ClassDef)
    }
    assert len(classes) > 50
    assert {name for name, (lines, methods) in classes.items() if lines > 250 or methods > 20} == set()


def test_the_run_and_its_loop_can_be_read_on_one_screen():
    (run,) = [each for each in MODULES["api"].body if isinstance(each, ast.FunctionDef) and each.name == "run"]
    assert run.end_lineno - run.body[0].end_lineno <= 60
    (loop,) = [each for each in MODULES["engine.loop"].body if isinstance(each, ast.ClassDef) and each.name == "Loop"]
    (whole,) = [each for each in loop.body if isinstance(each, ast.FunctionDef) and each.name == "run"]
    assert whole.end_lineno - whole.lineno <= 40


def test_what_is_asserted_narrows_a_type_and_promises_nothing():
    """Under `python -O` no assert is left, so none may guard what a user relies on."""

    def narrows(test: ast.expr) -> bool:
        text = ast.unparse(test)
        is_known = isinstance(test, ast.Compare) and text.endswith(" is not None")
        return is_known or text.startswith("isinstance(") or re.fullmatch(r"len\(\w+\) == \d", text) is not None

    asserts = [
        (module, each.test)
        for module, tree in MODULES.items()
        for each in ast.walk(tree)
        if isinstance(each, ast.Assert)
    ]
    assert len(asserts) > 5
    assert [(module, ast.unparse(test)) for module, test in asserts if not narrows(test)] == []


def test_the_package_itself_imports_no_demo():
    assert {"demo", "views.pictures"} & of_this_package("") == set()
    assert [name for name in of_this_package("") if name.startswith("cli.demo")] == []


def test_verification_shares_nothing_with_the_optimizer():
    seen, waiting = set(), {"runs.verify"}
    while waiting:
        module = waiting.pop()
        seen.add(module)
        waiting |= of_this_package(module) - seen - {"_core"}
        assert "_core" not in of_this_package(module)
    assert seen & {"engine.loop", "search.racos", "api", "space", "search.objectives", "results.result"} == set()
    assert "oracle.gate" in seen


def test_only_the_modules_that_drive_the_core_import_it():
    assert {module for module in MODULES if "_core" in of_this_package(module)} == KNOW_THE_CORE


def imported_at_import_time(module: str) -> set[str]:
    """Return the full names of what importing a module imports itself, packages of others among them."""
    return set(imported_by(at_import_time(MODULES[module])))


@pytest.mark.parametrize("module", sorted(name or "dfa" for name in MODULES))
def test_no_module_needs_an_optional_package_to_be_imported(module):
    needed = {name.partition(".")[0] for name in imported_at_import_time("" if module == "dfa" else module)} & OPTIONAL
    # The door of the command line, `cli.main`, imports them once it has seen that what they need is there.
    assert needed <= ({"click", "rich"} if module.startswith("cli.commands.") else set())


def test_nothing_in_the_package_leads_to_what_other_libraries_call():
    """A class for Foolbox derives from one of Foolbox's, so importing its module needs Foolbox."""
    assert {module for module in MODULES if room_of(module) == "integrations"} >= {"integrations.foolbox"}
    leads = {module for module in MODULES if any(each.startswith("integrations.") for each in of_this_package(module))}
    assert {module for module in leads if room_of(module) != "integrations"} == set()


def test_only_the_door_of_the_command_line_leads_to_its_commands():
    leads = {module for module in MODULES if any(each.startswith("cli.commands") for each in of_this_package(module))}
    assert {module for module in leads if not module.startswith("cli.commands")} == {"cli.main"}
    assert [name for name in imported_at_import_time("cli.main") if name.startswith("dfa.cli.commands")] == []


def test_importing_the_package_imports_no_framework():
    code = "import sys, dfa; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "dfa.engine.loop" in loaded
    assert loaded & OPTIONAL == set()


def test_every_build_has_a_folder_of_its_own():
    """One inside the clone would be that of two builds at once, which break each other."""
    assert "build-dir" not in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_the_version_is_the_same_everywhere():
    (version,) = re.findall(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert dfa.__version__ == version
    assert importlib.metadata.version("dfa-attack") == version
