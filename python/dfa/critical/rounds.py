"""`dfa.frontier`: the smallest size at which each image is broken, by rounds of runs."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.checks import require_flag, require_integer
from dfa.critical.found import Frontier
from dfa.critical.kept import ROUND, held_for_search, write
from dfa.critical.record import CriticalRecord
from dfa.critical.schedule import MOST_SIZES, Attempt, Progress, State
from dfa.engine.bar import open_bar
from dfa.engine.interrupts import carrying_result
from dfa.engine.loop import attack
from dfa.engine.plan import Plan, make_plan
from dfa.engine.stored import attack_stored
from dfa.errors import InvalidInputError, SpaceError, told_with_place
from dfa.interrupts import interrupts_held_back
from dfa.oracle.workers.choice import as_workers
from dfa.oracle.workers.pool import Workers, asked_by
from dfa.results.images import AdversarialImages
from dfa.results.record import Record, Status, rewritten
from dfa.results.result import Result
from dfa.results.skips import LIKELY_CAUSES, tell_skipped_records, warn_of_skips
from dfa.runs.begun import Begun
from dfa.runs.storage import Storage
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Rank
from dfa.search.objectives import Objective
from dfa.search.protocol import Optimizer
from dfa.search.racos import Racos
from dfa.space import LinfBall, Space
from dfa.types import DegreeFunction, Image

_FIRST_LOOK: Final = 32
"""Queries after which a search is first asked whether it will end within its budget."""
_FORECAST: Final = 1.0
"""Share of what an image may still be sent, within which a search must be seen to end."""
_MOST_SEEDS: Final = 2**64


def frontier(
    oracle: Any,
    images: Any,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    max_epsilon: int = 32,
    space: Callable[[int], Space] | None = None,
    objective: Objective | DegreeFunction | str | None = None,
    optimizer: Racos | Optimizer | None = None,
    confirmations: Confirmation | int = 1,
    max_queries: int = 1_000,
    batch_size: int = 256,
    seed: int = 0,
    threads: int | None = None,
    progress: bool | Callable[[CriticalRecord], None] = True,
    store: str | Path | None = None,
    overwrite: bool = False,
    resume: bool = False,
    ids: ArrayLike | None = None,
    layout: str | None = None,
    names: Sequence[str | os.PathLike[str]] | None = None,
    class_names: Sequence[str] | None = None,
    prior: Any = None,
    workers: int | Sequence[str] | Workers | None = None,
) -> Frontier:
    """Search the smallest epsilon at which each image is broken, within one budget per image.

    What is found is an upper bound: an image may fall to less, with more queries or another attack. The first search of
    an image is at `max_epsilon`; where it succeeds, half of it is searched, and so on between what broke the image and
    what did not. Where something was found and not confirmed, as a randomised oracle has it, the search is made again.
    In a ball each search begins with what broke the image, shrunk. A search is given up as soon as its degree falls too
    slowly to reach 0 within the image's budget, so little is spent where an image holds. All images are searched side
    by side, in rounds; each round is a run like those of `dfa.run`, counted, confirmed and kept likewise. Results
    depend on the oracle's answers, the seed, the images and the settings, not on `threads`, `batch_size` or `workers`.

    Args:
        oracle: As of `dfa.run`.
        images: Likewise.
        labels: Likewise. An image that the oracle classifies otherwise counts as broken by no change at all.
        targets: Likewise.
        max_epsilon: The largest epsilon, 1..255 grey levels; with `space` the largest size, 1..2**20.
        space: What makes of a size, 1..`max_epsilon`, a search space, such as `dfa.Pixels` or `lambda side:
            dfa.Rectangle(side, side)`: each size must allow all that the smaller ones do. None: `dfa.LinfBall`.
        objective: As of `dfa.run`.
        optimizer: Likewise. Images learn from the images of their round. A search of one of yours is not forecast: it
            is given up where it rests, as with `give_up_after=32` of `dfa.run`.
        confirmations: Likewise.
        max_queries: Budget per image, of all its searches together. Counts every image sent to the oracle for it, and
            is never exceeded; clean predictions and confirmations are counted apart, once a search.
        batch_size: As of `dfa.run`.
        seed: Likewise. Each round has one of its own.
        threads: Likewise.
        progress: Show a progress bar where the error stream is a terminal; or a function that is called with each
            record as soon as its image is done.
        store: A folder to keep the rounds in, from the first query on, and what was found: `frontier.json`, and the
            adversarial images as PNG files.
        overwrite: Replace what was kept there before.
        resume: Go on with what was kept there, or begin it. Images, oracle and settings must be as they were.
        ids: As of `dfa.run`.
        layout: Likewise.
        names: Likewise.
        class_names: Likewise.
        prior: Likewise.
        workers: Likewise.

    Returns:
        A record per image, the curve, the adversarial images.

    Raises:
        InvalidInputError: An argument is not as described, or `store` is given for a service.
        StoreError: As of `dfa.run`; or another search is at the folder, or was begun there otherwise.
        SpaceError: `space` failed; `.result` as of an `OracleError`.
        OracleError: The oracle failed; `.result`, a `Frontier`, holds what was found before. `ObjectiveError`,
            `PriorError` and `Interrupted` likewise.

    Warns:
        DoubtfulDataWarning, ChanceAccuracyWarning, MostSkippedWarning: As of `dfa.run`; the last one carries a
            `Frontier`.

    Source:
        Not of the paper, which fixes epsilon. That an attack's smallest perturbation is an upper bound of the distance
        to the decision boundary is common ground (DeepFool, Moosavi-Dezfooli et al., CVPR 2016).
    """
    max_epsilon = require_integer("max_epsilon", max_epsilon, 1, 255 if space is None else MOST_SIZES)
    if not callable(progress):
        require_flag("progress (unless a function)", progress)
    with asked_by(oracle, as_workers(workers)) as model:
        settings = {
            "objective": objective,
            "optimizer": optimizer,
            "confirmations": confirmations,
            "max_seconds": None,
            "give_up_after": None,
            "batch_size": batch_size,
            "threads": threads,
            "progress": False,
            "class_names": class_names,
            "prior": prior,
        }
        kind = _Balls() if space is None else _Spaces(space)
        plan = make_plan(
            model,
            images,
            labels,
            targets=targets,
            max_queries=max_queries,
            seed=seed,
            ids=ids,
            layout=layout,
            names=names,
            **kind.of_one(max_epsilon),
            **settings,
        )
        keeping = _Keeping(store, overwrite=overwrite, resume=resume, plan=plan, largest=max_epsilon)
        with keeping.held():
            search = _Search(plan, kind, max_epsilon, settings, keeping, progress)
            found = search.run()
    if search.skips:
        warn_of_skips(search.skips, found)
    return found


class _Balls:
    """Epsilons of images, which may differ within a run."""

    unit = "epsilon"

    def of_one(self, size: int) -> dict[str, Any]:
        return {"epsilon": size, "space": None}

    def runs(self, sizes: Sequence[int]) -> Iterator[tuple[list[int], dict[str, Any]]]:
        """Yield the places of one run, and how its spaces are told."""
        yield list(range(len(sizes))), {"epsilon": np.array(sizes), "space": None}


@dataclass(frozen=True)
class _Spaces:
    """Spaces of a user's kind; a run for each size."""

    make: Callable[[int], Space]
    unit = "size"

    def of_one(self, size: int) -> dict[str, Any]:
        try:
            space = self.make(size)
        except Exception as error:
            raise SpaceError(
                f"space, which makes a search space of a size, failed at {size}: {told_with_place(error)}"
            ) from error
        if not isinstance(space, Space):
            raise InvalidInputError(f"space must make a search space of a size, such as dfa.Pixels; got {space!r:.80}")
        return {"epsilon": LinfBall.epsilon, "space": space}

    def runs(self, sizes: Sequence[int]) -> Iterator[tuple[list[int], dict[str, Any]]]:
        for size in sorted(set(sizes)):
            yield [place for place, each in enumerate(sizes) if each == size], self.of_one(size)


