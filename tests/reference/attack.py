"""A whole run with an archive, image by image in their order: who learns from whom is all there is to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .archive import Archive, Lesson
from .racos import Racos
from .settings import Settings

Degree = Callable[[NDArray[np.uint8], int], float]
"""Of an image for a goal."""


@dataclass(frozen=True)
class Target:
    """An image to attack."""

    image: NDArray[np.uint8]
    epsilon: int | NDArray[np.integer]
    image_id: int
    goal: int


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    trace: list[tuple[int, float]]
    sent: int
    adversarial: NDArray[np.uint8] | None


def teachers(index: int) -> int:
    """How many of the first images an image learns from."""
    if index < tuning.FIRST_GENERATION:
        return 0
    number = tuning.FIRST_GENERATION
    while 2 * number <= index:
        number *= 2
    return number


def attack_one(target: Target, search: Racos, degree: Degree, max_queries: int) -> Outcome:
    """Search until an iteration holds an adversarial image or the budget is spent."""
    trace: list[tuple[int, float]] = []
    sent, adversarial = 0, None
    while adversarial is None and sent < max_queries:
        candidates = search.ask()
        degrees = [degree(image, target.goal) for image in candidates[: max_queries - sent]]
        for image, each in zip(candidates, degrees, strict=False):
            sent += 1
            if not trace or each < trace[-1][1]:
                trace.append((sent, each))
                adversarial = image if each == 0 else None
        if len(degrees) == len(candidates):
            search.tell(degrees)
    return Outcome(trace, sent, adversarial)


def attack(
    targets: Sequence[Target | None], settings: Settings, degree: Degree, *, max_queries: int, seed: int
) -> list[Outcome | None]:
    """Attack all images; None stands for one that is not searched, and has nothing to teach."""
    lessons: list[tuple[int, Lesson] | None] = []
    outcomes: list[Outcome | None] = []
    for index, target in enumerate(targets):
        archive = Archive()  # which learns everything anew, every time
        for lesson in lessons[: teachers(index)]:
            if lesson is not None:
                archive.learn(*lesson)
        if target is None:
            lessons.append(None)
            outcomes.append(None)
            continue
        plan = archive.plan(target.goal, max(degree(target.image, target.goal), 1e-9))
        search = Racos(target.image, target.epsilon, settings, seed=seed, image_id=target.image_id, plan=plan)
        outcomes.append(attack_one(target, search, degree, max_queries))
        lessons.append((target.goal, search.lesson))
    return outcomes
