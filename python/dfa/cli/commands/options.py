"""Flags that commands share.

Those of the settings are made from what they set: the parameters of `dfa.run` and the fields of `dfa.Racos`, with their
types, defaults and docstrings.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import types
import typing
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

import dfa
from dfa.cli.commands.flags import (
    EVERYDAY,
    IMAGES,
    MODEL,
    OPTIMIZER,
    RUN,
    Decorated,
    IntegerList,
    Number,
    Rate,
    Share,
    flag,
    written,
)
from dfa.cli.request import RUN_SETTINGS
from dfa.cli.sources.at_workers import LOCAL
from dfa.oracle import ScoreKind

_CHOSEN_BY_MOST: Final = ("max_queries",)
"""Of the settings of a run, those that most runs choose."""

IN_WORDS: Final = (
    (", in Result.profile", ""),
    ("None: as many", "By default as many"),
    ("None: never, the whole", "By default never: the whole"),
    (" The result's config then says None.", ""),
    ("; None for s + k. (", ". ("),
    (" (Racos.sequential())", ""),
    ("None: 1 where", "By default 1 where"),
    ("None: 0.1, and", "By default 0.1, and"),
    ("T, or None for no limit", "T; by default no limit"),
    ("False where", "Give false where"),
    ("0..2**64 - 1", "Of all that is drawn, 0..2^64 - 1"),
    ("rest_ratio", "--rest-ratio"),
    ("see improvements", "see --improvements"),
    (", and samples at", ", and --samples at"),
    ("0: sequential, samples at", "0: sequential, --samples at"),
    ("samples=1", "--samples 1"),
)
"""What docstrings say in words of Python, and what the command line says."""


@dataclass(frozen=True)
class Setting:
    """One flag, what it sets, and its section of the help page."""

    name: str
    hint: Any
    default: Any
    text: str
    section: str

    def option(self, *, default: Any) -> Callable[[Decorated], Decorated]:
        """Return what gives a command this flag; its help names the setting's own default, whatever `default` is."""
        word = "--" + self.name.replace("_", "-")
        shown = f"  [default: {written(self.default)}]" if self.default is not None else ""
        kind, text = self._kind(), f"{self.text}{shown}"
        return flag(word, self.name, section=self.section, type=kind, default=default, help=text)

    def _kind(self) -> Any:
        """Return the click type of the type hint."""
        options = [each for each in typing.get_args(self.hint) or (self.hint,) if each is not type(None)]
        if typing.get_origin(self.hint) is typing.Literal:
            return click.Choice(list(typing.get_args(self.hint)))
        if typing.get_origin(self.hint) is tuple:
            return IntegerList()
        if isinstance(self.hint, types.UnionType) and set(options) == {int, float}:
            return Number()
        assert len(options) == 1, f"no flag can be made of {self.hint}"
        is_share = options == [float] and (self.default is not None or self.name.endswith("_share"))
        return Share() if is_share else options[0]


def _documented(documented: Any, section: str) -> dict[str, str]:
    """Return what a Google-style docstring says of each parameter or attribute, in words of the command line."""
    text = inspect.getdoc(documented) or ""
    body = text.partition(f"{section}:\n")[2].partition("\n\n")[0]
    entries = re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", body, re.MULTILINE)
    texts = {name: re.sub(r"\s+", " ", words).replace("`", "") for name, words in entries}
    for python, words in IN_WORDS:
        texts = {name: text.replace(python, words) for name, text in texts.items()}
    return texts


def run_settings(function: Callable[..., Any] = dfa.run) -> list[Setting]:
    """Return the parameters of `dfa.run` that have flags, or those of them that another function has as well."""
    parameters = inspect.signature(function).parameters
    hints = typing.get_type_hints(dfa.run)
    words = _documented(dfa.run, "Args")
    sections = {name: EVERYDAY if name in _CHOSEN_BY_MOST else RUN for name in RUN_SETTINGS}
    return [
        # Under `python -OO` nothing is documented, and the flags go without words.
        Setting(name, hints[name], parameters[name].default, words.get(name, ""), sections[name])
        for name in RUN_SETTINGS
        if name in parameters
    ]