class _Keeping:
    """The folders of the rounds' runs, if they are kept."""

    def __init__(self, store: str | Path | None, *, overwrite: bool, resume: bool, plan: Plan, largest: int) -> None:
        most = plan.batch_size * plan.questions.queries_per_image
        self._first = Storage.parse(store, overwrite=overwrite, resume=resume, batch_size=most)
        self._plan, self._largest = plan, largest
        if self._first is not None and plan.oracle.keeps_record:
            # Its books and its classes' ids are kept with a run, and would begin anew with every round.
            raise InvalidInputError(
                "a search of a service cannot be kept in a folder: what it may cost, and which class is which, would "
                "hold for one round alone; leave store out"
            )

    def held(self) -> AbstractContextManager[None]:
        """Return what holds the folder."""
        first = self._first
        if first is None:
            return nullcontext()
        plan = self._plan
        settings = {"max_epsilon": self._largest, "space": plan.config.get("space")}
        more = {
            "config": {name: value for name, value in plan.config.items() if name not in ("epsilon", "space")},
            "model": {"fingerprint": plan.oracle.fingerprint()},
            "inputs": {"labels": plan.labels, "ids": plan.ids.given, "names": plan.inputs.names},
        }
        return held_for_search(
            Path(first.folder), Begun("frontier", settings, more), overwrite=first.overwrite, resume=first.resume
        )

    def attack(self, plan: Plan, name: str) -> Result:
        """Attack, and keep the run under a name."""
        if self._first is None:
            return attack(plan)
        return attack_stored(plan, replace(self._first, folder=Path(self._first.folder) / name))

    def save(self, found: Frontier) -> None:
        """Write down what was found in the end."""
        if self._first is not None:
            write(Path(self._first.folder), found.document(), found.images)


