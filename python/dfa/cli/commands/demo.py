"""`dfa demo`."""

from __future__ import annotations

from typing import Any

import click

from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.outcome import DONE
from dfa.cli.demo.main import tell


@click.command(cls=Command)
@flag("--out", metavar="FOLDER", default="runs/demo", show_default=True, help="Folder for the results.")
@flag("--cache", metavar="FOLDER", help="Folder that keeps the classifier.")
@flag("--images", type=int, default=200, show_default=True, help="Test digits to attack.")
@flag("--max-queries", type=int, default=5_000, show_default=True, help="Budget per digit.")
def demo(**words: Any) -> int:
    """Train LeNet-1 on handwritten digits and attack it. Needs the extra `demo`."""
    arguments = []
    for name, value in words.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    tell(arguments)
    return DONE
