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

from dfa.checks import printable
from dfa.cli.request import Request
from dfa.cli.sources.hubs import HUBS, weights_in
from dfa.cli.sources.images import FOLDERS
from dfa.cli.sources.models import MODEL_SETTINGS, kind_of
from dfa.cli.sources.objects import file_of, lies_in
from dfa.cli.sources.services import SERVICE_SETTINGS, SERVICES, loads_code
from dfa.cli.sources.spaces import is_object
from dfa.cli.text import one_line
from dfa.errors import InvalidInputError
from dfa.runs.documents import parse_config
from dfa.runs.saved_run import read_run, read_run_json
from dfa.search.confirmation import Confirmation

ASKED: Final = ("model", "preprocess", "parse", "encode")
"""The words of a request that may load code to ask its model."""

SEARCHED: Final = ("space", "prior")
"""Those that may load code to search."""

_REACHING: Final = ("token_env", "header", "ca_file", "rate_file")
"""What says which secrets a service is sent, who may read them, and what is written elsewhere than in a run folder."""

_ARRAYS: Final = (".csv", ".npy", ".npz")


def code_of(request: Request, names: tuple[str, ...]) -> dict[str, str]:
    """Return the words of a request that load code, by name, of those that a command would load."""
    words = {name: word for name in names if (word := getattr(request, name)) is not None}
    return {name: word for name, word in words.items() if _is_code(name, word)}


def _is_code(name: str, word: str) -> bool:
    return is_object(word) if name == "space" else name != "encode" or loads_code(name, word)


def trust_folder(request: Request, run: Path, command: str, names: tuple[str, ...], *, trust: bool) -> None:
    """Let what a run folder names be loaded, if the user says so, and go to the folder that its words are relative to.

    On a terminal the user is asked. What will be loaded is written to the error stream first.

    Args:
        request: What the folder keeps.
        run: The run folder.
        command: "verify", "resume" or "replay".
        names: Which words the command would load.
        trust: Whether the user has said so already.

    Raises:
        InvalidInputError: The user does not say so, or something lies in the run folder.
    """
    code = code_of(request, names)
    folder = Path(request.folder)
    _refuse_in_run(folder, "the folder that its words are relative to", run)
    refuse_from_run(code, folder, run)
    if command != "verify":
        _refuse_wide_glob(request.images, folder)
    shown = "\n".join(_described(request, run, code, folder, command))
    again = f"dfa {command} {shlex.quote(one_line(run))}"
    named = [*code, *([] if command == "verify" else ["images"]), *(_reaching(request) if command == "resume" else [])]
    given = " ".join([f"{_flag(name)} ..." for name in named] + _plain_words(request, command, code))
    if not trust and not _says_yes(run, shown, "loading runs code" if code else "images are read"):
        raise InvalidInputError(
            f"a run folder is data, and nothing is loaded because it names it; {one_line(run)} names\n{shown}\n"
            f"where you know who wrote it, go on with: {again} --trust\n"
            f"or name what is to be loaded yourself: {again} {given}"
        )
    if trust:
        print(printable(f"dfa: loading what {one_line(run)} names\n{shown}"), file=sys.stderr)
    if not folder.is_dir():
        raise InvalidInputError(
            f"the run's words are relative to {one_line(folder)}, which must be a folder, and is none; name them "
            f"yourself: {again} {given}"
        )
    os.chdir(folder)


