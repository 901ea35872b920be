"""Workers on a Ray cluster, or on one that is begun here for the run: an actor each, with a model of its own."""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import secrets
import shutil
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final
from urllib.parse import urlsplit

import numpy as np

from dfa.checks import is_integer, is_number
from dfa.errors import InvalidInputError, OracleError, WorkerLost
from dfa.extras import imported
from dfa.oracle.answers import Answer
from dfa.oracle.workers.host import About, Host, Ready, packed_error, raise_packed
from dfa.oracle.workers.pool import Workers
from dfa.oracle.workers.slots import Worker
from dfa.types import Images

_SECONDS: Final = 10.0
"""That somebody at an address has to answer."""
_TOKEN: Final = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")


@dataclass(frozen=True)
class RayWorkers(Workers):
    """Workers on a Ray cluster (dfa's extra "ray"): an actor each, with a model of its own.

    The search stays in the process that calls `dfa.run`, and batches of candidates travel: so many images a second as
    all workers answer about must pass through its network. dfa, and the module of the factory, must be installed where
    the actors are. Ray itself starts nothing again and sends nothing again, so that dfa counts what is.

    Attributes:
        number: Actors.
        gpus: That each takes, 0 or more; a part of one where several share it. Ray shows an actor its own alone.
        cpus: Likewise.
        device: What each factory is given as `device`, such as "cuda"; None: nothing.
        address: Of the cluster, as `ray.init` takes it. Where this process is connected to one already, that is it.
            None: else one on this machine that is begun for the run, and ended with it, and leaves no file in the
            user's home.
        options: Further options of the actors, as `.options(...)` of a Ray actor takes them, such as
            {"runtime_env": ...} or {"scheduling_strategy": "SPREAD"}.
        patience: Seconds that the cluster is given to find room for an actor.
        mixed: Accept workers whose versions or last bits differ; the result records it.
    """

    number: int
    gpus: float = 0
    cpus: float = 1
    device: str | None = None
    address: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    patience: float = 600.0
    mixed: bool = False
    kind: ClassVar[str] = "ray"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InvalidInputError: There is no worker, or a number is below 0.
        """
        if not is_integer(self.number) or self.number < 1:
            raise InvalidInputError(f"number must be an integer of 1 or more, got {self.number!r}")
        for name in ("gpus", "cpus", "patience"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise InvalidInputError(f"{name} must be a number of 0 or more, got {value!r}")

    @property
    def devices(self) -> Sequence[str | None]:
        """What each worker's factory is given as `device`; None: nothing."""
        return [self.device] * self.number

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[int, bytes], Worker]]:
        """Connect to the cluster, or begin one, and yield what starts worker `number` with a packed factory.

        Raises:
            MissingDependencyError: Ray is not installed.
            OracleError: There is no such cluster.
        """
        ray = imported("ray", "workers on Ray need the package ray", "ray")
        with self._connected(ray) as is_own:
            actor = ray.remote(_Actor).options(
                num_gpus=self.gpus,
                # In a cluster of this process alone all have room, those of another run too.
                num_cpus=0 if is_own else self.cpus,
                max_concurrency=1,
                # What is sent again dfa sends, and counts.
                max_restarts=0,
                max_task_retries=0,
                **self.options,
            )
            yield lambda number, packed: _RayWorker(ray, actor, packed, self.devices[number], self.patience)

    @contextlib.contextmanager
    def _connected(self, ray: Any) -> Iterator[bool]:
        """Connect, and yield whether the cluster is one that is begun here."""
        connection = _connection()
        with connection.lock:
            is_users_own = connection.runs == 0 and ray.is_initialized()
            if connection.runs == 0 and not is_users_own:
                connection.stack.enter_context(self._begun(ray))
                connection.is_own = self.address is None
            connection.runs += not is_users_own
        try:
            yield not is_users_own and connection.is_own
        finally:
            with connection.lock:
                connection.runs -= not is_users_own
                if connection.runs == 0:
                    connection.stack.close()

    @contextlib.contextmanager
    def _begun(self, ray: Any) -> Iterator[None]:
        quiet = {"include_dashboard": False, "log_to_driver": False, "logging_level": logging.ERROR}
        with contextlib.ExitStack() as stack:
            if self.address is None:
                folder = tempfile.mkdtemp(prefix="dfa-ray-")
                stack.callback(shutil.rmtree, folder, ignore_errors=True)
                stack.enter_context(_own_token())
                begun = {"_temp_dir": folder, "num_cpus": max(1, round(self.number * self.cpus)), **quiet}
            else:
                begun = {"address": self.address, "log_to_driver": False, "logging_level": logging.ERROR}
            try:
                _refuse_nobody(self.address)
                with _quiet():
                    ray.init(**begun)
            except Exception as error:  # of many kinds, by what is wrong with an address
                where = "a local Ray" if self.address is None else f"the Ray cluster at {self.address!r}"
                raise OracleError(f"{where} cannot be had: {type(error).__name__}: {error}") from error
            stack.callback(ray.shutdown)
            yield


