"""What may become of an image: the promise that an attack makes, and that the harness holds every success to.

Each is judged here from the original and the image alone, with nothing of dfa's; `space` is what dfa searches to keep
it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

import dfa
from harness.arrays import Image


class Promise(Protocol):
    """What holds of an image beside its original."""

    def is_kept(self, original: Image, image: Image) -> bool:
        """Return whether it holds of an image, uint8 (H, W, C)."""
        ...

    def space(self) -> dfa.Space:
        """Return the space of dfa whose images keep it."""
        ...

    def describe(self) -> dict[str, int]:
        """Return it by name, as results hold it."""
        ...


@dataclass(frozen=True)
class Ball:
    """No value lies further from the original's than so many grey levels."""

    epsilon: int

    def is_kept(self, original: Image, image: Image) -> bool:
        """Return whether it holds of an image."""
        return int(np.abs(image.astype(np.int16) - original).max()) <= self.epsilon

    def space(self) -> dfa.Space:
        """Return the ball."""
        return dfa.LinfBall(self.epsilon)

    def describe(self) -> dict[str, int]:
        """Return epsilon."""
        return asdict(self)


@dataclass(frozen=True)
class FewPixels:
    """No more than so many pixels differ from the original's, in whatever colour."""

    pixels: int

    def is_kept(self, original: Image, image: Image) -> bool:
        """Return whether it holds of an image."""
        return int(_differing(original, image).sum()) <= self.pixels

    def space(self) -> dfa.Space:
        """Return the space of few pixels."""
        return dfa.Pixels(self.pixels)

    def describe(self) -> dict[str, int]:
        """Return their number."""
        return asdict(self)


@dataclass(frozen=True)
class OnePatch:
    """All pixels that differ lie in one square of so many pixels a side, wherever it is."""

    patch: int

    def is_kept(self, original: Image, image: Image) -> bool:
        """Return whether it holds of an image."""
        rows, columns = np.nonzero(_differing(original, image))
        return not rows.size or max(int(np.ptp(rows)), int(np.ptp(columns))) < self.patch

    def space(self) -> dfa.Space:
        """Return the space of one patch."""
        return _space("Patch", self.patch)

    def describe(self) -> dict[str, int]:
        """Return its side."""
        return asdict(self)


@dataclass(frozen=True)
class OuterFrame:
    """All pixels that differ lie within so many pixels of the image's edge."""

    frame: int

    def is_kept(self, original: Image, image: Image) -> bool:
        """Return whether it holds of an image."""
        inside = slice(self.frame, -self.frame)
        return bool((original[inside, inside] == image[inside, inside]).all())

    def space(self) -> dfa.Space:
        """Return the space of frames."""
        return _space("Frame", self.frame)

    def describe(self) -> dict[str, int]:
        """Return its width."""
        return asdict(self)


def _differing(original: Image, image: Image) -> NDArray[np.bool_]:
    """Return which pixels differ: bool, (H, W)."""
    differs: NDArray[np.bool_] = (original != image).any(axis=2)
    return differs


def _space(name: str, size: int) -> dfa.Space:
    """Return a space of dfa by name.

    Raises:
        SystemExit: This build of dfa has no such space.
    """
    if not hasattr(dfa, name):
        raise SystemExit(f"dfa {dfa.__version__} has no space {name}; choose settings without it, or another build")
    space: dfa.Space = getattr(dfa, name)(size)
    return space
