"""A batch that is asked about, from the moment that it is noted until what came of it is part of the run's state."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from threading import Event

from dfa.oracle.answers import Answer
from dfa.oracle.gate import Purpose
from dfa.oracle.parts import Part
from dfa.runs.kept_answers import Sent
from dfa.runs.store import digest_of
from dfa.types import Images, Indices


@dataclass
class Question:
    """A batch that is asked about.

    Attributes:
        images: uint8, (n, H, W, C).
        indices: int64, (n,): the image of each row.
        purpose: Why.
        sent: What each row is, to the record and to what is kept; empty in a run without a folder.
        known: Answers of before.
        awaited: Rows that another question asks about at this moment, and the row there.
        copies: Rows that are the same image as another row of the batch, and that row.
        spared: Rows that were never sent, since the same image was asked about elsewhere.
        numbers: Of its answers in the record.
        is_sent: Whether it went to the oracle.
        noted_at: When it was noted as a call for attack queries, in seconds of the run.
        is_taken_back: Whether the books no longer count it, since it was never sent.
        part: What is answered, the known rows included.
        answer: The same, once it is whole.
        is_over: Set once it is answered, or has failed; None where nobody may wait for it.
        losses: Workers that were lost over it.
        is_taken: Whether the run has its answer.
    """

    images: Images
    indices: Indices
    purpose: Purpose
    sent: Sequence[Sent] = ()
    known: Part | None = None
    awaited: dict[int, tuple[Question, int]] = field(default_factory=dict)
    copies: dict[int, int] = field(default_factory=dict)
    spared: int = 0
    numbers: list[int] = field(default_factory=list)
    is_sent: bool = False
    noted_at: float | None = None
    is_taken_back: bool = False
    part: Part | None = None
    answer: Answer | None = None
    is_over: Event | None = None
    losses: int = 0
    is_taken: bool = False

    @property
    def number(self) -> int:
        """Images to be sent."""
        known = 0 if self.known is None else len(self.known.rows)
        return len(self.indices) - known - len(self.awaited) - len(self.copies)


@dataclass
class Asked:
    """Batches on their way to the oracle and back, one after another."""

    questions: list[Question]
    future: Future[list[Answer]]


def sent_rows(images: Images, indices: Indices, purpose: Purpose) -> list[Sent]:
    """Return what the rows of a batch are to whoever keeps their answers."""
    return [Sent(purpose.value, index, digest_of(image)) for image, index in zip(images, indices.tolist(), strict=True)]
