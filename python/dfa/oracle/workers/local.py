"""Workers on this machine: a process each, with a model of its own."""

from __future__ import annotations

import contextlib
import math
import mmap
import multiprocessing
import os
import pickle
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import is_integer
from dfa.errors import InvalidInputError, WorkerLost
from dfa.oracle.answers import Answer
from dfa.oracle.workers.host import About, Host, Ready, packed_error, raise_packed
from dfa.oracle.workers.pool import Workers
from dfa.oracle.workers.slots import CALLS_IN_LINE, Worker
from dfa.types import Images

MOST_WORKERS: Final = 1024
_SECONDS: Final = 2.0
"""That a worker is given to end by itself."""
_MOST_BYTES_EACH: Final = 8
_IN_MEMORY: Final = Path("/dev/shm")
_UNGUARDED: Final = 78
"""The exit status of a worker that would have started workers."""
_GUARD: Final = (
    'a script that starts workers must do so under `if __name__ == "__main__":`, since each of them imports it'
)


@dataclass(frozen=True)
class LocalWorkers(Workers):
    """Workers on this machine.

    Attributes:
        number: How many processes; or the device of each, which its factory is given.
        mixed: Accept workers whose versions or last bits differ; the result records it.
    """

    number: int | Sequence[str] = 1
    mixed: bool = False
    kind: ClassVar[str] = "local"

    def __post_init__(self) -> None:
        """Check the fields.

        Raises:
            InvalidInputError: There is no worker, or what is given is neither a number nor devices.
        """
        number = self.number
        if is_integer(number) and 1 <= number <= MOST_WORKERS:
            return
        are_devices = isinstance(number, Sequence) and not isinstance(number, str | bytes)
        if not are_devices or not number or not all(isinstance(each, str) and each for each in number):  # type: ignore[union-attr]
            raise InvalidInputError(
                f"workers must be a number of 1..{MOST_WORKERS}, a list of devices such as ['cuda:0', 'cuda:1'], or "
                f"dfa.RayWorkers(...), got {number!r}"
            )

    @property
    def devices(self) -> Sequence[str | None]:
        """What each worker's factory is given as `device`; None: nothing."""
        return [None] * self.number if isinstance(self.number, int) else list(self.number)

    @contextlib.contextmanager
    def open(self) -> Iterator[Callable[[int, bytes], Worker]]:
        """Yield what starts worker `number` with a packed factory.

        Raises:
            InvalidInputError: What this process runs is no file, and workers read it; or it may have no processes.
        """
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # A worker that imports the script that began it, and comes to where that begins workers.
            raise SystemExit(_UNGUARDED)
        if multiprocessing.current_process().daemon:
            raise InvalidInputError(
                "workers must be started by a process that may have some, and this is a daemonic one, as those of "
                "multiprocessing.Pool and workers themselves are; start them outside of it, or leave out workers="
            )
        script = str(getattr(sys.modules.get("__main__"), "__file__", ""))
        if script.startswith("<"):
            raise InvalidInputError(
                f"workers read the script that starts them, and {script} is no file; write it into one"
            )
        yield lambda number, packed: _LocalWorker(number, packed, self.devices[number])


