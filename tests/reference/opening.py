"""Which starts are asked, and when: each is forecast from those that were answered."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from . import tuning

if TYPE_CHECKING:
    from .archive import Plan


def root_left(ratio: float) -> float:
    """What starts are compared by: the square root of the share of the clean degree that is left."""
    return math.sqrt(min(max(ratio, 0.0), tuning.LARGEST_RATIO))


@dataclass(frozen=True)
class Outlook:
    """What is expected of a start, in such roots."""

    root: float = 1.0
    variance: float = 1.0
    """About its forecast."""
    bond: float = 0.0
    """The share of the other turn's surprise that it shares."""


@dataclass(frozen=True)
class Surprise:
    """What an answer taught about forecasts."""

    squared: float = 0.0
    shared: float = 0.0
    partners: float = 0.0


@dataclass
class Opening:
    """The starts of a search's first descent."""

    plan: Plan
    answers: list[tuple[int, float]] = field(default_factory=list)
    """Number in the plan, and root, in the order of asking."""

    def _shift(self) -> float:
        """How much more was left by textures than was expected of them, one that was as expected added."""
        total, count = 0.0, 1.0
        for number, root in self.answers:
            if self.plan.starts[number].signs is None:
                total += root - self.plan.starts[number].outlook.root
                count += 1.0
        return total / count

    def _partners_surprise(self, number: int) -> float:
        """Of the same texture the other way round, beside what all have in common; 0 where it was not answered."""
        own = self.plan.starts[number].texture
        if own is None:
            return 0.0
        woven, is_turned = tuning.TEXTURED_STARTS[own]
        for each, root in reversed(self.answers):
            texture = self.plan.starts[each].texture
            if texture is not None and tuning.TEXTURED_STARTS[texture] == (woven, not is_turned):
                return root - self.plan.starts[each].outlook.root - self._shift()
        return 0.0

    def _forecast(self, number: int) -> float:
        outlook = self.plan.starts[number].outlook
        return outlook.root + self._shift() + outlook.bond * self._partners_surprise(number)

    def chosen(self, least: int, most: int) -> list[int]:
        """The numbers in the plan of the starts that are asked next."""
        best = min((root for _, root in self.answers), default=math.inf)
        answered = [number for number, _ in self.answers]
        ranked: list[tuple[float, int]] = []
        for number, start in enumerate(self.plan.starts):
            hope = self._forecast(number) - self.plan.patience * math.sqrt(start.outlook.variance)
            if number not in answered and hope < best:
                ranked.append((hope, number))
        ranked.sort()
        chosen: list[int] = []
        expected = 0.0
        for _, number in ranked:
            if len(chosen) < least or (len(chosen) < most and expected < tuning.MOST_EXPECTED):
                chosen.append(number)
                expected += self.plan.starts[number].rate
            else:
                break
        return chosen

    def answer(self, chosen: list[int], degrees: list[float]) -> list[Surprise]:
        """Take the degrees of all that were asked together, none of which was forecast from another of them."""
        fresh: list[tuple[int, float]] = []
        surprises: list[Surprise] = []
        for number, degree in zip(chosen, degrees, strict=True):
            root = root_left(degree / self.plan.scale)
            error = root - self._forecast(number)
            other = self._partners_surprise(number)
            own = root - self.plan.starts[number].outlook.root - self._shift()
            surprises.append(Surprise(error * error, other * own, other * other))
            fresh.append((number, root))
        self.answers += fresh
        return surprises
