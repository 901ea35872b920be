"""What is asked about a candidate: the candidate itself, and where labels alone are answered, a step beyond it.

In a ball the default optimizer goes along rays instead (`dfa.search.rays`); this is for all else.

A label says nothing of how near an image is to another class. How far an image must be followed along its own
direction (away from the original, past epsilon, to where its label changes) does, and costs one query per step.
`LabelWalk` takes one step per candidate, to a little less than the shortest distance at which the label of a candidate
of this image has changed so far: a step that changes the label shortens that distance, one that does not leaves the
candidate behind. When the distance comes down to epsilon, a candidate is adversarial itself. Towards a target, the
label that counts is the target's. Steps lie beyond epsilon, cost a query each, and are never taken for a success.

Source: the distance along a direction as the objective is that of Cheng et al. (Query-efficient hard-label black-box
attack, 2019) and of RayS (Chen and Gu, 2020), here in whole grey levels, in place of the labels of random neighbours
(Ilyas et al., 2018), which were measured too (`benchmarks/NOTES.md`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from dfa.search.objectives import predicted
from dfa.types import Classes, Degrees, Image, Images, Indices, Scores

_NEVER: Final = 256
"""The distance of a candidate whose label was not seen to change: more than any in grey levels."""

_SHORTENING: Final = 0.9
"""Of the distance beyond the candidate that one step must save; 0.8 is as good, 0.6 stalls, and 1 creeps."""

_MOST_OF_LABEL: Final = 0.25
"""Share of a row that goes to the label of a step of length 0: so that the candidate's own keeps most."""


@dataclass(frozen=True)
class Steps:
    """The images that are asked besides a batch of candidates.

    Attributes:
        images: For each further query of a candidate, uint8, (n, H, W, C).
        distances: int64, (n,): grey levels from the original, of what was asked besides each candidate.
    """

    images: tuple[Images, ...]
    distances: Indices


class Questions:
    """What is asked about a candidate: the candidate itself, and nothing else.

    Attributes:
        queries_per_image: Queries that every candidate takes.
    """

    queries_per_image: ClassVar[int] = 1

    def begin(self, index: int, original: Image) -> None:
        """Take note of an image whose search begins or goes on."""

    def end(self, index: int) -> None:
        """Forget an image whose search is over."""

    def steps(self, candidates: Images, indices: Indices) -> Steps:
        """Return what to ask besides a batch of candidates, uint8, (n, H, W, C), of the images `indices`, (n,)."""
        return Steps((), np.zeros(len(candidates), dtype=np.int64))

    def read(self, answers: list[Scores], steps: Steps, indices: Indices, goals: Classes) -> Scores:
        """Return one row of scores per candidate, whose likeliest class is the candidate's own.

        Args:
            answers: float64, (n, K) each: of the candidates, and of each of `steps.images`.
            steps: What `steps` returned.
            indices: int64, (n,): the image of each row.
            goals: int64, (n,): original classes, or targets.
        """
        return answers[0]

    def rank(self, degrees: Degrees, candidates: Images, indices: Indices) -> Degrees:
        """Return the degrees by which candidates are told apart, float64, (n,), 0 for a success.

        Args:
            degrees: float64, (n,): of the objective, 0 exactly where a candidate is adversarial.
            candidates: uint8, (n, H, W, C).
            indices: int64, (n,): the image of each row.
        """
        return degrees

    def advance(self, indices: Iterable[int]) -> None:
        """Let what was read count for the next candidates of images whose iteration is complete."""

    def save(self) -> dict[str, Any]:
        """Return the exact state, but for the originals, in plain JSON types."""
        return {}

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what `save` returned; the images have begun already."""


@dataclass
class _Reach:
    """What is known of one image: the shortest distance of the iterations that are complete, and of the present one."""

    original: Image
    shortest: int = _NEVER
    latest: int = _NEVER


class LabelWalk(Questions):
    """What is asked by labels alone: the candidate, and one image beyond it.

    The candidates of one iteration all go by what was known before it, so results do not depend on batches.
    """

    queries_per_image = 2

    def __init__(self, *, is_targeted: bool) -> None:
        """Begin with no image.

        Args:
            is_targeted: A label that counts is the goal, and not any other than the goal.
        """
        self._is_targeted = is_targeted
        self._reaches: dict[int, _Reach] = {}

    def begin(self, index: int, original: Image) -> None:
        """Take note of an image whose search begins or goes on."""
        self._reaches[index] = _Reach(original)

    def end(self, index: int) -> None:
        """Forget an image whose search is over."""
        del self._reaches[index]

    def steps(self, candidates: Images, indices: Indices) -> Steps:
        """Return, for each candidate, its perturbation enlarged in whole grey levels, and the distance of that."""
        images = np.empty_like(candidates)
        distances = np.empty(len(candidates), dtype=np.int64)
        for row, index in enumerate(indices.tolist()):
            reach = self._reaches[index]
            images[row], distances[row] = follow(reach.original, candidates[row], reach.shortest)
        return Steps((images,), distances)

    def read(self, answers: list[Scores], steps: Steps, indices: Indices, goals: Classes) -> Scores:
        """Return the candidates' rows, a part of each moved to the class of the step beyond: more of it the shorter."""
        own, beyond = (predicted(each) for each in answers)
        is_reached = (beyond == goals) == self._is_targeted
        for index, distance in zip(indices[is_reached].tolist(), steps.distances[is_reached].tolist(), strict=True):
            reach = self._reaches[index]
            reach.latest = min(reach.latest, distance)
        scores: Scores = answers[0].copy()
        rows = np.arange(len(scores))
        part = _MOST_OF_LABEL * (_NEVER - steps.distances) / _NEVER
        scores[rows, own] -= part
        scores[rows, beyond] += part
        return scores

    def advance(self, indices: Iterable[int]) -> None:
        """Let what was read count for the next candidates of images whose iteration is complete."""
        for index in indices:
            reach = self._reaches[index]
            reach.shortest = reach.latest

    def save(self) -> dict[str, Any]:
        """Return the distances."""
        return {"reaches": [[index, reach.shortest, reach.latest] for index, reach in self._reaches.items()]}

    def load(self, document: Mapping[str, Any]) -> None:
        """Go on from what `save` returned; the images have begun already."""
        for index, shortest, latest in document["reaches"]:
            reach = self._reaches[index]
            reach.shortest, reach.latest = shortest, latest


def follow(original: Image, candidate: Image, shortest: int) -> tuple[Image, int]:
    """Return the image on a candidate's way at which a shorter distance would show, and its distance.

    Args:
        original: uint8, (H, W, C).
        candidate: uint8, (H, W, C).
        shortest: Grey levels at which a label has changed so far, or 256 for never.

    Returns:
        uint8, (H, W, C): the original plus the candidate's perturbation, enlarged, rounded to the nearest grey level
        and cut off at 0 and 255; and the largest change before it is cut off, at least one more than the candidate's
        (but 256 where there is nothing to enlarge, and never more than 255 where there is).
    """
    perturbation = candidate.astype(np.int32) - original
    sizes: NDArray[np.int32] = np.abs(perturbation)
    reach = int(sizes.max())
    if reach == 0:
        return candidate, _NEVER
    distance = min(reach + max(1, int(_SHORTENING * (shortest - reach))), _NEVER - 1)
    enlarged = np.sign(perturbation) * ((sizes * distance + reach // 2) // reach)
    return np.clip(original + enlarged, 0, 255).astype(np.uint8), distance
