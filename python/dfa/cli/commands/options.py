"""Flags that commands share.

Those of the settings are made from what they set: the parameters of `dfa.run` and the fields of `dfa.Racos`, with their
types, defaults and docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import click

import dfa
from dfa.cli.request import RUN_SETTINGS
from dfa.oracle import ScoreKind

_Command = TypeVar("_Command", bound=Callable[..., Any])


@dataclass(frozen=True)
class Setting:
    """One flag, and what it sets."""

    name: str
    hint: Any
    default: Any
    text: str

    def option(self, *, default: Any) -> Callable[[_Command], _Command]:
        """Return what gives a command this flag; its help names the setting's own default, whatever `default` is."""
        kind, extra = _click_type(self.hint)
        flag = "--" + self.name.replace("_", "-")
        shown = f"  [default: {self.default}]" if self.default is not None else ""
        return click.option(flag, self.name, type=kind, default=default, help=f"{self.text}{shown}", **extra)


def _click_type(hint: Any) -> tuple[Any, dict[str, Any]]:
    """Return the click type of a type hint, and what else the option needs."""
    options = [each for each in typing.get_args(hint) or (hint,) if each is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return click.Choice(list(typing.get_args(hint))), {}
    if typing.get_origin(hint) is tuple:
        return IntegerList(), {}
    if isinstance(hint, types.UnionType) and set(options) == {int, float}:
        return Number(), {}
    assert len(options) == 1, f"no flag can be made of {hint}"
    return options[0], {}


class Number(click.ParamType[Any]):
    """An integer, or a float where it is written as one."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Return the number that a word is."""
        if isinstance(value, int | float):
            return value
        try:
            return float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)


class Rate(click.ParamType[Any]):
    """A share of a whole, 0..1, or a percentage."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share that a word is."""
        text = str(value).strip()
        try:
            rate = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:
            self.fail(f"{value!r} must be a rate within 0..1, such as 0.05, or a percentage, such as 5%", param, ctx)
        return rate


class IntegerList(click.ParamType[Any]):
    """Integers with commas between them."""

    name = "integers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the integers of a word."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(",") if part)
        except ValueError:
            self.fail(f"{value!r} must be integers with commas between them", param, ctx)


def _documented(documented: Any, section: str) -> dict[str, str]:
    """Return what a Google-style docstring says of each parameter or attribute."""
    text = inspect.getdoc(documented) or ""
    body = text.partition(f"{section}:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", words).replace("`", "") for name, words in entries}


def run_settings() -> list[Setting]:
    """Return the parameters of `dfa.run` that have flags."""
    parameters = inspect.signature(dfa.run).parameters
    hints = typing.get_type_hints(dfa.run)
    words = _documented(dfa.run, "Args")
    return [Setting(name, hints[name], parameters[name].default, words[name]) for name in RUN_SETTINGS]


def optimizer_settings() -> list[Setting]:
    """Return the fields of `dfa.Racos`, the objective excepted: it has a flag of its own."""
    hints = typing.get_type_hints(dfa.Racos)
    words = _documented(dfa.Racos, "Attributes")
    fields = [field for field in dataclasses.fields(dfa.Racos) if field.name != "objective"]
    return [Setting(field.name, hints[field.name], field.default, words[field.name]) for field in fields]


def setting_options(settings: Sequence[Setting], *, unset: bool) -> Callable[[_Command], _Command]:
    """Give a command the flags of settings; with `unset`, a flag that is not given leaves its setting alone."""

    def decorate(command: _Command) -> _Command:
        for setting in reversed(settings):
            command = setting.option(default=None if unset else setting.default)(command)
        return command

    return decorate


def model_options(command: _Command) -> _Command:
    """Give a command the flags of `MODEL_SETTINGS`."""
    for option in (
        click.option(
            "--class-offset",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of a .tflite file: the class of its first output is minus this; 1 where that means background.",
        ),
        click.option("--preprocess", metavar="MODULE:ATTR", help="What keras.applications calls preprocess_input."),
        click.option("--k", type=int, help="How many classes an answer of top_k shows."),
        click.option("--num-classes", type=int, help="Of a function that answers with top_k, top_1 or label."),
        click.option(
            "--shows",
            type=click.Choice(["top_k", "top_1", "label"]),
            help="Hide the rest of what the model returns, to see what an attack can do that sees no more.",
        ),
        click.option(
            "--returns",
            type=click.Choice([kind.value for kind in ScoreKind]),
            help="What the model answers.  [default: probabilities]",
        ),
    ):
        command = option(command)
    return command


def image_options(command: _Command) -> _Command:
    """Give a command the flags that say how image files become arrays."""
    for option in (
        click.option("--size", metavar="HxW", help="Resize image files once, before anything else (bicubic)."),
        click.option(
            "--channels",
            type=click.Choice(["auto", "grey", "rgb"]),
            default="auto",
            show_default=True,
            help="What image files become; auto: what the model takes, or else what the first file has.",
        ),
    ):
        command = option(command)
    return command


trust_option = click.option(
    "--trust",
    is_flag=True,
    help="Load the model, and whatever else is code, that the run folder names. Only for folders that you know.",
)
class_names_option = click.option(
    "--class-names",
    metavar="FILE",
    help="What the model's classes are called, one a line; tables and targets may then hold names, and reports do.",
)
image_layout_option = click.option(
    "--image-layout",
    type=click.Choice(["NCHW", "NHWC"]),
    help="Of an array: NCHW where channels come first; NHWC to take it as it is, although they seem to.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
fail_above_option = click.option("--fail-above", type=Rate(), metavar="RATE", help="Exit 1 above this TSR, 0..1.")
allow_missing_option = click.option(
    "--allow-missing",
    type=Rate(),
    metavar="SHARE",
    help="Exit 5 where a larger share of the images was not attacked: errors, or skipped.  [default: 0.5, and with "
    "--fail-above no errors]",
)
target_option = click.option(
    "--target", metavar="WORD", help="rank:J, class:ID, or a table with a column target; else untargeted."
)
preset_option = click.option(
    "--preset", type=click.Choice(["default", "paper"]), default="default", help="The optimizer's settings."
)
