"""The rooms of the C++ core: who may include whom, how large they may grow, and what they must not know."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CPP = ROOT / "cpp"
SOURCES = [path for path in sorted(CPP.rglob("*.*")) if path.is_file()]
BINDINGS = [path for path in SOURCES if path.is_relative_to(CPP / "bindings")]
TESTS = [path for path in sorted((ROOT / "tests" / "cpp").rglob("*.*")) if path.is_file()]
CORE = [path for path in SOURCES if path not in BINDINGS]

# From the ground up. A room includes its own files and those of the lines above its own, and none of its own line.
ROOMS = [["base"], ["space", "lattice"], ["search"], ["batch"]]
LEVEL = {room: level for level, rooms in enumerate(ROOMS) for room in rooms}


def room_of(path: Path) -> str:
    """The folder of `cpp/include/dfa` or `cpp/src` that a file lies in, at whatever depth."""
    parts = path.relative_to(CPP).parts
    return parts[2] if parts[0] == "include" else parts[1]


def test_every_room_has_its_place_and_every_place_its_room():
    assert {room_of(path) for path in CORE} == set(LEVEL)


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(CPP)))
def test_a_file_includes_only_its_own_room_and_those_below(path):
    room = room_of(path)
    included = re.findall(r'#\s*include\s+"(.*)"', path.read_text(encoding="utf-8"))
    assert all(re.fullmatch(r"dfa/\w+/\w+\.hpp", name) for name in included)
    others = {name.split("/")[1] for name in included} - {room}
    assert {other for other in others if LEVEL[other] >= LEVEL[room]} == set()


@pytest.mark.parametrize("path", SOURCES + TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_longer_than_500_lines_and_no_class_than_250(path):
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= 500
    for begin, line in enumerate(lines):
        # A class ends with the first such brace that stands where it began.
        if found := re.match(r"( *)(class|struct) [\w:<>]+[^;]*\{$", line):
            assert lines.index(f"{found[1]}}};", begin) - begin < 250


def test_only_the_bindings_know_python():
    assert CORE
    assert BINDINGS
    assert [path.name for path in CORE if "pybind11" in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize("path", CORE, ids=lambda path: str(path.relative_to(CPP)))
def test_the_core_knows_no_python_file_clock_or_terminal(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r"Python|<iostream>|<fstream>|<chrono>|<cstdio>|<ctime>|<filesystem>|printf", text) == []


def test_the_core_has_one_parallel_region_whose_threads_are_given():
    regions = [
        line.strip()
        for path in SOURCES
        for line in path.read_text(encoding="utf-8").splitlines()
        if re.search(r"#\s*pragma\s+omp.*\bparallel\b", line)
    ]
    assert len(regions) == 1
    assert "num_threads(threads)" in regions[0]
