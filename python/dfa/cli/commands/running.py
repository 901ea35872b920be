"""What `dfa attack` and `dfa resume` share: an attack in words is run, watched, and told of."""

from __future__ import annotations

import contextlib
import shlex
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import click

import dfa
from dfa.cli.commands.judging import Bar
from dfa.cli.commands.outcome import ABOVE, LIKELY_CAUSES, MISSING, WORSE, print_json
from dfa.cli.commands.progress import show_progress
from dfa.cli.commands.screen import Screen
from dfa.cli.commands.service import sent_until, tell_service
from dfa.cli.inputs import open_inputs
from dfa.cli.request import Request
from dfa.cli.sources.at_workers import open_at_workers
from dfa.cli.sources.images import ImageSource
from dfa.cli.sources.labels import read_class_names
from dfa.cli.sources.models import MODEL_SETTINGS, kind_of, open_oracle, open_prior
from dfa.cli.sources.services import SERVICE_SETTINGS, SERVICES, refuse_settings
from dfa.cli.sources.spaces import parse_space
from dfa.data.image_files import TURNED, ImageFiles
from dfa.data.parts import Part
from dfa.engine.inputs import OTHER_SHAPE
from dfa.errors import (
    ChanceAccuracyWarning,
    DoubtfulDataWarning,
    DriftError,
    InvalidInputError,
    MostSkippedWarning,
    ObjectiveError,
    OracleError,
    RandomAnswersWarning,
    RefutedFilesWarning,
    SpaceError,
    StoreError,
)
from dfa.oracle.services.service import ServiceOracle
from dfa.oracle.workers.pool import Workers
from dfa.results.refuted import tell_refuted
from dfa.results.skips import tell_skipped_records
from dfa.runs.folder import RUN, read_document

_SHOWN: Final = 10
"""Images that could not be attacked, by name; of others their number."""


@contextlib.contextmanager
def interruptible(
    folder: Path, *, is_begun: bool = False, run: str = RUN, command: str | None = None
) -> Iterator[None]:
    """Let an interrupt say how to go on, whenever it comes, and a failure of the model or the disk as well.

    Args:
        folder: Where the run is kept.
        is_begun: The run there is the one to go on with; otherwise one that is there now is another.
        run: What says that a run was begun there, a glob inside it.
        command: What goes on with it; None for `dfa resume`.

    Raises:
        KeyboardInterrupt: With the command that goes on, or with the word that there is nothing to go on with.
        DfaError: With the command that goes on, where there is a run to go on with.
    """
    command = command or f"dfa resume {shlex.quote(str(folder))}"
    before = None if is_begun else _stamp(folder, run)
    try:
        yield
    except KeyboardInterrupt as error:
        if _stamp(folder, run) == before:
            raise KeyboardInterrupt("interrupted before the run began, so nothing of it is kept") from error
        raise KeyboardInterrupt(f"interrupted; go on with: {command}") from error
    except DriftError as error:
        error.args = (f"{error}; to go on all the same: {command} --on-drift mark",)
        raise
    except (OracleError, ObjectiveError, SpaceError, StoreError) as error:
        if error.result is not None and _stamp(folder, run) not in (None, before):
            error.args = (f"{error}{sent_until(error.result)}; then go on with: {command}",)
        raise


def _stamp(folder: Path, pattern: str) -> tuple[int, int] | None:
    """Return what tells the first file of a glob from another in its place, or None if there is none."""
    try:
        found = min(folder.glob(pattern)).stat()
    except (OSError, ValueError):
        return None
    return found.st_ino, found.st_mtime_ns


