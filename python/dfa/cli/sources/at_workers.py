"""Models from words, made where workers are: each loads what this process would have loaded, and nothing else."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dfa.cli.import_guard import guard_imports
from dfa.cli.sources.models import check_model, kind_of, open_oracle
from dfa.errors import InvalidInputError
from dfa.oracle import Oracle
from dfa.oracle.workers.factory import factory
from dfa.oracle.workers.local import MOST_WORKERS, LocalWorkers
from dfa.oracle.workers.pool import Workers, asked_by
from dfa.oracle.workers.ray import RayWorkers

WORKER_WORDS: Final = ("workers", "ray", "gpus_per_worker", "mixed_workers")
"""The parameters of `parse_workers`, which commands have as flags."""

LOCAL: Final = "local"
"""The word for a Ray that is begun on this machine."""

_WITHOUT_DEVICES: Final = ("keras", "tflite", "pickle")

_SAFE_PATH: Final = "PYTHONSAFEPATH"


def parse_workers(
    *, workers: str | None, ray: str | None, gpus_per_worker: float | None, mixed_workers: bool
) -> Workers | None:
    """Return the workers that words ask for, or None.

    Args:
        workers: A number of them, or the device of each, with commas between.
        ray: The address of a Ray cluster, or `LOCAL`, or None for processes on this machine.
        gpus_per_worker: That each takes of a cluster.
        mixed_workers: Accept workers that are not alike.

    Raises:
        InvalidInputError: They name none, or do not go together.
    """
    if workers is None:
        given = {
            "--ray": ray is not None,
            "--gpus-per-worker": gpus_per_worker is not None,
            "--mixed-workers": mixed_workers,
        }
        flags = [flag for flag, is_given in given.items() if is_given]
        if flags:
            raise InvalidInputError(f"{flags[0]} needs --workers N, the number of workers; add that")
        return None
    number = int(workers) if workers.strip().lstrip("+-").isdecimal() else None
    devices = [part.strip() for part in workers.split(",")]
    is_right = all(re.match("[A-Za-z]", each) for each in devices) if number is None else 1 <= number <= MOST_WORKERS
    if not is_right:
        raise InvalidInputError(
            f"--workers must be a number of 1..{MOST_WORKERS}, or the device of each worker, such as cuda:0,cuda:1, "
            f"got {workers!r}"
        )
    if ray is None:
        if gpus_per_worker is not None:
            raise InvalidInputError(
                "--gpus-per-worker is of Ray, and goes with --ray; the GPUs of this machine are named: "
                "--workers cuda:0,cuda:1"
            )
        return LocalWorkers(devices if number is None else number, mixed=mixed_workers)
    if number is None:
        raise InvalidInputError(
            f"with --ray --workers must be a number, got {workers!r}; Ray gives each worker its GPUs, "
            "--gpus-per-worker says how many, and --device cuda has the model put there"
        )
    address = None if ray in ("", LOCAL) else ray
    return RayWorkers(number, gpus=gpus_per_worker or 0, address=address, mixed=mixed_workers)


@dataclass(frozen=True)
class _Place:
    """Where a worker is to stand, so that words mean there what they mean here.

    Attributes:
        folder: The folder that they are relative to.
        is_on_path: Whether modules of that folder may be imported by what comes from elsewhere.
        safe_path: What the environment says of that to processes that the model may start, or None.
        runs: Folders that nothing is imported from.
    """

    folder: str
    is_on_path: bool
    safe_path: str | None
    runs: tuple[str, ...]

    @classmethod
    def here(cls, runs: Sequence[Path]) -> _Place:
        """Return the place of this process."""
        folder = str(Path.cwd())
        return cls(
            folder,
            bool({"", folder} & set(sys.path)),
            os.environ.get(_SAFE_PATH),
            tuple(map(str, map(Path.resolve, runs))),
        )

    def go(self) -> None:
        """Stand there from now on.

        Raises:
            InvalidInputError: There is no such folder, or something there lies in a run folder.
        """
        try:
            os.chdir(self.folder)
        except OSError as error:
            raise InvalidInputError(
                f"every worker must find the folder that the command is given in, {self.folder!r}, and here it cannot "
                f"be entered: {error.strerror}; use a folder that all machines share"
            ) from error
        if not self.is_on_path:
            sys.path[:] = [each for each in sys.path if each not in ("", self.folder)]
        if self.safe_path is None:
            os.environ.pop(_SAFE_PATH, None)
        guard_imports(*map(Path, self.runs))


@contextlib.contextmanager
def open_at_workers(
    model: str, settings: Mapping[str, Any], workers: Workers, *, trust_pickle: bool, runs: Sequence[Path] = ()
) -> Iterator[tuple[Oracle, int | None]]:
    """Yield a model as workers have it, and how many channels it takes, if it tells; the workers end afterwards.

    Args:
        model: What names it.
        settings: `MODEL_SETTINGS`, as of `open_oracle`.
        workers: Who is to have it.
        trust_pickle: The user lets the code of a pickle run.
        runs: Run folders, from which nothing is imported.

    Raises:
        InvalidInputError: The model cannot be opened, or these do not go together.
        OracleError: A worker could not be started.
    """
    if isinstance(workers, LocalWorkers) and any(workers.devices):
        if settings["device"] is not None:
            raise InvalidInputError("--workers names the device of each worker, so --device has no place; leave it out")
        if kind_of(model) in _WITHOUT_DEVICES:
            raise InvalidInputError(
                f"--workers with devices is for torch and ONNX models, not for {model}; give a number"
            )
    check_model(model, **settings, trust_pickle=trust_pickle)
    made = factory(
        made_oracle, _Place.here(runs), model, {name: settings[name] for name in settings}, trust_pickle=trust_pickle
    )
    with _no_imports_from_here(), asked_by(made, workers) as oracle:
        yield oracle, oracle.num_channels


def made_oracle(
    place: _Place, model: str, settings: dict[str, Any], *, trust_pickle: bool, device: str | None = None
) -> Oracle:
    """Return the oracle that words name, in the process of a worker.

    Args:
        place: Where to stand.
        model: As of `open_oracle`.
        settings: Likewise.
        trust_pickle: Likewise.
        device: Of this worker; None for that of the settings.

    Raises:
        InvalidInputError: As of `open_oracle`.
    """
    place.go()
    # What the first one says all would say.
    is_heard = multiprocessing.current_process().name in ("MainProcess", "dfa-worker-0")
    with contextlib.nullcontext() if is_heard else _silence():
        oracle, channels = open_oracle(
            model,
            **{**settings, "device": device or settings["device"]},
            trust_pickle=trust_pickle,
            moves_modules=device is not None,
        )
    oracle.num_channels = channels
    return oracle


@contextlib.contextmanager
def _no_imports_from_here() -> Iterator[None]:
    """Let processes that are started not look for modules in the current folder, where this one does not."""
    before = os.environ.get(_SAFE_PATH)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = before


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Let nothing that is written to both streams arrive, not even what libraries in C write."""
    kept = {number: os.dup(number) for number in (1, 2)}
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in kept:
            os.dup2(nowhere, number)
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        for number, copy in kept.items():
            os.dup2(copy, number)
            os.close(copy)
        os.close(nowhere)