def optimizer_settings() -> list[Setting]:
    """Return the fields of `dfa.Racos`, the objective excepted: it has a flag of its own."""
    hints = typing.get_type_hints(dfa.Racos)
    words = _documented(dfa.Racos, "Attributes")
    fields = [field for field in dataclasses.fields(dfa.Racos) if field.name != "objective"]
    return [
        Setting(field.name, hints[field.name], field.default, words.get(field.name, ""), OPTIMIZER) for field in fields
    ]


def setting_options(settings: Sequence[Setting], *, unset: bool) -> Callable[[Decorated], Decorated]:
    """Give a command the flags of settings; with `unset`, a flag that is not given leaves its setting alone."""

    def decorate(command: Decorated) -> Decorated:
        for setting in reversed(settings):
            command = setting.option(default=None if unset else setting.default)(command)
        return command

    return decorate


trust_pickle_option = flag(
    "--trust-pickle",
    section=MODEL,
    is_flag=True,
    help="Read a MODEL that is a .joblib, .pkl or .pickle file, which runs whatever code is in it. (Pickles of torch "
    "are never read.)",
)


def model_options(command: Decorated) -> Decorated:
    """Give a command the flags of `MODEL_SETTINGS`, and that which lets a pickle run."""
    for option in (
        trust_pickle_option,
        flag(
            "--class-offset",
            section=MODEL,
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Of a .tflite file: the class of its first output is minus this; 1 where that means background.",
        ),
        flag(
            "--preprocess", section=MODEL, metavar="MODULE:ATTR", help="What keras.applications calls preprocess_input."
        ),
        flag("--k", section=MODEL, type=int, help="How many classes an answer of top_k shows, at most."),
        flag(
            "--num-classes",
            section=MODEL,
            type=int,
            help="Of a function or a service that answers with top_k, top_1 or label, or of a model with --shows.",
        ),
        flag(
            "--device",
            section=MODEL,
            help="Where a torch or ONNX model runs that is loaded from a file or by its name, such as cuda:0.  "
            "[default: the CPU]",
        ),
        flag(
            "--model-layout",
            section=MODEL,
            type=click.Choice(["NCHW", "NHWC"]),
            help="Where a torch or ONNX model has its channels.  [default: NCHW, or as an ONNX file tells]",
        ),
        flag(
            "--value-range",
            section=MODEL,
            is_common=True,
            metavar="LOW,HIGH",
            help="What black and white become, such as 0,1. Of an .onnx file, instead of --mean and --std, of an "
            "estimator of scikit-learn, or of oip+http://...; 0,255 where it takes pixels as they are, or 0,1 or -1,1.",
        ),
        flag(
            "--std",
            section=MODEL,
            is_common=True,
            metavar="N,N,...",
            help="What is left is divided by this.",
        ),
        flag(
            "--mean",
            section=MODEL,
            is_common=True,
            metavar="N,N,...",
            help="Subtracted from pixels / 255. Of torch and ONNX models: one number, or one per channel, such as "
            "0.485,0.456,0.406.",
        ),
        flag(
            "--shows",
            section=MODEL,
            type=click.Choice(["top_k", "top_1", "label"]),
            help="Hide the rest of what the model returns, to see what an attack can do that sees no more.",
        ),
        flag(
            "--returns",
            section=MODEL,
            type=click.Choice([kind.value for kind in ScoreKind]),
            help="What the model answers.  [default: probabilities; logits, of a torch model; top_k, of https://...]",
        ),
    ):
        command = option(command)
    return command


