"""What the images of a run learn from one another, in lists that are searched from end to end."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from . import tuning
from .gains import Gains
from .opening import Outlook, Surprise, root_left

Signs = tuple[bool, ...]

PRIOR = 2**32 - 1
"""Entry of a prior's start, whose signs the archive does not keep."""


@dataclass(frozen=True)
class Start:
    """A planned start: a texture, or the signs of a perturbation that broke another image."""

    entry: int
    texture: int | None
    signs: Signs | None = None
    rate: float = tuning.TEXTURE_RATE
    """Expected rate of success."""
    outlook: Outlook = field(default_factory=Outlook)


@dataclass
class Plan:
    """What a search knows when it begins."""

    starts: list[Start]
    gains: Gains = field(default_factory=Gains)
    scale: float = 1.0
    """The clean image's degree."""
    patience: float = math.inf
    """Standard deviations by which a start may come out better than its forecast."""
    bond: float = 0.0
    """What the two turns of a texture have in common, over all of them; below 0 windows that hurt are turned over."""


def plan_alone(num_starts: int, prior: Signs | None = None) -> Plan:
    """The plan of a search that knows of no other; a prior's start goes first."""
    first = [] if prior is None else [Start(PRIOR, None, prior, tuning.PRIOR_RATE)]
    return Plan([*first, *(Start(i, i % len(tuning.TEXTURED_STARTS)) for i in range(num_starts))])


def ask_the_first(plan: Plan) -> Plan:
    """The plan of a search that asks all starts before it goes on, and to which degrees tell only successes."""
    starts = [start for start in plan.starts if start.texture is None or start.texture < tuning.NUM_FIRST_STARTS]
    return Plan(starts, plan.gains, plan.scale)


@dataclass
class Lesson:
    """What one search teaches, from its first candidates only; or a part of it."""

    trials: list[tuple[int, float, Surprise]] = field(default_factory=list)
    """Entry, the start's degree over the clean one, and how it had been forecast."""
    gains: Gains = field(default_factory=Gains)
    num_searches: int = 0
    """1 where the first candidate after the starts is part of it."""
    num_windows: int = 0
    found: Signs | None = None
    """Signs of the first adversarial candidate, unless a start was adversarial."""


@dataclass(frozen=True)
class Trial:
    """Of an entry, for a goal."""

    entry: int
    goal: int
    ratio: float
    surprise: Surprise


@dataclass(frozen=True)
class Perturbation:
    """An entry with signs."""

    entry: int
    goal: int
    signs: Signs


Expected = tuple[float, float, float]
"""Rate of success, mean ratio, and mean root of it."""


def _held_back(ratios: list[float], expected: Expected) -> Expected:
    """The same of trials, of which one more is taken to be as expected."""
    rate, ratio, root = expected
    successes, sum_ratios, sum_roots = 0.0, 0.0, 0.0
    for each in ratios:
        successes += each == 0
        sum_ratios += each
        sum_roots += root_left(each)
    count = len(ratios) + 1.0
    return (successes + rate) / count, (sum_ratios + ratio) / count, (sum_roots + root) / count


