"""A run before it begins: every argument checked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dfa.engine.inputs import Inputs, StreamIds
from dfa.oracle.base import Oracle
from dfa.results.record import Record
from dfa.runs.store import Store
from dfa.search.confirmation import Confirmation
from dfa.search.goals import Targets
from dfa.search.label_walk import Questions
from dfa.search.racos import Racos
from dfa.space import BoundSpace
from dfa.types import Classes, DegreeFunction


@dataclass(frozen=True)
class Plan:
    """A run, with every argument checked.

    Attributes:
        oracle: What is attacked.
        inputs: The images.
        ids: Names their random streams.
        labels: int64, (N,), or None for the oracle's own answers.
        targets: Class ids, a rank, or None in an untargeted run.
        space: What may become of each image.
        optimizer: How candidates are made.
        degree: The dissatisfaction degree function of the run.
        questions: What is asked about a candidate, and what is made of the answers.
        confirmation: What makes a claim of the search a success.
        max_queries: Budget per image, attack queries sent.
        max_seconds: Time per image from its first query on, or None.
        batch_size: The most images per call of the oracle.
        seed: 0..2**64 - 1.
        threads: Threads of the core.
        shows_progress: Draw a progress bar where the error stream is a terminal.
        config: What the result records of the run's settings.
        on_record: Called with each record as it is settled, or None.
        store: Where the run is kept while it goes on, and what it goes on from; or None.
    """

    oracle: Oracle
    inputs: Inputs
    ids: StreamIds
    labels: Classes | None
    targets: Targets
    space: BoundSpace
    optimizer: Racos
    degree: DegreeFunction
    questions: Questions
    confirmation: Confirmation
    max_queries: int
    max_seconds: float | None
    batch_size: int
    seed: int
    threads: int
    shows_progress: bool
    config: dict[str, Any]
    on_record: Callable[[Record], None] | None = None
    store: Store | None = None

    @property
    def is_targeted(self) -> bool:
        """Whether images are to become of given classes, and not only of others than their own."""
        return self.targets is not None

    def label(self, index: int) -> int | None:
        """Return the label given for an image, if any."""
        return None if self.labels is None else int(self.labels[index])


def goal_of(draft: Record) -> int:
    """Return the class that the degree function is given for an image: the target, or the original class."""
    goal = draft.class_before if draft.target is None else draft.target
    assert goal is not None
    return goal
