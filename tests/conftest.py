"""Fixtures shared by all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

# TensorFlow's start-up notes go to the error stream before any test could catch them.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# What they assert is told of as what a test asserts, also under `python -O`.
pytest.register_assert_rewrite(
    *(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith(("test_", "conftest")))
)

DEFAULT_DATA = Path(__file__).parents[2] / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--data", type=Path, default=DEFAULT_DATA, help="folder of real images and models")


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
