"""An oracle that is many: batches go to whichever worker is idle, and come back as one model's answers."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import numpy as np

from dfa.errors import InvalidInputError, OracleError, WorkerLost, told
from dfa.oracle.answers import Answer
from dfa.oracle.base import Oracle
from dfa.oracle.workers.alike import refuse_other, refuse_otherwise
from dfa.oracle.workers.factory import Factory, as_factory
from dfa.oracle.workers.host import About, Ready
from dfa.types import Images

_MOST_STARTS: Final = 3
"""Of a worker in a lost one's place, that are lost themselves before they are ready."""


@dataclass(frozen=True)
class WorkerShare:
    """What one worker has done in a run.

    Attributes:
        name: "worker 0" or "worker 0 (cuda:0)".
        rows: Images that it has answered about, for whatever purpose.
        calls: In so many calls.
        busy: Seconds from sending a batch to its answer.
        idle: The other seconds since it was ready.
        lost: How often its process or actor was lost, and another took its place.
    """

    name: str
    rows: int = 0
    calls: int = 0
    busy: float = 0.0
    idle: float = 0.0
    lost: int = 0


class Worker(ABC):
    """A process or actor that has a model, from the side of the one who asks. Used by one thread at a time."""

    @abstractmethod
    def about(self) -> About:
        """Wait until the model is made, and return what it says of itself.

        Raises:
            WorkerLost: It is gone.
            Exception: What making the model raised there.
        """

    @abstractmethod
    def prepare(self, shape: tuple[int, ...], batch_size: int) -> Ready:
        """Let the model get ready; errors as of `about`."""

    @abstractmethod
    def scores(self, images: Images) -> Answer:
        """Ask about a batch; errors as of `about`."""

    @abstractmethod
    def stop(self, *, at_once: bool = False) -> None:
        """End it, whatever it does.

        Args:
            at_once: It is given no time to end by itself.
        """


class Workers(ABC):
    """Which workers a run is to have.

    Attributes:
        kind: What records call them.
    """

    kind: ClassVar[str]
    mixed: bool

    @property
    @abstractmethod
    def devices(self) -> Sequence[str | None]:
        """What each worker's factory is given as `device`; None: nothing."""

    @abstractmethod
    def open(self) -> contextlib.AbstractContextManager[Callable[[int, bytes], Worker]]:
        """Return what starts worker `number` with a packed factory, and ends what all of them need together."""


class _Slot:
    """A worker's place in the pool, which another takes where it is lost."""

    def __init__(self, number: int, device: str | None) -> None:
        self.number = number
        self.share = WorkerShare(f"worker {number}" + ("" if device is None else f" ({device})"))
        self.worker: Worker | None = None
        self.began = time.monotonic()

    def count(self, **more: float) -> None:
        """Add to its share."""
        share: Any = self.share
        self.share = replace(share, **{name: getattr(share, name) + number for name, number in more.items()})


