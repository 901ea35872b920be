"""`dfa frontier`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import click

import dfa
from dfa.cli.commands.config_file import check_arguments, config_option
from dfa.cli.commands.flags import LongCommand, as_share, flag
from dfa.cli.commands.options import (
    allow_missing_option,
    class_names_option,
    confirmations_option,
    image_layout_option,
    image_options,
    json_option,
    labels_option,
    model_options,
    objective_option,
    optimizer_settings,
    preset_option,
    prior_option,
    run_settings,
    setting_options,
    target_option,
    worker_options,
)
from dfa.cli.commands.outcome import ABOVE, EXIT_STATUS, LIKELY_CAUSES, MISSING, judge, print_json, tell_missing
from dfa.cli.commands.progress import show_progress
from dfa.cli.commands.running import interruptible, open_model, telling_warnings, told_of_errors
from dfa.cli.commands.screen import Screen
from dfa.cli.inputs import open_inputs
from dfa.cli.request import Request
from dfa.cli.sources.at_workers import WORKER_WORDS, parse_workers
from dfa.cli.sources.labels import read_class_names
from dfa.cli.sources.models import open_prior
from dfa.cli.sources.services import service_of
from dfa.critical.schedule import State
from dfa.errors import InvalidInputError
from dfa.results.skips import tell_skipped_records
from dfa.verdicts.judgement import why_blind

_SPACES: Final[dict[str, Callable[[int], dfa.Space]]] = {
    "pixels": dfa.Pixels,
    "square": lambda side: dfa.Rectangle(side, side),
}
"""What makes a space of a size, by its word."""


class _Floor(click.ParamType[Any]):
    """SIZE:SHARE, the smallest share of the images that may stay unbroken at a size."""

    name = "floor"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, float]:
        """Return size and share."""
        size, _, share = str(value).partition(":")
        with contextlib.suppress(ValueError):
            if 0 <= as_share(share) <= 1 and int(size) >= 0:
                return int(size), as_share(share)
        self.fail(f"{value!r} must be SIZE:SHARE, such as 8:90% or 8:0.9", param, ctx)


_EXAMPLES: Final = """\b
Examples:
  dfa frontier model.keras photos/ --labels labels.csv --max-epsilon 32 --out runs/frontier
  dfa frontier mynet.py:model photos/ --mean 0.5 --std 0.5 --out runs/frontier --resume
  dfa frontier model.keras photos/ --space pixels --max-epsilon 64 --out runs/pixels
  dfa frontier model.keras photos/ --labels labels.csv --out runs/frontier --fail-below 4:90%   # in CI
