"""`dfa bench`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

import dfa
from dfa.cli.commands.flags import RUN, Command, IntegerList, flag, written
from dfa.cli.commands.options import (
    image_layout_option,
    image_options,
    json_option,
    model_options,
    preset_option,
    target_option,
)
from dfa.cli.commands.outcome import DONE, EXIT_STATUS, print_json
from dfa.cli.commands.screen import Screen, duration
from dfa.cli.forecast import DEFAULT_SIZES, benchmark
from dfa.cli.sources.images import open_images, parse_size
from dfa.cli.sources.labels import parse_target
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle
from dfa.cli.sources.spaces import parse_epsilon


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa bench model.keras photos/ --epsilon 8 --number 10000
  dfa bench timm:resnet50 photos/ --size 224x224 --device cuda
  dfa bench mymodule:classify images.npz --trace pilot.json   # open in chrome://tracing or ui.perfetto.dev

{EXIT_STATUS}""",
)
@click.argument("model")
@click.argument("images")
@flag(
    "--epsilon", metavar="LEVELS", default="10", show_default=True, help="Largest change, grey levels (or a .npy file)."
)
@target_option
@flag(
    "--sizes",
    type=IntegerList(),
    default=DEFAULT_SIZES,
    help=f"Batch sizes, with commas between them.  [default: {written(DEFAULT_SIZES)}]",
)
@flag("--seconds", type=float, default=2.0, show_default=True, help="To spend on each batch size.")
@flag("--pilot", type=click.IntRange(1), default=16, show_default=True, help="Images to attack.")
@flag("--number", type=click.IntRange(1), help="Images of the run to come.  [default: those of IMAGES]")
@flag("--max-queries", type=int, default=10_000, show_default=True, help="Budget per image.")
@preset_option
@flag("--trace", section=RUN, type=click.Path(path_type=Path), help="Write the pilot's profile as a Chrome trace.")
@model_options
@image_options
@image_layout_option
@json_option
def bench(model: str, images: str, as_json: bool, **words: Any) -> int:
    """Measure a model over batch sizes, attack a few images, and project what a run would take."""
    epsilon, size = parse_epsilon(words["epsilon"]), parse_size(words["size"])
    oracle, channels = open_oracle(model, **{name: words[name] for name in (*MODEL_SETTINGS, "trust_pickle")})
    source = open_images(images, channels=words["channels"], size=size, wanted=channels)
    for note in source.notes:
        Screen(error=True).say(note)
    target = parse_target(words["target"], source.names)
    paper = dfa.Racos.paper(targeted=target is not None)
    measured = benchmark(
        oracle,
        source.images,
        sizes=words["sizes"],
        seconds=words["seconds"],
        pilot=words["pilot"],
        number=words["number"],
        targets=target,
        epsilon=epsilon,
        optimizer=paper if words["preset"] == "paper" else dfa.Racos(),
        max_queries=words["max_queries"],
        layout=words["image_layout"],
    )
    if words["trace"] is not None:
        measured.profile.save_trace(words["trace"])
    if as_json:
        print_json({**measured.as_dict(), "exit": DONE})
        return DONE
    screen = Screen()
    rows = []
    for each in measured.throughput:
        mark = "  recommended" if each.batch_size == measured.recommended else ""
        rows.append((f"{each.batch_size:,}", f"{each.images_per_second:,.1f}{mark}", f"{each.calls:,}"))
    screen.show(rows, "batch", "images/s", "calls")
    filled = [each for each in measured.throughput if each.rows > each.batch_size]
    if filled:
        screen.say(
            "The model is given batches of one size, filled up, so that an answer does not depend on what else is "
            f"asked, here as in a run: {', '.join(f'{each.rows:,} rows for {each.batch_size:,}' for each in filled)}."
        )
    forecast = measured.forecast
    for line in (
        f"A query costs {1e3 * measured.oracle_seconds:.3g} ms in the oracle and "
        f"{1e3 * measured.optimizer_seconds:.3g} ms beside it: {100 * measured.optimizer_share:.1f} % of the "
        "time, if none of it is hidden.",
        f"Pilot: {measured.pilot.attacked} images, TSR {100 * measured.pilot.TSR:.0f} %, "
        f"{measured.pilot.queries_sent:,} queries.",
        f"{forecast.images:,} images would take about {forecast.queries:,.0f} queries ({forecast.queries_low:,.0f} to "
        f"{forecast.queries_high:,.0f}) and {duration(forecast.seconds)} ({duration(forecast.seconds_low)} to "
        f"{duration(forecast.seconds_high)}).",
    ):
        screen.say(line)
    return DONE