class Archive:
    """All trials ever made, and every statistic computed from them anew."""

    def __init__(self) -> None:
        """Begin with the textures of starts, each plain and turned over."""
        self.num_textures = len(tuning.TEXTURED_STARTS)
        self.perturbations: list[Perturbation] = []
        self._named = self.num_textures
        self._trials: list[Trial] = []
        self._pools: dict[bool, list[float]] = {True: [], False: []}  # also of what was forgotten since
        self._gains = Gains()
        self._num_searches = 0
        self._num_windows = 0

    def _ratios(self, entry: int, goal: int | None = None) -> list[float]:
        return [trial.ratio for trial in self._trials if trial.entry == entry and goal in (None, trial.goal)]

    def _expected(self, entry: int, goal: int, origin: int | None) -> Expected:
        """What is expected of an entry: own trials for this goal, held back by those for all, by those of the like."""
        expected = tuning.TEXTURE_RATE, tuning.TEXTURE_RATIO, math.sqrt(tuning.TEXTURE_RATIO)
        if origin is not None:
            prior = tuning.SAME_GOAL_RATE if origin == goal else tuning.OTHER_GOAL_RATE
            ratio = tuning.PERTURBATION_RATIO
            expected = _held_back(self._pools[origin == goal], (prior, ratio, math.sqrt(ratio)))
        expected = _held_back(self._ratios(entry), expected)
        return _held_back(self._ratios(entry, goal), expected)

    def _surprises(self, entry: int) -> Surprise:
        squared, shared, partners = 0.0, 0.0, 0.0
        for trial in self._trials:
            if trial.entry == entry:
                squared += trial.surprise.squared
                shared += trial.surprise.shared
                partners += trial.surprise.partners
        return Surprise(squared, shared, partners)

    def _outlook(self, entry: int, root: float) -> Outlook:
        own = self._surprises(entry)
        missed = own.squared + tuning.TRUST_IN_VARIANCE * tuning.VARIANCE
        variance = missed / (len(self._ratios(entry)) + tuning.TRUST_IN_VARIANCE)
        if entry >= self.num_textures:
            return Outlook(root, variance)
        woven, is_turned = tuning.TEXTURED_STARTS[entry]
        other = self._surprises(tuning.TEXTURED_STARTS.index((woven, not is_turned)))
        shared = own.shared + other.shared + tuning.TRUST_IN_BOND * tuning.VARIANCE * tuning.BOND
        partners = own.partners + other.partners + tuning.TRUST_IN_BOND * tuning.VARIANCE
        return Outlook(root, variance, min(max(shared / partners, 0.0), 1.0))

    def _bond(self) -> float:
        shared = tuning.TRUST_IN_BOND * tuning.VARIANCE * tuning.BOND
        partners = tuning.TRUST_IN_BOND * tuning.VARIANCE
        for texture in range(self.num_textures):
            own = self._surprises(texture)
            shared += own.shared
            partners += own.partners
        return shared / partners

    def plan(self, goal: int, scale: float, prior: Signs | None = None) -> Plan:
        """What a search for this goal begins with; first of all with a prior's start, unless those were no good."""
        ranked: list[tuple[float, Start]] = []
        sum_ratios = 0.0
        for texture in range(self.num_textures):
            rate, ratio, root = self._expected(texture, goal, None)
            sum_ratios += ratio
            start = Start(texture, texture, None, rate, self._outlook(texture, root))
            ranked.append((rate - tuning.RATIO_WEIGHT * ratio, start))
        tried: list[tuple[float, Start, bool]] = []
        worthwhile = tuning.WORTHWHILE_AT_FIRST
        patience = math.inf
        if self._num_searches:
            fewest = tuning.FEWEST_WINDOWS * self._num_searches
            worthwhile = self._num_searches / max(float(self._num_windows), fewest)
            patience = math.sqrt(math.sqrt(1.0 / worthwhile))
        for each in self.perturbations:
            rate, ratio, root = self._expected(each.entry, goal, each.goal)
            if rate > worthwhile or ratio < tuning.WORTH_STARTING * (sum_ratios / self.num_textures):
                start = Start(each.entry, None, each.signs, rate, self._outlook(each.entry, root))
                tried.append((rate - tuning.RATIO_WEIGHT * ratio, start, rate > worthwhile))
        # Python's sort keeps equals in their order: textures before perturbations, older before newer.
        tried.sort(key=lambda item: -item[0])
        started_from = [item for item in tried if not item[2]][: tuning.MOST_STARTED_FROM]
        tried = [item for item in tried if item[2] or item in started_from]
        ranked = sorted(ranked + [item[:2] for item in tried[: tuning.MOST_TRIED]], key=lambda item: -item[0])
        starts = [start for _, start in ranked]
        if prior is not None:
            rate, ratio, _ = _held_back(self._ratios(PRIOR), (tuning.PRIOR_RATE, tuning.PRIOR_RATIO, 0.0))
            if rate > worthwhile or ratio < tuning.WORTH_STARTING * (sum_ratios / self.num_textures):
                starts.insert(0, Start(PRIOR, None, prior, rate, Outlook(root_left(ratio))))
        return Plan(starts, self._gains.shared(), scale, patience, self._bond())

    def learn(self, goal: int, lesson: Lesson) -> None:
        """Take the lesson of a search for this goal."""
        origins = {each.entry: each.goal for each in self.perturbations}
        for entry, degree_ratio, surprise in lesson.trials:
            if entry >= self.num_textures and entry not in origins and entry != PRIOR:
                continue  # forgotten since
            ratio = min(degree_ratio, tuning.LARGEST_RATIO)
            self._trials.append(Trial(entry, goal, ratio, surprise))
            if entry in origins:
                self._pools[origins[entry] == goal].append(ratio)
        self._gains.add_all(lesson.gains)
        self._num_searches += lesson.num_searches
        self._num_windows += lesson.num_windows
        if lesson.found is not None:
            self.perturbations.append(Perturbation(self._named, goal, lesson.found))
            self._named += 1
        if len(self.perturbations) > tuning.MOST_PERTURBATIONS:

            def merit(each: Perturbation) -> float:
                ratios = self._ratios(each.entry)
                return (ratios.count(0.0) + 1.0) / (len(ratios) + 2.0)

            self.perturbations.remove(min(self.perturbations, key=merit))  # of equals the oldest
