"""What `dfa` does, command by command: words in, one call of the Python interface, a table or JSON out.

The settings' flags are made from what they set: the parameters of `dfa.run` and the fields of `dfa.Racos`, with their
types, defaults and docstrings.
"""

from __future__ import annotations

import bisect
import contextlib
import dataclasses
import importlib
import inspect
import json
import os
import re
import sys
import time
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

import dfa
from dfa.cli import sources
from dfa.cli.forecast import DEFAULT_SIZES
from dfa.cli.forecast import bench as measure_model
from dfa.errors import DfaError, InvalidInputError, ObjectiveError, OracleError, StoreError
from dfa.oracle import Oracle, RestrictedOracle, ScoreKind, TfliteOracle, as_oracle
from dfa.runs.folder import plain, read_document
from dfa.runs.saved_run import read_run, read_run_json
from dfa.runs.storage import Storage
from dfa.search.confirmation import Confirmation
from dfa.space import core_spaces

_Command = TypeVar("_Command", bound=Callable[..., Any])

DONE: Final = 0
ABOVE: Final = 1
USAGE: Final = 2
ORACLE: Final = 3
FOLDER: Final = 4
INTERRUPTED: Final = 130

_EXIT_STATUS: Final = """\b
Exit status: 0 done, 1 attacks above --fail-above (or a verification that does
not hold), 2 a wrong word, 3 the oracle failed, 4 a folder could not be read or
written, 130 interrupted."""


