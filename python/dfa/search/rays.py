"""What an answer means where candidates lie on rays, within the ball and beyond it.

The core (`RayWalk`, in cpp/include/dfa/search/ray_walk.hpp) asks for one image at a time whether the label that counts
is seen there: another than the original one, or the target. All that it reads of a degree is whether it is below 1. So
the degree is 1 where that label is not seen, 0 where it is seen within the ball, which is a success, and in between,
by how far the image lies beyond, where it is seen outside of the ball, which never is one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.search.label_walk import Questions
from dfa.types import Degrees, Image, Images, Indices

_LEVELS: Final = 256
"""Grey levels: no image lies so many beyond a ball."""


class Rays(Questions):
    """What is asked where candidates lie on rays: the candidate itself, and no more than its label counts."""

    def __init__(self, epsilon: Callable[[int], NDArray[np.uint8]]) -> None:
        """Begin with no image.

        Args:
            epsilon: The largest change allowed to an image, by its index: uint8, () or (H, W, C), grey levels.
        """
        self._epsilon = epsilon
        self._originals: dict[int, Image] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Rays:
        """Return another whose images come and go apart; originals and balls are never changed, and stay shared."""
        copied = Rays(self._epsilon)
        copied._originals = dict(self._originals)
        return copied

    def begin(self, index: int, original: Image) -> None:
        """Take note of an image whose search begins or goes on."""
        self._originals[index] = original

    def end(self, index: int) -> None:
        """Forget an image whose search is over."""
        del self._originals[index]

    def rank(self, degrees: Degrees, candidates: Images, indices: Indices) -> Degrees:
        """Return 0 for a success, 1 where the label that counts is not seen, else the grey levels beyond, over 256.

        Args:
            degrees: float64, (n,): of the objective, 0 exactly where the label that counts is seen.
            candidates: uint8, (n, H, W, C).
            indices: int64, (n,): the image of each row.
        """
        ranked = np.ones(len(degrees))
        for row in np.flatnonzero(degrees == 0.0).tolist():
            index = int(indices[row])
            distances = np.abs(candidates[row].astype(np.int16) - self._originals[index])
            beyond = int((distances - self._epsilon(index).astype(np.int16)).max())
            ranked[row] = max(beyond, 0) / _LEVELS
        return ranked
