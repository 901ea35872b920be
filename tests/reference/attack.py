"""A whole run with an archive, tick by tick: who learns from whom is all there is to it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from . import tuning
from .archive import Archive
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
    is_at_rest: bool


class Attack:
    """One image's search, until an iteration holds an adversarial image or the budget is spent."""

    def __init__(
        self,
        target: Target,
        search: Racos,
        max_queries: int,
        give_up_after: int | None,
        *,
        forecast: float = 0.0,
    ) -> None:
        """Begin with nothing asked."""
        self.target = target
        self.search = search
        self.sent = 0
        self.trace: list[tuple[int, float]] = []
        self.adversarial: NDArray[np.uint8] | None = None
        self.is_at_rest = False
        self._max_queries = max_queries
        self._forecast = forecast
        self._marks = [] if give_up_after is None else [give_up_after // 2, *(give_up_after << n for n in range(32))]
        """Where its best degree is looked at."""
        self._looks: list[float] = []
        """What it was there."""

    @property
    def is_over(self) -> bool:
        """Whether nothing more is asked."""
        return self.adversarial is not None or self.sent == self._max_queries or self.is_at_rest

    @property
    def is_new(self) -> bool:
        """Whether others are held back until more is known of it."""
        return not self.is_over and self.sent < tuning.NEW_CANDIDATES

    def iterate(self, degree: Degree) -> None:
        """Make one iteration."""
        candidates = self.search.ask()
        degrees = [degree(image, self.target.goal) for image in candidates[: self._max_queries - self.sent]]
        for image, each in zip(candidates, degrees, strict=False):
            self.sent += 1
            if not self.trace or each < self.trace[-1][1]:
                self.trace.append((self.sent, each))
                self.adversarial = image if each == 0 else None
        if len(degrees) == len(candidates):
            self.search.tell(degrees)
        if not self.is_over:
            self._look()

    def _look(self) -> None:
        """Give up where too much is left of the degree at the last mark."""
        passed = sum(mark <= self.sent for mark in self._marks)
        if passed > len(self._looks):
            best = self.trace[-1][1]
            self.is_at_rest = bool(self._looks) and best > self._ratio() * self._looks[-1]
            self._looks += [best] * (passed - len(self._looks))

    def _ratio(self) -> float:
        """Return the share of the degree at the last mark above which it is given up."""
        if not self._forecast:
            return tuning.GIVEN_UP_ABOVE
        doublings = max(0.0, math.log2(2 * self._forecast * self._max_queries / self.sent))
        return doublings / (1 + doublings * (1 - tuning.QUICKENING))


def may_begin(num_new: int, num_learned: int) -> bool:
    """Whether one more image may be new."""
    most = max(tuning.FEWEST_NEW, math.sqrt(num_learned), num_learned / tuning.TEACHERS)
    return num_new < most


def attack(
    targets: Sequence[Target | None],
    settings: Settings,
    degree: Degree,
    *,
    max_queries: int,
    seed: int,
    give_up_after: int | None = None,
    budgets: Sequence[int] | None = None,
    forecast: float = 0.0,
) -> list[Outcome | None]:
    """Attack all images; None stands for one that is not searched, and has nothing to teach."""
    archive = Archive()
    waiting = [index for index, target in enumerate(targets) if target is not None]
    attacks: dict[int, Attack] = {}
    while waiting or not all(each.is_over for each in attacks.values()):
        num_new = sum(each.is_new for each in attacks.values())
        while waiting and may_begin(num_new, len(attacks) - num_new):
            index = waiting.pop(0)
            target = targets[index]
            assert target is not None
            plan = archive.plan(target.goal, max(degree(target.image, target.goal), 1e-9))
            search = Racos(target.image, target.epsilon, settings, seed=seed, image_id=target.image_id, plan=plan)
            limit = max_queries if budgets is None else budgets[index]
            attacks[index] = Attack(target, search, limit, give_up_after, forecast=forecast)
            # Those of this tick know nothing of one another.
            num_new += 1
        active = [index for index in sorted(attacks) if not attacks[index].is_over]
        for index in active:
            attacks[index].iterate(degree)
        for index in active:
            archive.learn(attacks[index].target.goal, attacks[index].search.take_lesson())
    outcomes = {
        index: Outcome(each.trace, each.sent, each.adversarial, each.is_at_rest) for index, each in attacks.items()
    }
    return [outcomes.get(index) for index in range(len(targets))]
