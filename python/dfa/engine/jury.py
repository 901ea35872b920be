"""Whether what the search claims is so: the oracle is asked again, apart from the search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfa.engine.asking import Asked
from dfa.engine.ledger import Ledger, distances
from dfa.engine.oracle_thread import OracleThread, mean_answer
from dfa.engine.plan import Plan, goal_of
from dfa.errors import SpaceError
from dfa.oracle.answers import is_told
from dfa.oracle.gate import Purpose
from dfa.results.record import NOT_VERIFIED, Record, Status, rewritten
from dfa.runs.folder import plain
from dfa.runs.journal import Picture
from dfa.search.objectives import SMALLEST_DEGREE, found_class, measure
from dfa.types import Classes, Degrees, Image, Indices

_MOST_TURNS: Final = 8
"""Batches of candidates that are sent while a claim waits for others with which it shares a call."""


@dataclass
class Claim:
    """An image for which the search claims success, not yet confirmed.

    Attributes:
        draft: Its record so far.
        picture: The image, and its original.
    """

    draft: Record
    picture: Picture


class Verdict(NamedTuple):
    """What the oracle said when it was asked again about an image for which the search claims success.

    Attributes:
        agreeing: How often it found the image adversarial.
        number: How often it was asked.
        class_after: Its class: among adversarial answers, if any, the most frequent one.
        probability_after: The mean probability of that class; None where an answer does not show it.
    """

    agreeing: int
    number: int
    class_after: int
    probability_after: float | None


class Jury:
    """Confirms claims: a few batches later, or where answers are repeated as soon as a candidate looks adversarial.

    Attributes:
        claims: Those that wait.
        unconfirmed: By image, how many candidates were adversarial when first asked, and not confirmed.
    """

    def __init__(
        self,
        plan: Plan,
        oracle: OracleThread,
        ledger: Ledger,
        before_sending: Callable[[int], None],
        *,
        batch_size: int,
        most: int = 0,
    ) -> None:
        """Begin without claims.

        Args:
            plan: The run.
            oracle: Asked again.
            ledger: Told of every claim, confirmed or not.
            before_sending: Called with a number of images between two steps of the run, before they are sent.
            batch_size: The most claims of one batch.
            most: The most claims that are asked about at a time, in several batches; at least one batch.
        """
        self.claims: list[Claim] = []
        self.unconfirmed: Counter[int] = Counter()
        self._plan = plan
        self._oracle = oracle
        self._ledger = ledger
        self._before_sending = before_sending
        self._batch_size = batch_size
        self._most = max(batch_size, most)
        self._verdicts: dict[int, Verdict] = {}
        self._turns = 0
        self._asked: tuple[list[Claim], list[Asked]] | None = None

    def doubt(self, degrees: Degrees, hits: Mapping[int, Image], indices: Indices, goals: Classes) -> Degrees:
        """Return the degrees of a batch, in which only images that repeated answers confirm have 0.

        Any other keeps its place in the search, with the mean degree of its repeated answers: one lucky answer of a
        randomised oracle neither ends a search nor leads it astray.
        """
        # Those behind a hit are of no account, also where it was in an earlier batch of their iteration.
        waiting = [row for row in np.flatnonzero(degrees == 0.0).tolist() if int(indices[row]) not in self._verdicts]
        if waiting:
            degrees = degrees.copy()
        # Counted once the oracle has answered everything, since a run that ends before doubts the whole batch again.
        verdicts: dict[int, Verdict] = {}
        unconfirmed: Counter[int] = Counter()
        while waiting:
            # Of each image the first.
            rows = sorted({int(indices[row]): row for row in reversed(waiting)}.values())
            repeated = self._oracle.ask_repeatedly(
                np.stack([hits[row] for row in rows]),
                indices[rows],
                Purpose.VERIFICATION,
                times=self._plan.confirmation.of,
            )
            confirmed = set()
            for row, scores, verdict in zip(rows, repeated, self._judged(repeated, goals[rows]), strict=True):
                index, goal = int(indices[row]), int(goals[row])
                if verdict.agreeing >= self._plan.confirmation.needed:
                    confirmed.add(index)
                    verdicts.setdefault(index, verdict)
                else:
                    unconfirmed[index] += 1
                    mean = measure(self._plan.degree, scores, np.full(len(scores), goal, dtype=np.int64)).mean()
                    degrees[row] = max(float(mean), SMALLEST_DEGREE)
            waiting = [row for row in waiting if row not in rows and int(indices[row]) not in confirmed]
        self._verdicts |= verdicts
        self.unconfirmed.update(unconfirmed)
        return degrees

    def hear(self, claim: Claim) -> None:
        """Take a claim: settle it, if repeated answers have confirmed it, or let it wait."""
        if self._plan.confirmation.is_repeated:
            self._settle(claim, self._verdicts.pop(claim.draft.index))
        else:
            self.claims.append(claim)

    @property
    def is_due(self) -> bool:
        """Whether claims are to be asked about beside the batch that is about to be sent.

        They are when they fill a batch, and otherwise after a few turns: calls are dear, and so is news.
        """
        return self._asked is None and (len(self.claims) >= self._batch_size or self._turns >= _MOST_TURNS)

    @property
    def num_due(self) -> int:
        """How many claims are asked about at a time, of those that wait."""
        return min(len(self.claims), self._most)

    def wait(self) -> None:
        """Take note that a batch is sent without the claims."""
        self._turns += bool(self.claims)

    def ask_ahead(self) -> None:
        """Ask again about a batch of the waiting claims, which count as waiting until they are settled."""
        batch = self.claims[: self._most]
        indices = np.array([claim.draft.index for claim in batch], dtype=np.int64)
        images = np.stack([claim.picture.image for claim in batch])
        self._asked = batch, self._oracle.ask_in_parts_ahead(images, indices, Purpose.VERIFICATION)

    def settle_answered(self) -> None:
        """Settle the claims that were asked about, if the answers are there."""
        if self._asked is not None and all(asked.future.done() for asked in self._asked[1]):
            self.settle_asked()

    def settle_asked(self) -> None:
        """Wait for the answer about the claims that were asked about, if any, and settle them."""
        if self._asked is None:
            return
        batch, asked = self._asked
        self._asked = None
        scores = np.concatenate([self._oracle.scores(each) for each in asked])
        goals = np.array([goal_of(claim.draft) for claim in batch], dtype=np.int64)
        for claim, verdict in zip(batch, self._judged(scores[:, np.newaxis], goals), strict=True):
            self._settle(claim, verdict)
        del self.claims[: len(batch)]
        self._turns = 0
        self._oracle.forget(Purpose.VERIFICATION)

    def confirm_all(self) -> None:
        """Ask again about all images for which the search claims success, and settle them."""
        self.settle_asked()
        while self.claims:
            self._before_sending(self.num_due)
            self.ask_ahead()
            self.settle_asked()

    def leave_unconfirmed(self, reason: str) -> None:
        """Write down the waiting claims as they are, since the run is over."""
        for claim in self.claims:
            self._ledger.leave_unconfirmed(claim.draft, claim.picture, reason)
        self.claims.clear()

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the exact state: what JSON can hold of it, and named bytes."""
        document = {
            "claims": [plain(claim.draft) for claim in self.claims],
            "turns": self._turns,
            "verdicts": list(self._verdicts.items()),
            "unconfirmed": list(self.unconfirmed.items()),
        }
        return document, {f"claim {claim.draft.index}": claim.picture.image.tobytes() for claim in self.claims}

    def load(
        self, document: Mapping[str, Any], blobs: Mapping[str, bytes], drafts: list[Record], images: Mapping[int, Image]
    ) -> None:
        """Go on from what `save` returned.

        Args:
            document: Plain data.
            blobs: Named bytes.
            drafts: The records of `claims`, read.
            images: The originals of these.
        """
        for draft in drafts:
            original = images[draft.index]
            stored = np.frombuffer(blobs[f"claim {draft.index}"], dtype=original.dtype)
            picture = Picture(stored.reshape(original.shape).copy(), original)
            problem = self._plan.space.why_broken(draft.index, original, picture.image, draft.distances)
            if problem:
                raise ValueError(f"what was found for image {draft.index} is not of the search space: {problem}")
            self.claims.append(Claim(draft, picture))
        self._turns = document["turns"]
        self._verdicts = {index: Verdict(*verdict) for index, verdict in document["verdicts"]}
        self.unconfirmed = Counter(dict(document["unconfirmed"]))

    def _judged(self, scores: NDArray[np.float64], goals: Classes) -> list[Verdict]:
        """Return what repeated answers about images amount to, of each: (n, times, K), and goals (n,)."""
        number, times, num_classes = scores.shape
        flat = scores.reshape(-1, num_classes)
        classes = found_class(flat, np.repeat(goals, times), is_targeted=self._plan.is_targeted).reshape(number, times)
        agrees = (classes == goals[:, np.newaxis]) == self._plan.is_targeted
        counted = agrees | ~agrees.any(axis=1, keepdims=True)
        rows = np.arange(number)
        counts = np.zeros((number, num_classes), dtype=np.int64)
        np.add.at(counts, (rows[:, np.newaxis], classes), counted)
        after = counts.argmax(axis=1)
        means = mean_answer(np.ascontiguousarray(scores[rows, :, after]))
        return [
            Verdict(agreeing, times, of, mean if is_told(self._plan.oracle, own, of) else None)
            for agreeing, of, mean, own in zip(
                agrees.sum(axis=1).tolist(), after.tolist(), means.tolist(), scores, strict=True
            )
        ]

    def _settle(self, claim: Claim, verdict: Verdict) -> None:
        draft, picture = claim.draft, claim.picture
        problem = self._plan.space.why_broken(draft.index, picture.original, picture.image, draft.distances)
        if problem:
            raise SpaceError(
                f"what was found for image {draft.index} is not of the search space: {problem}; this is a defect of "
                "dfa, please report it"
            )
        is_adversarial = verdict.agreeing >= self._plan.confirmation.needed
        record = rewritten(
            draft,
            status=Status.SUCCESS if is_adversarial else Status.FAILURE,
            # Otherwise the oracle contradicts itself: it is randomised, or depends on what else is in the batch.
            reason="" if is_adversarial else NOT_VERIFIED,
            verified=is_adversarial,
            class_after=verdict.class_after,
            probability_after=verdict.probability_after,
            answers=verdict.number,
            agreeing=verdict.agreeing,
            **distances(*picture),
        )
        self._ledger.settle(record, picture if is_adversarial else None)
