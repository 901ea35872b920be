"""`dfa.suite`: the standard settings that papers can share, run on a model."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import itertools
import os
import platform
import re
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.api import run
from dfa.checks import require_count, require_flag, require_integer, require_path
from dfa.engine.inputs import Inputs
from dfa.errors import (
    ChanceAccuracyWarning,
    DoubtfulDataWarning,
    InvalidInputError,
    MostSkippedWarning,
    StoreError,
)
from dfa.oracle import Oracle, as_oracle
from dfa.oracle.answers import is_told
from dfa.oracle.gate import Gate, Purpose
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.runs.begun import Begun
from dfa.runs.folder import plain
from dfa.runs.storage import Storage
from dfa.search.protocol import Optimizer
from dfa.search.racos import Racos
from dfa.verdicts.suite_cells import DEFAULT, EPSILONS, MAX_QUERIES, SEEDS, SUITE, TARGET, SuiteCell
from dfa.verdicts.suite_report import JSON_FILE, SuiteReport, is_same_answer, write_files

_OF_THE_DATA: Final = (MostSkippedWarning, ChanceAccuracyWarning, DoubtfulDataWarning)
"""Warnings that each run would repeat."""

INDEPENDENT: Final = "dfa, independent images"
_RUNS: Final = "runs"
_PACKAGES: Final = {
    "torch": "torch",
    "torchvision": "torchvision",
    "timm": "timm",
    "transformers": "transformers",
    "tensorflow": "tensorflow",
    "keras": "keras",
    "jax": "jax",
    "onnxruntime": "onnxruntime",
    "sklearn": "scikit-learn",
    "ai_edge_litert": "ai-edge-litert",
}
"""Whose versions are kept where they are in use: what they are imported as, and what they are installed as."""


def suite(
    oracle: Any,
    images: Any,
    labels: ArrayLike | None = None,
    *,
    optimizers: Mapping[str, Racos | Optimizer] | None = None,
    epsilons: Sequence[int] = EPSILONS,
    seeds: Sequence[int] = SEEDS,
    max_queries: int = MAX_QUERIES,
    batch_size: int = 256,
    threads: int | None = None,
    progress: bool | Callable[[SuiteCell], None] = True,
    out: str | Path | None = None,
    resume: bool = False,
    layout: str | None = None,
    names: Sequence[str | os.PathLike[str]] | None = None,
    class_names: Sequence[str] | None = None,
) -> SuiteReport:
    """Run the settings of "dfa-suite 1" on a model, so that others can repeat them and compare.

    Each optimizer is run untargeted at each epsilon, and towards the 4th likeliest class at the largest one, with each
    seed: the default of `dfa.run` ("dfa"), the default with independent images ("dfa, independent images", which is
    `Racos(archive=False)`), and yours. Before that each image is asked about once, as it is: two reports are of one
    model if these answers agree. Where answers tell fewer than four classes there is no target, and the report says so.

    Args:
        oracle: As of `dfa.run`. It must answer the same again.
        images: Likewise.
        labels: Likewise. Images that the model gets wrong are skipped, and counted (`SuiteReport.wrong`).
        optimizers: Others by their names, each a `dfa.Racos`, or what `optimizer=` of `dfa.run` takes. The attribute
            `objective` of one of yours, if it has one, is its objective as of `dfa.run`; "odds" otherwise.
        epsilons: Grey levels, each 1..255. The report of other epsilons, seeds or budgets than the suite's says that it
            is not standard (`SuiteReport.is_standard`).
        seeds: Of the runs, 0..2**64 - 1. An odd number of them: an image counts as broken where most of them broke it.
        max_queries: Budget per image.
        batch_size: As of `dfa.run`.
        threads: Likewise.
        progress: Show a progress bar for each run where the error stream is a terminal; or a function that is called
            with each `SuiteCell` as soon as it is complete.
        out: A folder for `suite.json`, `suite.md`, a run folder of each optimizer, setting and seed, and `begun.json`,
            what the suite was begun with. None: nothing is kept.
        resume: Go on with what is there, run by run, or begin it. Images, settings and the model's answers must be as
            they were, but for the optimizers: the report is of those that are given. One of yours is known by its class
            and the fields of its dataclass alone: if you have changed its code, take another folder.
        layout: As of `dfa.run`.
        names: Likewise.
        class_names: Likewise.

    Returns:
        The cells with their figures, and what two reports are held against each other by.

    Raises:
        InvalidInputError: An argument is not as described, or images or answers are other ones when they are asked for
            again.
        StoreError: `out` cannot be written, holds a suite and `resume` is not given, or was begun otherwise.
        DfaError: As of `dfa.run`; `.result` is that of the run under way.

    Warns:
        DoubtfulDataWarning, ChanceAccuracyWarning, MostSkippedWarning: As of `dfa.run`, of the first run.

    Source:
        Of no paper. Failures at the budget, so that means do not flatter who gives up: as dfa's own benchmarks count.
    """
    optimizers = _checked_optimizers(optimizers)
    epsilons = tuple(require_integer("each of epsilons", each, 1, 255) for each in _some("epsilons", epsilons))
    seeds = tuple(require_integer("each of seeds", each, 0, 2**64 - 1) for each in _some("seeds", seeds))
    if len(seeds) % 2 == 0:
        raise InvalidInputError(f"seeds must be of an odd number, so that most of them decide, got {len(seeds)}")
    max_queries = require_count("max_queries", max_queries, 1)
    batch_size = require_count("batch_size", batch_size, 1)
    if not callable(progress):
        require_flag("progress (unless a function)", progress)
    model = as_oracle(oracle)
    # Of optimizers there may be others: each has runs of its own.
    begun = Begun("suite", {"suite": SUITE, "epsilons": epsilons, "seeds": seeds, "max_queries": max_queries})
    with _held(out, begun, resume=require_flag("resume", resume)) as folder:
        seen = _look(model, Inputs(images, layout=layout, names=names), batch_size)
        note = ""
        targets: list[int | None] = [None, TARGET.j]
        if seen.num_ranked < TARGET.j:
            targets = [None]
            note = f"No target: the model's answers rank {seen.num_ranked} of its classes, and {TARGET.j} are due."
        settings: dict[str, Any] = {
            "max_queries": max_queries,
            "batch_size": batch_size,
            "threads": threads,
            "progress": progress is True,
            "layout": layout,
            "names": names,
            "class_names": class_names,
        }
        cells: list[SuiteCell] = []
        about: dict[str, Any] = {}
        first: Result | None = None
        places = [(epsilon, None) for epsilon in epsilons] + [
            (max(epsilons), each) for each in targets if each is not None
        ]
        for (epsilon, target), (name, optimizer) in itertools.product(places, optimizers.items()):
            results: list[Result] = []
            for seed in seeds:
                place = f"epsilon-{epsilon}{'' if target is None else f'-rank-{target}'}-seed-{seed}-{_file_name(name)}"
                with warnings.catch_warnings():
                    for kind in () if first is None else _OF_THE_DATA:
                        warnings.simplefilter("ignore", kind)
                    result = run(
                        model,
                        images,
                        labels,
                        targets=None if target is None else TARGET,
                        epsilon=epsilon,
                        optimizer=optimizer,
                        objective=None if isinstance(optimizer, Racos) else getattr(optimizer, "objective", None),
                        seed=seed,
                        store=None if folder is None else Storage(folder / _RUNS / place, resume=True),
                        **settings,
                    )
                seen.refuse_others(result.records)
                first = first or result
                about[name] = {key: plain(result.config.get(key)) for key in ("optimizer", "objective")}
                results.append(result)
            cells.append(_cell(epsilon, target, name, max_queries, results))
            if callable(progress):
                progress(cells[-1])
        assert first is not None
        report = SuiteReport(
            suite=SUITE,
            epsilons=epsilons,
            seeds=seeds,
            max_queries=max_queries,
            batch_size=batch_size,
            versions=first.config["versions"] | dict(_installed(optimizers.values())),
            platform=f"{platform.system()} {platform.machine()}",
            model={name: plain(value) for name, value in model.describe().items()},
            fingerprint=model.fingerprint(),
            shape=seen.shape,
            images_digest=seen.digest,
            classes=seen.classes,
            probabilities=seen.probabilities,
            margins=seen.margins,
            labels=tuple(record.label for record in first.records),
            optimizers=about,
            cells=tuple(cells),
            note=note,
        )
        if folder is not None:
            write_files(report, folder)
    return report


@dataclass(frozen=True)
class _Seen:
    """What is known of images and model before the first run.

    Attributes:
        shape: (H, W, C).
        digest: Of the images.
        classes: The model's, by image; None of one that cannot be read.
        probabilities: Of these.
        margins: By how much these lie above the next ones.
        num_ranked: How many classes an answer names in their order.
    """

    shape: tuple[int, ...]
    digest: str
    classes: tuple[int | None, ...]
    probabilities: tuple[float | None, ...]
    margins: tuple[float | None, ...]
    num_ranked: int

    def refuse_others(self, records: Sequence[Record]) -> None:
        """Refuse a run whose model, or whose images, answered otherwise than before.

        Raises:
            InvalidInputError: They did.
        """
        for record in records:
            before, found = self.classes[record.index], record.class_before
            of_before, of_found = self.probabilities[record.index], record.probability_before
            if None not in (before, found) and not is_same_answer(
                before, found, of_before, of_found, self.margins[record.index]
            ):
                raise InvalidInputError(
                    f"a suite needs images that stay in their order and a model that answers the same again: image "
                    f"{record.index} was of class {before} (probability {of_before}) and is of class {found} "
                    f"(probability {of_found}) in a run; if the model has changed since the runs that are resumed, "
                    "choose another folder"
                )


def _look(model: Oracle, inputs: Inputs, batch_size: int) -> _Seen:
    """Ask about each image as it is."""
    gate = Gate(model, num_images=inputs.num_images, max_queries=0)
    gate.prepare(inputs.shape, batch_size)
    digest = hashlib.sha256(repr((inputs.num_images, tuple(inputs.shape))).encode())
    classes: list[int | None] = [None] * inputs.num_images
    probabilities: list[float | None] = [None] * inputs.num_images
    margins: list[float | None] = [None] * inputs.num_images
    for indices, batch in _batches(inputs, model.rows_per_call or batch_size):
        for index, image in zip(indices.tolist(), batch, strict=True):
            digest.update(index.to_bytes(8, "little") + image.tobytes())
        scores = gate.ask(batch, indices, Purpose.CLEAN)
        for row, index in enumerate(indices.tolist()):
            number = int(scores[row].argmax())
            classes[index] = number
            if is_told(model, scores[row : row + 1], number):
                probabilities[index] = float(scores[row, number])
            if model.shows_all:
                margins[index] = float(scores[row, number] - np.partition(scores[row], -2)[-2])
    ranked = model.num_ranked
    return _Seen(
        shape=tuple(inputs.shape),
        digest=f"sha256:{digest.hexdigest()}",
        classes=tuple(classes),
        probabilities=tuple(probabilities),
        margins=tuple(margins),
        num_ranked=(gate.num_classes or 0) if ranked is None else ranked,
    )


def _batches(inputs: Inputs, size: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
    """Yield the images that can be read, with their places."""
    places: list[int] = []
    batch: list[NDArray[np.uint8]] = []
    for index in range(inputs.num_images):
        try:
            batch.append(inputs.load(index))
        except InvalidInputError:
            continue  # its record says so
        places.append(index)
        if len(batch) == size:
            yield np.array(places, dtype=np.int64), np.stack(batch)
            places, batch = [], []
    if batch:
        yield np.array(places, dtype=np.int64), np.stack(batch)


def _cell(epsilon: int, target: int | None, name: str, max_queries: int, results: Sequence[Result]) -> SuiteCell:
    return SuiteCell(
        epsilon=epsilon,
        target=target,
        optimizer=name,
        max_queries=max_queries,
        queries=tuple(tuple(map(_queries_of, result.records)) for result in results),
        queries_sent=tuple(sum(record.queries_sent for record in result.records) for result in results),
        calls=tuple(result.profile.batches for result in results),
    )


def _queries_of(record: Record) -> int | None:
    if record.status not in (Status.SUCCESS, Status.FAILURE):
        return None
    return record.queries if record.verified else 0


def _checked_optimizers(given: Mapping[str, Racos | Optimizer] | None) -> dict[str, Racos | Optimizer]:
    """Return dfa's own and the given ones, by their names."""
    optimizers: dict[str, Racos | Optimizer] = {DEFAULT: Racos(), INDEPENDENT: Racos(archive=False)}
    if given is None:
        return optimizers
    if not isinstance(given, Mapping) or not all(isinstance(name, str) and name.strip() for name in given):
        raise InvalidInputError(
            f'optimizers must be given by their names, such as {{"square": SquareAttack()}}, got {given!r:.80}'
        )
    for name, optimizer in given.items():
        if name in optimizers:
            raise InvalidInputError(f"optimizers has one that is called {name!r}, as dfa's own is; name it otherwise")
        if isinstance(optimizer, type) or not callable(getattr(optimizer, "begin", None)):
            raise InvalidInputError(
                f"each of optimizers must be a dfa.Racos, or an object with a method begin(task), and {name!r} is "
                f"{optimizer!r:.80}{'; pass an instance of it' if isinstance(optimizer, type) else ''}"
            )
        optimizers[name] = optimizer
    return optimizers