"""


@click.command(cls=LongCommand, short_epilog=f"{_EXAMPLES}\n{EXIT_STATUS}", epilog=f"{_EXAMPLES}\n{EXIT_STATUS}")
@click.argument("model")
@click.argument("images")
@flag(
    "--max-epsilon",
    type=click.IntRange(1),
    default=32,
    show_default=True,
    help="The largest epsilon, grey levels; with --space the largest size.",
)
@flag(
    "--space",
    type=click.Choice(list(_SPACES)),
    help="Search the number of pixels, or the side of a square, instead of epsilon.",
)
@labels_option
@target_option
@class_names_option
@prior_option
@setting_options(run_settings(dfa.frontier), unset=False)
@flag("--out", type=click.Path(path_type=Path), required=True, help="Folder of the search.")
@flag("--resume", is_flag=True, help="Go on with the search in that folder, or begin it.")
@flag("--overwrite", is_flag=True, help="Replace the search in that folder.")
@flag(
    "--fail-below",
    type=_Floor(),
    metavar="SIZE:SHARE",
    help="Exit 1 where a smaller share of the images is not broken at this size, such as 4:90%.",
)
@allow_missing_option
@json_option
@model_options
@image_options
@image_layout_option
@confirmations_option
@worker_options
@config_option
@preset_option
@objective_option
@setting_options(optimizer_settings(), unset=True)
def frontier(out: Path, resume: bool, overwrite: bool, as_json: bool, **words: Any) -> int:
    """Search the smallest epsilon at which each image of IMAGES is broken, and keep what is found in a folder.

    What is found is an upper bound on robustness: an image may fall to less, with more queries or another attack.
    """
    check_arguments(click.get_current_context())
    if service_of(words["model"]) is not None:
        raise InvalidInputError("dfa frontier asks no service: what it may cost would hold for one round alone")
    floor, allow_missing = words.pop("fail_below"), words.pop("allow_missing")
    largest, space = words.pop("max_epsilon"), _SPACES.get(words.pop("space"))
    if floor is not None and floor[0] > largest:
        raise InvalidInputError(f"--fail-below must name a size up to the largest, {largest}, got {floor[0]}")
    trust_pickle = words.pop("trust_pickle")
    workers = parse_workers(**{name: words.pop(name) for name in WORKER_WORDS})
    settings = {setting.name: words.pop(setting.name) for setting in run_settings(dfa.frontier)}
    fields = [setting.name for setting in optimizer_settings()]
    optimizer = {name: value for name in fields if (value := words.pop(name)) is not None}
    request = Request(**words, epsilon=None, settings=settings, optimizer=optimizer, folder=str(Path.cwd()))
    # Without a word of it each size has that of its space.
    own_optimizer = {} if optimizer or request.preset != "default" else {"optimizer": None}
    screen = Screen(error=True)
    with interruptible(out, is_begun=resume, run="round-001*/run.json", command="the same command and --resume"):
        class_names = read_class_names(request.class_names)
        oracle, channels = open_model(request, class_names, workers=workers, trust_pickle=trust_pickle)
        largest_space = dfa.LinfBall(largest) if space is None else space(largest)
        inputs = open_inputs(
            request,
            largest_space,
            optimizer=request.racos(largest_space),
            prior=open_prior(request.prior, device=request.device, trust_pickle=trust_pickle),
            class_names=class_names,
            known_names=oracle.class_names,
            wanted=channels,
            tell=(lambda text: None) if as_json else screen.say,
        )
        for note in dict.fromkeys(inputs.notes):
            screen.say(note)
        number = len(inputs.source.names)
        watch = contextlib.nullcontext(False) if as_json else show_progress(screen, number, dfa.Storage(out), _told_by)

        def tell(warning: str) -> None:
            inputs.notes.append(warning)
            screen.say(warning)

        with watch as progress, telling_warnings(tell):
            found = dfa.frontier(
                oracle,
                inputs.data,
                inputs.labels,
                targets=inputs.targets,
                layout=inputs.layout,
                max_epsilon=largest,
                store=out,
                overwrite=overwrite,
                resume=resume,
                progress=progress,
                **(inputs.settings | {"space": space} | own_optimizer),
            )
    errors = [each.record for each in found.records if each.state is State.ERROR]
    for line in told_of_errors(errors, inputs.source):
        screen.say(line)
    skips = tell_skipped_records([each.record for each in found.records], LIKELY_CAUSES, inputs.source.names)
    if skips:
        screen.say(skips)
    status, verdict = _judged(found, floor, allow_missing, len(errors))
    if status == MISSING:
        screen.say(verdict, "bold red")
    if as_json:
        print_json(
            {
                "folder": str(out),
                "images": inputs.source.text,
                "notes": inputs.notes,
                **{name: value for name, value in found.document().items() if name not in ("records", "config")},
                "median": found.median,
                "critical": found.critical,
                "errors": [
                    {"index": each.index, "file": inputs.source.names[each.index], "reason": each.reason}
                    for each in errors
                ],
                "skips": skips,
                "verdict": verdict,
                "exit": status,
            }
        )
        return status
    Screen().say(found)
    if status == ABOVE:
        Screen().say(verdict, "bold red")
    Screen().say(f"Kept in {out}; from Python: dfa.Frontier.load({str(out)!r}).plot()")
    return status


def _told_by(record: dfa.CriticalRecord) -> tuple[int, bool, bool]:
    return record.queries, record.is_right, record.critical is not None


def _judged(
    found: dfa.Frontier, floor: tuple[int, float] | None, allow_missing: float | None, errors: int
) -> tuple[int, str]:
    """Return the exit status of a search, and why."""
    total, attacked = len(found.records), sum(each.is_right for each in found.records)
    point = None if floor is None else found.at(floor[0])
    rates = [] if point is None else [1 - point.share]
    status = judge(total, attacked, rates, None if floor is None else 1 - floor[1], allow_missing, errors=errors)
    if status == MISSING:
        return status, tell_missing(total, attacked)
    if floor is None or point is None:
        return status, ""
    records = [each.record for each in found.records]
    if blind := why_blind(dfa.Result(records, found.images, dfa.Profile(), found.config), LIKELY_CAUSES):
        return MISSING, f"the search is not judged: {blind}"
    words = f"{point.unbroken:,} of {point.total:,} images not broken at {found.unit} {point.size}"
    return status, f"{words}, below --fail-below {floor[0]}:{floor[1]:g}" if status == ABOVE else words
