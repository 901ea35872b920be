"""How flags read: in sections of a help page, with kinds and defaults as people write them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

EVERYDAY: Final = "Options"
MODEL: Final = "The model"
IMAGES: Final = "The images"
RUN: Final = "The run"
OPTIMIZER: Final = "The optimizer"
_SECTIONS: Final = (EVERYDAY, MODEL, IMAGES, RUN, OPTIMIZER)
"""In the order of a help page."""

_KINDS: Final = {
    "integer": "N",
    "integer range": "N",
    "float": "NUMBER",
    "boolean": "true|false",
    "text": "WORD",
    "number": "NUMBER",
    "share": "SHARE",
    "numbers": "N,N,...",
}
"""What stands for a value, by click's name of its type."""


class Flag(click.Option):
    """An option that knows its section of the help page.

    Attributes:
        section: Its title.
    """

    def __init__(self, *words: Any, section: str = EVERYDAY, **attributes: Any) -> None:
        """Take what `click.Option` takes."""
        super().__init__(*words, **attributes)
        self.section = section
        self.metavar = self.metavar or _KINDS.get(self.type.name)


class Command(click.Command):
    """A command whose help page has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section after another."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in _SECTIONS}
        for each in self.get_params(ctx):
            record = each.get_help_record(ctx) if isinstance(each, click.Option) else None
            if record is not None:
                sections[each.section if isinstance(each, Flag) else EVERYDAY].append(record)
        for title in (title for title in _SECTIONS if sections[title]):
            with formatter.section(title):
                formatter.write_dl(sections[title])


def flag(*words: str, section: str = EVERYDAY, **attributes: Any) -> Callable[[Decorated], Decorated]:
    """Return what gives a command an option, as `click.option` does, in a section of its help page."""
    return click.option(*words, cls=Flag, section=section, **attributes)


class Number(click.ParamType[Any]):
    """An integer, or a share as `Share` takes it."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        """Return the number that a word is."""
        if isinstance(value, int | float):
            return value
        try:
            return as_share(value) if any(sign in value.lower() for sign in ".e%") else int(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)


class Share(click.ParamType[Any]):
    """A share of a whole, or a percentage; whether it is within 0..1 is for others to say."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share that a word is."""
        try:
            return as_share(str(value))
        except ValueError:
            self.fail(f"{value!r} must be a share, such as 0.05, or a percentage, such as 5%", param, ctx)


class Rate(click.ParamType[Any]):
    """A share of a whole, 0..1, or a percentage."""

    name = "rate"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the share that a word is."""
        try:
            rate = as_share(str(value))
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1:
            self.fail(f"{value!r} must be a rate within 0..1, such as 0.05, or a percentage, such as 5%", param, ctx)
        return rate


class IntegerList(click.ParamType[Any]):
    """Integers with commas between them."""

    name = "numbers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the integers of a word."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(",") if part)
        except ValueError:
            self.fail(f"{value!r} must be integers with commas between them", param, ctx)


def as_share(word: str) -> float:
    """Return the share that a word is: 0.05, 5% or 5 %.

    Raises:
        ValueError: It is no number.
    """
    text = word.strip()
    return float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)


def written(value: object) -> str:
    """Return a value as people write it, and as its flag takes it: 0.22 %, true, 10,50,200."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and 0 < value < 1:
        return f"{100 * value:.2g} %"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(written, value))
    return str(value)
