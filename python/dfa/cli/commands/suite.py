"""`dfa suite`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import dfa
from dfa.cli.commands.flags import RUN, Command, IntegerList, flag, written
from dfa.cli.commands.options import (
    class_names_option,
    image_layout_option,
    image_options,
    json_option,
    model_options,
)
from dfa.cli.commands.outcome import DONE, EXIT_STATUS, LIKELY_CAUSES, MISSING, judge, print_json
from dfa.cli.commands.running import telling_warnings
from dfa.cli.commands.screen import Screen
from dfa.cli.sources.images import open_images, parse_size, tell_unused_labels
from dfa.cli.sources.labels import read_class_names, read_labels
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle
from dfa.cli.sources.objects import load_object
from dfa.errors import InvalidInputError, told_with_place
from dfa.results.rates import percent
from dfa.verdicts.suite_cells import EPSILONS, MAX_QUERIES, SEEDS
from dfa.verdicts.suite_report import differing_versions


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa suite model.keras images.npz --labels images.npz --out suites/mine
  dfa suite model.keras photos/ --labels photos.csv --out suites/mine --optimizer square:SquareAttack
  dfa suite --compare theirs/suite.json suites/mine/suite.json

{EXIT_STATUS}""",
)
@click.argument("model", required=False)
@click.argument("images", required=False)
@flag("--out", type=click.Path(file_okay=False, path_type=Path), help="Folder of suite.json, suite.md and the runs.")
@flag("--labels", metavar="FILE", help="Class ids, or the word folders; else the model's own answers.")
@flag(
    "--optimizer",
    "optimizers",
    metavar="MODULE:NAME",
    multiple=True,
    help="An optimizer of yours, or a class of which one is made without arguments; may be given several times.",
)
@flag("--resume", "goes_on", is_flag=True, help="Go on with what is in the folder, run by run, or begin it.")
@flag(
    "--compare",
    nargs=2,
    type=click.Path(exists=True, path_type=Path),
    metavar="SUITE SUITE",
    help="Run nothing: hold a suite.json against another, of the same images and model.",
)
@class_names_option
@flag(
    "--epsilons",
    section=RUN,
    type=IntegerList(),
    default=EPSILONS,
    help=f"Grey levels, with commas between them.  [default: {written(EPSILONS)}]",
)
@flag(
    "--seeds",
    section=RUN,
    type=IntegerList(),
    default=SEEDS,
    help=f"An odd number of them, with commas between them.  [default: {written(SEEDS)}]",
)
@flag("--max-queries", section=RUN, type=int, default=MAX_QUERIES, show_default=True, help="Budget per image.")
@flag("--batch-size", section=RUN, type=int, default=256, show_default=True, help="The most images per call.")
@model_options
@image_options
@image_layout_option
@json_option
def suite(
    model: str | None,
    images: str | None,
    out: Path | None,
    compare: tuple[Path, Path] | None,
    as_json: bool,
    **words: Any,
) -> int:
    """Run the standard settings that papers can share, and write a table and a JSON; or compare two of these.

    Each optimizer is run untargeted at each epsilon, and towards the 4th likeliest class at the largest, with each
    seed. Other epsilons, seeds or budgets than the defaults are told of in the table.
    """
    if compare is not None:
        if model is not None or out is not None:
            raise InvalidInputError("--compare runs nothing; leave MODEL, IMAGES and --out out")
        return _compare(*compare, as_json=as_json)
    if model is None or images is None or out is None:
        raise InvalidInputError("a suite needs MODEL, IMAGES and --out FOLDER; or two of them with --compare")
    optimizers = {word: _optimizer(word) for word in words["optimizers"]}
    oracle, channels = open_oracle(model, **{name: words[name] for name in (*MODEL_SETTINGS, "trust_pickle")})
    class_names = read_class_names(words["class_names"])
    source = open_images(
        images,
        labels=words["labels"],
        class_names=class_names,
        channels=words["channels"],
        size=parse_size(words["size"]),
        wanted=channels,
    )
    screen = Screen(error=True)
    notes = [*source.notes, *tell_unused_labels(source, images, words["labels"])]
    if source.folders is not None:
        labels = source.folders.labels_in(class_names or oracle.class_names)
    elif words["labels"] is not None:
        labels = read_labels(words["labels"], source.names, class_names=class_names, notes=notes)
    else:
        labels = None
    for note in dict.fromkeys(notes):
        screen.say(note)

    def tell(cell: dfa.SuiteCell) -> None:
        screen.say(f"{cell.setting}, {cell.optimizer}: {cell.broken:,} of {cell.attacked:,} broken")

    with telling_warnings(screen.say):
        report = dfa.suite(
            oracle,
            source.images,
            labels,
            optimizers=optimizers,
            epsilons=words["epsilons"],
            seeds=words["seeds"],
            max_queries=words["max_queries"],
            batch_size=words["batch_size"],
            progress=(lambda cell: None) if as_json else tell,
            out=out,
            resume=words["goes_on"],
            layout=words["image_layout"],
            names=source.names,
            class_names=class_names,
        )
    attacked = min(cell.attacked for cell in report.cells)
    status = judge(len(report.classes), attacked, [], None, None)
    if status == MISSING:
        screen.say(
            f"only {attacked:,} of {len(report.classes):,} images were attacked, and {report.wrong:,} are wrong before "
            f"the attack; look at {LIKELY_CAUSES}",
            "bold red",
        )
    if as_json:
        print_json({"folder": str(out), "notes": notes, **report.document(), "exit": status})
    else:
        Screen().say(report.table())
        Screen().say(f"Kept in {out}")
    return status


def _compare(first: Path, second: Path, *, as_json: bool) -> int:
    reports = dfa.SuiteReport.load(first), dfa.SuiteReport.load(second)
    pairs = reports[0].compare(reports[1])
    versions = differing_versions(*reports)
    if as_json:
        rows = [
            {
                "epsilon": pair.first.epsilon,
                "target": pair.first.target,
                "optimizers": [pair.first.optimizer, pair.second.optimizer],
                "ratio": None if pair.ratio != pair.ratio else pair.ratio,
                **{name: getattr(pair, name) for name in ("only_first", "only_second", "p_success", "p_queries")},
            }
            for pair in pairs
        ]
        print_json({"pairs": rows, "versions": versions, "exit": DONE})
        return DONE
    screen = Screen()
    screen.show(
        [
            (
                pair.first.setting,
                " / ".join(dict.fromkeys((pair.second.optimizer, pair.first.optimizer))),
                f"{pair.ratio:.2f}",
                f"{pair.p_queries:.2g}",
                percent(pair.first.success),
                percent(pair.second.success),
                f"{pair.p_success:.2g}",
            )
            for pair in pairs
        ],
        "setting",
        "optimizer, second / first",
        "queries",
        "p",
        "success, first",
        "second",
        "p",
    )
    for name, (one, other) in versions.items():
        screen.say(f"{name} is {one} in the first and {other} in the second")
    return DONE


def _optimizer(word: str) -> Any:
    """Return the optimizer that a word names.

    Raises:
        InvalidInputError: It names none.
    """
    found = load_object(word)
    if not isinstance(found, type):
        return found
    try:
        return found()
    except Exception as error:  # a user's class may raise anything
        raise InvalidInputError(
            f"--optimizer {word} must be a class that needs no arguments, or an object of it: {told_with_place(error)}"
        ) from error
