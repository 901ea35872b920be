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
        (Path(file), f"the module {one_line(name)}, which is loaded already,")
        for name, module in list(sys.modules.items())
        if isinstance(file := getattr(module, "__file__", None), str)
    ]
    for path, what in places:
        if _lies_in(path, run):
            raise InvalidInputError(
                f"nothing is loaded from inside a run folder, and {what} lies in {one_line(run)}: {one_line(path)}; "
                "run the command from another folder, as dfa and not as python -m dfa"
            )


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
    # Not `Path.resolve`, which takes several times as long: a framework has thousands of modules.
    real, folder = os.path.realpath(path), os.fspath(run)
    return real == folder or real.startswith(os.path.join(folder, ""))
