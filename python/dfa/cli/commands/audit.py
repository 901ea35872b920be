"""`dfa audit`."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.options import (
    allow_missing_option,
    class_names_option,
    fail_above_option,
    image_layout_option,
    image_options,
    json_option,
    model_options,
    target_option,
)
from dfa.cli.commands.outcome import EXIT_STATUS, LIKELY_CAUSES, MISSING, judge, print_json, tell_missing
from dfa.cli.commands.screen import Screen
from dfa.cli.sources.images import open_images, parse_size, tell_unused_labels
from dfa.cli.sources.labels import parse_target, read_class_names, read_labels
from dfa.cli.sources.models import MODEL_SETTINGS, load_model, open_oracle
from dfa.errors import InvalidInputError, MostSkippedWarning


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa audit model.keras images.npz vectors.npy --range 0,255
  dfa audit deployed.py:ask images.npy vectors.npz --vector-model net.py:model \\
      --layout NCHW --rounding nearest,truncate --codec png,jpeg:90 --epsilon 8

VECTORS is .npy (N, ...), .npz (vectors, indices) or .csv.

{EXIT_STATUS}""",
)
@click.argument("model")
@click.argument("images")
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@flag("--vector-model", metavar="MODEL", help="The model of vectors, where it is another than MODEL.")
@flag("--labels", metavar="FILE", help="Class ids, or the word folders; else the model's own answers.")
@target_option
@class_names_option
@flag("--range", "limits", metavar="LOW,HIGH", default="0,1", show_default=True, help="Of black and white.")
@flag("--layout", type=click.Choice(["NHWC", "NCHW"]), default="NHWC", show_default=True, help="Of the vectors.")
@flag(
    "--rounding", metavar="WORDS", default="nearest", show_default=True, help="How vectors become 8-bit, with commas."
)
@flag("--codec", metavar="WORDS", default="png", show_default=True, help="Files they go through, with commas.")
@flag(
    "--epsilon",
    metavar="LEVELS",
    type=float,
    help="The attack's budget, grey levels, to see whether rounding breaks it.",
)
@flag("--seed", type=int, default=0, show_default=True, help="Of stochastic rounding.")
@flag("--batch-size", type=int, default=256, show_default=True, help="The most images per call of the model.")
@fail_above_option
@allow_missing_option
@model_options
@image_options
@image_layout_option
@json_option
def audit(
    model: str,
    images: str,
    vectors: Path,
    fail_above: float | None,
    allow_missing: float | None,
    as_json: bool,
    **words: Any,
) -> int:
    """Bring another tool's adversarial vectors back to 8-bit images, ask again, and say what is left of them."""
    try:
        auditing = importlib.import_module("dfa.auditing")
    except ModuleNotFoundError as error:
        raise InvalidInputError(f"this build of dfa has no audit: {error}") from error
    limits = words["limits"].split(",")
    try:
        low, high = map(float, limits)
    except ValueError:
        raise InvalidInputError(f"--range must be two numbers, such as 0,1, got {words['limits']!r}") from None
    size = parse_size(words["size"])
    oracle, channels = open_oracle(model, **{name: words[name] for name in (*MODEL_SETTINGS, "trust_pickle")})
    class_names = read_class_names(words["class_names"])
    source = open_images(
        images,
        labels=words["labels"],
        class_names=class_names,
        channels=words["channels"],
        size=size,
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
    targets = parse_target(
        words["target"], source.names, class_names or oracle.class_names or source.class_names, notes
    )
    for note in dict.fromkeys(notes):
        screen.say(note)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MostSkippedWarning)  # told below, with the files' names
        report = auditing.audit(
            oracle,
            source.images,
            vectors,
            labels,
            targets=targets,
            normalizer=auditing.Affine.between(low, high, layout=words["layout"]),
            vector_oracle=_vector_model(words),
            rounding=words["rounding"].split(","),
            codec=words["codec"].split(","),
            epsilon=words["epsilon"],
            seed=words["seed"],
            batch_size=words["batch_size"],
            layout=words["image_layout"],
        )
    summaries = report.summaries()
    total, attacked = len(source.images), min(each.attacked for each in summaries)
    status = judge(total, attacked, [each.TSR for each in summaries], fail_above, allow_missing)
    if skips := report.skips(LIKELY_CAUSES, source.names):
        screen.say(skips)
    if status == MISSING:
        screen.say(tell_missing(total, attacked), "bold red")
    if as_json:
        print_json(
            {"images": source.text, "notes": notes, "audits": summaries, "queries": report.queries, "exit": status}
        )
    else:
        Screen().say(report)
    return status


def _vector_model(words: Mapping[str, Any]) -> Any:
    """Return the model of vectors that words name, or None where they name none.

    Raises:
        InvalidInputError: It is no such model.
    """
    word = words["vector_model"]
    if word is None:
        return None
    model = load_model(word, device=words["device"], trust_pickle=words["trust_pickle"])
    if isinstance(model, Path):
        raise InvalidInputError(
            f"--vector-model must be a Keras or a torch model, or module:attribute for a function of vectors, and "
            f"{word} is asked about images alone"
        )
    return model
