"""The exact state of a run, written down between two steps of its loop, and taken up again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfa.engine.feed import Feed
from dfa.engine.jury import Jury
from dfa.engine.ledger import Ledger
from dfa.engine.oracle_thread import OracleThread
from dfa.engine.plan import Plan
from dfa.engine.recall import usable_rows
from dfa.engine.sameness import NUM_PROBES, how_it_differs, probes, refuse_another_oracle
from dfa.engine.stopwatch import Stopwatch
from dfa.engine.watch import Watch
from dfa.engine.window import Window
from dfa.errors import DfaError, InvalidInputError, StoreError
from dfa.oracle.gate import Gate, Purpose
from dfa.results.parsing import MisfitError, fields_reader
from dfa.results.record import Record, read_record
from dfa.runs.store import Checkpoint, Store, digest_of
from dfa.types import Image

_PARTS: Final[dict[str, dict[str, Any]]] = {
    "gate": {"num_classes": int | None, "counts": dict[str, int], "seconds": dict[str, float]},
    "stopwatch": {"wall": float, "seconds": dict[str, float], "calls_over_time": dict[str, Any]},
    "window": {"batches": int, "rows_sent": int, "jobs": list[tuple[int, dict[str, Any], float | None]]},
    "feed": {"num_read": int, "ready": list[tuple[dict[str, Any], float | None]]},
    "jury": {
        "claims": list[dict[str, Any]],
        "turns": int,
        "verdicts": list[tuple[int, tuple[int, int, int, float]]],
        "unconfirmed": list[tuple[int, int]],
    },
}
"""What the parts of a checkpoint's document are made of; who wrote it is not known to be dfa."""

_read_parts: Final = {name: fields_reader(fields) for name, fields in _PARTS.items()}


