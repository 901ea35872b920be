"""Names for the arrays that pass between modules, and the protocols that users' objects satisfy.

The same letters everywhere: N images of a run, B images of a batch, H height, W width, C channels, K classes.
"""

from __future__ import annotations

from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]
"""One image: uint8, (H, W, C), 0..255."""

Images: TypeAlias = NDArray[np.uint8]
"""A batch of images: uint8, (B, H, W, C), 0..255."""

Scores: TypeAlias = NDArray[np.float64]
"""Probabilities of a batch: float64, (B, K), each row in [0, 1] and summing to 1."""

Classes: TypeAlias = NDArray[np.int64]
"""One class id per image: int64, (B,), 0..K-1."""

Degrees: TypeAlias = NDArray[np.float64]
"""One dissatisfaction degree per image: float64, (B,), finite; 0 exactly where the image is adversarial."""

Indices: TypeAlias = NDArray[np.int64]
"""Places in the run's array of images: int64, (B,), 0..N-1, repeated for an image with several candidates."""


class ImageSequence(Protocol):
    """What a lazy set of images must offer: its length, and one image at a time."""

    def __len__(self) -> int:
        """Return N, the number of images."""
        ...

    def __getitem__(self, index: int, /) -> Image:
        """Return image `index`: uint8, (H, W, C), 0..255."""
        ...


class DegreeFunction(Protocol):
    """A dissatisfaction degree: how far each image of a batch is from being adversarial."""

    def __call__(self, scores: Scores, classes: Classes, /) -> Degrees:
        """Return one degree per row: 0 exactly where adversarial, positive elsewhere, finite.

        Args:
            scores: float64, (B, K), probabilities.
            classes: int64, (B,), 0..K-1: the original classes in an untargeted run, the target classes in a
                targeted one.
        """
        ...