class _Block:
    """Memory that two processes see: of a file that has a name only until both have it."""

    def __init__(self, memory: mmap.mmap) -> None:
        self._memory = memory

    @classmethod
    def made(cls, size: int) -> tuple[_Block, str] | None:
        """Return a new one and its file, or None where there is no room for it."""
        folder = _IN_MEMORY if _IN_MEMORY.is_dir() else None
        try:
            handle, name = tempfile.mkstemp(prefix="dfa-", dir=folder)
        except OSError:
            return None
        try:
            # Room that turned out to be missing later would end the process.
            os.posix_fallocate(handle, 0, size)
            return cls(mmap.mmap(handle, size)), name
        except (OSError, ValueError, AttributeError):
            Path(name).unlink(missing_ok=True)
            return None
        finally:
            os.close(handle)

    @classmethod
    def of(cls, name: str) -> _Block:
        """Return the one that another process has made."""
        with open(name, "r+b") as file:
            return cls(mmap.mmap(file.fileno(), 0))

    def array(self, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
        """Return its first bytes as an array."""
        return np.ndarray(shape, dtype, buffer=self._memory)


class _LocalWorker(Worker):
    """A process, and the pipe to it."""

    def __init__(self, number: int, packed: bytes, device: str | None) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, packed, device), name=f"dfa-worker-{number}", daemon=True
        )
        with _interrupts_blocked():
            self._process.start()
        theirs.close()
        self._blocks: list[_Block] = []
        self._most_bytes = 0
        # Of batches: several may be on their way, and come back in their order.
        self._sending = threading.Lock()
        self._turn = threading.Condition()
        self._sent = self._received = 0
        self._is_gone = False

    def about(self) -> About:
        """Wait until the model is made, and return what it says of itself."""
        about: About = self._answer()
        return about

    def prepare(self, shape: tuple[int, ...], batch_size: int, takes: str) -> Ready:
        """Let the model get ready."""
        ready: Ready = self._ask("prepare", shape, batch_size, takes)
        self._blocks.clear()
        self._most_bytes = batch_size * math.prod(shape) * (1 if takes == "uint8" else _MOST_BYTES_EACH)
        for place in range(CALLS_IN_LINE):
            self._share(place, self._most_bytes)
        return ready

    def scores(self, images: Images) -> Answer:
        """Ask about a batch."""
        with self._sending:
            number = self._sent
            self._send(images, number % CALLS_IN_LINE)
            self._sent += 1
        with self._turn:
            self._turn.wait_for(lambda: self._received == number or self._is_gone)
            if self._is_gone:
                lost = self._lost()
                lost.is_begun = False
                raise lost
        try:
            answer: Answer = self._answer()
        except WorkerLost:
            with self._turn:
                self._is_gone = True
                self._turn.notify_all()
            raise
        finally:
            with self._turn:
                self._received += 1
                self._turn.notify_all()
        return answer

    def _send(self, images: Images, place: int) -> None:
        """Send a batch, through memory that both see if there was room for it."""
        try:
            if len(self._blocks) == CALLS_IN_LINE and images.nbytes <= self._most_bytes:
                # What it held before was answered, since no more batches are on their way than there are places.
                np.copyto(self._blocks[place].array(images.shape, images.dtype.str), images)
                self._pipe.send(("shared", (place, images.shape, images.dtype.str)))
            else:
                self._pipe.send(("scores", (np.ascontiguousarray(images),)))
        except OSError as error:
            raise self._lost() from error

    def _share(self, place: int, size: int) -> None:
        """Make memory for batches that both see, if there is room."""
        made = _Block.made(size)
        if made is None:
            return
        block, name = made
        try:
            self._ask("share", place, name)
        finally:
            Path(name).unlink(missing_ok=True)
        self._blocks.append(block)

    def stop(self, *, at_once: bool = False) -> None:
        """End it, whatever it does."""
        if not at_once:
            with contextlib.suppress(OSError):
                self._pipe.close()
            self._process.join(_SECONDS)
        if self._process.is_alive():
            self._process.kill()
            self._process.join(_SECONDS)

    def _ask(self, what: str, *arguments: Any) -> Any:
        try:
            self._pipe.send((what, arguments))
        except OSError as error:
            raise self._lost() from error
        return self._answer()

    def _answer(self) -> Any:
        try:
            content = self._pipe.recv_bytes()
        except (EOFError, OSError, TypeError) as error:  # the last where `stop` closes the pipe meanwhile
            raise self._lost() from error
        kind, value = pickle.loads(content)
        if kind != "answer":
            raise_packed(kind, value)
        return value

    def _lost(self) -> WorkerLost:
        self._process.join(_SECONDS)
        code = self._process.exitcode
        if code is not None and code < 0:
            return WorkerLost(f"its process was ended by {_signal(-code)}")
        if code == _UNGUARDED:
            return WorkerLost(_GUARD)
        return WorkerLost(f"its process has ended, with status {code}; what it wrote to the error stream may say why")


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Let a process that is begun here not hear of Ctrl-C before it can say that it is not meant."""
    if not hasattr(signal, "pthread_sigmask"):  # as on Windows
        yield
        return
    # It begins with the first process, and lets interrupts through afterwards.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _serve(pipe: Connection, packed: bytes, device: str | None) -> None:
    """Answer what comes through the pipe, until its other end is gone."""
    # Ctrl-C goes to all processes of a terminal; what becomes of the run is for the one that began it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    threading.Thread(target=_end_with_parent, name="dfa-parent", daemon=True).start()
    blocks: dict[int, _Block] = {}
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        try:
            host = Host(packed, device)
            _reply(pipe, "answer", host.about(os.getpid()))
        except BaseException as error:  # also what asks the process to exit: the other end is told why
            _reply(pipe, *packed_error(error))
            return
        while True:
            what, arguments = pipe.recv()
            try:
                if what == "share":
                    place, name = arguments
                    blocks[place] = _Block.of(name)
                    value: Any = None
                elif what == "shared":
                    place, *form = arguments
                    value = host.scores(blocks[place].array(*form))
                else:
                    value = getattr(host, what)(*arguments)
            except BaseException as error:  # likewise
                _reply(pipe, *packed_error(error))
            else:
                _reply(pipe, "answer", value)


def _end_with_parent() -> None:
    """End this process, whatever it does, when the one that began it is gone."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _reply(pipe: Connection, kind: str, value: Any) -> None:
    pipe.send((kind, value))
