"""`dfa verify`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

import dfa
from dfa.cli.commands.options import image_options, json_option, model_options
from dfa.cli.commands.outcome import ABOVE, DONE, EXIT_STATUS, print_json
from dfa.cli.request import Request
from dfa.cli.sources.images import open_images, parse_size
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle
from dfa.runs.saved_run import read_run


@click.command(epilog=EXIT_STATUS)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", help="The model to ask.  [default: that of the run]")
@click.option("--images", help="Originals to believe instead of the copies in the folder.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Of the images asked together."
)
@model_options
@image_options
@json_option
def verify(run: Path, model: str | None, images: str | None, as_json: bool, **words: Any) -> int:
    """Check every adversarial image of a run from its file, and ask the model about it, alone and in a batch."""
    size, channels, batch_size = words["size"], words["channels"], words["batch_size"]
    if model is None:
        request = Request.of_run(run)
        run = run.resolve()
        os.chdir(request.folder)
        settings = {name: words[name] or getattr(request, name) for name in MODEL_SETTINGS}
        oracle, _ = open_oracle(request.model, **settings)
    else:
        oracle, _ = open_oracle(model, **{name: words[name] for name in MODEL_SETTINGS})
    originals = None
    if images is not None:
        wanted = read_run(run).config["shape"][-1]
        originals = open_images(images, channels=channels, size=parse_size(size), wanted=wanted).images
    verification = dfa.verify(run, oracle, originals=originals, batch_size=batch_size)
    status = DONE if verification.holds else ABOVE
    if as_json:
        print_json({**verification.as_dict(), "exit": status})
        return status
    console = Console()
    table = Table("check", "made", "failed", "what must hold")
    for name, number in verification.checked.items():
        failed = verification.failed(name)
        entry = verification.as_dict()["checks"][name]["what"]
        table.add_row(name, f"{number:,}", f"{failed:,}", entry, style="red" if failed else "")
    console.print(table, highlight=False)
    if verification.findings:
        table = Table("image", "check", "what does not hold")
        for finding in verification.findings:
            table.add_row(str(finding.index), finding.check, finding.problem)
        console.print(table, highlight=False)
    for note in verification.notes:
        console.print(f"note: {note}", highlight=False)
    verdict = "everything holds" if verification.holds else f"{len(verification.findings):,} things do not hold"
    style = "green" if verification.holds else "bold red"
    console.print(f"{verification.images:,} adversarial images: {verdict}", style=style, highlight=False)
    return status
