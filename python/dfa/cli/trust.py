"""What a run folder names to be loaded: shown, asked about, and refused unless the user says so.

A run folder is data, and may be somebody else's. Models, functions before them and search spaces are code, model files
among them, so none is loaded because a folder names it: the user names it again, or says that the folder is to be
trusted. Nothing is ever loaded that lies in the run folder itself.
"""

from __future__ import annotations

import glob
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any, Final

from dfa.cli.request import Request
from dfa.cli.sources.models import MODEL_SETTINGS
from dfa.cli.sources.spaces import is_object
from dfa.cli.text import printable
from dfa.errors import InvalidInputError

_ARRAYS: Final = (".csv", ".npy", ".npz")


def code_of(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """Return the words of a request that load code, by name, of those that a command would load."""
    words = {name: getattr(request, name) for name in names}
    return {name: word for name, word in words.items() if word is not None and (name != "space" or is_object(word))}


def trust_folder(request: Request, run: Path, command: str, names: tuple[str, ...], *, trust: bool) -> None:
    """Let what a run folder names be loaded, if the user says so, and go to the folder that its words are relative to.

    On a terminal the user is asked. What will be loaded is written to the error stream first.

    Args:
        request: What the folder keeps.
        run: The run folder.
        command: "verify" or "resume".
        names: Which words the command would load.
        trust: Whether the user has said so already.

    Raises:
        InvalidInputError: The user does not say so, or something lies in the run folder.
    """
    code = code_of(request, names)
    folder = Path(request.folder)
    _refuse_in_run(folder, "the folder that its words are relative to", run)
    refuse_from_run(code, folder, run)
    shown = "\n".join(_described(request, code, folder, is_resumed=command == "resume"))
    if not trust and not _says_yes(run, shown):
        given = " ".join([f"--{name} ..." for name in code] + _plain_words(request, command))
        raise InvalidInputError(
            f"a run folder is data, and nothing is loaded because it names it; {run} names\n{shown}\n"
            f"where you know who wrote it, go on with: dfa {command} {shlex.quote(str(run))} --trust\n"
            f"or name what is to be loaded yourself: dfa {command} {shlex.quote(str(run))} {given}"
        )
    if trust:
        print(printable(f"dfa: loading what {run} names\n{shown}"), file=sys.stderr)
    if not folder.is_dir():
        raise InvalidInputError(
            f"the run's words are relative to {folder}, which must be a folder, and is none; name them yourself: "
            f"dfa {command} {shlex.quote(str(run))} {' '.join(f'--{name} ...' for name in code)}"
        )
    os.chdir(folder)


def name_again(request: Request, run: Path, given: Mapping[str, str]) -> Request:
    """Return a request with what it loads named by the user, and the rest where the folder has it.

    Args:
        request: What the folder keeps.
        run: The run folder.
        given: Words of the user by name, relative to the folder that the user is in.

    Raises:
        InvalidInputError: Something that the request loads is not among them, or would be loaded from the run folder.
    """
    missing = [name for name in code_of(request, ("model", "preprocess", "space")) if name not in given]
    if missing:
        raise InvalidInputError(
            f"what the run loads must all be named, or none of it, and these are missing: "
            f"{', '.join(f'--{name} (it was {getattr(request, name)})' for name in missing)}; or leave all out and "
            "pass --trust"
        )
    refuse_from_run(given, Path.cwd(), run, files=False)
    folder = Path(request.folder)
    tables = {
        name: str(folder / word)
        for name in ("labels", "target", "epsilon")
        if (word := getattr(request, name)) is not None and word.endswith(_ARRAYS)
    }
    found = anchored(request.images, folder)
    print(printable(f"dfa: reading the images {found}"), file=sys.stderr)
    named: dict[str, Any] = {**tables, **given, "images": found}
    return replace(request, **named)


def anchored(images: str, folder: Path) -> str:
    """Return what names images, a path or a glob, as it does from a folder, wherever one is."""
    path = folder / images
    # A glob's own signs stay what they are, and those of the folder's name are none.
    return str(path) if path.exists() else os.path.join(glob.escape(str(folder)), images)


def refuse_from_run(words: Mapping[str, str], folder: Path, run: Path, *, files: bool = True) -> None:
    """Refuse what would be loaded from inside a run folder.

    Args:
        words: What is to be loaded, by name.
        folder: The folder that they are relative to.
        run: The run folder.
        files: Whether that goes for files that are named by their paths; those a user may mean.

    Raises:
        InvalidInputError: Something lies there; it is named.
    """
    for name, word in words.items():
        place = word.rpartition(":")[0]
        if files:
            for path in (folder / word, folder / place if place else folder):
                _refuse_in_run(path, f"--{name} {word}", run)
        if _is_module(word):
            for path in _found(place, folder):
                _refuse_in_run(path, f"--{name} {word}", run)
            _refuse_in_run(folder, f"--{name} {word} would be looked for in {folder}, and that", run)


def _refuse_in_run(path: Path, what: str, run: Path) -> None:
    if path.resolve().is_relative_to(run.resolve()):
        raise InvalidInputError(
            f"nothing is loaded from inside a run folder, and {what} lies in {run}; put it elsewhere, or run the "
            "command from another folder"
        )


def _is_module(word: str) -> bool:
    place = word.rpartition(":")[0]
    return bool(place) and not place.endswith(".py") and not (os.sep in place or "/" in place)


def _found(module: str, folder: Path) -> Iterator[Path]:
    """Yield the files and folders that an import would run, without importing anything."""
    name, places = "", [str(folder), *sys.path]
    for part in module.split("."):
        name = f"{name}.{part}" if name else part
        spec = PathFinder.find_spec(name, places)
        if spec is None:
            return
        if spec.origin is not None and spec.has_location:
            yield Path(spec.origin)
        places = list(spec.submodule_search_locations or [])
        yield from map(Path, places)


def _described(request: Request, code: Mapping[str, str], folder: Path, *, is_resumed: bool) -> Iterator[str]:
    """Yield what would be loaded from where, a line each."""
    for name, word in code.items():
        place = word.rpartition(":")[0]
        if _is_module(word):
            *_, last = [None, *_found(place, folder)]
            found = f"module {place}, not found" if last is None else str(last)
        else:
            found = str((folder / (place if place.endswith(".py") else word)).resolve())
        yield f"  {name:<11} {word}  ({found})"
    if is_resumed:
        yield f"  {'images':<11} {request.images}"
    yield f"  relative to {folder.absolute()}"


def _plain_words(request: Request, command: str) -> list[str]:
    """Return the flags that say how the model is asked, which `dfa verify` needs beside a model."""
    if command != "verify":
        return []
    values = {name: getattr(request, name) for name in MODEL_SETTINGS if name != "preprocess"}
    return [f"--{name.replace('_', '-')} {shlex.quote(str(value))}" for name, value in values.items() if value]


def _says_yes(run: Path, shown: str) -> bool:
    """Ask the user, where there is one."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return False
    text = f"{run} names what is to be loaded, and loading runs code:\n{shown}\nLoad it? [y/N] "
    print(printable(text), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
