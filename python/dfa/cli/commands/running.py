"""What `dfa attack` and `dfa resume` share: an attack in words is run, watched, and told of."""

from __future__ import annotations

import contextlib
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click
import numpy as np

import dfa
from dfa.cli.commands.outcome import ABOVE, LIKELY_CAUSES, MISSING, judge, print_json, tell_missing
from dfa.cli.commands.progress import show_progress
from dfa.cli.commands.screen import Screen
from dfa.cli.request import Request
from dfa.cli.sources.at_workers import open_at_workers
from dfa.cli.sources.images import ImageSource, open_images, parse_size, tell_unused_labels
from dfa.cli.sources.labels import parse_target, read_class_names, read_labels
from dfa.cli.sources.models import MODEL_SETTINGS, open_oracle, open_prior
from dfa.cli.sources.spaces import parse_space
from dfa.data.choice import as_images
from dfa.data.image_files import TURNED, ImageFiles
from dfa.data.parts import Part
from dfa.engine.inputs import OTHER_SHAPE
from dfa.errors import (
    ChanceAccuracyWarning,
    DoubtfulDataWarning,
    MostSkippedWarning,
    ObjectiveError,
    OracleError,
    RandomAnswersWarning,
    RefutedFilesWarning,
    SpaceError,
    StoreError,
)
from dfa.oracle.workers.pool import Workers
from dfa.results.refuted import tell_refuted
from dfa.results.skips import tell_skipped_records
from dfa.runs.folder import RUN, read_document
from dfa.search.confirmation import Confirmation

_SHOWN: Final = 10
"""Images that could not be attacked, by name; of others their number."""


@contextlib.contextmanager
def interruptible(folder: Path, *, is_begun: bool = False) -> Iterator[None]:
    """Let an interrupt say how to go on, whenever it comes, and a failure of the model or the disk as well.

    Args:
        folder: Where the run is kept.
        is_begun: The run there is the one to go on with; otherwise one that is there now is another.

    Raises:
        KeyboardInterrupt: With the command that goes on, or with the word that there is nothing to go on with.
        DfaError: With the command that goes on, where there is a run to go on with.
    """
    command = f"dfa resume {shlex.quote(str(folder))}"
    before = None if is_begun else _stamp(folder / RUN)
    try:
        yield
    except KeyboardInterrupt as error:
        if _stamp(folder / RUN) == before:
            raise KeyboardInterrupt("interrupted before the run began, so nothing of it is kept") from error
        raise KeyboardInterrupt(f"interrupted; go on with: {command}") from error
    except (OracleError, ObjectiveError, SpaceError, StoreError) as error:
        if error.result is not None and _stamp(folder / RUN) not in (None, before):
            error.args = (f"{error}; then go on with: {command}",)
        raise


