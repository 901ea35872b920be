"""`dfa merge`."""

from __future__ import annotations

from pathlib import Path

import click

import dfa
from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.options import json_option
from dfa.cli.commands.outcome import DONE, EXIT_STATUS, print_json
from dfa.cli.commands.running import print_result
from dfa.cli.commands.screen import Screen
from dfa.cli.import_guard import no_imports_from
from dfa.results.refuted import tell_refuted
from dfa.runs.folder import read_document


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa attack model.keras photos/ --part 1/2 --out runs/parts/1
  dfa attack model.keras photos/ --part 2/2 --out runs/parts/2
  dfa merge runs/all runs/parts/*

{EXIT_STATUS}""",
)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.argument("parts", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag("--overwrite", is_flag=True, help="Replace a run or result in OUT.")
@json_option
def merge(out: Path, parts: tuple[Path, ...], overwrite: bool, as_json: bool) -> int:
    """Join the ended runs of all PARTS of one set of images to one result in OUT; no model is asked.

    Parts are runs of dfa attack --part. Such a run learns from its own images alone: with --archive false the result
    is that of one run over all.
    """
    click.get_current_context().with_resource(no_imports_from(out, *parts))
    result = dfa.merge(out, parts, overwrite=overwrite)
    summary = result.summary()
    refuted = tell_refuted(result.refuted, summary)
    if as_json:
        print_json(
            {
                "folder": str(out),
                "parts": len(parts),
                "summary": summary,
                "saved": read_document(out).get("saved"),
                "profile": result.profile.as_dict(),
                "exit": DONE,
            }
        )
        return DONE
    if refuted:
        Screen(error=True).say(refuted, "bold red")
    print_result(result, [], out)
    return DONE