class PoolOracle(Oracle):
    """The model of several workers, asked as if it were one.

    Where a worker is lost, what it had is for the asker to send again, and another worker takes its place.

    Attributes:
        workers: Which workers it has.
    """

    def __init__(self, factory: Factory, workers: Workers) -> None:
        """Start the workers, and wait until each has its model.

        Args:
            factory: Makes the model.
            workers: Which.

        Raises:
            InvalidInputError: The factory cannot travel; or the workers' models differ, and may not.
            OracleError: A worker could not be started, or could not make its model.
        """
        self.workers = workers
        self._packed = factory.packed()
        self._slots = [_Slot(number, device) for number, device in enumerate(workers.devices)]
        self._idle: queue.SimpleQueue[_Slot | None] = queue.SimpleQueue()
        self._num_alive = len(self._slots)
        self._why_lost: BaseException | None = None
        self._prepared: tuple[tuple[int, ...], int] | None = None
        self._first: Ready | None = None
        self._lock = threading.Lock()
        self._replacing: list[threading.Thread] = []
        self._is_closed = False
        self._stack = contextlib.ExitStack()
        self._start = self._stack.enter_context(workers.open())
        try:
            abouts: list[About] = self._all(self._begin, self._slots)
            for slot, each in zip(self._slots, abouts, strict=True):
                self._refuse_other(slot, each, abouts[0])
        except BaseException:
            self.close()
            raise
        self._about = about = abouts[0]
        self.kind = about.kind  # type: ignore[misc]
        self.name = about.name
        self.returns = about.returns
        self.tolerance = about.tolerance
        self.num_classes, self.num_shown = about.num_classes, about.num_shown
        self.class_names, self.num_channels = about.class_names, about.num_channels
        self.takes = getattr(np, about.takes)  # type: ignore[misc]
        self.calls_at_once = len(self._slots)
        for slot in self._slots:
            self._idle.put(slot)

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every batch that a model is given, once prepared."""
        return None if self._first is None else self._first.rows_per_batch

    def _all(self, function: Callable[[_Slot], Any], slots: Sequence[_Slot]) -> list[Any]:
        """Return what a function returns of each slot; where that fails for one, or is interrupted, all workers end."""
        with ThreadPoolExecutor(len(slots)) as threads:
            try:
                return list(threads.map(function, slots))
            except BaseException:
                # The threads wait for them.
                self._end(at_once=True)
                raise

    def _begin(self, slot: _Slot) -> About:
        try:
            worker = self._start(slot.number, self._packed)
            with self._lock:
                slot.worker = worker
                is_late = self._is_closed
            if is_late:
                worker.stop(at_once=True)
            about: About = worker.about()
        except (InvalidInputError, OracleError) as error:
            error.args = (f"{slot.share.name}: {error}",)
            raise
        except Exception as error:
            raise OracleError(f"{slot.share.name} could not make its model: {told(error)}") from error
        slot.began = time.monotonic()
        return about

    def _refuse_other(self, slot: _Slot, about: About, first: About) -> None:
        names = slot.share.name, self._slots[0].share.name
        refuse_other(names[0], about, names[1], first, mixed=self.workers.mixed)

    def prepare(self, shape: tuple[int, ...], batch_size: int) -> None:
        """Let all models get ready, and see that they answer the same noise alike.

        Raises:
            InvalidInputError: The models cannot take such images; or they do not answer alike, and need to.
            OracleError: A worker was lost.
        """
        self._reopen()
        if self._prepared == (tuple(shape), batch_size):
            return
        for thread in self._replacing:
            thread.join()
        self._prepared = tuple(shape), batch_size
        slots = [slot for slot in self._slots if slot.worker is not None]
        readies = self._all(self._prepared_once, slots)
        self._first = readies[0]
        for category, words in readies[0].warnings:
            warnings.warn(words, category, stacklevel=2)
        for slot, ready in zip(slots, readies, strict=True):
            self._refuse_otherwise(slot, ready)

    def _prepared_once(self, slot: _Slot) -> Ready:
        """Prepare a worker, or one in its place where it is lost."""
        try:
            return self._prepare(slot)
        except WorkerLost:
            slot.count(lost=1)
            assert slot.worker is not None
            slot.worker.stop()
            self._refuse_other(slot, self._begin(slot), self._about)
            return self._prepare(slot)

    def _prepare(self, slot: _Slot) -> Ready:
        assert slot.worker is not None
        assert self._prepared is not None
        return slot.worker.prepare(*self._prepared)

    def _refuse_otherwise(self, slot: _Slot, ready: Ready) -> None:
        assert self._first is not None
        names = slot.share.name, self._slots[0].share.name
        refuse_otherwise(names[0], ready, names[1], self._first, mixed=self.workers.mixed)

    def scores(self, images: Images) -> Any:
        """Return what an idle worker answers.

        Raises:
            WorkerLost: The worker was lost when it had the batch.
            OracleError: All workers are gone for good.
            Exception: What the model raised.
        """
        self._reopen()
        with self._worker() as slot:
            assert slot.worker is not None
            began = time.monotonic()
            answer = slot.worker.scores(images)
            slot.count(rows=len(images), calls=1, busy=time.monotonic() - began)
        return answer if len(answer) > 1 else answer[0]

    @contextlib.contextmanager
    def _worker(self) -> Iterator[_Slot]:
        """Take an idle worker, and give it back, or let another take its place if it is lost."""
        slot = self._idle.get()
        if slot is None:
            self._idle.put(None)  # for whoever waits beside
            raise OracleError(f"all workers are gone, the last so: {self._why_lost}") from self._why_lost
        try:
            yield slot
        except WorkerLost as error:
            slot.count(lost=1)
            error.args = (f"{slot.share.name}: {error}",)
            thread = threading.Thread(target=self._replace, args=(slot,), name="dfa-worker", daemon=True)
            self._replacing.append(thread)
            thread.start()
            raise
        except BaseException:
            self._idle.put(slot)
            raise
        self._idle.put(slot)

    def _replace(self, slot: _Slot) -> None:
        """Start another worker in a lost one's place; beside the run, which goes on with the others."""
        try:
            for start in range(_MOST_STARTS):
                try:
                    self._start_again(slot)
                    break
                except WorkerLost:
                    if start == _MOST_STARTS - 1:
                        raise
        except Exception as error:
            with self._lock:
                self._num_alive -= 1
                self._why_lost = error
                if self._num_alive == 0:
                    self._idle.put(None)
            return
        with self._lock:
            if not self._is_closed:
                self._idle.put(slot)
                return
        assert slot.worker is not None
        slot.worker.stop()

    def _start_again(self, slot: _Slot) -> None:
        assert slot.worker is not None
        slot.worker.stop()
        self._refuse_other(slot, self._begin(slot), self._about)
        if self._prepared is not None:
            self._refuse_otherwise(slot, self._prepare(slot))

    def close(self) -> None:
        """End all workers. Asked again, it has one more."""
        self._end(at_once=False)
        self._stack.close()

    def _end(self, *, at_once: bool) -> None:
        with self._lock:
            self._is_closed = True
            workers = [slot.worker for slot in self._slots if slot.worker is not None]
        with ThreadPoolExecutor(len(self._slots)) as threads:
            list(threads.map(lambda worker: worker.stop(at_once=at_once), workers))

    def _reopen(self) -> None:
        """Start one worker again, after the run is over: for whoever saves or verifies its result."""
        with self._lock:
            if not self._is_closed:
                return
            self._is_closed = False
        self._stack = contextlib.ExitStack()
        self._start = self._stack.enter_context(self.workers.open())
        self._idle = queue.SimpleQueue()
        self._slots = self._slots[:1]
        self._num_alive = 1
        self._refuse_other(self._slots[0], self._begin(self._slots[0]), self._about)
        if self._prepared is not None:
            self._prepare(self._slots[0])
        self._idle.put(self._slots[0])

    def fingerprint(self) -> str | None:
        """Return what names the model's parameters, or None where nothing does."""
        return self._about.fingerprint

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of the model, which is the same wherever it is asked."""
        return self._about.described

    def describe_workers(self) -> dict[str, Any]:
        """Return what a record should keep of who is asked."""
        return {
            "kind": self.workers.kind,
            "number": len(self._slots),
            "devices": None if not any(self.workers.devices) else list(self.workers.devices),
            "mixed": self.workers.mixed,
            "versions": self._about.versions,
        }

    def shares(self) -> list[WorkerShare]:
        """Return what each worker has done so far."""
        now = time.monotonic()
        return [replace(slot.share, idle=max(0.0, now - slot.began - slot.share.busy)) for slot in self._slots]


@contextlib.contextmanager
def asked_by(model: Any, workers: Workers | None) -> Iterator[Any]:
    """Yield a model as the workers have it, and end them; the model itself, or what a factory makes, without workers.

    Args:
        model: What `dfa.run` is given.
        workers: Which, or None.

    Raises:
        InvalidInputError: Workers cannot be given the model.
        OracleError: A worker could not be started.
    """
    if workers is None:
        yield model.make() if isinstance(model, Factory) else model
        return
    pool = PoolOracle(as_factory(model), workers)
    try:
        yield pool
    finally:
        pool.close()
