"""How a run is done again: the command of `dfa attack`, or lines of Python, as a report shows them to be copied."""

from __future__ import annotations

import dataclasses
import os
import shlex
from collections.abc import Mapping
from typing import Any, Final

from dfa.errors import StoreError
from dfa.results.summary import name_of_prior
from dfa.runs.documents import Command, RunDocument, parse_command
from dfa.search.confirmation import Confirmation
from dfa.space import read_space

_WITHOUT_FLAG: Final = ("model", "images", "folder", "settings", "optimizer")
"""Fields of a command that no flag of their names sets."""


def reproduction(config: Mapping[str, Any], about: RunDocument | None) -> str:
    """Return the command, or the lines of Python, that do the same again.

    Args:
        config: The run's settings, as JSON has them.
        about: What run.json says, or None.

    Raises:
        StoreError: run.json keeps a command that is none.
    """
    if about is not None and about.command:
        return _in_words(_command(about.command))
    return _in_python(config)


def _in_words(given: Command) -> str:
    fields = [field for field in dataclasses.fields(Command) if field.name not in _WITHOUT_FLAG]
    named = {
        field.name: value for field in fields if (value := getattr(given, field.name)) not in (None, field.default)
    }
    words = []
    for name, value in {**named, **given.settings, **given.optimizer}.items():
        if value is not None:
            text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
            words += [f"--{name.replace('_', '-')}", text]
    what = [given.model, given.images]
    # A word that begins with a dash would be an option.
    words = [*words, "--", *what] if any(word.startswith("-") for word in what) else [*what, *words]
    return f"cd {shell_word(given.folder)}\n{' '.join(map(shell_word, ['dfa', 'attack', *words]))}"


def _in_python(config: Mapping[str, Any]) -> str:
    targets = config.get("targets")
    goal = f"dfa.rank({targets['j']!r})" if isinstance(targets, dict) and "j" in targets else repr(targets)
    epsilon, space = config.get("epsilon"), config.get("space")
    lines = [
        "import dfa",
        "result = dfa.run(",
        "    oracle, images,  # as they were",
        f"    targets={goal if len(goal) < 80 else '...'},",
        f"    space={space_words(space)},"
        if space
        else f"    epsilon={epsilon if isinstance(epsilon, int) else '...'},",
        f"    objective={config.get('objective')!r},",
        f"    optimizer={_optimizer_words(config.get('optimizer') or {})}",
    ]
    confirmation = Confirmation.parse(config.get("confirmations", 1))
    if confirmation.is_repeated:
        lines.append(f"    confirmations=dfa.{confirmation!r},")
    limits = ["max_queries", "max_seconds"]
    if config.get("give_up_after") is not None:
        limits.append("give_up_after")
    lines += [f"    {name}={config.get(name)!r}," for name in (*limits, "batch_size", "seed")]
    prior = name_of_prior(config)
    if prior is not None:
        lines.append(f"    prior=...,  # {_on_one_line(prior)}, as it was")
    return "\n".join([*lines, ")"])


def _optimizer_words(optimizer: Mapping[str, Any]) -> str:
    """Return how an optimizer is written as an argument, with its comma; of one of a user's, its name and settings."""
    settings = optimizer.get("settings", {}) if "kind" in optimizer else optimizer
    given = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.items()
        if not isinstance(value, dict)
    }
    # The folder's words may be anybody's, and what stands here may be run.
    fields = ", ".join(
        f"{name}={value!r}" if name.isidentifier() else f"**{ {name: value}!r}" for name, value in given.items()
    )
    if "kind" in optimizer:
        words = f"{optimizer['kind']}({fields})"
        return f"...,  # {_on_one_line(words)}, as it was"
    return f"dfa.Racos({fields}),"


def _on_one_line(words: str) -> str:
    """Return words for a comment: with an end of line in them they would go on as Python."""
    return words if words.isprintable() else repr(words)


def _command(command: object) -> Command:
    try:
        return parse_command(command)
    except ValueError as error:
        raise StoreError(f"run.json must keep the words of `dfa attack`, and does not: {error}") from error


def space_words(space: Mapping[str, Any]) -> str:
    """Return how a search space is written in Python; of a user's, its name."""
    read, kind = read_space(space), str(space["kind"])
    if read is None:
        return f"dfa.{kind}(...)" if kind.isidentifier() else "..."
    return f"dfa.{read!r}".replace("LinfBall", "dfa.LinfBall")


def shell_word(word: str) -> str:
    """Return a word as a shell takes it, on one line whatever is in it."""
    if word.isprintable():
        return shlex.quote(word)
    try:
        raw = os.fsencode(word)
    except UnicodeEncodeError:
        raw = word.encode(errors="backslashreplace")
    kept = set(range(32, 127)) - set(b"\\'")
    return f"$'{''.join(chr(each) if each in kept else f'{chr(92)}x{each:02x}' for each in raw)}'"