def name_again(
    request: Request, run: Path, given: Mapping[str, str], command: str, names: tuple[str, ...], *, trust: bool
) -> Request:
    """Return a request with what it loads named by the user, and the rest where the folder has it.

    On a terminal the user is asked about that rest; else its images are read only if the user says so.

    Args:
        request: What the folder keeps.
        run: The run folder.
        given: Words of the user by name, relative to the folder that the user is in.
        command: "resume" or "replay".
        names: Which words the command would load.
        trust: Whether the user has said that the rest may be read.

    Raises:
        InvalidInputError: Something that the request loads is not among them, or would be loaded from the run folder;
            or the user does not say that the images may be read, and names none.
    """
    needed = [*code_of(request, names), *(_reaching(request) if command == "resume" else [])]
    missing = [name for name in needed if name not in given]
    if missing:
        raise InvalidInputError(
            f"what the run loads must all be named, or none of it, and these are missing: "
            f"{', '.join(f'{_flag(name)} (it was {one_line(getattr(request, name))})' for name in missing)}; or leave "
            "all out and pass --trust"
        )
    code = {name: word for name, word in given.items() if name in names and _is_code(name, word)}
    refuse_from_run(code, Path.cwd(), run, files=False)
    folder = Path(request.folder)
    tables = {name: str(folder / word) for name, word in _tables_of(request).items()}
    if "images" in given:
        images = given["images"]
    else:
        _refuse_wide_glob(request.images, folder)
        images = anchored(request.images, folder)
    named: dict[str, Any] = {**tables, **given, "images": images}
    renamed = replace(request, **named)
    shown = "\n".join(_described(renamed, run, code, None, command))
    if trust or not _has_terminal():
        if not trust and "images" not in given:
            words = " ".join(
                [f"{_flag(name)} {shlex.quote(word)}" for name, word in given.items()]
                + _plain_words(request, command, code)
            )
            again = f"dfa {command} {shlex.quote(one_line(run))} {words}"
            raise InvalidInputError(
                f"a run folder is data, and no images are read because it names them; {one_line(run)} names\n{shown}\n"
                f"name them too: {again} --images ...\n"
                f"or, where you know who wrote the folder, go on with: {again} --trust"
            )
        doing = "replaying" if command == "replay" else "going on with"
        print(printable(f"dfa: {doing} {one_line(run)}\n{shown}"), file=sys.stderr)
    elif not _says_yes(run, shown, "this takes time" if command == "replay" else "this costs queries and time"):
        raise InvalidInputError(f"nothing is begun, since you did not say yes to what {one_line(run)} names")
    return renamed


def _tables_of(request: Request) -> dict[str, str]:
    """Return the words of a request that are files of data, images apart, by name."""
    words = {name: getattr(request, name) for name in ("labels", "class_names", "target", "epsilon")}
    always = ("labels", "class_names")
    files = {name: word for name, word in words.items() if word and (name in always or word.endswith(_ARRAYS))}
    return {name: word for name, word in files.items() if (name, word) != ("labels", FOLDERS)}


def _refuse_wide_glob(images: str, folder: Path) -> None:
    """Refuse a folder's word that would have a whole disk searched.

    Raises:
        InvalidInputError: It searches folders in folders, beyond the one that the run's words are relative to.
    """
    if "**" not in images:
        return
    root, path = os.path.normpath(folder), os.path.normpath(folder / images)
    if ".." in Path(images).parts or not Path(path).is_relative_to(root) or root == os.path.dirname(root):
        raise InvalidInputError(
            f"a ** of a run folder must stay inside the folder that its words are relative to, {one_line(folder)}, and "
            f"its images are {one_line(images)}; name them yourself: --images ..., with all else that it loads"
        )


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
        place, weights = word.rpartition(":")[0], weights_in(word)
        if files:
            for path in (folder / word, folder / place if place else folder, *([folder / weights] if weights else [])):
                _refuse_in_run(path, f"--{name} {one_line(word)}", run)
        module = _module_in(name, word)
        if module is not None:
            for path in _found(module, folder):
                _refuse_in_run(path, f"--{name} {one_line(word)}", run)
            _refuse_in_run(
                folder, f"--{name} {one_line(word)} would be looked for in {one_line(folder)}, and that", run
            )


def _refuse_in_run(path: Path, what: str, run: Path) -> None:
    if path.resolve().is_relative_to(run.resolve()):
        raise InvalidInputError(
            f"nothing is loaded from inside a run folder, and {what} lies in {one_line(run)}; put it elsewhere, or run "
            "the command from another folder"
        )


def _kind_in(name: str, word: str) -> str:
    """Return the kind of what a word loads, as what loads it decides: only models may be other than objects."""
    return kind_of(word) if name in ("model", "prior") else "object"


def _module_in(name: str, word: str) -> str | None:
    """Return the module that a word would have imported, or None where it names a file or a model of a hub."""
    if _kind_in(name, word) != "object" or file_of(word) is not None:
        return None
    return word.rpartition(":")[0]


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


