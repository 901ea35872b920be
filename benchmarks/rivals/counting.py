"""The counter that every query of every attack passes, and the loop that keeps its batches full.

What is counted, and alike for all attacks:

- An image sent is one query of the image it was made from, whatever it was sent for: a candidate, one half of a finite
  difference, the iterate of a gradient method. The budget per image is hard: the counter refuses what would pass it.
- Oracles take uint8 images, so an attack that works in floats rounds what it sends to the nearest grey level. Its
  iterate, rounded and clipped into the epsilon box, is asked at its own cost: nobody knows of a success without
  asking. (The counts of the NES paper hold that query too; those of the Bandits paper leave it out.)
- Success is the first query that is answered adversarially *and* keeps the promise (within epsilon of the original,
  few pixels, one patch), which is checked here. A probe that breaks it costs a query and can be no success.
- Rows that are sent in one batch are counted one after the other: what follows the first success is sent, but the
  number of queries is that of the success.
- What an attack calls a success is asked once more at the end, at no cost, as `dfa.run` does.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa import Oracle, objectives
from harness.arrays import Classes, Degrees, Image, Images, Indices, Scores
from harness.promises import Promise

Search: TypeAlias = Generator[Images, Degrees, None]
"""The attack on one image: yields images to ask about, uint8 (n, H, W, C), and is sent their n losses."""

Loss: TypeAlias = Callable[[Scores, "Problem", Indices], Degrees]
"""What a search gets to see: from scores (B, K), the problem and the rows' images (B,) to losses (B,), to minimise."""


@dataclass(frozen=True)
class Problem:
    """Images to attack, and what success is.

    Attributes:
        images: uint8, (N, H, W, C).
        goals: int64, (N,): the target classes, or the original ones in an untargeted attack.
        is_targeted: Which of both they are.
        promise: What may become of an image.
        budget: The most queries per image.
    """

    images: Images
    goals: Classes
    is_targeted: bool
    promise: Promise
    budget: int

    def is_adversarial(self, scores: Scores, owners: Indices) -> NDArray[np.bool_]:
        """Return which rows have left the original class, or reached the target class: bool, (B,)."""
        is_goal: NDArray[np.bool_] = objectives.predicted(scores) == self.goals[owners]
        return is_goal if self.is_targeted else ~is_goal


def box(image: Images, epsilon: int) -> tuple[Images, Images]:
    """Return the ends of the epsilon box: uint8, each of the shape of `image`, which may be a batch."""
    wide = image.astype(np.int16)
    return (
        np.maximum(wide - epsilon, 0).astype(np.uint8),
        np.minimum(wide + epsilon, 255).astype(np.uint8),
    )


class BudgetError(RuntimeError):
    """An attack tried to send more than its budget; nothing was sent."""


class QueryCounter:
    """Counts, times and judges the queries of one attack on one problem.

    Attributes:
        problem: What is attacked.
        sent: int64, (N,): queries so far.
        hits: int64, (N,): the number of the query that was the first success; 0 without one.
        found: The successful images, by their place.
        seconds: Spent inside the oracle.
        calls: Of the oracle.
    """

    def __init__(self, oracle: Oracle, problem: Problem) -> None:
        """Stand before an oracle that returns probabilities, or labels and declares their number."""
        self.problem = problem
        num_images = len(problem.images)
        self.sent = np.zeros(num_images, dtype=np.int64)
        self.hits = np.zeros(num_images, dtype=np.int64)
        self.found: dict[int, Image] = {}
        self.seconds = 0.0
        self.calls = 0
        self._oracle = oracle

    def ask(self, images: Images, owners: Indices) -> Scores:
        """Return the answers to a batch of queries: probabilities; of a label 1, and 0 for every other class.

        Args:
            images: uint8, (n, H, W, C).
            owners: int64, (n,): the image that each row was made from. Rows of one image count in their order.

        Returns:
            float64, (n, K).

        Raises:
            BudgetError: An image would pass its budget; nothing was sent.
            ValueError: The images are not uint8 images of the problem's shape.
        """
        if images.dtype != np.uint8 or images.shape != (len(owners), *self.problem.images.shape[1:]):
            raise ValueError(
                f"queries must be uint8 of shape {(len(owners), *self.problem.images.shape[1:])}, "
                f"got {images.dtype} of shape {images.shape}"
            )
        numbers = self.sent[owners] + _occurrences(owners) + 1
        if numbers.max(initial=0) > self.problem.budget:
            owner = int(owners[numbers.argmax()])
            raise BudgetError(f"image {owner} has a budget of {self.problem.budget} queries; nothing was sent")
        np.add.at(self.sent, owners, 1)
        scores = self._answer(images)
        for row in np.flatnonzero(self.problem.is_adversarial(scores, owners)).tolist():
            owner = int(owners[row])
            if self.hits[owner] == 0 and self.problem.promise.is_kept(self.problem.images[owner], images[row]):
                self.hits[owner] = numbers[row]
                self.found[owner] = images[row].copy()
        return scores

    def left(self, owner: int) -> int:
        """Return how many more queries an image has: 0 once it is done."""
        return 0 if self.hits[owner] else self.problem.budget - int(self.sent[owner])

    def confirm(self, batch_size: int) -> int:
        """Ask about all successes again, uncounted, and strike out those that are none; return their number."""
        owners = np.array(sorted(self.found), dtype=np.int64)
        struck = 0
        for start in range(0, len(owners), batch_size):
            some = owners[start : start + batch_size]
            scores = self._scores(np.stack([self.found[int(owner)] for owner in some]))
            for owner in some[~self.problem.is_adversarial(scores, some)].tolist():
                self.hits[owner] = 0
                del self.found[owner]
                struck += 1
        return struck

    def _scores(self, images: Images) -> Scores:
        answer = np.asarray(self._oracle.scores(images))
        if answer.ndim == 1:
            assert self._oracle.num_classes is not None
            answer = answer[:, np.newaxis] == np.arange(self._oracle.num_classes)
        scores: Scores = answer.astype(np.float64, copy=False)
        return scores

    def _answer(self, images: Images) -> Scores:
        started = time.perf_counter()
        scores = self._scores(images)
        self.seconds += time.perf_counter() - started
        self.calls += 1
        return scores


