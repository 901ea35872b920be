"""An attack in words, as `dfa attack` is given it and `run.json` keeps it."""

from __future__ import annotations

import dataclasses
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import dfa
from dfa.data.image_files import Channels
from dfa.errors import StoreError
from dfa.runs.folder import RUN
from dfa.runs.saved_run import read_run_json

RUN_SETTINGS: Final = ("max_queries", "max_seconds", "give_up_after", "batch_size", "seed", "threads")
"""The parameters of `dfa.run` that a request keeps by their names, and that have flags."""

_RESUME_IN_PYTHON: Final = "resume it from Python: dfa.run(..., store=folder, resume=True)"


class NotOnRecordError(StoreError):
    """A run was begun from Python, so no words say what it attacks."""


@dataclass(frozen=True)
class Request:
    """An attack in words: what `run.json` keeps, so that `dfa resume` and `dfa verify` need no more than the folder.

    Attributes:
        model: MODEL.
        images: IMAGES.
        labels: A table or array of class ids; or "folders", where IMAGES has a folder for each class.
        target: rank:J, class:ID, or a table.
        epsilon: Grey levels, or an array file; None for 10, or of a space without one.
        objective: Name of the degree, None for the optimizer's own.
        preset: "default" or "paper".
        returns: What the model answers.
        preprocess: module:attribute.
        channels: Of image files.
        size: HxW.
        confirmations: K or K/N.
        mean: Of a torch or ONNX model, numbers with commas between them.
        std: Likewise.
        value_range: Of an .onnx file, likewise: what 0 and 255 become.
        model_layout: Where such a model has its channels.
        device: Where it runs.
        part: Which part of IMAGES is attacked, NUMBER/PARTS; None for all.
        parse: module:attribute of what reads a service's replies.
        encode: "png", "png-base64", or module:attribute of what writes its requests; None for the oracle's own.
        rate: What the service allows, with commas between several.
        rate_file: A file through which processes share that.
        price: Of a request, in decimal digits.
        max_cost: What all requests may cost, likewise.
        currency: Of both.
        concurrency: Requests at a time.
        images_per_request: The most images of one.
        token_env: The environment variable of a token.
        header: HEADER=VARIABLE, with commas between several: environment variables, never values.
        watch_every: Attack queries from one look at an unchanged image to the next; 0 for never.
        on_drift: "stop" or "mark".
        retries: How often a request is sent again.
        timeout: Seconds.
        ca_file: Certificates to trust.
        class_offset: Of a .tflite file.
        num_classes: Of a function whose answers do not tell.
        k: How many classes are shown.
        shows: What of the model's answers is shown; None for all.
        space: The search space; None for the ball.
        class_names: A file of them, one a line; or None.
        prior: A surrogate, as `open_prior` takes it; or None.
        image_layout: "NCHW" where the images are (C, H, W), "NHWC" where they look like that and are not; else None.
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
    channels: Channels
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
    image_layout: str | None = None
    class_names: str | None = None
    prior: str | None = None
    mean: str | None = None
    std: str | None = None
    value_range: str | None = None
    model_layout: str | None = None
    device: str | None = None
    part: str | None = None
    parse: str | None = None
    encode: str | None = None
    rate: str | None = None
    rate_file: str | None = None
    price: str | None = None
    max_cost: str | None = None
    currency: str | None = None
    concurrency: int | None = None
    images_per_request: int | None = None
    token_env: str | None = None
    header: str | None = None
    watch_every: int | None = None
    on_drift: str | None = None
    retries: int | None = None
    timeout: float | None = None
    ca_file: str | None = None

    @classmethod
    def of_run(cls, folder: Path, cure: str = _RESUME_IN_PYTHON) -> Request:
        """Return the request that a run folder keeps.

        Args:
            folder: The run folder.
            cure: What to say where no command began the run.

        Raises:
            StoreError: The folder holds no run, or the command in it is not as one wrote it.
            NotOnRecordError: No command began it.
        """
        command = read_run_json(folder).command
        if command is None:
            raise NotOnRecordError(
                f"the run in {folder} was not begun by `dfa attack`, so its model and images are not on record; {cure}"
            )
        problem = _why_not_a_request(command)
        if problem:
            raise StoreError(f"the command in {folder / RUN} must be as `dfa attack` wrote it, and {problem}")
        return cls(**command)

    def racos(self, space: dfa.Space) -> dfa.Racos:
        """Return the optimizer, in a search space."""
        is_targeted = self.target is not None
        base = dfa.Racos.paper(targeted=is_targeted) if self.preset == "paper" else space.optimizer()
        # JSON made lists of tuples.
        given: dict[str, Any] = {
            name: tuple(each) if isinstance(each, list) else each for name, each in self.optimizer.items()
        }
        return dataclasses.replace(base, **given)


def _why_not_a_request(command: object) -> str:
    """Return why something of run.json is no request, or nothing if it is one."""
    if not isinstance(command, dict):
        return f"is {type(command).__name__}"
    fields = {field.name: field for field in dataclasses.fields(Request)}
    needed = {name for name, field in fields.items() if field.default is dataclasses.MISSING}
    if needed - set(command) or set(command) - set(fields):
        return f"has the fields {', '.join(map(str, command))}"
    for name, hint in typing.get_type_hints(Request).items():
        if name in command and not _is_of(command[name], hint):
            return f"its {name} is {command[name]!r}"
    allowed = {"settings": set(RUN_SETTINGS), "optimizer": {field.name for field in dataclasses.fields(dfa.Racos)}}
    for name, known in allowed.items():
        if set(command[name]) - known:
            return f"its {name} has {', '.join(sorted(set(command[name]) - known))}"
    return ""


def _is_of(value: object, hint: Any) -> bool:
    """Tell whether a plain value is of a field's type."""
    if typing.get_origin(hint) is typing.Literal:
        return value in typing.get_args(hint)
    kinds = tuple(typing.get_origin(each) or each for each in typing.get_args(hint)) if _is_union(hint) else (hint,)
    kinds = tuple(typing.get_origin(each) or each for each in kinds)
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_union(hint: Any) -> bool:
    return isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