def _refuse_nobody(address: str | None) -> None:
    """Refuse an address where nobody listens, for which Ray would wait for many minutes.

    Raises:
        OSError: Nobody does.
    """
    parts = urlsplit(address if address and "://" in address else f"ray://{address or ''}")
    # Others are words of Ray's own.
    if parts.hostname is not None and parts.port is not None:
        socket.create_connection((parts.hostname, parts.port), timeout=_SECONDS).close()


@dataclass
class _Connection:
    """What connects this process to a cluster. Ray has one for each process, so that runs at the same time share it.

    Attributes:
        lock: Held while it is begun or ended.
        runs: That use it.
        is_own: Whether the cluster was begun with it.
        stack: Ends it.
    """

    lock: threading.Lock = field(default_factory=threading.Lock)
    runs: int = 0
    is_own: bool = False
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)


@functools.cache
def _connection() -> _Connection:
    return _Connection()


@functools.cache
def _token() -> str:
    """Return the token of the clusters that this process begins: Ray keeps the first that it sees."""
    return secrets.token_hex(32)


@contextlib.contextmanager
def _own_token() -> Iterator[None]:
    """Give a cluster that is begun here a token of its own, where Ray would write one into the user's home."""
    if any(name in os.environ for name in _TOKEN):
        yield
        return
    os.environ["RAY_AUTH_TOKEN"] = _token()
    try:
        yield
    finally:
        # Ray sets the mode itself, now that there is a token.
        for name in _TOKEN:
            os.environ.pop(name, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray not announce that it uses a token."""
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


class _Actor:
    """What a Ray actor is made of. It tells of errors as a process does, since Ray would wrap them."""

    def __init__(self, packed: bytes, device: str | None) -> None:
        self._made = packed, device
        self._host: Host | None = None

    def ask(self, what: str, *arguments: Any) -> tuple[str, Any]:
        """Do what a `Host` does."""
        try:
            if self._host is None:
                self._host = Host(*self._made)
            # Ray hands out memory that must not be written, and frameworks warn of such.
            given = [np.array(each) if isinstance(each, np.ndarray) else each for each in arguments]
            return "answer", getattr(self._host, what)(*given)
        except BaseException as error:  # also what asks the process to exit: the other end is told why
            return packed_error(error)


class _RayWorker(Worker):
    """An actor, from the side of the one who asks."""

    def __init__(self, ray: Any, actor: Any, packed: bytes, device: str | None, patience: float) -> None:
        self._ray = ray
        self._actor = actor.remote(packed, device)
        self._patience = patience

    def about(self) -> About:
        """Wait until the model is made, and return what it says of itself."""
        about: About = self._ask("about", 0, timeout=self._patience)
        return about

    def prepare(self, shape: tuple[int, ...], batch_size: int, takes: str) -> Ready:
        """Let the model get ready."""
        ready: Ready = self._ask("prepare", shape, batch_size, takes)
        return ready

    def scores(self, images: Images) -> Answer:
        """Ask about a batch."""
        answer: Answer = self._ask("scores", images)
        return answer

    def stop(self, *, at_once: bool = False) -> None:
        """End it, whatever it does."""
        with contextlib.suppress(Exception):  # the cluster may be gone already
            self._ray.kill(self._actor, no_restart=True)

    def _ask(self, what: str, *arguments: Any, timeout: float | None = None) -> Any:
        try:
            kind, value = self._ray.get(self._actor.ask.remote(what, *arguments), timeout=timeout)
        except self._ray.exceptions.GetTimeoutError as error:
            raise OracleError(
                f"the Ray cluster had no room for it within {timeout:g} seconds, or its model was not made by then; "
                f"the cluster has {_resources(self._ray)}; ask for fewer workers, or less for each"
            ) from error
        except self._ray.exceptions.RayError as error:
            first, *_ = str(error).strip().split("\n") or [""]
            raise WorkerLost(f"its Ray actor is gone: {type(error).__name__}: {first}") from error
        if kind != "answer":
            raise_packed(kind, value)
        return value


def _resources(ray: Any) -> str:
    resources = ray.cluster_resources()
    return ", ".join(f"{resources.get(name, 0):g} {name}s" for name in ("CPU", "GPU"))
