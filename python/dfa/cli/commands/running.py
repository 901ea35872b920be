"""What `dfa attack` and `dfa resume` share: an attack in words is run, watched, and told of."""

from __future__ import annotations

import contextlib
from pathlib import Path

from rich.console import Console
from rich.table import Table

import dfa
from dfa.cli.commands.outcome import ABOVE, DONE, print_json
from dfa.cli.commands.progress import show_progress
from dfa.cli.request import Request
from dfa.cli.sources.images import ImageFiles, open_images, parse_size
from dfa.cli.sources.labels import parse_target, read_class_names, read_labels
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle
from dfa.cli.sources.spaces import parse_space
from dfa.errors import InvalidInputError
from dfa.runs.folder import read_document
from dfa.search.confirmation import Confirmation


def run_request(
    request: Request, storage: dfa.Storage, fail_above: float | None, as_json: bool, trace: Path | None = None
) -> int:
    """Run an attack, keep what it finds, and say so.

    Args:
        request: The attack.
        storage: Its folder.
        fail_above: The highest TSR that is no failure, or None.
        as_json: Print one document, and nothing on the way.
        trace: Where to write the run's profile, or None.

    Returns:
        The exit status.

    Raises:
        DfaError: As of `dfa.run`; or a word of the request names nothing.
        KeyboardInterrupt: With the command that goes on from there.
    """
    say = Console(stderr=True)
    # What is wrong with a word shows before a model is loaded, which takes a while.
    space = parse_space(request.space, request.epsilon)
    optimizer = request.racos(space)
    oracle, channels = open_oracle(request.model, **{name: getattr(request, name) for name in MODEL_SETTINGS})
    size = parse_size(request.size)
    source = open_images(request.images, channels=request.channels, size=size, wanted=channels)
    if not as_json:
        say.print(source.text, highlight=False)
    class_names = read_class_names(request.class_names)
    targets = parse_target(request.target, source.names, class_names)
    watch = contextlib.nullcontext(False) if as_json else show_progress(say, len(source.images), storage)
    try:
        with watch as progress:
            result = dfa.run(
                oracle,
                source.images,
                None if request.labels is None else read_labels(request.labels, source.names, class_names=class_names),
                targets=targets,
                space=space,
                objective=request.objective,
                optimizer=optimizer,
                confirmations=Confirmation.parse(request.confirmations or 1),
                store=storage,
                progress=progress,
                layout=request.image_layout,
                class_names=class_names,
                **request.settings,
            )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"interrupted; go on with: dfa resume {storage.folder}") from error
    if trace is not None:
        result.profile.save_trace(trace)
    turned = len(source.images.turned) if isinstance(source.images, ImageFiles) else 0
    summary = result.summary()
    if fail_above is not None and not summary.attacked:
        raise InvalidInputError("no image was attacked, so there is no rate to hold against --fail-above")
    above = fail_above is not None and bool(fail_above < summary.TSR)
    status = ABOVE if above else DONE
    if as_json:
        print_json(
            {
                "folder": str(storage.folder),
                "images": source.text,
                "exif_orientation_not_applied": turned,
                "summary": summary,
                "saved": read_document(Path(storage.folder)).get("saved"),
                "profile": result.profile.as_dict(),
                "fail_above": fail_above,
                "exit": status,
            }
        )
        return status
    _print_result(summary, turned, storage)
    if above:
        text = f"TSR {summary.TSR:.3f} is above --fail-above {fail_above}"
        Console().print(text, style="bold red", highlight=False)
    return status


def _print_result(summary: dfa.Summary, turned: int, storage: dfa.Storage) -> None:
    console = Console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for line in str(summary).splitlines():
        name, _, value = line.partition("  ")
        table.add_row(name, value.strip())
    console.print(table, highlight=False)
    if turned:
        console.print(f"{turned:,} files carry an EXIF orientation, which was not applied", highlight=False)
    console.print(f"Kept in {storage.folder}; look at it with: dfa report {storage.folder}", highlight=False)