def _described(
    request: Request, run: Path, code: Mapping[str, str], folder: Path | None, command: str
) -> Iterator[str]:
    """Yield what would be done and loaded from where, a line each, the model last, where the question is.

    Args:
        request: What the folder keeps, or what of it is left.
        run: The run folder.
        code: The words that load code, by name.
        folder: The folder that they are relative to; None for those of the user.
        command: "verify", "resume" or "replay".
    """
    values: dict[str, object] = {"run": _price_of(run, command)}
    if command != "replay":
        values |= {name.replace("_", " "): word for name, word in _of_service(request).items()}
    if command != "verify":
        settings = {**request.settings, "confirmations": request.confirmations, **request.optimizer}
        values |= {name.replace("_", " "): value for name, value in settings.items() if value is not None}
        values |= {name.replace("_", " "): word for name, word in _tables_of(request).items()}
        values |= {"images": request.images}
    for name, value in values.items():
        yield f"  {name:<11} {one_line(value)}"
    modules = {name: _module_in(name, word) for name, word in code.items()}
    if folder is not None:
        first = any(module is not None and lies_in(module, folder) for module in modules.values())
        yield f"  relative to {one_line(folder.absolute())}{', where modules are looked for first' if first else ''}"
    for name in sorted(code, key=lambda name: name == "model"):
        word, module = code[name], modules[name]
        kind = _kind_in(name, word)
        found = ["a pickle, which runs whatever code is in it"] if kind == "pickle" else []
        if kind in SERVICES:
            found.append("a service, which is sent images")
        elif folder is None:
            pass
        elif kind in HUBS:
            weights = weights_in(word)
            found.append(f"{kind}, with weights that it downloads" if weights is None else one_line(folder / weights))
        elif module is not None:
            *_, last = [None, *_found(module, folder)]
            found.append(f"module {one_line(module)}, not found" if last is None else one_line(last))
        else:
            found.append(one_line((folder / (file_of(word) or word if kind == "object" else word)).resolve()))
        yield f"  {name:<11} {one_line(word)}" + (f"  ({'; '.join(found)})" if found else "")


def price_of(num_images: int | None, config: Mapping[str, Any]) -> str:
    """Return in words what numbers of a run folder cost whoever goes on with it or verifies it.

    Args:
        num_images: How many it says it has; None where it does not say.
        config: Its settings.
    """
    answers, most = Confirmation.parse(config.get("confirmations", 1)).of, config.get("max_queries")
    words = ["images of an unknown number" if num_images is None else f"{num_images:,} images"]
    words += [] if most is None else [f"up to {most:,} queries for each"]
    return ", ".join([*words, f"{answers:,} confirming {'answer' if answers == 1 else 'answers'} for each that falls"])


def _price_of(run: Path, command: str) -> str:
    """Return the price that a command will obey: what it reads may differ from what lies beside it."""
    if command == "resume":
        config = read_run_json(run).config
        return price_of(parse_config(config).num_images, config)
    saved = read_run(run)
    if command == "replay":
        return f"{saved.num_images:,} images, from the record; no model is loaded, and nothing is sent"
    return price_of(saved.num_images, saved.config)


def _plain_words(request: Request, command: str, code: Mapping[str, str]) -> list[str]:
    """Return the flags that a model needs beside it: of `dfa verify`, how it is asked; of a pickle, that it may run."""
    trusting = ["--trust-pickle"] if any(_kind_in(name, word) == "pickle" for name, word in code.items()) else []
    return trusting + (words_of_model(request) if command == "verify" else [])


def words_of_model(request: Request) -> list[str]:
    """Return the flags with which a run says how its model is asked, code excepted."""
    values = {name: getattr(request, name) for name in MODEL_SETTINGS if name != "preprocess"}
    if kind_of(request.model) in SERVICES:
        values |= {"class_names": request.class_names} | _of_service(request)
    return [f"{_flag(name)} {one_line(shlex.quote(str(value)))}" for name, value in values.items() if value]


def _of_service(request: Request) -> dict[str, Any]:
    """Return what a request says of how a service is asked, by name, code excepted."""
    values = {name: getattr(request, name) for name in SERVICE_SETTINGS}
    return {name: word for name, word in values.items() if word is not None and not loads_code(name, word)}


def _reaching(request: Request) -> list[str]:
    return [name for name in _REACHING if getattr(request, name) is not None]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _has_terminal() -> bool:
    return sys.stdin.isatty() and sys.stderr.isatty()


def _says_yes(run: Path, shown: str, why: str) -> bool:
    """Ask the user, where there is one."""
    if not _has_terminal():
        return False
    text = f"{one_line(run)} names what is to be done, and {why}:\n{shown}\nGo on? [y/N] "
    print(printable(text), end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