def open_model(
    request: Request,
    class_names: Sequence[str] | None,
    *,
    workers: Workers | None = None,
    trust_pickle: bool = False,
    no_imports_from: Sequence[Path] = (),
) -> tuple[dfa.Oracle, int | None]:
    """Return the oracle of a request, for as long as the command works, and how many channels it takes, if it tells.

    Args:
        request: The attack.
        class_names: Of the model, or None.
        workers: Who is asked; None: this process.
        trust_pickle: Whether a model that is a pickle may be read.
        no_imports_from: Run folders, from which workers may import nothing.

    Raises:
        DfaError: The model cannot be opened, or not by workers.
    """
    asked = {name: getattr(request, name) for name in MODEL_SETTINGS}
    service = {name: getattr(request, name) for name in SERVICE_SETTINGS}
    if workers is None:
        oracle, channels = open_oracle(
            request.model, **asked, trust_pickle=trust_pickle, service=service, classes=class_names
        )
        if isinstance(oracle, ServiceOracle):
            click.get_current_context().call_on_close(oracle.close)
        return oracle, channels
    if kind_of(request.model) in SERVICES:
        raise InvalidInputError(
            "--workers are processes with a model of their own each, and a service is asked by one, many times at once "
            "(--concurrency); leave --workers out"
        )
    refuse_settings(request.model, service)
    opened = open_at_workers(request.model, asked, workers, trust_pickle=trust_pickle, runs=no_imports_from)
    return click.get_current_context().with_resource(opened)


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
    bar: Bar,
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
        bar: What it is held against.

    Returns:
        The exit status.

    Raises:
        DfaError: As of `dfa.run`; or a word of the request names nothing.
    """
    screen = Screen(error=True)
    # What is wrong with a word shows before a model is loaded, which takes a while.
    space = parse_space(request.space, request.epsilon)
    optimizer = request.racos(space)
    class_names = read_class_names(request.class_names)
    oracle, channels = open_model(
        request, class_names, workers=workers, trust_pickle=trust_pickle, no_imports_from=no_imports_from
    )
    inputs = open_inputs(
        request,
        space,
        optimizer=optimizer,
        prior=open_prior(request.prior, device=request.device, trust_pickle=trust_pickle),
        class_names=class_names,
        known_names=oracle.class_names,
        wanted=channels,
        most=most_images,
        tell=(lambda text: None) if as_json else screen.say,
    )
    source, files, part, notes = inputs.source, inputs.files, inputs.part, inputs.notes
    for note in dict.fromkeys(notes):
        screen.say(note)
    bar.check_number(len(source.names))
    watch = contextlib.nullcontext(False) if as_json else show_progress(screen, len(source.images), storage)

    def tell(warning: str) -> None:
        notes.append(warning)
        screen.say(warning)

    with watch as progress, telling_warnings(tell):
        result = inputs.run(oracle, store=storage, progress=progress)
    if files is not None and part is not None:
        files.forget_changes(kept=part.places)  # it may have read the images before them
    if trace is not None:
        result.profile.save_trace(trace)
    changes = [] if files is None else files.tell_changed()
    summary = result.summary()
    errors = [record for record in result.records if record.status is dfa.Status.ERROR]
    judged = bar.judge(result)
    bar.write(result, judged, request.model, _image_files(request, files, part, len(result.records)))
    status = judged.status
    for line in told_of_errors(errors, source):
        screen.say(line)
    skips = tell_skipped_records(result.records, LIKELY_CAUSES, source.names)
    if skips:
        screen.say(skips)
    if refuted := tell_refuted(result.refuted, summary):
        screen.say(refuted, "bold red")
    if status == MISSING:
        screen.say(judged.words, "bold red")
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
                "service": result.profile.service,
                "errors": [
                    {"index": each.index, "file": source.names[each.index], "reason": each.reason} for each in errors
                ],
                "skips": skips,
                "fail_above": bar.fail_above,
                "TSR_interval": summary.TSR_interval,
                "robust_accuracy_interval": summary.robust_accuracy_interval,
                "baseline": judged.comparison,
                "verdict": judged.words,
                "exit": status,
            }
        )
        return status
    print_result(result, changes, Path(storage.folder))
    for line in judged.lines:
        Screen().say(line)
    if status in (ABOVE, WORSE):
        Screen().say(judged.words, "bold red")
    return status


def _image_files(request: Request, files: ImageFiles | None, part: Part | None, number: int) -> list[Path]:
    """Return the file that each image of a run is in; those of an array are all in one."""
    if files is None:
        return [Path(request.images)] * number
    return files.paths if part is None else files.paths[part.places.start : part.places.stop]


@contextlib.contextmanager
def telling_warnings(tell: Callable[[str], None]) -> Iterator[None]:
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


def told_of_errors(errors: Sequence[dfa.Record], source: ImageSource) -> Iterator[str]:
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


def print_result(result: dfa.Result, changes: Sequence[str], folder: Path) -> None:
    """Print a run's figures, what it took of a service, what was not attacked, and where it is kept."""
    screen = Screen()
    lines = [line.partition("  ") for line in str(result.summary()).splitlines()]
    screen.show([(name, value.strip()) for name, _, value in lines])
    tell_service(screen, result)
    for change in changes:
        screen.say(change)
    screen.say(f"Kept in {folder}; look at it with: dfa report {shlex.quote(str(folder))}")
