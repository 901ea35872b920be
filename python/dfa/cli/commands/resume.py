"""`dfa resume`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import click

import dfa
from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.judging import BAR_WORDS, Bar, bar_options
from dfa.cli.commands.options import (
    json_option,
    trust_option,
    trust_pickle_option,
    worker_options,
)
from dfa.cli.commands.outcome import EXIT_STATUS
from dfa.cli.commands.running import interruptible, run_request
from dfa.cli.commands.service_options import resume_options
from dfa.cli.import_guard import no_imports_from
from dfa.cli.request import Request
from dfa.cli.sources.at_workers import WORKER_WORDS, parse_workers
from dfa.cli.trust import ASKED, SEARCHED, name_again, trust_folder
from dfa.runs.documents import parse_config
from dfa.runs.saved_run import read_run_json

_CHANGED: Final = ("rate", "price", "max_cost", "concurrency", "watch_every", "on_drift", "retries", "timeout")
"""How a service is asked from now on; what it answers, and so the run's end, is the same."""


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa resume runs/first                       # asks before it loads what the folder names
  dfa resume runs/first --model model.keras --images photos   # loads what you name
  dfa resume runs/first --trust               # loads what the folder names; in a script
  dfa resume runs/first --trust --max-cost 20 # of a service whose --max-cost was reached

{EXIT_STATUS}""",
)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag("--model", metavar="MODEL", help="The run's model, named again.")
@flag("--images", metavar="IMAGES", help="The run's images, named again.")
@flag("--preprocess", metavar="MODULE:ATTR", help="What goes before it, named again.")
@flag("--space", metavar="WORD", help="The run's search space, named again.")
@flag("--prior", metavar="MODEL", help="The run's surrogate, named again.")
@trust_option
@trust_pickle_option
@resume_options
@worker_options
@bar_options
@json_option
def resume(
    run: Path,
    trust: bool,
    trust_pickle: bool,
    as_json: bool,
    **words: Any,
) -> int:
    """Go on with a run that was cut short, from its last checkpoint, with whatever workers.

    Model, images and settings are those of the run; a model or an image that has changed is refused by name. The run
    ends as it would have without the interruption. A run folder is data: what it names is loaded only if you say so.
    """
    held = {name: words.pop(name) for name in BAR_WORDS}
    workers = parse_workers(**{name: words.pop(name) for name in WORKER_WORDS})
    click.get_current_context().with_resource(no_imports_from(run))
    request = Request.of_run(run)
    run = run.resolve()
    bar = Bar.of(**held, out=run)
    storage = dfa.Storage(run, resume=True, command=dataclasses.asdict(request))
    changed = {name: word for name in _CHANGED if (word := words.pop(name)) is not None}
    request = dataclasses.replace(request, **changed)
    given = {name: word for name, word in words.items() if word is not None}
    with interruptible(run, is_begun=True):
        if given:
            request = name_again(request, run, given, "resume", (*ASKED, *SEARCHED), trust=trust)
        else:
            trust_folder(request, run, "resume", (*ASKED, *SEARCHED), trust=trust)
            trust_pickle = True  # whatever the folder names was just trusted
        # More files than the run has images are another run's, however many a word of the folder finds.
        config = parse_config(read_run_json(run).config)
        most = config.num_images if config.part is None else config.part.total
        return run_request(
            request,
            storage,
            as_json,
            trust_pickle=trust_pickle,
            workers=workers,
            no_imports_from=(run,),
            most_images=most,
            bar=bar,
        )
