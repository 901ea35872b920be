"""An oracle that is many: batches go to whichever worker is idle, and come back as one model's answers."""

from __future__ import annotations

import contextlib
import threading
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final

import numpy as np

from dfa.errors import InvalidInputError, OracleError, WorkerLost, told_with_place
from dfa.interrupts import interrupts_held_back
from dfa.oracle.base import Oracle
from dfa.oracle.workers.alike import refuse_other, refuse_otherwise
from dfa.oracle.workers.factory import Factory, as_factory
from dfa.oracle.workers.host import About, Ready
from dfa.oracle.workers.slots import CALLS_IN_LINE, Slot, Slots, Worker, WorkerShare
from dfa.types import Images

_MOST_STARTS: Final = 3
"""Of a worker in a lost one's place, that are lost themselves before they are ready."""


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
        self._slots = Slots(workers.devices)
        self._prepared: tuple[tuple[int, ...], int, str] | None = None
        self._first: Ready | None = None
        self._of_thread = threading.local()
        self._replacing: list[threading.Thread] = []
        self._stack = contextlib.ExitStack()
        self._start = self._stack.enter_context(workers.open())
        try:
            abouts: list[About] = self._slots.each(self._begin)
            for slot, each in zip(self._slots.all, abouts, strict=True):
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
        self.calls_at_once = len(self._slots.all)
        self.calls_in_line = CALLS_IN_LINE

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every batch that a model is given, once prepared."""
        return None if self._first is None else self._first.rows_per_batch

    def _begin(self, slot: Slot) -> About:
        try:
            worker = self._start(slot.number, self._packed)
            self._slots.place(slot, worker)
            about: About = worker.about()
        except (InvalidInputError, OracleError) as error:
            error.args = (f"{slot.share.name}: {error}",)
            raise
        except Exception as error:
            raise OracleError(f"{slot.share.name} could not make its model: {told_with_place(error)}") from error
        slot.began = time.monotonic()
        return about

    def _refuse_other(self, slot: Slot, about: About, first: About) -> None:
        names = slot.share.name, self._slots.all[0].share.name
        refuse_other(names[0], about, names[1], first, mixed=self.workers.mixed)

    def taking(self, scalar: type[np.generic]) -> PoolOracle:
        """Return this one: from their next `prepare` on its models take such batches, as in one process."""
        if self._about.takes == "uint8":
            self.takes = scalar  # type: ignore[misc]
        return self

    def prepare(self, shape: tuple[int, ...], batch_size: int) -> None:
        """Let all models get ready, and see that they answer the same noise alike.

        Raises:
            InvalidInputError: The models cannot take such images; or they do not answer alike, and need to.
            OracleError: A worker was lost.
        """
        self._reopen()
        wanted = tuple(shape), batch_size, self.takes.__name__
        if self._prepared == wanted:
            return
        for thread in self._replacing:
            thread.join()
        self._prepared = wanted
        try:
            readies = self._slots.each(self._prepared_once)
        except BaseException:
            self._prepared = None
            raise
        self._first = readies[0]
        for category, words in readies[0].warnings:
            warnings.warn(words, category, stacklevel=2)
        for slot, ready in zip(self._slots.all, readies, strict=True):
            self._refuse_otherwise(slot, ready)

    def _prepared_once(self, slot: Slot) -> Ready:
        """Prepare a worker, or one in its place where it is lost."""
        try:
            return self._prepare(slot)
        except WorkerLost:
            slot.count(lost=1)
            slot.standing.stop()
            self._refuse_other(slot, self._begin(slot), self._about)
            return self._prepare(slot)

    def _prepare(self, slot: Slot) -> Ready:
        assert self._prepared is not None
        return slot.standing.prepare(*self._prepared)

    def _refuse_otherwise(self, slot: Slot, ready: Ready) -> None:
        assert self._first is not None
        names = slot.share.name, self._slots.all[0].share.name
        refuse_otherwise(names[0], ready, names[1], self._first, mixed=self.workers.mixed)

    def scores(self, images: Images) -> Any:
        """Return what an idle worker answers.

        Raises:
            WorkerLost: The worker was lost when it had the batch.
            OracleError: All workers are gone for good.
            Exception: What the model raised.
        """
        self._reopen()
        slot = self._slots.take()
        self._of_thread.answered = slot.share.name
        worker, rows = slot.standing, None
        try:
            answer = worker.scores(images)
            rows = len(images)
        except WorkerLost as error:
            error.args = (f"{slot.share.name}: {error}",)
            self._lose(slot, worker)
            raise
        except Exception:
            raise
        except BaseException:  # an interrupt: the answer would come later, and be taken for one to another batch
            self._lose(slot, worker)
            raise
        finally:
            self._slots.give_back(slot, rows=rows)
        return answer if len(answer) > 1 else answer[0]

    def who_answered(self) -> str:
        """Return what to call the worker that was asked last by the thread that asks."""
        return str(getattr(self._of_thread, "answered", super().who_answered()))

    def _lose(self, slot: Slot, worker: Worker) -> None:
        if self._slots.lose(slot, worker):
            thread = threading.Thread(target=self._replace, args=(slot,), name="dfa-worker", daemon=True)
            self._replacing.append(thread)
            thread.start()

    def _replace(self, slot: Slot) -> None:
        """Start another worker in a lost one's place; beside the run, which goes on with the others."""
        self._slots.wait_until_left(slot)
        try:
            for start in range(_MOST_STARTS):
                try:
                    self._start_again(slot)
                    break
                except WorkerLost:
                    if start == _MOST_STARTS - 1 or self._slots.is_closed:
                        raise
        except Exception as error:
            self._slots.give_up(error)
            return
        self._slots.stand_again(slot)

    def _start_again(self, slot: Slot) -> None:
        slot.standing.stop()
        if self._slots.is_closed:
            # Ray would begin a cluster anew.
            raise WorkerLost("the workers were told to end")
        self._refuse_other(slot, self._begin(slot), self._about)
        if self._prepared is not None:
            self._refuse_otherwise(slot, self._prepare(slot))

    def close(self) -> None:
        """End all workers. Asked again, it has one more."""
        self._slots.close(at_once=False)
        for thread in self._replacing:
            thread.join()
        self._replacing.clear()
        self._stack.close()

    def _reopen(self) -> None:
        """Start one worker again, after the run is over: for whoever saves or verifies its result."""
        if not self._slots.is_closed:
            return
        self._stack = contextlib.ExitStack()
        self._start = self._stack.enter_context(self.workers.open())
        share = self._slots.all[0].share
        self._slots = Slots(self.workers.devices[:1])
        (slot,) = self._slots.all
        slot.share = share
        try:
            self._refuse_other(slot, self._begin(slot), self._about)
            if self._prepared is not None:
                self._prepare(slot)
        except BaseException:
            self.close()
            raise

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
            "number": len(self._slots.all),
            "devices": None if not any(self.workers.devices) else list(self.workers.devices),
            "mixed": self.workers.mixed,
            "versions": self._about.versions,
        }

    def shares(self) -> list[WorkerShare]:
        """Return what each worker has done so far."""
        return self._slots.shares()


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
        # What the run found, or ended with, is on its way to the caller.
        with interrupts_held_back():
            pool.close()
