"""An attack in words, as `dfa attack` is given it and `run.json` keeps it."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dfa
from dfa.cli.sources.images import Channels
from dfa.errors import StoreError
from dfa.results.parsing import reader
from dfa.runs.saved_run import read_run_json


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

    @classmethod
    def of_run(cls, folder: Path) -> Request:
        """Return the request that a run folder keeps.

        Raises:
            StoreError: The folder holds no run, or one that no command began.
        """
        command = read_run_json(folder).command
        try:
            request: Request = reader(cls)(command)
            return request
        except ValueError as error:
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
