"""What a module or a Python file holds, by its name."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any

from dfa.errors import DfaError, InvalidInputError, told_with_place
from dfa.files import check_file


def load_object(word: str) -> Any:
    """Return what `module:attribute` or `file.py:attribute` names.

    The current folder is searched for modules first, as `python -m` does, but only where the module lies there: what
    else lies there is not to be taken for what a module from elsewhere imports.

    Raises:
        InvalidInputError: There is no such module or attribute, or importing it fails.
    """
    place, separator, names = word.rpartition(":")
    if not separator or not place or not names:
        raise InvalidInputError(f"{word!r} must be module:attribute, such as mymodel:classify")
    try:
        file = file_of(word)
        found = _load_module(place) if file is None else _load_file(file)
    except DfaError:
        raise
    except (Exception, SystemExit) as error:  # a user's module may raise anything, and may end the process
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == place
        cure = f"; go to its folder, or name its file: path/to/{place}.py:{names}" if is_missing else ""
        raise InvalidInputError(f"cannot import {place!r}: {told_with_place(error)}{cure}") from error
    for name in names.split("."):
        if not hasattr(found, name):
            raise InvalidInputError(f"{place!r} has no {names!r}; it has {_names_in(found)}")
        found = getattr(found, name)
    return found


def file_of(word: str) -> Path | None:
    """Return the Python file that `file.py:attribute` names, or None of `module:attribute`, which is imported."""
    place = word.rpartition(":")[0]
    return Path(place) if place.endswith(".py") else None


def lies_in(module: str, folder: Path) -> bool:
    """Tell whether a module, or the package that it is in, lies in a folder."""
    return PathFinder.find_spec(module.partition(".")[0], [str(folder)]) is not None


def _load_module(name: str) -> Any:
    here = str(Path.cwd())
    if lies_in(name, Path(here)) and "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    return importlib.import_module(name)


def _load_file(path: Path) -> Any:
    check_file(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(path.stem, module)
    spec.loader.exec_module(module)
    return module


def _names_in(found: object) -> str:
    names = [name for name in dir(found) if not name.startswith("_")]
    return ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