def log_margin(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return the margin of the log-probabilities, which is that of the logits.

    Untargeted log P(original) - log P(runner-up); targeted log P(likeliest) - log P(target).
    """
    degree = objectives.LOG.targeted if problem.is_targeted else objectives.LOG.untargeted
    return degree(scores, problem.goals[owners])


def probability_margin(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return the same margin of the probabilities: what an attack on logits gets from a model that ends in softmax."""
    degree = objectives.PAPER.targeted if problem.is_targeted else objectives.PAPER.untargeted
    return degree(scores, problem.goals[owners])


def cross_entropy(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return log P(original), minus the cross-entropy that is to rise, or -log P(target), which is to fall.

    Near P = 1 a probability has few digits left, and all others together have many: log P = log(1 - others).
    """
    rows, goals = np.arange(len(scores)), problem.goals[owners]
    chosen = np.maximum(scores[rows, goals], objectives.SMALLEST_DEGREE)
    rest = scores.copy()
    rest[rows, goals] = 0.0
    logarithm: Degrees = np.where(chosen > 0.5, np.log1p(-np.minimum(rest.sum(axis=1), 0.5)), np.log(chosen))
    return -logarithm if problem.is_targeted else logarithm


def unchanged(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return what a label tells: 0 where a row is adversarial, else 1."""
    return (~problem.is_adversarial(scores, owners)).astype(np.float64)


def run_searches(counter: QueryCounter, searches: Iterable[Search], loss: Loss, batch_size: int) -> None:
    """Run the searches of all images side by side, so that the oracle gets full batches.

    A batch takes the next blocks of queries in turn until it is full. An image leaves when it has its success or has
    spent its budget; a block that would pass the budget is cut. A search that returns gives up.

    Args:
        counter: Counts what is sent.
        searches: One per image of the problem.
        loss: What the searches see of an answer.
        batch_size: The most rows per call of the oracle, unless one block alone is longer.
    """
    pending: deque[tuple[int, Search, Images]] = deque()
    for owner, search in enumerate(searches):
        pending.append((owner, search, next(search)[: counter.problem.budget]))
    while pending:
        batch = [pending.popleft()]
        rows = len(batch[0][2])
        while pending and rows + len(pending[0][2]) <= batch_size:
            batch.append(pending.popleft())
            rows += len(batch[-1][2])
        lengths = [len(block) for _, _, block in batch]
        owners = np.repeat(np.array([owner for owner, _, _ in batch], dtype=np.int64), lengths)
        scores = counter.ask(np.concatenate([block for _, _, block in batch]), owners)
        losses = loss(scores, counter.problem, owners)
        start = 0
        for (owner, search, _), length in zip(batch, lengths, strict=True):
            answer = losses[start : start + length]
            start += length
            left = counter.left(owner)
            if left == 0:
                search.close()
                continue
            try:
                block = search.send(answer)
            except StopIteration:
                continue
            pending.append((owner, search, block[:left]))


def _occurrences(owners: Indices) -> Indices:
    """Return how often each entry has occurred before it in the array."""
    order = np.argsort(owners, kind="stable")
    ordered = owners[order]
    is_first = np.r_[True, ordered[1:] != ordered[:-1]][: len(owners)]
    starts = np.flatnonzero(is_first)
    places = np.arange(len(owners)) - np.repeat(starts, np.diff(np.r_[starts, len(owners)]))
    result = np.empty_like(places)
    result[order] = places
    return result
