"""Which fillings of windows lower the degree: the learning and the drawing, with the core's doubles.

The order of the floating-point operations is part of the definition, so that both draw alike.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import tuning
from .philox import WORD, Stream

PLAIN = 0
PRIOR = 1 + len(tuning.WINDOW_TEXTURES)
SMALLEST_NORMAL = 2.0**-1022


@dataclass
class Gain:
    """What was gained over how many candidates."""

    sum: float = 0.0
    count: float = 0.0

    def add(self, gain: float, count: float = 1.0) -> None:
        self.sum += gain
        self.count += count


def _total(gains: Sequence[Gain]) -> Gain:
    total = Gain()
    for gain in gains:
        total.add(gain.sum, gain.count)
    return total


def _relative(gain: Gain, gains: Sequence[Gain]) -> float:
    """Gain per candidate, smoothed, over the average of all; 1 while there is none."""
    total = _total(gains)
    if total.sum <= 0 or total.sum / total.count < SMALLEST_NORMAL:
        return 1.0
    average = total.sum / total.count
    return (gain.sum + tuning.SMOOTHING * average) / (gain.count + tuning.SMOOTHING) / average


def _draw_index(stream: Stream, weights: Sequence[float]) -> int:
    total = 0.0
    for weight in weights:
        total += weight
    at = stream.next() / WORD * total
    below = 0.0
    for i, weight in enumerate(weights[:-1]):
        below += weight
        if at < below:
            return i
    return len(weights) - 1


@dataclass
class Gains:
    """By filling: 0 is plain, i + 1 the i-th texture of windows, the last one a prior's signs.

    `sources` is all that is drawn against the prior, `kinds` is plain against textures.
    """

    sources: list[Gain] = field(default_factory=lambda: [Gain(), Gain()])
    kinds: list[Gain] = field(default_factory=lambda: [Gain(), Gain()])
    textures: list[Gain] = field(default_factory=lambda: [Gain() for _ in tuning.WINDOW_TEXTURES])

    def draw_is_prior(self, stream: Stream) -> bool:
        """By the sixth power of what each source gained."""
        drawn, prior = (ratio * ratio * ratio for ratio in (_relative(source, self.sources) for source in self.sources))
        return _draw_index(stream, [drawn * drawn, prior * prior]) == 1

    def draw(self, stream: Stream) -> int:
        """First plain or not, by the cube of what each gained; then which, by the square."""
        plain, woven = (_relative(kind, self.kinds) for kind in self.kinds)
        if _draw_index(stream, [tuning.PLAIN_PRIOR * plain * plain * plain, woven * woven * woven]) == 0:
            return PLAIN
        ratios = [_relative(texture, self.textures) for texture in self.textures]
        return 1 + _draw_index(stream, [ratio * ratio for ratio in ratios])

    def add(self, filling: int, gain: float) -> None:
        self.sources[filling == PRIOR].add(gain)
        if filling == PRIOR:
            return
        self.kinds[0 if filling == PLAIN else 1].add(gain)
        if filling != PLAIN:
            self.textures[filling - 1].add(gain)

    def learn(self, filling: int, gain: float) -> None:
        """As `add`, and what was known before fades; what was known of textures only where one was tried."""
        drawn = self.kinds if filling == PLAIN else self.kinds + self.textures
        for each in self.sources + ([] if filling == PRIOR else drawn):
            each.sum *= tuning.FADING
            each.count *= tuning.FADING
        self.add(filling, gain)

    def add_all(self, other: Gains) -> None:
        for mine, theirs in ((self.sources, other.sources), (self.kinds, other.kinds), (self.textures, other.textures)):
            for own, others in zip(mine, theirs, strict=True):
                own.add(others.sum, others.count)

    def shared(self) -> Gains:
        """The same in the weight of a few candidates, or less: what a plan holds."""
        result = Gains()
        for most, own, others in (
            (tuning.SHARED_SOURCES, result.sources, self.sources),
            (tuning.SHARED_GAINS, result.kinds, self.kinds),
            (tuning.SHARED_GAINS, result.textures, self.textures),
        ):
            count = _total(others).count
            share = most / count if count > most else 1.0
            for gain, other in zip(own, others, strict=True):
                gain.add(other.sum * share, other.count * share)
        return result
