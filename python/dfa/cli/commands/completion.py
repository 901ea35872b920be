"""`dfa completion`."""

from __future__ import annotations

from typing import Final

import click
from click.shell_completion import get_completion_class

from dfa.cli.commands.outcome import DONE

COMPLETE: Final = "_DFA_COMPLETE"
"""The variable by which a shell asks for completions."""


@click.command(
    epilog="""\b
Examples:
  eval "$(dfa completion bash)"        # in ~/.bashrc
  dfa completion fish > ~/.config/fish/completions/dfa.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.get_current_context().find_root().command, {}, "dfa", COMPLETE).source())
    return DONE
