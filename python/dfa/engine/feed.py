"""Where attacks come from: images are read, asked about as they are, and become jobs, or are settled unsearched."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_text
from dfa.engine.first_look import FirstLook
from dfa.engine.ledger import Ledger
from dfa.engine.oracle_thread import OracleThread, mean_answer
from dfa.engine.plan import Plan, goal_of
from dfa.engine.watch import Watch
from dfa.errors import InvalidInputError
from dfa.oracle.answers import is_told
from dfa.oracle.gate import Purpose
from dfa.originals import Form
from dfa.results.record import Record, Status, rewritten
from dfa.runs.folder import plain
from dfa.search.class_names import check_class_names
from dfa.search.goals import Rank, Targets, check_label_range, resolve_targets
from dfa.search.objectives import measure, predicted
from dfa.types import Image, Indices

_BATCHES_AHEAD: Final = 2
"""Whose clean answers are under way while others are attacked, where an oracle takes several calls at once; so many for
each of these calls, where one carries few images."""


@dataclass
class Job:
    """An image ready to be attacked.

    Attributes:
        draft: Its record so far.
        image: The original.
        degree: Of the clean image.
    """

    draft: Record
    image: Image
    degree: float

    @property
    def index(self) -> int:
        """Place of the image in the run."""
        return self.draft.index

    @property
    def goal(self) -> int:
        """The class that the degree function is given: the target, or the original class."""
        return goal_of(self.draft)


@dataclass
class _Look:
    """Images whose clean answers are under way.

    Attributes:
        end: Images of the run up to these.
        drafts: Their records so far.
        images: The originals.
        indices: int64, (n,): their places.
        answers: Waits for the answers, float64, (n, times, K).
    """

    end: int
    drafts: list[Record]
    images: list[Image]
    indices: Indices
    answers: Callable[[], NDArray[np.float64]]


class Feed:
    """Reads the images of a run in their order, a batch at a time.

    Attributes:
        num_read: Images read so far whose clean answers are there, or that were given up.
        ready: Jobs that wait to be begun.
    """

    def __init__(
        self,
        plan: Plan,
        oracle: OracleThread,
        ledger: Ledger,
        watch: Watch,
        before_sending: Callable[[int], None],
        *,
        batch_size: int,
    ) -> None:
        """Begin with the first image.

        Args:
            plan: The run.
            oracle: Asked for clean predictions.
            ledger: Told of images that are not searched.
            watch: Told of clean answers.
            before_sending: Called with a number of images between two steps of the run, before they are sent.
            batch_size: The most images of one batch.
        """
        self.num_read = 0
        self.ready: deque[Job] = deque()
        self._plan = plan
        self._oracle = oracle
        self._ledger = ledger
        self._watch = watch
        self._before_sending = before_sending
        self._batch_size = batch_size
        each = 1 if plan.oracle.rows_per_call is None else plan.oracle.calls_at_once
        self._ahead = _BATCHES_AHEAD * each
        self._first_look = FirstLook(plan.own_classes)
        self._looks: deque[_Look] = deque()

    def fill(self) -> bool:
        """Tell whether there is a job, after reading on where none is ready."""
        if self._oracle.asks_beside and len(self.ready) < self._ahead // _BATCHES_AHEAD * self._batch_size:
            while len(self._looks) < self._ahead and self._look_ahead():
                pass
        while not self.ready and (self._looks or self._look_ahead()):
            look = self._looks.popleft()
            if look.images:
                self._take(look)
            self.num_read = look.end
        return bool(self.ready)

    def _look_ahead(self) -> bool:
        """Read a batch and ask for its clean answers; False where all images are read."""
        begin = self._looks[-1].end if self._looks else self.num_read
        if begin == self._plan.inputs.num_images:
            return False
        self._before_sending(self._batch_size * self._plan.confirmation.of)
        end, drafts, images = self._read_batch(begin)
        self._looks.append(self._ask_clean(end, drafts, images))
        return True

    def ask_again(self, indices: Sequence[int], names: Sequence[int], images: Sequence[Image]) -> None:
        """Let images be searched again that had been settled, and whose adversarial image is lost.

        Args:
            indices: Their places.
            names: Of their random streams.
            images: The originals.
        """
        drafts = [
            Record(
                index=index,
                id=name,
                status=Status.UNFINISHED,
                source=self._plan.inputs.source(index),
                label=self._plan.label(index),
            )
            for index, name in zip(indices, names, strict=True)
        ]
        for start in range(0, len(drafts), self._batch_size):
            part = slice(start, start + self._batch_size)
            self._before_sending(len(drafts[part]) * self._plan.confirmation.of)
            self._take(self._ask_clean(self.num_read, drafts[part], list(images[part])))

    def leave_unfinished(self, reason: str) -> None:
        """Write down the waiting jobs as they are, since the run is over."""
        for job in self.ready:
            self._ledger.leave_unfinished(job.draft, reason)

    def save(self) -> dict[str, Any]:
        """Return the exact state, but for the images, in plain JSON types."""
        ready = [[plain(job.draft), job.degree] for job in self.ready]
        return {"num_read": self.num_read, "ready": ready}

    def load(self, document: Mapping[str, Any], drafts: list[Record], images: Mapping[int, Image]) -> None:
        """Go on from what `save` returned.

        Args:
            document: Plain data.
            drafts: The records of `ready`, read.
            images: Their originals.
        """
        self.num_read = document["num_read"]
        for draft, (_, degree) in zip(drafts, document["ready"], strict=True):
            self.ready.append(Job(draft, images[draft.index], degree))

    def _read_batch(self, begin: int) -> tuple[int, list[Record], list[Image]]:
        """Return where the next batch begins, and the drafts and images of this one, as far as they can be read."""
        drafts: list[Record] = []
        images: list[Image] = []
        end = begin
        while len(images) < self._batch_size and end < self._plan.inputs.num_images:
            index = end
            end += 1
            label, source = self._plan.label(index), self._plan.inputs.source(index)
            try:
                image = self._plan.inputs.load(index)
            except InvalidInputError as error:
                # One unreadable file of a folder must not cost the others their results.
                self._ledger.note_read(index, None)
                record = Record(index=index, id=0, status=Status.ERROR, reason=as_text(str(error)), label=label)
                self._ledger.settle(rewritten(record, source=source))
                continue
            self._ledger.note_read(index, image)
            images.append(image)
            name = self._plan.ids.name(index, image)
            drafts.append(Record(index=index, id=name, status=Status.UNFINISHED, source=source, label=label))
        return end, drafts, images

    def _ask_clean(self, end: int, drafts: list[Record], images: list[Image]) -> _Look:
        indices = np.array([draft.index for draft in drafts], dtype=np.int64)
        if not images:
            return _Look(end, drafts, images, indices, lambda: np.empty((0, 0, 0)))
        if self._plan.inputs.form is Form.IMAGES:
            self._first_look.see_images(images)
        # What a randomised oracle says on average is what it is attacked for.
        times = self._plan.confirmation.of
        answers = self._oracle.ask_repeatedly_ahead(np.stack(images), indices, Purpose.CLEAN, times=times)
        return _Look(end, drafts, images, indices, answers)

    def _take(self, look: _Look) -> None:
        """Wait for clean answers, and make jobs of the images, or settle them."""
        drafts, images, answers = look.drafts, look.images, look.answers()
        scores = mean_answer(answers)
        if self._plan.oracle.names_came and (self._plan.labels is not None or _are_ids(self._plan.targets)):
            raise InvalidInputError(
                f"labels and targets are ids of classes, and the oracle {self._plan.oracle.name!r} numbers its classes "
                "as their names come in answers, so nobody knows these ids; pass classes=, the names of all classes in "
                "the order of their ids, to the oracle"
            )
        check_label_range(self._plan.labels, scores.shape[1])
        check_class_names(self._plan.class_names, scores.shape[1], self._plan.inputs.class_names)
        goals = resolve_targets(self._plan.targets, scores, look.indices)
        classes = predicted(scores)
        if not self._plan.learns:
            degrees = np.ones(len(classes))  # of no use, and a user's function may be costly
        else:
            degrees = measure(self._plan.degree, scores, classes if goals is None else goals)
        for row, class_before in enumerate(classes.tolist()):
            told = is_told(self._plan.oracle, answers[row], class_before)
            draft = rewritten(
                drafts[row],
                class_before=class_before,
                probability_before=float(scores[row, class_before]) if told else None,
                target=None if goals is None else int(goals[row]),
            )
            self._watch.see(draft, images[row])
            if draft.label is not None and draft.label != class_before:
                self._ledger.settle(rewritten(draft, status=Status.SKIPPED, reason="misclassified"))
            elif draft.target == class_before:
                self._ledger.settle(rewritten(draft, status=Status.SKIPPED, reason="already the target class"))
            else:
                self.ready.append(Job(draft, images[row], float(degrees[row])))
        self._oracle.forget(Purpose.CLEAN)
        self._first_look.see(drafts, classes.tolist(), scores.shape[1])


def _are_ids(targets: Targets) -> bool:
    return targets is not None and not isinstance(targets, Rank)
