"""How to install dfa with an extra: from where it was installed, since a name is of use only where an index has it."""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import re
import shlex
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit
from urllib.request import url2pathname

from dfa.errors import MissingDependencyError

_DISTRIBUTION: Final = "dfa-attack"


def how_to_install(extra: str | None = None) -> str:
    """Return the command that installs dfa with an extra: from its clone where there is one, or else by its name."""
    source = _clone() or _DISTRIBUTION
    return f"pip install {_quoted(source + ('' if extra is None else f'[{extra}]'))}"


def imported(module: str, needed: str, extra: str) -> Any:
    """Return a module of another package.

    Args:
        module: Its name.
        needed: What needs what, for the message.
        extra: dfa's extra that brings it.

    Raises:
        MissingDependencyError: It cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingDependencyError(f"{needed}: {how_to_install(extra)}") from error


def _clone() -> str | None:
    """Return the folder of the sources: the current one, or the one that dfa was installed from; or None."""
    here = Path.cwd()
    if _is_clone(here):
        return "."
    try:
        text = importlib.metadata.distribution(_DISTRIBUTION).read_text("direct_url.json")
        found = json.loads(text or "{}")
        url = urlsplit(found["url"] if "dir_info" in found else "")
    except (importlib.metadata.PackageNotFoundError, ValueError, KeyError, TypeError):
        return None
    folder = Path(url2pathname(url.path))
    return str(folder) if url.scheme == "file" and _is_clone(folder) else None


def _is_clone(folder: Path) -> bool:
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return False
    return re.search(rf'^name = "{_DISTRIBUTION}"$', text, re.MULTILINE) is not None


def _quoted(text: str) -> str:
    """Return a word for the user's shell; brackets are patterns to some."""
    return f'"{text}"' if sys.platform == "win32" else shlex.quote(text)
