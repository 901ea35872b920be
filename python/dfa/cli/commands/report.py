"""`dfa report`."""

from __future__ import annotations

import time
from pathlib import Path

import click

from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.options import json_option
from dfa.cli.commands.outcome import DONE, EXIT_STATUS, print_json
from dfa.cli.commands.screen import Screen
from dfa.cli.import_guard import no_imports_from
from dfa.views.report import write_report


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa report runs/first                              # runs/first/report.html
  dfa report runs/first runs/second                  # compared, in runs/comparison.html
  dfa report runs/first --gallery 20 --out page.html

{EXIT_STATUS}""",
)
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag(
    "--out",
    type=click.Path(path_type=Path),
    help="HTML file.  [default: report.html in the run, or comparison.html beside the first of several]",
)
@flag("--gallery", type=click.IntRange(0), default=240, show_default=True, help="Images to show per run.")
@json_option
def report(runs: tuple[Path, ...], out: Path | None, gallery: int, as_json: bool) -> int:
    """Write one self-contained HTML page about a run, or one that compares several."""
    click.get_current_context().with_resource(no_imports_from(*runs))
    started = time.perf_counter()
    path = write_report(list(runs), out, gallery=gallery)
    seconds = time.perf_counter() - started
    if as_json:
        print_json({"report": str(path), "bytes": path.stat().st_size, "seconds": seconds, "exit": DONE})
    else:
        Screen().say(f"{path} ({path.stat().st_size / 1e6:.1f} MB, {seconds:.1f} s)")
    return DONE