@dataclass(frozen=True)
class Checkpoints:
    """What has a state in a run, and the store that keeps it.

    Attributes:
        store: Keeps checkpoints.
        plan: The run.
        gate: Its oracle's gate.
        oracle: Asked whether it is the one that the run began with.
        stopwatch: Has a state.
        ledger: Settles again what was settled before.
        feed: Has a state.
        window: Has a state.
        jury: Has a state.
        watch: Told of what the oracle said of images as they are.
    """

    store: Store
    plan: Plan
    gate: Gate
    oracle: OracleThread
    stopwatch: Stopwatch
    ledger: Ledger
    feed: Feed
    window: Window
    jury: Jury
    watch: Watch

    def save_if_due(self, number: int) -> None:
        """Write a checkpoint if one must come before so many images are sent.

        Raises:
            StoreError: It cannot be written.
        """
        if self.store.due.is_due(number):
            self.store.cover(self._save(), under_way=self.window.rows_under_way)

    def save_now(self) -> None:
        """Write a checkpoint of a run whose oracle is not at work, from which it goes on whatever fails now.

        Raises:
            StoreError: It cannot be written.
        """
        self.store.cover(self._save(), under_way=0)

    def keep_answers(self) -> None:
        """Write down the state of a run that its oracle ended in the middle of a batch, and all answers beside it.

        Raises:
            StoreError: They cannot be written.
        """
        self.oracle.take_back()
        self.save_now()
        # A record has them already.
        if self.store.record is None:
            self.store.keep(usable_rows(self.oracle.open, self.gate))

    def restore(self) -> None:
        """Take the run up where its last checkpoint left it, having seen that images and oracle are the same.

        Raises:
            StoreError: They are not, or a file is gone.
            OracleError: The oracle failed.
        """
        self.ledger.take_up(self.store)
        try:
            if self.store.checkpoint is None:
                self._check_kept()
            else:
                self._load(self.store.checkpoint)
            # Not before the oracle was asked whether it is the same.
            self.oracle.take_up(self.store.answers)
        except DfaError:
            raise
        except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
            raise StoreError(
                f"the checkpoint of the run in {self.store.folder} cannot be read: {error}; resume the run with the "
                "dfa that began it, or start a new run in another folder"
            ) from error

    def _save(self) -> Checkpoint:
        window, of_window = self.window.save()
        jury, of_jury = self.jury.save()
        gate = self.gate.save()
        # What is not part of the state is asked, and counted, when the run is resumed.
        counts = {name: self.oracle.settled[name] for name in gate["counts"]}
        document = {
            "gate": gate | {"counts": counts},
            "stopwatch": self.stopwatch.save(),
            "window": window,
            "feed": self.feed.save(),
            "jury": jury,
            "questions": self.plan.questions.save(),
        }
        position = self.oracle.recall.position(self.oracle.open)
        if position is not None:
            document["record"] = position
            document["watch"] = self.watch.save()
        blobs = of_window | of_jury
        return Checkpoint(document, blobs)

    def _load(self, checkpoint: Checkpoint) -> None:
        document, blobs = checkpoint.document, checkpoint.blobs
        for name, read in _read_parts.items():
            try:
                read(document[name])
            except MisfitError as error:
                raise error.below(name) from None
        searched = _drafts(row for _, row, _ in document["window"]["jobs"])
        ready = _drafts(row for row, _ in document["feed"]["ready"])
        claimed = _drafts(document["jury"]["claims"])
        waiting = {draft.index: draft for draft in (*searched, *ready, *claimed)}
        images, lost = self._read_again(document["feed"]["num_read"], waiting)
        self.gate.prepare(self.plan.inputs.shape, self.window.batch_size)
        if "watch" in document:
            self.watch.load(document["watch"])
        self._check_oracle(waiting, images, document["gate"]["num_classes"])
        self.gate.load(document["gate"])
        self.oracle.settled = Counter(document["gate"]["counts"])
        for draft in claimed:
            self.gate.restore_sent(draft.index, draft.queries_sent)
        self.stopwatch.load(document["stopwatch"])
        self.feed.load(document["feed"], ready, images)
        self.jury.load(document["jury"], blobs, claimed, images)
        self.window.load(document["window"], blobs, searched, images)
        self.plan.questions.load(document["questions"])
        self.feed.ask_again(list(lost), list(lost.values()), [images[index] for index in lost])

    def _check_kept(self) -> None:
        """Refuse another oracle than that of the records there are, where no checkpoint knows of more."""
        kept = probes(self.ledger.kept_records(), most=min(NUM_PROBES, self.window.batch_size))
        if not kept:
            return
        counts = self.gate.save()
        images = {record.index: self.plan.inputs.load(record.index) for record in kept}
        for index, image in images.items():
            self.store.note_read(index, digest_of(image))
        self.gate.prepare(self.plan.inputs.shape, self.window.batch_size)
        self._check_oracle({record.index: record for record in kept}, images, None)
        # As after a checkpoint: what is asked about the oracle is no part of the run.
        self.gate.load(counts)

    def _read_again(self, number: int, waiting: Mapping[int, Record]) -> tuple[dict[int, Image], dict[int, int]]:
        """Read the first images of the run again, all of them.

        Returns:
            Those that are not finished, by index; and of those among them that were, and are lost, the names of their
            random streams.
        """
        images, lost = {}, {}
        for index in range(number):
            if self.store.digests.get(index) is None:
                # It could not be read then, and was given up.
                self.ledger.settle_again(index)
                continue
            try:
                image = self.plan.inputs.load(index)
            except InvalidInputError:
                self.store.note_read(index, None)
                raise
            self.store.note_read(index, digest_of(image))
            # Names of copies are counted, so every image is named again, in order.
            name = self.plan.ids.name(index, image)
            if index in waiting:
                images[index] = image
            elif not self.ledger.is_kept(index):
                images[index], lost[index] = image, name
            else:
                self.gate.restore_sent(index, self.ledger.settle_again(index).queries_sent)
        return images, lost

    def _check_oracle(
        self, waiting: Mapping[int, Record], images: Mapping[int, Image], num_classes: int | None
    ) -> None:
        """Ask about a few of the originals again, and refuse an oracle that answers otherwise than it did.

        A service that is not watched is not asked: each answer is paid for.
        """
        drafts = probes(waiting.values(), most=min(NUM_PROBES, self.window.batch_size))
        for draft in drafts:
            self.watch.see(draft, images[draft.index])
        if drafts and (self.store.record is None or self.plan.oracle.watch_every is not None):
            purpose = Purpose.CLEAN if self.store.record is None else Purpose.WATCH
            indices = np.array([draft.index for draft in drafts], dtype=np.int64)
            scores = self.oracle.ask(np.stack([images[draft.index] for draft in drafts]), indices, purpose)
            num_classes = scores.shape[1]
            if not self.watch.marks:
                refuse_another_oracle(drafts, scores)
            for draft, row in zip(drafts, scores, strict=True) if self.watch.marks else ():
                if (told := how_it_differs(draft, row)) is not None:
                    self.watch.tell(draft.index, told)
        if not drafts or num_classes is None:
            return
        for draft in waiting.values():
            if draft.goal is None or not 0 <= draft.goal < num_classes:
                raise ValueError(f"image {draft.index} must aim at one of {num_classes} classes, not {draft.goal}")


def _drafts(rows: Iterable[dict[str, Any]]) -> list[Record]:
    return [read_record(row) for row in rows]
