"""Flags of a command from a file."""

from __future__ import annotations

import tomllib
from typing import Any, Final

import click
from click.core import ParameterSource

from dfa.cli.commands.flags import RUN, flag
from dfa.errors import InvalidInputError
from dfa.files import opened

_WITHOUT: Final = ("config", "help", "help_all")


def _take(context: click.Context, option: click.Parameter, file: str | None) -> None:
    if file is not None and not context.resilient_parsing:
        context.default_map = {**(context.default_map or {}), **read_config(file, context.command)}


config_option = flag(
    "--config",
    section=RUN,
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_take,
    help="A TOML file of flags, by their names without the dashes, and of model and images; what the command says goes "
    "before it.",
)


def read_config(file: str, command: click.Command) -> dict[str, Any]:
    """Return what a TOML file says of a command's flags and arguments, by their parameters' names.

    Args:
        file: Its path. Keys are the names of flags, with - or _ in them; values are as flags take them, and lists
            stand for several, or for numbers with commas between them.
        command: The command.

    Raises:
        InvalidInputError: The file cannot be read, is no TOML, or says what no flag is.
    """
    with opened(file) as stream:
        content = stream.read()
    try:
        document = tomllib.loads(content.decode("utf-8"))
    except ValueError as error:
        raise InvalidInputError(f"--config {file} must be TOML, such as epsilon = 8, and is not: {error}") from error
    known = {_key(each): each for each in command.params if each.name not in _WITHOUT}
    found: dict[str, Any] = {}
    for key, value in document.items():
        parameter = known.get(key.replace("-", "_"))
        if parameter is None or parameter.name is None:
            raise InvalidInputError(
                f"--config {file} must hold flags of dfa {command.name} by their names, and {key!r} is none"
            )
        if parameter.name in found:
            raise InvalidInputError(f"--config {file} says {key!r} twice, with - and with _")
        found[parameter.name] = _value(parameter, value, f"{key!r} of --config {file}")
    return found


def check_arguments(context: click.Context) -> None:
    """Refuse one word on the command line where a file has another: nobody could tell which of the two it is.

    Raises:
        InvalidInputError: MODEL is from the one, and IMAGES from the other.
    """
    sources = {context.get_parameter_source(name) for name in ("model", "images")}
    if sources == {ParameterSource.COMMANDLINE, ParameterSource.DEFAULT_MAP}:
        raise InvalidInputError("MODEL and IMAGES must both be in the file of --config, or both in the command")


def _key(parameter: click.Parameter) -> str:
    return parameter.opts[-1].lstrip("-").replace("-", "_")


def _value(parameter: click.Parameter, value: Any, where: str) -> Any:
    """Return a value as the command line has it."""
    each = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str | int | float) for one in each):
        raise InvalidInputError(f"{where} must be a text, a number, true, false, or a list of these, got {value!r:.60}")
    is_several = isinstance(parameter, click.Option) and parameter.multiple
    if is_several:
        return each
    return ",".join(map(str, value)) if isinstance(value, list) else value
