"""The arguments that every benchmark takes, and checks of further ones."""

from __future__ import annotations

import argparse
import fnmatch
from collections.abc import Iterable, Sequence
from pathlib import Path


def make_parser(
    name: str, description: str | None, *, repeats: int | None = None, in_folder: bool = False
) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every benchmark takes.

    Args:
        name: Of the benchmark, and of what it leaves behind.
        description: Its first line heads the help.
        repeats: Default of `--repeats`; None leaves that option out.
        in_folder: The benchmark leaves several files, and `--out` names their folder.
    """
    parser = argparse.ArgumentParser(
        description=(description or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of images and models")
    folder = Path("runs") / "benchmarks"
    if in_folder:
        parser.add_argument("--out", type=folder_path, default=folder / name, help="folder that the results go to")
    else:
        parser.add_argument("--out", type=Path, default=folder / f"{name}.json", help="where the JSON goes")
    if repeats is not None:
        parser.add_argument("--repeats", type=int, default=repeats, help="of every measurement, interleaved")
    return parser


def folder_path(text: str) -> Path:
    """Return the path of a folder, there or not.

    Raises:
        argparse.ArgumentTypeError: It is a file's.
    """
    path = Path(text)
    if path.suffix == ".json" or path.is_file():
        raise argparse.ArgumentTypeError(f"must name a folder, got {path}")
    return path


def positive(text: str) -> int:
    """Return a whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: It is less.
    """
    return _at_least(1, text)


def not_negative(text: str) -> int:
    """Return a whole number of at least 0.

    Raises:
        argparse.ArgumentTypeError: It is less.
    """
    return _at_least(0, text)


def matching(patterns: Sequence[str], names: Iterable[str]) -> list[str]:
    """Return the names that match one of the patterns, in the order of the names.

    Raises:
        SystemExit: A pattern matches none.
    """
    names = list(names)
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise SystemExit(f"{pattern!r} matches none of: {', '.join(names)}")
    return [name for name in names if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)]


def _at_least(least: int, text: str) -> int:
    if (number := int(text)) < least:
        raise argparse.ArgumentTypeError(f"must be {least} or more, got {number}")
    return number