def invoke(arguments: Sequence[str]) -> int:
    """Run a command, print what came of it, and return the exit status."""
    wants_json = "--json" in arguments
    try:
        status = app.main(args=list(arguments), prog_name="dfa", standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return USAGE
    except (KeyboardInterrupt, click.Abort) as error:
        return _fail(INTERRUPTED, str(error) or "interrupted", wants_json)
    except (OracleError, ObjectiveError) as error:
        return _fail(ORACLE, str(error), wants_json)
    except StoreError as error:
        return _fail(FOLDER, str(error), wants_json)
    except DfaError as error:
        return _fail(USAGE, str(error), wants_json)
    return status if isinstance(status, int) else DONE


def _fail(status: int, message: str, wants_json: bool) -> int:
    print(f"dfa: {message}", file=sys.stderr)
    if wants_json:
        print(json.dumps({"error": message, "exit": status}))
    return status


# ------------------------------------------------------------------------------------------- flags from what they set


@dataclass(frozen=True)
class _Setting:
    """One flag, and what it sets."""

    name: str
    hint: Any
    default: Any
    text: str

    def option(self, *, default: Any) -> Callable[[_Command], _Command]:
        kind, extra = _click_type(self.hint)
        flag = "--" + self.name.replace("_", "-")
        shown = f"  [default: {self.default}]" if self.default is not None else ""
        return click.option(flag, self.name, type=kind, default=default, help=f"{self.text}{shown}", **extra)


def _click_type(hint: Any) -> tuple[Any, dict[str, Any]]:
    """Return the click type of a type hint, and what else the option needs."""
    options = [each for each in typing.get_args(hint) or (hint,) if each is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return click.Choice(list(typing.get_args(hint))), {}
    if typing.get_origin(hint) is tuple:
        return _Integers(), {}
    if isinstance(hint, types.UnionType) and set(options) == {int, float}:
        return _Number(), {}
    assert len(options) == 1, f"no flag can be made of {hint}"
    return options[0], {}


class _Number(click.ParamType[Any]):
    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | float:
        if isinstance(value, int | float):
            return value
        try:
            return float(value) if "." in value or "e" in value.lower() else int(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)


class _Integers(click.ParamType[Any]):
    name = "integers"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(",") if part)
        except ValueError:
            self.fail(f"{value!r} must be integers with commas between them", param, ctx)


def _documented(documented: Any, section: str) -> dict[str, str]:
    """Return what a Google-style docstring says of each parameter or attribute."""
    text = inspect.getdoc(documented) or ""
    body = text.partition(f"{section}:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    return {name: re.sub(r"\s+", " ", words).replace("`", "") for name, words in entries}


def _run_settings() -> list[_Setting]:
    parameters = inspect.signature(dfa.run).parameters
    hints = typing.get_type_hints(dfa.run)
    words = _documented(dfa.run, "Args")
    names = ("max_queries", "max_seconds", "batch_size", "seed", "threads")
    return [_Setting(name, hints[name], parameters[name].default, words[name]) for name in names]


def _optimizer_settings() -> list[_Setting]:
    hints = typing.get_type_hints(dfa.Racos)
    words = _documented(dfa.Racos, "Attributes")
    fields = [field for field in dataclasses.fields(dfa.Racos) if field.name != "objective"]
    return [_Setting(field.name, hints[field.name], field.default, words[field.name]) for field in fields]


def _settings(settings: Sequence[_Setting], *, unset: bool) -> Callable[[_Command], _Command]:
    """Give a command the flags of settings; with `unset`, a flag that is not given leaves its setting alone."""

    def decorate(command: _Command) -> _Command:
        for setting in reversed(settings):
            command = setting.option(default=None if unset else setting.default)(command)
        return command

    return decorate


_MODEL_WORDS: Final = ("returns", "preprocess", "class_offset", "num_classes", "k", "shows")


def _model_options(command: _Command) -> _Command:
    """Give a command the flags of `_MODEL_WORDS`, which say what a model returns and takes."""
    for option in (
        click.option(
            "--class-offset",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of a .tflite file: the class of its first output is minus this; 1 where that means background.",
        ),
        click.option("--preprocess", metavar="MODULE:ATTR", help="What keras.applications calls preprocess_input."),
        click.option("--k", type=int, help="How many classes an answer of top_k shows."),
        click.option("--num-classes", type=int, help="Of a function that answers with top_k, top_1 or label."),
        click.option(
            "--shows",
            type=click.Choice(["top_k", "top_1", "label"]),
            help="Hide the rest of what the model returns, to see what an attack can do that sees no more.",
        ),
        click.option(
            "--returns",
            type=click.Choice([kind.value for kind in ScoreKind]),
            help="What the model answers.  [default: probabilities]",
        ),
    ):
        command = option(command)
    return command


def _image_options(command: _Command) -> _Command:
    """Give a command the flags that say how image files become arrays."""
    for option in (
        click.option("--size", metavar="HxW", help="Resize image files once, before anything else (bicubic)."),
        click.option(
            "--channels",
            type=click.Choice(["auto", "grey", "rgb"]),
            default="auto",
            show_default=True,
            help="What image files become; auto: what the model takes, or else what the first file has.",
        ),
    ):
        command = option(command)
    return command


_json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")

# ----------------------------------------------------------------------------------------------------------- commands


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=f"""\b
Examples:
  dfa attack model.keras photos/ --epsilon 8 --out runs/first
  dfa resume runs/first
  dfa verify runs/first --model model.keras
  dfa report runs/first
  dfa bench model.keras photos/

{_EXIT_STATUS}""",
)
@click.version_option(dfa.__version__, package_name="dfa-attack")
def app() -> None:
    """Adversarial 8-bit images by querying alone.

    MODEL is a .keras file, a .tflite file (8-bit ones as they are), or module:attribute (or file.py:attribute) for any
    function from uint8 images (n, H, W, C) to scores (n, K), a dfa.Pipeline, or another dfa.Oracle. IMAGES is a folder,
    a glob, or a .npy or .npz file.
    """


@dataclass(frozen=True)
class Request:
    """An attack in words: what `run.json` keeps, so that `dfa resume` and `dfa verify` need no more than the folder.

    Attributes:
        model: MODEL.
        images: IMAGES.
        labels: A table or array of class ids.
        target: rank:J, class:ID, or a table.
        epsilon: Grey levels, or an array file; None for 10, or of a space without one.
        objective: Name of the degree, None for the optimizer's own.
        preset: "default" or "paper".
        returns: What the model answers.
        preprocess: module:attribute.
        channels: Of image files.
        size: HxW.
        confirmations: K or K/N.
        class_offset: Of a .tflite file.
        num_classes: Of a function whose answers do not tell.
        k: How many classes are shown.
        shows: What of the model's answers is shown; None for all.
        space: The search space; None for the ball.
        settings: Of `dfa.run`.
        optimizer: Fields of `dfa.Racos` that differ from the preset.
        folder: The folder that relative words are relative to.
    """

    model: str
    images: str
    labels: str | None
    target: str | None
    epsilon: str | None
    objective: str | None
    preset: str
    returns: str | None
    preprocess: str | None
    channels: sources.Channels
    size: str | None
    settings: dict[str, Any]
    optimizer: dict[str, Any]
    folder: str
    confirmations: str | None = None
    class_offset: int = 0
    num_classes: int | None = None
    k: int | None = None
    shows: str | None = None
    space: str | None = None

    @classmethod
    def of(cls, folder: Path) -> Request:
        """Return the request that a run folder keeps.

        Raises:
            StoreError: The folder holds no run, or one that no command began.
        """
        command = read_run_json(folder).get("command")
        try:
            return cls(**typing.cast(dict[str, Any], command))
        except TypeError as error:
            raise StoreError(
                f"the run in {folder} was not begun by `dfa attack`, so its model and images are not on record; "
                "resume it from Python: dfa.run(..., store=folder, resume=True)"
            ) from error

    def racos(self, space: dfa.Space) -> dfa.Racos:
        """Return the optimizer, in a search space."""
        is_targeted = self.target is not None
        base = dfa.Racos.paper(targeted=is_targeted) if self.preset == "paper" else space.optimizer()
        # JSON made lists of tuples.
        given: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in self.optimizer.items()
        }
        return dataclasses.replace(base, **given)


@app.command(
    epilog=f"""\b
Examples:
  dfa attack model.keras photos/ --epsilon 8
  dfa attack model.keras photos/ --labels labels.csv --size 224x224
  dfa attack mobilenet.tflite photos/ --class-offset 1     # an 8-bit model with 1001 outputs
  dfa attack mymodule:classify images.npz --target rank:11 --preset paper
  dfa attack defended.py:pipeline photos/ --confirmations 8/10   # a randomised defence
  dfa attack model.keras photos/ --space rectangle:height=32,width=32
  dfa attack model.keras photos/ --shows label             # as if the model answered with labels alone
  dfa attack model.keras 'photos/*.jpg' --fail-above 0.05 --json   # in CI

labels.csv has a header and the columns file,label (or index,label).

{_EXIT_STATUS}"""
)
@click.argument("model")
@click.argument("images")
@click.option("--epsilon", help="Largest change, grey levels (or a .npy file).  [default: 10]")
@click.option(
    "--space",
    metavar="WORD",
    help="Search elsewhere than in the ball of epsilon: KIND or KIND:FIELD=N,..., a space of dfa with its fields "
    f"({', '.join(core_spaces())}), or module:attribute.",
)
@click.option("--labels", metavar="FILE", help="Class ids; an image that the model gets wrong is then skipped.")
@click.option("--target", metavar="WORD", help="rank:J, class:ID, or a table with a column target; else untargeted.")
@click.option("--out", type=click.Path(path_type=Path), help="Run folder.  [default: runs/MODEL-DATE-TIME]")
@click.option("--trace", type=click.Path(path_type=Path), help="Write the run's profile as a Chrome trace.")
@click.option("--overwrite", is_flag=True, help="Replace a run or result in that folder.")
@click.option(
    "--checkpoint",
    type=int,
    default=Storage.interval,
    show_default=True,
    help="Most images sent to the oracle that a kill can make dfa send again.",
)
@click.option("--fail-above", type=click.FloatRange(0, 1), metavar="RATE", help="Exit 1 above this TSR, 0..1.")
@click.option("--preset", type=click.Choice(["default", "paper"]), default="default", help="The optimizer's settings.")
@click.option("--objective", type=click.Choice(list(dfa.objectives.NAMED)), help="The degree; by default the preset's.")
@click.option(
    "--confirmations",
    metavar="K/N",
    help="Of a randomised model: how many of how many repeated answers must find an image adversarial.  [default: 1/1]",
)
@_settings(_run_settings(), unset=False)
@_model_options
@_image_options
@_settings(_optimizer_settings(), unset=True)
@_json_option
def attack(out: Path | None, overwrite: bool, fail_above: float | None, as_json: bool, **words: Any) -> int:
    """Attack every image of IMAGES, and keep what is found in a run folder."""
    checkpoint, trace = words.pop("checkpoint"), words.pop("trace")
    settings = {setting.name: words.pop(setting.name) for setting in _run_settings()}
    fields = [setting.name for setting in _optimizer_settings()]
    optimizer = {name: value for name in fields if (value := words.pop(name)) is not None}
    request = Request(**words, settings=settings, optimizer=optimizer, folder=str(Path.cwd()))
    if out is None:
        stem = re.sub(r"\W+", "-", Path(request.model).stem).strip("-")
        out = Path("runs") / f"{stem}-{time.strftime('%Y%m%d-%H%M%S')}"
    storage = Storage(out, overwrite=overwrite, interval=checkpoint, command=dataclasses.asdict(request))
    return _attack(request, storage, fail_above, as_json, trace)


@app.command(epilog=_EXIT_STATUS)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--fail-above", type=click.FloatRange(0, 1), metavar="RATE", help="Exit 1 above this TSR, 0..1.")
@_json_option
def resume(run: Path, fail_above: float | None, as_json: bool) -> int:
    """Go on with a run that was cut short, from its last checkpoint.

    Model, images and settings are those of the run; a model or an image that has changed is refused by name. The run
    ends as it would have without the interruption.
    """
    request = Request.of(run)
    run = run.resolve()
    os.chdir(request.folder)
    return _attack(request, Storage(run, resume=True, command=dataclasses.asdict(request)), fail_above, as_json)


def _attack(
    request: Request, storage: Storage, fail_above: float | None, as_json: bool, trace: Path | None = None
) -> int:
    say = Console(stderr=True)
    # What is wrong with a word shows before a model is loaded, which takes a while.
    space = sources.parse_space(request.space, request.epsilon)
    optimizer = request.racos(space)
    oracle, channels = _oracle(request.model, **{name: getattr(request, name) for name in _MODEL_WORDS})
    size = sources.parse_size(request.size)
    source = sources.open_images(request.images, channels=request.channels, size=size, wanted=channels)
    if not as_json:
        say.print(source.text, highlight=False)
    targets = sources.parse_target(request.target, source.names)
    watch = contextlib.nullcontext(False) if as_json else _progress(say, len(source.images), storage)
    try:
        with watch as progress:
            result = dfa.run(
                oracle,
                source.images,
                None if request.labels is None else sources.read_labels(request.labels, source.names),
                targets=targets,
                space=space,
                objective=request.objective,
                optimizer=optimizer,
                confirmations=Confirmation.parse(request.confirmations or 1),
                store=storage,
                progress=progress,
                **request.settings,
            )
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(f"interrupted; go on with: dfa resume {storage.folder}") from error
    if trace is not None:
        result.profile.save_trace(trace)
    turned = len(source.images.turned) if isinstance(source.images, sources.ImageFiles) else 0
    summary = result.summary()
    if fail_above is not None and not summary.attacked:
        raise InvalidInputError("no image was attacked, so there is no rate to hold against --fail-above")
    above = fail_above is not None and bool(fail_above < summary.TSR)
    status = ABOVE if above else DONE
    if as_json:
        _print_json(
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
    console = Console()
    table = Table(show_header=False, box=None, pad_edge=False)
    for line in str(summary).splitlines():
        name, _, value = line.partition("  ")
        table.add_row(name, value.strip())
    console.print(table, highlight=False)
    if turned:
        console.print(f"{turned:,} files carry an EXIF orientation, which was not applied", highlight=False)
    console.print(f"Kept in {storage.folder}; look at it with: dfa report {storage.folder}", highlight=False)
    if above:
        console.print(f"TSR {summary.TSR:.3f} is above --fail-above {fail_above}", style="bold red", highlight=False)
    return status


@app.command(epilog=_EXIT_STATUS)
@click.argument("run", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", help="The model to ask.  [default: that of the run]")
@click.option("--images", help="Originals to believe instead of the copies in the folder.")
@click.option(
    "--batch-size", type=click.IntRange(1), default=64, show_default=True, help="Of the images asked together."
)
@_model_options
@_image_options
@_json_option
def verify(run: Path, model: str | None, images: str | None, as_json: bool, **words: Any) -> int:
    """Check every adversarial image of a run from its file, and ask the model about it, alone and in a batch."""
    size, channels, batch_size = words["size"], words["channels"], words["batch_size"]
    if model is None:
        request = Request.of(run)
        run = run.resolve()
        os.chdir(request.folder)
        oracle, _ = _oracle(request.model, **{name: words[name] or getattr(request, name) for name in _MODEL_WORDS})
    else:
        oracle, _ = _oracle(model, **{name: words[name] for name in _MODEL_WORDS})
    originals = None
    if images is not None:
        wanted = read_run(run).config["shape"][-1]
        originals = sources.open_images(images, channels=channels, size=sources.parse_size(size), wanted=wanted).images
    verification = dfa.verify(run, oracle, originals=originals, batch_size=batch_size)
    status = DONE if verification.holds else ABOVE
    if as_json:
        _print_json({**verification.as_dict(), "exit": status})
        return status
    console = Console()
    table = Table("check", "made", "failed", "what must hold")
    for name, number in verification.checked.items():
        failed = verification.failed(name)
        entry = verification.as_dict()["checks"][name]["what"]
        table.add_row(name, f"{number:,}", f"{failed:,}", entry, style="red" if failed else "")
    console.print(table, highlight=False)
    if verification.findings:
        table = Table("image", "check", "what does not hold")
        for finding in verification.findings:
            table.add_row(str(finding.index), finding.check, finding.problem)
        console.print(table, highlight=False)
    for note in verification.notes:
        console.print(f"note: {note}", highlight=False)
    verdict = "everything holds" if verification.holds else f"{len(verification.findings):,} things do not hold"
    style = "green" if verification.holds else "bold red"
    console.print(f"{verification.images:,} adversarial images: {verdict}", style=style, highlight=False)
    return status


@app.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="HTML file.  [default: report.html in the first run]")
@click.option("--gallery", type=click.IntRange(0), default=240, show_default=True, help="Images to show per run.")
@_json_option
def report(runs: tuple[Path, ...], out: Path | None, gallery: int, as_json: bool) -> int:
    """Write one self-contained HTML page about a run, or one that compares several."""
    from dfa.views.report import write_report

    started = time.perf_counter()
    path = write_report(list(runs), out, gallery=gallery)
    seconds = time.perf_counter() - started
    if as_json:
        _print_json({"report": str(path), "bytes": path.stat().st_size, "seconds": seconds, "exit": DONE})
    else:
        Console().print(f"{path} ({path.stat().st_size / 1e6:.1f} MB, {seconds:.1f} s)", highlight=False)
    return DONE


@app.command(
    epilog=f"""\b
Examples:
  dfa bench model.keras photos/ --epsilon 8 --number 10000
  dfa bench mymodule:classify images.npz --trace pilot.json   # open in chrome://tracing or ui.perfetto.dev

{_EXIT_STATUS}"""
)
@click.argument("model")
@click.argument("images")
@click.option("--epsilon", default="10", show_default=True, help="Largest change, grey levels (or a .npy file).")
@click.option("--target", metavar="WORD", help="rank:J, class:ID, or a table with a column target; else untargeted.")
@click.option("--sizes", type=_Integers(), default=DEFAULT_SIZES, help="Batch sizes, with commas between them.")
@click.option("--seconds", type=float, default=2.0, show_default=True, help="To spend on each batch size.")
@click.option("--pilot", type=click.IntRange(1), default=16, show_default=True, help="Images to attack.")
@click.option("--number", type=click.IntRange(1), help="Images of the run to come.  [default: those of IMAGES]")
@click.option("--max-queries", type=int, default=10_000, show_default=True, help="Budget per image.")
@click.option("--preset", type=click.Choice(["default", "paper"]), default="default", help="The optimizer's settings.")
@click.option("--trace", type=click.Path(path_type=Path), help="Write the pilot's profile as a Chrome trace.")
@_model_options
@_image_options
@_json_option
def bench(model: str, images: str, as_json: bool, **words: Any) -> int:
    """Measure a model over batch sizes, attack a few images, and project what a run would take."""
    epsilon, size = sources.parse_epsilon(words["epsilon"]), sources.parse_size(words["size"])
    oracle, channels = _oracle(model, **{name: words[name] for name in _MODEL_WORDS})
    source = sources.open_images(images, channels=words["channels"], size=size, wanted=channels)
    target = sources.parse_target(words["target"], source.names)
    paper = dfa.Racos.paper(targeted=target is not None)
    measured = measure_model(
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
    )
    if words["trace"] is not None:
        measured.profile.save_trace(words["trace"])
    if as_json:
        _print_json({**measured.as_dict(), "exit": DONE})
        return DONE
    console = Console()
    table = Table("batch", "images/s", "calls")
    for each in measured.throughput:
        mark = "  recommended" if each.batch_size == measured.recommended else ""
        table.add_row(f"{each.batch_size:,}", f"{each.images_per_second:,.1f}{mark}", f"{each.calls:,}")
    console.print(table, highlight=False)
    forecast = measured.forecast
    for line in (
        f"A query costs {1e3 * measured.oracle_seconds:.3g} ms in the oracle and "
        f"{1e3 * measured.optimizer_seconds:.3g} ms beside it: {100 * measured.optimizer_share:.1f} % of the "
        "time, if none of it is hidden.",
        f"Pilot: {measured.pilot.attacked} images, TSR {100 * measured.pilot.TSR:.0f} %, "
        f"{measured.pilot.queries_sent:,} queries.",
        f"{forecast.images:,} images would take about {forecast.queries:,.0f} queries ({forecast.queries_low:,.0f} to "
        f"{forecast.queries_high:,.0f}) and {_duration(forecast.seconds)} ({_duration(forecast.seconds_low)} to "
        f"{_duration(forecast.seconds_high)}).",
    ):
        console.print(line, highlight=False)
    return DONE


@app.command(
    epilog=f"""\b
Examples:
  dfa audit model.keras images.npz vectors.npy --range 0,255
  dfa audit deployed.py:ask images.npy vectors.npz --vector-model net.py:model \\
      --layout NCHW --rounding nearest,truncate --codec png,jpeg:90 --epsilon 8

VECTORS is .npy (N, ...), .npz (vectors, indices) or .csv.

{_EXIT_STATUS}"""
)
@click.argument("model")
@click.argument("images")
@click.argument("vectors", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--vector-model", metavar="MODEL", help="The model of vectors, where it is another than MODEL.")
@click.option("--labels", metavar="FILE", help="Class ids; else the model's own answers.")
@click.option("--target", metavar="WORD", help="rank:J, class:ID, or a table with a column target; else untargeted.")
@click.option("--range", "limits", metavar="LOW,HIGH", default="0,1", show_default=True, help="Of black and white.")
@click.option(
    "--layout", type=click.Choice(["NHWC", "NCHW"]), default="NHWC", show_default=True, help="Of the vectors."
)
@click.option("--rounding", default="nearest", show_default=True, help="How vectors become 8-bit, with commas.")
@click.option("--codec", default="png", show_default=True, help="Files they go through, with commas.")
@click.option("--epsilon", type=float, help="The attack's budget, grey levels, to see whether rounding breaks it.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of stochastic rounding.")
@click.option("--batch-size", type=int, default=256, show_default=True, help="The most images per call of the model.")
@click.option("--fail-above", type=click.FloatRange(0, 1), metavar="RATE", help="Exit 1 above this TSR, 0..1.")
@_model_options
@_image_options
@_json_option
def audit(model: str, images: str, vectors: Path, fail_above: float | None, as_json: bool, **words: Any) -> int:
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
    size = sources.parse_size(words["size"])
    oracle, channels = _oracle(model, **{name: words[name] for name in _MODEL_WORDS})
    source = sources.open_images(images, channels=words["channels"], size=size, wanted=channels)
    report = auditing.audit(
        oracle,
        source.images,
        vectors,
        None if words["labels"] is None else sources.read_labels(words["labels"], source.names),
        targets=sources.parse_target(words["target"], source.names),
        normalizer=auditing.Affine.between(low, high, layout=words["layout"]),
        vector_oracle=None if words["vector_model"] is None else sources.load_model(words["vector_model"]),
        rounding=words["rounding"].split(","),
        codec=words["codec"].split(","),
        epsilon=words["epsilon"],
        seed=words["seed"],
        batch_size=words["batch_size"],
    )
    summaries = report.summaries()
    above = fail_above is not None and any(fail_above < each.TSR for each in summaries)
    status = ABOVE if above else DONE
    if as_json:
        _print_json({"images": source.text, "audits": summaries, "queries": report.queries, "exit": status})
    else:
        Console().print(str(report), highlight=False)
    return status


@app.command()
@click.option("--out", default="runs/demo", show_default=True, help="Folder for the results.")
@click.option("--cache", help="Folder that keeps the classifier.")
@click.option("--images", type=int, default=200, show_default=True, help="Test digits to attack.")
@click.option("--max-queries", type=int, default=5_000, show_default=True, help="Budget per digit.")
def demo(**words: Any) -> int:
    """Train LeNet-1 on handwritten digits and attack it. Needs the extra `demo`."""
    from dfa.cli import demo as module

    arguments = []
    for name, value in words.items():
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return module.main(arguments)


@app.command(
    epilog="""\b
Examples:
  eval "$(dfa completion bash)"        # in ~/.bashrc
  dfa completion fish > ~/.config/fish/completions/dfa.fish"""
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    """Print the completion script of a shell."""
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(app, {}, "dfa", "_DFA_COMPLETE").source())
    return DONE


@contextlib.contextmanager
def _progress(console: Console, number: int, storage: Storage) -> Iterator[Callable[[dfa.Record], None] | bool]:
    """Show a live line of how the run is doing, where someone looks on."""
    if not console.is_terminal:
        yield False
        return
    queries: list[int] = []
    ended = 0
    columns = (TextColumn(str(storage.folder)), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[found]}"))
    with Progress(*columns, TimeElapsedColumn(), TimeRemainingColumn(), console=console) as progress:
        task = progress.add_task("", total=number, found="")

        def show(record: dfa.Record) -> None:
            nonlocal ended
            ended += record.status in (dfa.Status.SUCCESS, dfa.Status.FAILURE)
            if record.verified:
                bisect.insort(queries, record.queries)
            share = f"{100 * len(queries) / ended:.1f} %" if ended else "-"
            median = f", median {queries[len(queries) // 2]:,} queries" if queries else ""
            progress.update(task, advance=1, found=f"{share} fell{median}")

        yield show


def _oracle(
    model: str,
    *,
    returns: str | None,
    preprocess: str | None,
    class_offset: int,
    num_classes: int | None,
    k: int | None,
    shows: str | None,
) -> tuple[Oracle, int | None]:
    """Return a model ready to be asked, and how many channels it takes, if it tells."""
    loaded = sources.load_model(model)
    if class_offset and not isinstance(loaded, Path):
        raise InvalidInputError(f"--class-offset is for .tflite files, and {model} is none")
    oracle: Oracle
    channels = None
    # Of what is shown here, and else of what the model answers.
    answered = (num_classes, k) if shows is None else (None, None)
    if isinstance(loaded, Oracle):
        if returns is not None or preprocess is not None or answered != (None, None):
            raise InvalidInputError(f"{model} is a dfa.Oracle and says itself what it returns and how it preprocesses")
        oracle = loaded
    else:
        function = None if preprocess is None else sources.load_object(preprocess)
        kind = returns or "probabilities"
        if isinstance(loaded, Path):
            if answered != (None, None):
                raise InvalidInputError("a .tflite model shows all its classes; --num-classes and --k go with --shows")
            oracle = TfliteOracle(loaded, returns=kind, preprocess=function, class_offset=class_offset)
            channels = oracle.input_shape[-1]
        else:
            oracle = as_oracle(loaded, returns=kind, preprocess=function, num_classes=answered[0], k=answered[1])
            channels = sources.channels_of(loaded)
    if shows is not None:
        oracle = RestrictedOracle(oracle, ScoreKind(shows), k=k, num_classes=num_classes)
    return oracle, channels


def _duration(seconds: float) -> str:
    """Return a time in the unit that suits it."""
    for unit, length in (("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:,.1f} s"


def _print_json(document: Mapping[str, object]) -> None:
    print(json.dumps(plain(document), indent=2, allow_nan=False))