class _Search:
    """One call of `frontier`.

    Attributes:
        skips: What is to be told where most images were skipped; else nothing.
    """

    def __init__(
        self,
        plan: Plan,
        kind: _Balls | _Spaces,
        largest: int,
        settings: dict[str, Any],
        keeping: _Keeping,
        progress: bool | Callable[[CriticalRecord], None],
    ) -> None:
        number = plan.inputs.num_images
        population = plan.optimizer.population if isinstance(plan.optimizer, Racos) else 1
        least = plan.questions.queries_per_image * population
        self._plan, self._kind, self._largest = plan, kind, largest
        self._settings, self._keeping = settings, keeping
        self._least = least
        self._follow = progress if callable(progress) else None
        self._sent = 0
        self._bar = open_bar(number, lambda: self._sent) if progress is True else None
        self._progress = [Progress(largest, plan.max_queries, least) for _ in range(number)]
        self._records: list[Record | None] = [None] * number
        self._images = AdversarialImages(number, form=plan.inputs.form)
        self._began = time.monotonic()
        self.skips = ""
        self._totals = {"rounds": 0, "calls": 0, "clean": 0, "verification": 0}

    def run(self) -> Frontier:
        """Search until every image is done."""
        try:
            with carrying_result(self._found):
                while wanted := self._wanted():
                    self._totals["rounds"] += 1
                    indices, sizes = list(wanted), list(wanted.values())
                    for places, space in self._kind.runs(sizes):
                        self._attack([indices[each] for each in places], [sizes[each] for each in places], space)
                found = self._found()
                self._keeping.save(found)
        finally:
            if self._bar is not None:
                self._bar.close()
        return found

    def _wanted(self) -> dict[int, int]:
        """Return the size at which each image that is not done is searched next."""
        sizes = ((index, each.next_size()) for index, each in enumerate(self._progress))
        return {index: size for index, size in sizes if size is not None}

    def _attack(self, indices: list[int], sizes: list[int], space: dict[str, Any]) -> None:
        """Search images at their sizes, in one run."""
        number = self._totals["rounds"]
        plan = self._plan if number == 1 else self._next_plan(indices, space, number)
        name = ROUND.format(number) + ("" if isinstance(self._kind, _Balls) else f"-size-{sizes[0]:06d}")
        try:
            result = self._keeping.attack(plan, name)
        except BaseException as error:
            # What an unfinished round has found is found; nobody is told, since that could fail as well.
            if isinstance(partial := getattr(error, "result", None), Result):
                with interrupts_held_back():
                    self._take(indices, sizes, partial)
            raise
        if number == 1:
            self.skips = tell_skipped_records(result.records, LIKELY_CAUSES, own_classes=plan.own_classes)
        with interrupts_held_back() as interrupts:
            self._take(indices, sizes, result)
        if interrupts.came:
            raise KeyboardInterrupt
        for index in indices:
            self._tell(index)

    def _next_plan(self, indices: list[int], space: dict[str, Any], number: int) -> Plan:
        first = self._plan
        records = [self._record(index) for index in indices]
        budgets = np.array([self._progress[index].left for index in indices], dtype=np.int64)
        of_names = [record.source for record in records]
        plan = make_plan(
            first.oracle,
            _Chosen(first.inputs.load, indices),
            # Whatever a randomised oracle says now, the class that it is to leave is the one of the first round.
            np.array([record.class_before for record in records]),
            targets=None if first.targets is None else np.array([record.target for record in records]),
            max_queries=int(budgets.max()),
            seed=(first.seed + number - 1) % _MOST_SEEDS,
            ids=np.array([record.id for record in records], dtype=np.int64),
            layout=None,
            names=None if None in of_names else [str(name) for name in of_names],
            **space,
            **(self._settings | {"class_names": first.class_names}),
        )
        first_look = max(_FIRST_LOOK, 2 * self._least)
        return replace(
            plan,
            budgets=budgets,
            forecast=_FORECAST,
            give_up_after=first_look,
            start=self._starts(plan, indices),
            config=plan.config | {"round": number, "give_up_after": first_look},
        )

    def _starts(self, plan: Plan, indices: Sequence[int]) -> Callable[[int, Image], NDArray[np.uint8] | None] | None:
        """Return what gives a search the perturbation that broke its image, shrunk to the ball, as first start."""
        racos = plan.optimizer
        takes_starts = (
            isinstance(racos, Racos) and racos.shape == "window" and racos.start == racos.values == "textures"
        )
        if not takes_starts or plan.prior is not None or not isinstance(self._kind, _Balls):
            return None

        def start(place: int, original: Image) -> NDArray[np.uint8] | None:
            found = self._images[indices[place]]
            return None if found is None else (found > original).astype(np.uint8)

        return start

    def _take(self, indices: Sequence[int], sizes: Sequence[int], result: Result) -> None:
        """Take note of what a run found of images that it has finished, and of what it sent for the others."""
        self._totals["calls"] += result.profile.batches
        self._totals["clean"] += result.profile.clean
        self._totals["verification"] += result.profile.verification
        for index, size, record in zip(indices, sizes, result.records, strict=True):
            progress = self._progress[index]
            before = self._records[index]
            # Later rounds are given a label of every image.
            own = rewritten(record, index=index, label=record.label if before is None else before.label)
            self._sent += record.queries_sent
            if record.status in (Status.UNFINISHED, Status.SKIPPED, Status.ERROR):
                progress.cut += record.queries_sent
                if record.status is Status.UNFINISHED:
                    self._records[index] = before or own
                else:
                    self._stop(index, own)
                continue
            is_success = record.status is Status.SUCCESS
            if is_success:
                image = result.images[record.index]
                assert image is not None
                self._images.put(index, image)
            if is_success or progress.critical is None:
                self._records[index] = own
            is_unconfirmed = record.found and not is_success
            progress.take(
                Attempt(size, record.queries_sent, is_success),
                self._reached(size, own),
                is_unconfirmed=is_unconfirmed,
                # Where answers are repeated, a search goes on by itself.
                is_claim=is_unconfirmed and not self._plan.confirmation.is_repeated,
            )

    def _stop(self, index: int, record: Record) -> None:
        """Take note of an image that could not be searched; what was found of it before stays."""
        progress = self._progress[index]
        if progress.attempts and record.status is Status.SKIPPED and progress.may_ask_again():
            return
        if progress.attempts:
            progress.state = State.HELD if progress.critical is None else State.BROKEN
        else:
            progress.state = State.SKIPPED if record.status is Status.SKIPPED else State.ERROR
            self._records[index] = record

    def _reached(self, size: int, record: Record) -> int | None:
        """Return the size of what was found: of a ball, the largest change there is."""
        if record.status is not Status.SUCCESS:
            return None
        return min(size, int(record.linf)) if isinstance(self._kind, _Balls) and record.linf is not None else size

    def _tell(self, index: int) -> None:
        """Show that an image is done, if it is."""
        if self._progress[index].state is State.OPEN:
            return
        if self._bar is not None:
            self._bar.settle(self._record(index))
        if self._follow is not None:
            self._follow(self._critical(index))

    def _record(self, index: int) -> Record:
        record = self._records[index]
        assert record is not None
        return record

    def _critical(self, index: int) -> CriticalRecord:
        progress = self._progress[index]
        record = self._records[index] or Record(index, 0, Status.UNFINISHED, source=self._plan.inputs.source(index))
        return CriticalRecord(
            index,
            progress.state,
            progress.critical,
            tuple(progress.attempts),
            record,
            cut=progress.cut,
            unconfirmed=progress.unconfirmed,
        )

    def _found(self) -> Frontier:
        return Frontier(
            records=[self._critical(index) for index in range(len(self._progress))],
            images=self._images,
            largest=self._largest,
            max_queries=self._plan.max_queries,
            unit=self._kind.unit,
            wall=time.monotonic() - self._began,
            config=self._plan.config,
            **self._totals,
        )


@dataclass(frozen=True)
class _Chosen:
    """Images of the run, some of them, read when they are asked for."""

    load: Callable[[int], NDArray[Any]]
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, place: int, /) -> Image:
        return self.load(self.indices[place])
