"""`dfa verify`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

import dfa
from dfa.checks import printable
from dfa.cli.commands.flags import Command, flag
from dfa.cli.commands.options import class_names_option, image_options, json_option, model_options, trust_option
from dfa.cli.commands.outcome import ABOVE, DONE, EXIT_STATUS, print_json
from dfa.cli.commands.screen import Screen
from dfa.cli.commands.service import sent_in_words
from dfa.cli.commands.service_options import service_options
from dfa.cli.import_guard import no_imports_from
from dfa.cli.request import NotOnRecordError, Request
from dfa.cli.sources.images import open_images, parse_size
from dfa.cli.sources.labels import read_class_names
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle
from dfa.cli.sources.services import SERVICE_SETTINGS, loads_code
from dfa.cli.sources.spaces import parse_epsilon
from dfa.cli.trust import ASKED, anchored, price_of, refuse_from_run, trust_folder, words_of_model
from dfa.errors import InvalidInputError, StoreError
from dfa.runs.saved_run import holds_run, read_run
from dfa.search.confirmation import Confirmation


@click.command(
    cls=Command,
    epilog=f"""\b
Examples:
  dfa verify runs/first --model model.keras   # loads what you name
  dfa verify runs/first --model net.pt --mean 0.5 --std 0.25   # asked as in the run
  dfa verify runs/first                       # asks before it loads the model that the folder names
  dfa verify runs/first --trust               # loads it; in a script

{EXIT_STATUS}""",
)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@flag("--model", metavar="MODEL", help="The model to ask; else that of the run, if you trust its folder.")
@trust_option
@flag("--images", metavar="IMAGES", help="Originals to believe instead of the copies in the folder.")
@flag("--epsilon", metavar="LEVELS", help="Grey levels (or a .npy file of them) to believe instead of the run's.")
@flag(
    "--confirmations",
    metavar="K/N",
    help="How many of how many answers must find an image adversarial; by default as in the run, up to 100 answers.",
)
@flag("--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Of the images asked together.")
@model_options
@class_names_option
@service_options
@image_options
@json_option
def verify(run: Path, model: str | None, images: str | None, trust: bool, as_json: bool, **words: Any) -> int:
    """Check every adversarial image of a run from its file, and ask the model about it, alone and in a batch."""
    click.get_current_context().with_resource(no_imports_from(run))
    size, channels, batch_size = words["size"], words["channels"], words["batch_size"]
    epsilon = None if words["epsilon"] is None else parse_epsilon(words["epsilon"])
    run = run.resolve()
    # What the user names is relative to where the user is.
    images = None if images is None else anchored(images, Path.cwd())
    if model is None:
        for name in ("preprocess", "parse", "encode"):
            if words[name] is not None:
                raise InvalidInputError(f"--{name} is of the model that --model names; give both, or neither")
        request = _request_of(run)
        trust_folder(request, run, "verify", ASKED, trust=trust)
        settings = {name: words[name] or getattr(request, name) for name in MODEL_SETTINGS}
        given = {name: getattr(request, name) if (word := words[name]) is None else word for name in SERVICE_SETTINGS}
        class_names = read_class_names(words["class_names"] or request.class_names)
        oracle, _ = open_oracle(request.model, **settings, trust_pickle=True, service=given, classes=class_names)
    else:
        named = {"model": model, **{name: word for name in ASKED[1:] if (word := words[name]) is not None}}
        code = {name: word for name, word in named.items() if name != "encode" or loads_code(name, word)}
        refuse_from_run(code, Path.cwd(), run, files=False)
        given = {name: words[name] for name in SERVICE_SETTINGS}
        settings = {name: words[name] for name in (*MODEL_SETTINGS, "trust_pickle")}
        class_names = read_class_names(words["class_names"])
        oracle, _ = open_oracle(model, **settings, service=given, classes=class_names)
        saved = read_run(run)
        if Confirmation.parse(saved.config.get("confirmations", 1)).is_repeated:
            print(printable(f"dfa: verifying {price_of(saved.num_images, saved.config)}"), file=sys.stderr)
    originals = None
    if images is not None:
        wanted = (read_run(run).shape or (None,))[-1]
        originals = open_images(images, channels=channels, size=parse_size(size), wanted=wanted).images
    verification = dfa.verify(
        run,
        oracle,
        originals=originals,
        epsilon=epsilon,
        confirmations=words["confirmations"],
        batch_size=batch_size,
    )
    status = DONE if verification.holds else ABOVE
    if as_json:
        service = {} if oracle.books is None else {"service": oracle.books.use}
        print_json({**verification.as_dict(), **service, "exit": status})
        return status
    screen = Screen()
    if verification.asked_otherwise:
        screen.say(_told_of_words(verification, run), "bold red")
    failed = {name: verification.failed(name) for name in verification.checked}
    screen.show(
        [
            (name, f"{number:,}", f"{failed[name]:,}", verification.as_dict()["checks"][name]["what"])
            for name, number in verification.checked.items()
        ],
        "check",
        "made",
        "failed",
        "what must hold",
        styles=["red" if number else "" for number in failed.values()],
    )
    if verification.findings:
        findings = [(each.where, each.check, each.problem) for each in verification.findings]
        screen.show(findings, "of", "check", "what does not hold")
    for name, told in verification.believed.items():
        screen.say(f"believed of the folder: {name}: {told}")
    for note in verification.notes:
        screen.say(f"note: {note}")
    if oracle.books is not None:
        screen.say(f"the service: {sent_in_words(oracle.books.use, oracle.currency)} for this")
    if verification.fresh_share:
        screen.say(f"fresh answers: {verification.fresh_share}")
    if verification.asked_otherwise and verification.findings:
        screen.say("the model was asked otherwise than in the run, which may be all that is wrong: see the first line")
    style = "green" if verification.holds else "bold red"
    screen.say(f"{verification.images:,} adversarial images: {verification.verdict}", style)
    return status


def _told_of_words(verification: dfa.Verification, run: Path) -> str:
    """Say that the model is asked otherwise than the run's was, and with which words it would not be."""
    told = f"the model is asked otherwise than in the run: {'; '.join(verification.asked_otherwise)}"
    try:
        words = words_of_model(Request.of_run(run)) if holds_run(run) else []
    except StoreError:
        words = []
    return f"{told}; the run was begun with {' '.join(words)}" if words else told


def _request_of(run: Path) -> Request:
    """Return the request of a run, or say that its model must be named."""
    try:
        if not holds_run(run):
            read_run(run)
            raise NotOnRecordError
        return Request.of_run(run)
    except NotOnRecordError:
        raise InvalidInputError(
            f"the result in {run} was not made by `dfa attack`, so its model is not on record; give --model"
        ) from None
