"""`dfa replay`."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

import dfa
from dfa.checks import counted
from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.options import json_option, trust_option, trust_pickle_option
from dfa.cli.commands.outcome import ABOVE, DONE, EXIT_STATUS, print_json
from dfa.cli.commands.progress import show_progress
from dfa.cli.commands.running import telling_warnings
from dfa.cli.commands.screen import Screen
from dfa.cli.import_guard import no_imports_from
from dfa.cli.inputs import open_inputs
from dfa.cli.request import Request
from dfa.cli.sources.labels import read_class_names
from dfa.cli.sources.models import open_prior
from dfa.cli.sources.spaces import parse_space
from dfa.cli.trust import SEARCHED, name_again, trust_folder
from dfa.errors import OracleError, StoreError
from dfa.runs.saved_run import read_run
from dfa.types import Image

_FROM_PYTHON: Final = "replay it from Python: dfa.run(dfa.ReplayOracle(folder), images, ...)"
_SHOWN: Final = 10
"""Differences that are told; of others their number."""


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa replay runs/first                    # asks before it reads what the folder names
  dfa replay runs/first --images photos    # reads what you name
  dfa replay runs/first --trust            # reads what the folder names; in a script

{EXIT_STATUS}""",
)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag("--images", metavar="IMAGES", help="The run's images, named again.")
@flag("--labels", metavar="FILE", help="The run's labels, named again where the folder of before has them no more.")
@flag("--class-names", metavar="FILE", help="The names of its classes, likewise.")
@flag("--space", metavar="WORD", help="The run's search space, named again.")
@flag("--prior", metavar="MODEL", help="The run's surrogate, named again.")
@trust_option
@trust_pickle_option
@json_option
def replay(run: Path, trust: bool, trust_pickle: bool, as_json: bool, **words: Any) -> int:
    """Run the run of a service again from its record, without the service, and compare what is found.

    A run of a service keeps every answer. With these in its place nothing of the model is loaded and nothing is sent,
    and the run must find the same, to the bit.
    """
    click.get_current_context().with_resource(no_imports_from(run))
    run = run.resolve()
    oracle = dfa.ReplayOracle(run)
    request = Request.of_run(run, _FROM_PYTHON)
    saved, before = read_run(run), dfa.Result.load(run)
    if dfa.Status.UNFINISHED in before.status and request.settings.get("max_seconds") is None:
        raise StoreError(
            f"the run in {run} has not ended, and so has its record not; go on with it first: "
            f"dfa resume {shlex.quote(str(run))}"
        )
    given = {name: word for name, word in words.items() if word is not None}
    if given:
        request = name_again(request, run, given, "replay", SEARCHED, trust=trust)
    else:
        trust_folder(request, run, "replay", SEARCHED, trust=trust)
        trust_pickle = True  # whatever the folder names was just trusted
    screen = Screen(error=True)
    space = parse_space(request.space, request.epsilon)
    inputs = open_inputs(
        request,
        space,
        optimizer=request.racos(space),
        prior=open_prior(request.prior, device=request.device, trust_pickle=trust_pickle),
        class_names=(class_names := read_class_names(request.class_names)),
        known_names=class_names,
        wanted=(saved.shape or (None,))[-1],
        most=saved.num_images if request.part is None else None,
    )
    storage = dfa.Storage(run)
    watch = contextlib.nullcontext(False) if as_json else show_progress(screen, len(inputs.source.names), storage)
    with watch as progress, telling_warnings(lambda text: None):
        try:
            again = inputs.run(oracle, progress=progress)
        except OracleError as error:
            if request.settings.get("max_seconds") is not None:
                error.args = (f"{error}; a run that --max-seconds ended cannot be replayed, since time cannot",)
            raise
    differences = list(_differences(before, again))
    queries = int(before.queries_sent.sum())
    status = ABOVE if differences else DONE
    if as_json:
        print_json(
            {
                "folder": str(run),
                "images": len(before.records),
                "queries_sent": queries,
                "same": not differences,
                "differences": differences[:_SHOWN],
                "number_of_differences": len(differences),
                "exit": status,
            }
        )
        return status
    screen = Screen()
    if not differences:
        told = f"{counted(len(before.records), 'image')}, {queries:,} queries"
        screen.say(f"the same, to the bit: {told}, nothing was sent", "green")
        return status
    screen.say(f"another end than that of the run: {counted(len(differences), 'difference')}", "bold red")
    for difference in differences[:_SHOWN]:
        screen.say(f"  {difference}")
    if len(differences) > _SHOWN:
        screen.say(f"  and {len(differences) - _SHOWN:,} more")
    return status


def _differences(before: dfa.Result, again: dfa.Result) -> Iterator[str]:
    """Yield, in words, what two results of one run do not have in common, times excepted."""
    if len(before.records) != len(again.records):
        yield f"the run has {counted(len(before.records), 'image')}, and {len(again.records):,} were attacked now"
        return
    for old, new in zip(before.records, again.records, strict=True):
        place = f"image {old.index}" + ("" if old.source is None else f" ({old.source})")
        for field in dataclasses.fields(dfa.Record):
            if field.name == "seconds":
                continue
            was, now = getattr(old, field.name), getattr(new, field.name)
            if was != now and not (was != was and now != now):
                yield f"{place}: {field.name} was {_short(was)}, and is {_short(now)}"
        if not _are_same(before.images[old.index], again.images[old.index]):
            yield f"{place}: the adversarial image is another one"


def _are_same(before: Image | None, again: Image | None) -> bool:
    if before is None or again is None:
        return before is again
    return before.dtype == again.dtype and np.array_equal(before, again)


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