def _some(name: str, values: Sequence[int]) -> list[int]:
    try:
        found = list(values)
    except TypeError:
        found = []
    if not found or len(set(map(repr, found))) != len(found):
        raise InvalidInputError(f"{name} must be one or several different integers, such as (4, 8), got {values!r:.80}")
    return found


@contextlib.contextmanager
def _held(out: str | Path | None, begun: Begun, *, resume: bool) -> Iterator[Path | None]:
    """Hold the folder of a suite, if it is kept in one, and it may begin or go on there."""
    if out is None:
        if resume:
            raise InvalidInputError("resume needs the folder of the suite; pass out= too")
        yield None
        return
    folder = require_path("out", out)

    def is_begun() -> bool:
        return any((folder / name).exists() for name in (_RUNS, JSON_FILE))

    def make_room() -> None:
        if is_begun() and not resume:
            raise StoreError(
                f"{folder} holds a suite, or the beginning of one; set resume to go on with it, or choose another "
                "folder"
            )

    with begun.held(folder, is_begun, make_room):
        yield folder


def _file_name(name: str) -> str:
    """Return what a folder can be called after an optimizer; other names give other folders."""
    kept = re.sub(r"[^A-Za-z0-9]+", "-", name)[:40].strip("-")
    return f"{kept}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"


def _installed(optimizers: Iterable[Racos | Optimizer]) -> Iterator[tuple[str, str]]:
    """Yield the versions of packages that the model may be of, and of those that optimizers are of."""
    wanted = [package for module, package in _PACKAGES.items() if module in sys.modules]
    wanted += [type(each).__module__.partition(".")[0] for each in optimizers if not isinstance(each, Racos)]
    for package in dict.fromkeys(wanted):
        try:
            yield package, importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
