"""How flags read: in sections of a help page, with kinds and defaults as people write them."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

import click

Decorated = TypeVar("Decorated", bound=Callable[..., Any])

EVERYDAY: Final = "Options"
MODEL: Final = "The model"
SERVICE: Final = "A service"
IMAGES: Final = "The images"
RUN: Final = "The run"
OPTIMIZER: Final = "The optimizer"
_SECTIONS: Final = (EVERYDAY, MODEL, SERVICE, IMAGES, RUN, OPTIMIZER)
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
        is_common: Whether a short page tells of it too.
    """

    def __init__(self, *words: Any, section: str = EVERYDAY, is_common: bool | None = None, **attributes: Any) -> None:
        """Take what `click.Option` takes; everyday options are common unless they are said not to be."""
        super().__init__(*words, **attributes)
        self.section = section
        self.is_common = section == EVERYDAY if is_common is None else is_common
        self.metavar = self.metavar or _KINDS.get(self.type.name)


class Command(click.Command):
    """A command whose help page has its options in sections."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section after another."""
        for title, options in self.sections(ctx).items():
            with formatter.section(title):
                formatter.write_dl(_records(options, ctx))

    def sections(self, ctx: click.Context) -> dict[str, list[click.Option]]:
        """Return the options by the titles of their sections, in the order of the page."""
        sections: dict[str, list[click.Option]] = {title: [] for title in _SECTIONS}
        for each in self.get_params(ctx):
            if isinstance(each, click.Option):
                sections[each.section if isinstance(each, Flag) else EVERYDAY].append(each)
        return {title: options for title, options in sections.items() if options}


class LongCommand(Command):
    """A command with more options than a screen has lines: `--help` tells of the common ones, `--help-all` of all.

    A short page has the names of the others, the first sentence of each text, and its own examples.
    """

    def __init__(self, *words: Any, short_epilog: str, **attributes: Any) -> None:
        """Take what `click.Command` takes, and the end of the short page."""
        super().__init__(*words, **attributes)
        self._short_epilog = short_epilog
        self._help_all = click.Option(
            ["--help-all"],
            is_flag=True,
            is_eager=True,
            expose_value=False,
            callback=self._print_all,
            help="Tell of every option, in full, and exit.",
        )

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options and arguments, `--help-all` last."""
        return [*super().get_params(ctx), self._help_all]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the common options, and the names of the others."""
        if _TELLS_ALL in ctx.meta:
            super().format_options(ctx, formatter)
            return
        for title, options in self.sections(ctx).items():
            common = [each for each in options if not isinstance(each, Flag) or each.is_common]
            others = ", ".join(each.opts[-1] for each in options if each not in common)
            with formatter.section(title):
                formatter.write_dl([(words, _begun(text)) for words, text in _records(common, ctx)])
                if others:
                    formatter.write(_wrapped(f"and {others}", formatter))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the end of the page."""
        whole = self.epilog
        if _TELLS_ALL not in ctx.meta:
            self.epilog = self._short_epilog
        try:
            super().format_epilog(ctx, formatter)
        finally:
            self.epilog = whole

    def _print_all(self, ctx: click.Context, option: click.Parameter, is_given: bool) -> None:
        if is_given and not ctx.resilient_parsing:
            ctx.meta[_TELLS_ALL] = True
            click.echo(self.get_help(ctx), color=ctx.color)
            ctx.exit()


_TELLS_ALL: Final = "dfa.cli.help_all"
"""Of a context that prints the whole page."""


def _records(options: Sequence[click.Option], ctx: click.Context) -> list[tuple[str, str]]:
    return [record for each in options if (record := each.get_help_record(ctx)) is not None]


def _begun(text: str) -> str:
    """Return the first sentence of a help text, and its default."""
    told, mark, default = text.partition("  [default: ")
    return re.split(r"(?<=\.) ", told)[0] + mark + default


def _wrapped(text: str, formatter: click.HelpFormatter) -> str:
    """Return indented lines of which none ends within a word: flags are copied."""
    indent = " " * formatter.current_indent
    lines = textwrap.fill(
        text, formatter.width, initial_indent=indent, subsequent_indent=f"{indent}    ", break_on_hyphens=False
    )
    return f"{lines}\n"


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


class Joined(click.ParamType[Any]):
    """One of several words that a flag may be given, or some of them with commas between them."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the word without blanks around its parts."""
        parts = [part.strip() for part in str(value).split(",")]
        if "" in parts:
            # What it holds may be a secret that has no place there.
            self.fail("nothing stands before or behind a comma, or at all", param, ctx)
        return ",".join(parts)


def joined(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> str | None:
    """Return all words that a flag was given as one, with commas between them; None without any."""
    return ",".join(given) or None


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