def _stamp(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another in its place, or None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns


def run_request(
    request: Request,
    storage: dfa.Storage,
    as_json: bool,
    trace: Path | None = None,
    *,
    trust_pickle: bool = False,
    workers: Workers | None = None,
    no_imports_from: Sequence[Path] = (),
    most_images: int | None = None,
    fail_above: float | None,
    allow_missing: float | None,
) -> int:
    """Run an attack, keep what it finds, and say so.

    Args:
        request: The attack.
        storage: Its folder.
        as_json: Print one document, and nothing on the way.
        trace: Where to write the run's profile, or None.
        trust_pickle: Whether a model or a surrogate that is a pickle may be read.
        workers: Who is asked; None: this process.
        no_imports_from: Run folders, from which workers may import nothing.
        most_images: How many the images may be, where that is known.
        fail_above: The highest TSR that is no failure, or None.
        allow_missing: The largest share of images not attacked with which the run is judged; None as of `judge`.

    Returns:
        The exit status.

    Raises:
        DfaError: As of `dfa.run`; or a word of the request names nothing.
    """
    screen = Screen(error=True)
    # What is wrong with a word shows before a model is loaded, which takes a while.
    space = parse_space(request.space, request.epsilon)
    optimizer = request.racos(space)
    asked = {name: getattr(request, name) for name in MODEL_SETTINGS}
    if workers is None:
        oracle, channels = open_oracle(request.model, **asked, trust_pickle=trust_pickle)
    else:
        opened = open_at_workers(request.model, asked, workers, trust_pickle=trust_pickle, runs=no_imports_from)
        oracle, channels = click.get_current_context().with_resource(opened)
    prior = open_prior(request.prior, device=request.device, trust_pickle=trust_pickle)
    size = parse_size(request.size)
    class_names = read_class_names(request.class_names)
    source = open_images(
        request.images,
        labels=request.labels,
        class_names=class_names,
        channels=request.channels,
        size=size,
        wanted=channels,
        most=most_images,
    )
    if not as_json:
        screen.say(source.text)
    notes = [*source.notes, *tell_unused_labels(source, request.images, request.labels)]
    labels = (
        None
        if request.labels is None or source.folders is not None
        else read_labels(request.labels, source.names, class_names=class_names, notes=notes)
    )
    targets = parse_target(request.target, source.names, class_names or oracle.class_names or source.class_names, notes)
    files = source.images if isinstance(source.images, ImageFiles) else None
    data, layout = source.images if source.folders is None else source.folders, request.image_layout
    part = None if request.part is None else Part.parse(request.part, len(source.names))
    if part is not None:
        data = as_images(data, layout=layout, form=space.form).part(part.number, of=part.of)
        layout = None if layout is None else "NHWC"
        labels = None if labels is None else labels[part.places]
        targets = targets[part.places] if isinstance(targets, np.ndarray) else targets
        source = source.part(part)
        notes.append(f"part {part}: images {part.places[0] + 1:,} to {part.places[-1] + 1:,} of {part.total:,}")
    for note in dict.fromkeys(notes):
        screen.say(note)
    watch = contextlib.nullcontext(False) if as_json else show_progress(screen, len(source.images), storage)

    def tell(warning: str) -> None:
        notes.append(warning)
        screen.say(warning)

    with watch as progress, _telling_warnings(tell):
        result = dfa.run(
            oracle,
            data,
            labels,
            targets=targets,
            space=space,
            objective=request.objective,
            optimizer=optimizer,
            confirmations=Confirmation.parse(request.confirmations or 1),
            store=storage,
            progress=progress,
            layout=layout,
            class_names=class_names,
            prior=prior,
            **request.settings,
        )
    if files is not None and part is not None:
        files.forget_changes(kept=part.places)  # it may have read the images before them
    if trace is not None:
        result.profile.save_trace(trace)
    changes = [] if files is None else files.tell_changed()
    summary = result.summary()
    errors = [record for record in result.records if record.status is dfa.Status.ERROR]
    status = judge(summary.total, summary.attacked, [summary.TSR], fail_above, allow_missing, errors=len(errors))
    for line in _told_of_errors(errors, source):
        screen.say(line)
    skips = tell_skipped_records(result.records, LIKELY_CAUSES, source.names)
    if skips:
        screen.say(skips)
    if refuted := tell_refuted(result.refuted, summary):
        screen.say(refuted, "bold red")
    if status == MISSING:
        screen.say(tell_missing(summary.total, summary.attacked), "bold red")
    if as_json:
        print_json(
            {
                "folder": str(storage.folder),
                "images": source.text,
                "notes": notes,
                "exif_orientation_not_applied": 0 if files is None else len(files.changed.get(TURNED, ())),
                "not_attacked_of_files": changes,
                "summary": summary,
                "saved": read_document(Path(storage.folder)).get("saved"),
                "profile": result.profile.as_dict(),
                "errors": [
                    {"index": each.index, "file": source.names[each.index], "reason": each.reason} for each in errors
                ],
                "skips": skips,
                "fail_above": fail_above,
                "exit": status,
            }
        )
        return status
    print_result(summary, changes, Path(storage.folder))
    if status == ABOVE:
        text = f"TSR {summary.TSR:.3f} is above --fail-above {fail_above}"
        Screen().say(text, "bold red")
    return status


@contextlib.contextmanager
def _telling_warnings(tell: Callable[[str], None]) -> Iterator[None]:
    """Let what dfa warns of be told in the words of the command line; other warnings are shown as ever."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MostSkippedWarning)  # told at the end, with the files' names
        warnings.simplefilter("ignore", RefutedFilesWarning)  # likewise
        warnings.simplefilter("always", ChanceAccuracyWarning)
        warnings.simplefilter("always", RandomAnswersWarning)
        warnings.simplefilter("always", DoubtfulDataWarning)
        show = warnings.showwarning

        def show_or_tell(message: Warning | str, *place: Any, **more: Any) -> None:
            if isinstance(message, ChanceAccuracyWarning):
                tell(f"{message.evidence}; look at {LIKELY_CAUSES}")
            elif isinstance(message, RandomAnswersWarning | DoubtfulDataWarning):
                tell(str(message))
            else:
                show(message, *place, **more)

        warnings.showwarning = show_or_tell
        yield


def _told_of_errors(errors: Sequence[dfa.Record], source: ImageSource) -> Iterator[str]:
    """Yield, line by line, which images could not be attacked, and what helps."""
    if not errors:
        return
    yield f"{len(errors):,} of {len(source.names):,} images could not be attacked:"
    for record in errors[:_SHOWN]:
        yield f"  {source.names[record.index]}: {record.reason}"
    if len(errors) > _SHOWN:
        yield f"  and {len(errors) - _SHOWN:,} more"
    if any(OTHER_SHAPE in record.reason for record in errors):
        yield "  --size HEIGHTxWIDTH makes image files one size"


def print_result(summary: dfa.Summary, changes: Sequence[str], folder: Path) -> None:
    """Print a run's figures, what of its images was not attacked, and where it is kept."""
    screen = Screen()
    lines = [line.partition("  ") for line in str(summary).splitlines()]
    screen.show([(name, value.strip()) for name, _, value in lines])
    for change in changes:
        screen.say(change)
    screen.say(f"Kept in {folder}; look at it with: dfa report {shlex.quote(str(folder))}")
