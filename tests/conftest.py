"""Fixtures shared by all tests."""

from __future__ import annotations

import importlib
import importlib.util
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from unittest import mock

import pytest

# TensorFlow's start-up notes go to the error stream before any test could catch them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# What they assert is told of as what a test asserts, also under `python -O`.
pytest.register_assert_rewrite(
    *(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith(("test_", "conftest")))
)

if sys.platform == "win32":
    # Of what only POSIX has: signals between processes, forks, pipes with names.
    collect_ignore = ["test_cli_ends.py", "test_kills.py", "test_run_interrupts.py"]
    collect_ignore += [
        "test_files.py",
        "test_hostile_folder.py",
        "test_hostile_mutations.py",
        "test_verify_settings.py",
    ]

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", type=Path, default=DEFAULT_DATA, help="folder of real images and models")
    parser.addoption("--sanitized", action="store_true", help="refuse to test a core without sanitizers")
    parser.addoption("--killed", type=int, default=50, help="processes that are killed while they attack")
    parser.addoption("--mutated", type=int, default=2_000, help="run folders that are changed")
    parser.addoption("--weekly", action="store_true", help="run what takes too long for every change as well")
    parser.addoption("--fuzzed", type=int, default=2_000, help="calls of the core, and damaged states, that are tried")


def pytest_configure(config: pytest.Config) -> None:
    from dfa import _core

    # `make test &` ignores Ctrl-C, and so would every program that a test interrupts.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--sanitized") and not _core.build_info().get("sanitized"):
        raise pytest.UsageError(f"--sanitized, but {_core.__file__} is built without sanitizers")


def pytest_report_header() -> list[str]:
    from dfa import __version__, _core

    return [f"dfa {__version__}, core built by {_core.build_info()}"]


@pytest.fixture(scope="session")
def data(request: pytest.FixtureRequest) -> Path:
    """The folder of real images and classifiers."""
    folder: Path = request.config.getoption("--data")
    if not folder.is_dir():
        pytest.skip(f"no data folder at {folder}; pass --data")
    return folder


def _itself(function: object) -> object:
    return function


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """The package torchvision, also where it was built for CUDA and torch for CPUs.

    Its own compiled operators cannot be loaded there, and its import fails where it describes them. Of classifiers and
    their transforms nothing needs them.
    """
    torch = pytest.importorskip("torch", reason="torch is not installed")
    if importlib.util.find_spec("torchvision") is None:
        pytest.skip("torchvision is not installed")
    if torch.version.cuda is not None:
        return importlib.import_module("torchvision")
    with mock.patch("torch.library.register_fake", return_value=_itself):
        return importlib.import_module("torchvision")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--weekly"):
        return
    variants: dict[str, list[pytest.Item]] = {}
    for item in items:
        if item.get_closest_marker("weekly_but") is not None:
            variants.setdefault(item.nodeid.partition("[")[0], []).append(item)
    daily: set[pytest.Item] = set()
    for those in variants.values():
        number = those[0].get_closest_marker("weekly_but").args[0]
        daily.update(those[each * len(those) // number] for each in range(number))
    for item in items:
        is_one_of_many = item.get_closest_marker("weekly_but") is not None and item not in daily
        if is_one_of_many or item.get_closest_marker("weekly") is not None:
            item.add_marker(pytest.mark.skip(reason="runs once a week: pass --weekly"))


@pytest.fixture(scope="session")
def fuzzed(request: pytest.FixtureRequest) -> int:
    """How many cases a fuzz test tries."""
    return int(request.config.getoption("--fuzzed"))


@pytest.fixture(scope="session")
def killed(request: pytest.FixtureRequest) -> int:
    """How many processes are killed while they attack."""
    return int(request.config.getoption("--killed"))


@pytest.fixture(scope="session")
def mutated(request: pytest.FixtureRequest) -> int:
    """How many run folders are changed."""
    return int(request.config.getoption("--mutated"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model and images, in which the test is; what it asserts needs the extra `cli`."""
    from command_line import go_to_workplace

    folder: Path = go_to_workplace(tmp_path, monkeypatch)
    return folder


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT raise KeyboardInterrupt, which a process started in the background is born ignoring."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that has ended, to be copied before it is changed."""
    from small_problem import CLASSIFIER
    from stored_runs import attack

    folder = tmp_path_factory.mktemp("finished") / "run"
    attack(CLASSIFIER, folder)
    return folder


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run that was cut short, likewise."""
    from stored_runs import cut_short

    folder = tmp_path_factory.mktemp("unfinished") / "run"
    cut_short(folder, 150)
    return folder
