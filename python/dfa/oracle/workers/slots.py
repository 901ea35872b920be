"""Where workers stand, and which of them is asked next."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final, NoReturn

from dfa.errors import OracleError
from dfa.oracle.answers import Answer
from dfa.oracle.workers.host import About, Ready
from dfa.types import Images

CALLS_IN_LINE: Final = 2
"""Batches that a worker is given at a time: one that it answers, and one that waits there, so that it need not."""


@dataclass(frozen=True)
class WorkerShare:
    """What one worker has done in a run.

    Attributes:
        name: "worker 0" or "worker 0 (cuda:0)".
        rows: Images that it has answered about, for whatever purpose.
        calls: In so many calls.
        busy: Seconds in which it had a batch.
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
    """A process or actor that has a model, from the side of the one who asks."""

    @abstractmethod
    def about(self) -> About:
        """Wait until the model is made, and return what it says of itself.

        Raises:
            WorkerLost: It is gone.
            Exception: What making the model raised there.
        """

    @abstractmethod
    def prepare(self, shape: tuple[int, ...], batch_size: int, takes: str) -> Ready:
        """Let the model get ready, while nothing else is asked; arguments as of `Host.prepare`, errors of `about`."""

    @abstractmethod
    def scores(self, images: Images) -> Answer:
        """Ask about a batch, also while it answers about another; errors as of `about`."""

    @abstractmethod
    def stop(self, *, at_once: bool = False) -> None:
        """End it, whatever it does.

        Args:
            at_once: It is given no time to end by itself.
        """


class Slot:
    """A worker's place, which another takes where it is lost.

    Attributes:
        number: Among all.
        share: What was done there.
        worker: Who stands there; None before the first.
        in_line: Batches that it has.
        is_lost: Whether it is gone, and another has not taken its place yet.
        began: When it was ready.
    """

    def __init__(self, number: int, device: str | None) -> None:
        """Begin without a worker.

        Args:
            number: Among all.
            device: Of its worker, for its name.
        """
        self.number = number
        self.share = WorkerShare(f"worker {number}" + ("" if device is None else f" ({device})"))
        self.worker: Worker | None = None
        self.in_line = 0
        self.is_lost = False
        self.began = time.monotonic()
        self.busy_since = self.began

    def count(self, **more: float) -> None:
        """Add to its share."""
        share: Any = self.share
        self.share = replace(share, **{name: getattr(share, name) + number for name, number in more.items()})

    @property
    def standing(self) -> Worker:
        """Who stands there."""
        assert self.worker is not None
        return self.worker


class Slots:
    """All workers' places. A batch goes to the one that has least to do; a slow one gets less."""

    def __init__(self, devices: Sequence[str | None]) -> None:
        """Begin with all of them waiting for a worker.

        Args:
            devices: Of each.
        """
        self.all = [Slot(number, device) for number, device in enumerate(devices)]
        self._changed = threading.Condition()
        self._num_alive = len(self.all)
        self._why_gone: BaseException | None = None
        self._is_closed = False

    def __reduce__(self) -> NoReturn:
        """Refuse to be copied: a copy would end with the pipes of this one."""
        raise TypeError("workers can be neither copied nor pickled; make others with dfa.factory and workers=")

    @property
    def is_closed(self) -> bool:
        """Whether all workers were told to end."""
        return self._is_closed

    def place(self, slot: Slot, worker: Worker) -> None:
        """Let a worker stand in a place, or end it where all were told to end meanwhile."""
        with self._changed:
            slot.worker = worker
            is_late = self._is_closed
        if is_late:
            worker.stop(at_once=True)

    def close(self, *, at_once: bool) -> None:
        """End all workers; whoever waits for one is told."""
        with self._changed:
            self._is_closed = True
            workers = [slot.worker for slot in self.all if slot.worker is not None]
            self._changed.notify_all()
        with ThreadPoolExecutor(len(self.all)) as threads:
            list(threads.map(lambda worker: worker.stop(at_once=at_once), workers))

    def each(self, function: Callable[[Slot], Any]) -> list[Any]:
        """Return what a function returns of each place; where it fails for one, or is interrupted, all workers end."""
        with ThreadPoolExecutor(len(self.all)) as threads:
            try:
                return list(threads.map(function, self.all))
            except BaseException:
                # The threads wait for them.
                self.close(at_once=True)
                raise

    def take(self) -> Slot:
        """Wait for a worker that may be given a batch, and put that in its line.

        Raises:
            OracleError: All are gone for good, or were told to end.
        """
        with self._changed:
            while True:
                if self._is_closed:
                    raise OracleError("the workers were told to end before one of them was free for this batch")
                if self._num_alive == 0:
                    raise OracleError(f"all workers are gone, the last so: {self._why_gone}") from self._why_gone
                free = [slot for slot in self.all if not slot.is_lost and slot.in_line < CALLS_IN_LINE]
                if free:
                    slot = min(free, key=lambda each: (each.in_line, each.number))
                    if slot.in_line == 0:
                        slot.busy_since = time.monotonic()
                    slot.in_line += 1
                    return slot
                self._changed.wait()

    def give_back(self, slot: Slot, *, rows: int | None) -> None:
        """Take a batch out of a worker's line.

        Args:
            slot: The worker's.
            rows: That it has answered about; None: it has not.
        """
        with self._changed:
            slot.in_line -= 1
            if slot.in_line == 0:
                slot.count(busy=time.monotonic() - slot.busy_since)
            if rows is not None:
                slot.count(rows=rows, calls=1)
            self._changed.notify_all()

    def lose(self, slot: Slot, worker: Worker) -> bool:
        """Take note that a worker is gone; whether this is the first to tell."""
        with self._changed:
            if slot.worker is not worker or slot.is_lost or self._is_closed:
                return False
            slot.is_lost = True
            slot.count(lost=1)
            return True

    def wait_until_left(self, slot: Slot) -> None:
        """Wait until nobody waits for what a lost worker had."""
        with self._changed:
            self._changed.wait_for(lambda: slot.in_line == 0)

    def stand_again(self, slot: Slot) -> None:
        """Let a place be asked again, in which there is another worker."""
        with self._changed:
            slot.is_lost = False
            self._changed.notify_all()

    def give_up(self, why: BaseException) -> None:
        """Take note that a place stays empty."""
        with self._changed:
            self._num_alive -= 1
            self._why_gone = why
            self._changed.notify_all()

    def shares(self) -> list[WorkerShare]:
        """Return what each worker has done so far."""
        now = time.monotonic()
        with self._changed:
            return [replace(slot.share, idle=max(0.0, now - slot.began - slot.share.busy)) for slot in self.all]
