"""An attack whose run is kept in a folder, from its first query to its complete result."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from dfa.engine.file_answers import FileAnswers
from dfa.engine.loop import attack
from dfa.engine.plan import Plan
from dfa.engine.sameness import check_ended
from dfa.errors import BudgetExceededError, Interrupted, StoreError, told
from dfa.interrupts import interrupts_held_back
from dfa.results.result import Result
from dfa.runs.discarding import discard_run
from dfa.runs.loading import load
from dfa.runs.saved_run import check_alike, holds_nothing_paid, holds_run, journal_rows
from dfa.runs.saving import complete_run
from dfa.runs.storage import Storage
from dfa.runs.store import Store, check_images
from dfa.types import Image


def attack_stored(plan: Plan, storage: Storage) -> Result:
    """Attack every image of the plan and keep the run, begun now or before; one that has ended is read back.

    A run that is begun and fails before an answer was of use leaves nothing behind: it is not worth going on with, and
    the next one, with another word, is to find its folder free.

    Raises:
        StoreError: The folder cannot be written, holds a run and may be neither resumed nor overwritten, is at another
            process's hands, or was begun otherwise.
        DfaError: As of `attack`.
        Interrupted: Likewise.
    """
    about = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": storage.command,
        "config": plan.config,
        "model": {"fingerprint": plan.oracle.fingerprint()},
        "inputs": {"labels": plan.labels, "ids": plan.ids.given, "names": plan.inputs.names},
    }
    folder = Path(storage.folder)
    keeps_record = plan.oracle.keeps_record
    is_made = not folder.exists()
    is_there = storage.resume and holds_run(folder) and not holds_nothing_paid(folder)
    if is_there and (digests := _digests_of_ended(folder)) is not None:
        check_alike(folder, about)
        check_images(folder, digests)
        result = load(folder)
        check_ended(folder, digests, plan, result.records)
        return replace(result, oracle=plan.oracle, originals=_ReadBack(result, plan.inputs.load))
    # An interrupt between the lock and what lets go of it would leave the folder locked for as long as the process is.
    with interrupts_held_back() as interrupts:
        if is_there:
            store = Store.resume(folder, about, interval=storage.interval, keeps_record=keeps_record)
        else:
            epsilon = plan.config["epsilon"]
            store = Store.begin(
                folder,
                about,
                epsilon=epsilon,
                interval=storage.interval,
                overwrite=storage.overwrite,
                keeps_record=keeps_record,
            )
    try:
        if interrupts.came:
            raise KeyboardInterrupt
        if store.record is not None:
            plan.oracle.keep_with(store.record.books, store.record.classes)
        result = _attack(replace(plan, store=store), store)
    except Exception as error:
        with interrupts_held_back(), contextlib.suppress(StoreError):
            store.close()
            if not is_there and _is_fruitless(error) and (store.record is None or store.record.is_empty):
                discard_run(folder, is_made=is_made)
        raise
    finally:
        with interrupts_held_back() as interrupts:
            # Whoever asks the oracle after the run is no part of it.
            plan.oracle.keep_with(None, None)
            store.close()
    if interrupts.came:
        raise Interrupted("interrupted when the run had ended; its `result` is in this error", result=result)
    return result


def _digests_of_ended(folder: Path) -> dict[int, bytes | None] | None:
    """Return the digests of the images of a run that has ended, by place; None of one that has not."""
    rows = journal_rows(folder)
    return rows.digests if rows.is_over else None


@dataclass(frozen=True)
class _ReadBack:
    """The originals of a run that has ended: of what was broken those in its files, others from the run's images."""

    result: Result
    load: Callable[[int], Image]

    def __len__(self) -> int:
        return len(self.result.records)

    def __getitem__(self, index: int, /) -> Image:
        kept = self.result.originals
        if kept is None or self.result.images[index] is None:
            return self.load(index)
        return kept[index]


def _attack(plan: Plan, store: Store) -> Result:
    """Attack, and complete the folder however that ends."""
    try:
        result = attack(plan)
    except BaseException as error:
        with interrupts_held_back() as interrupts:
            _save_partial(error, store)
        if interrupts.came and not isinstance(error, Interrupted):
            raise Interrupted(
                f"interrupted, after this: {told(error)}", result=getattr(error, "result", None)
            ) from error
        if isinstance(error, BudgetExceededError) and store.resumes:
            # A run never asks for more than its budget, unless it is told that other numbers were sent than were.
            contradiction = StoreError(
                f"the run in {store.folder} contradicts itself about what was sent: {error}; start a new run in "
                "another folder"
            )
            contradiction.result = getattr(error, "result", None)
            raise contradiction from error
        raise
    try:
        store.flush()
        complete_run(result, store.folder, oracle=FileAnswers(plan.oracle, store, result.profile))
        store.end()
    except Exception as error:
        error.result = result  # type: ignore[attr-defined]
        raise
    except KeyboardInterrupt as error:
        raise Interrupted(
            "interrupted while saving; what was found is in the `result` of this error", result=result
        ) from error
    return result


def _is_fruitless(error: Exception) -> bool:
    """Tell whether a run failed before it knew what the oracle says of any image."""
    partial: Result | None = getattr(error, "result", None)
    return partial is not None and all(record.class_before is None for record in partial.records)


def _save_partial(error: BaseException, store: Store) -> None:
    """Write down what a run had found when it ended; the oracle is not asked again."""
    partial: Result | None = getattr(error, "result", None)
    if partial is None:
        return
    try:
        store.flush()
        complete_run(partial, store.folder, oracle=None)
    except StoreError as store_error:
        if isinstance(error, StoreError):
            return  # it has said so
        # Not add_note: the command line prints the error alone.
        error.args = (f"{error}; the partial result could not be saved either: {store_error}",)
