"""`dfa resume`."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import click

import dfa
from dfa.cli.commands.options import fail_above_option, json_option
from dfa.cli.commands.outcome import EXIT_STATUS
from dfa.cli.commands.running import run_request
from dfa.cli.request import Request


@click.command(epilog=EXIT_STATUS)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@fail_above_option
@json_option
def resume(run: Path, fail_above: float | None, as_json: bool) -> int:
    """Go on with a run that was cut short, from its last checkpoint.

    Model, images and settings are those of the run; a model or an image that has changed is refused by name. The run
    ends as it would have without the interruption.
    """
    request = Request.of_run(run)
    run = run.resolve()
    os.chdir(request.folder)
    storage = dfa.Storage(run, resume=True, command=dataclasses.asdict(request))
    return run_request(request, storage, fail_above, as_json)