def image_options(command: Decorated) -> Decorated:
    """Give a command the flags that say how image files become arrays."""
    for option in (
        flag(
            "--size",
            section=IMAGES,
            is_common=True,
            metavar="HxW",
            help="Resize image files once, before anything else (bicubic).",
        ),
        flag(
            "--channels",
            section=IMAGES,
            type=click.Choice(["auto", "grey", "rgb"]),
            default="auto",
            show_default=True,
            help="What image files become; auto: what the model takes, or else what the first file has.",
        ),
    ):
        command = option(command)
    return command


def worker_options(command: Decorated) -> Decorated:
    """Give a command the flags that say who is asked, as `parse_workers` takes them."""
    for option in (
        flag(
            "--mixed-workers",
            section=RUN,
            is_flag=True,
            help="Take workers whose versions or last bits differ; the result records it.",
        ),
        flag(
            "--gpus-per-worker",
            section=RUN,
            type=float,
            help="With --ray: GPUs of each worker, or a part of one; --device cuda has the model put there.  "
            "[default: 0]",
        ),
        flag(
            "--ray",
            section=RUN,
            metavar="ADDRESS",
            help=f"With --workers N: on the Ray cluster there, or one that is begun here with the word {LOCAL}.",
        ),
        flag(
            "--workers",
            section=RUN,
            metavar="N|DEVICES",
            help="Ask so many processes, each with a model of its own, or one on each of these devices, such as "
            "cuda:0,cuda:1. What is found is the same.  [default: this process]",
        ),
    ):
        command = option(command)
    return command


labels_option = flag(
    "--labels",
    metavar="FILE",
    help="A table of class ids, or the word folders. That is where IMAGES has a folder for each class. An image that "
    "the model gets wrong is then skipped.",
)
prior_option = flag(
    "--prior",
    section=RUN,
    metavar="MODEL",
    help="Another model of the same classes, whose gradients say where to go: a Keras, .pt, .ts or .pt2 file, "
    "timm:NAME, or module:attribute, which may also be a function of images and goals.",
)
confirmations_option = flag(
    "--confirmations",
    section=RUN,
    is_common=True,
    metavar="K/N",
    help="K of N answers must find it fallen. Of a randomised model.  [default: 1/1]",
)
objective_option = flag(
    "--objective",
    section=OPTIMIZER,
    type=click.Choice(list(dfa.objectives.NAMED)),
    help="The degree; by default the preset's.",
)
trust_option = flag(
    "--trust",
    is_flag=True,
    help="Load the model, and whatever else is code, that the run folder names. Only for folders that you know.",
)
class_names_option = flag(
    "--class-names",
    metavar="FILE",
    help="What the model's classes are called, one a line. Tables and targets may then hold names, and reports do.",
)
image_layout_option = flag(
    "--image-layout",
    section=IMAGES,
    type=click.Choice(["NCHW", "NHWC"]),
    help="Of an array: NCHW where channels come first; NHWC to take it as it is, although they seem to.",
)
json_option = flag("--json", "as_json", is_flag=True, help="Print one JSON document instead of tables.")
fail_above_option = flag("--fail-above", type=Rate(), metavar="RATE", help="Exit 1 above this TSR, 0..1.")
allow_missing_option = flag(
    "--allow-missing",
    section=RUN,
    type=Rate(),
    metavar="SHARE",
    help="Exit 5 where a larger share of the images was not attacked: errors, or skipped.  [default: 0.5, and with "
    "--fail-above no errors]",
)
target_option = flag(
    "--target", metavar="WORD", help="rank:J, class:ID, or a table; else untargeted. Of a table its column target."
)
preset_option = flag(
    "--preset",
    section=OPTIMIZER,
    is_common=True,
    type=click.Choice(["default", "paper"]),
    default="default",
    help="Whose settings these begin with. default: dfa's. paper: Algorithm 1 with Table 5; towards a target its "
    "degree is paper-code, as its authors' code has it (--objective paper: as printed).",
)
