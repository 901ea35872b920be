"""`dfa completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from dfa.cli.commands.outcome import DONE


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
    click.echo(kind(click.get_current_context().find_root().command, {}, "dfa", "_DFA_COMPLETE").source())
    return DONE
