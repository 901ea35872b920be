"""Run folders hold data: nothing in them is imported while a command works on them.

A module of one could come in by many ways: Python looks where one is, and a run folder that is called `torch` is a
package to whoever imports that. So the guard stands where every import passes.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

from dfa.cli.text import one_line
from dfa.errors import InvalidInputError


@contextlib.contextmanager
def no_imports_from(*runs: Path) -> Iterator[None]:
    """Refuse every import of what lies in a run folder, as long as this is entered.

    Raises:
        InvalidInputError: One is in such a folder, Python looks for modules there, or has loaded one from there.
    """
    guard = guard_imports(*runs)
    try:
        yield
    finally:
        sys.meta_path.remove(guard)


def guard_imports(*runs: Path) -> MetaPathFinder:
    """Refuse every import of what lies in a run folder from now on, and return what does.

    Raises:
        InvalidInputError: As of `no_imports_from`.
    """
    folders = [run.resolve() for run in runs]
    for run in folders:
        _refuse_to_begin(run)
    guard = _Guard(folders)
    sys.meta_path.insert(0, guard)
    return guard


def _refuse_to_begin(run: Path) -> None:
    places = [(Path.cwd(), "the current folder")]
    places += [(Path(entry or Path.cwd()), "a folder where Python looks for modules") for entry in sys.path]
    places += [
        (file, f"the module {one_line(name)}, which is loaded already,") for name, file in _modules_loaded_from(run)
    ]
    for path, what in places:
        if _lies_in(path, run):
            raise InvalidInputError(
                f"nothing is loaded from inside a run folder, and {what} lies in {one_line(run)}: {one_line(path)}; "
                "run the command from another folder, as dfa and not as python -m dfa"
            )


def _modules_loaded_from(run: Path) -> Iterator[tuple[str, Path]]:
    """Yield the modules, and their files, that lie in a run folder."""
    files = [(name, getattr(module, "__file__", None)) for name, module in list(sys.modules.items())]
    known: dict[str, str] = {}
    for name, file in files:
        if isinstance(file, str) and _holds(run, _real(file, known)):
            yield name, Path(file)


class _Guard(MetaPathFinder):
    """Asks the finders that come after it, and refuses what they find in a run folder."""

    def __init__(self, runs: Sequence[Path]) -> None:
        self.runs = runs

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Return where a module lies.

        Raises:
            ImportError: In a run folder.
        """
        for finder in sys.meta_path[sys.meta_path.index(self) + 1 :]:
            find = getattr(finder, "find_spec", None)
            spec: ModuleSpec | None = None if find is None else find(name, path, target)
            if spec is not None:
                self._refuse(spec)
                return spec
        return None

    def _refuse(self, spec: ModuleSpec) -> None:
        origin = [spec.origin] if spec.has_location and spec.origin is not None else []
        for place in (*origin, *(spec.submodule_search_locations or ())):
            for run in self.runs:
                if _lies_in(place, run):
                    raise ImportError(
                        f"nothing is loaded from inside a run folder, and {one_line(place)} lies in {one_line(run)}",
                        name=spec.name,
                        path=str(place),
                    )


def _lies_in(path: str | Path, run: Path) -> bool:
    return _holds(run, os.path.realpath(path))


def _holds(run: Path, real: str) -> bool:
    return real == os.fspath(run) or real.startswith(os.path.join(run, ""))


def _real(path: str, known: dict[str, str]) -> str:
    """Return the real path, and note that of its folders: a framework has thousands of modules, and few folders."""
    folder, name = os.path.split(path)
    if name in ("", ".", "..") or os.path.islink(path):
        return os.path.realpath(path)
    if folder not in known:
        known[folder] = _real(folder, known)
    return os.path.join(known[folder], name)
