"""Images that are made when they are read, and an oracle that costs nothing."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class NoiseImages:
    """Images that exist only while somebody holds them: noise, uint8, (H, W, C)."""

    def __init__(self, number: int, shape: tuple[int, int, int]) -> None:
        """Make nothing yet."""
        self._number = number
        self._shape = shape

    def __len__(self) -> int:
        """Return N."""
        return self._number

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """Make image `index`."""
        if not 0 <= index < self._number:
            raise IndexError(index)
        return np.random.default_rng(index).integers(0, 256, self._shape, dtype=np.uint8)


def one_in_sixteen(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return probabilities: class 1 for one image in 16, by the sum of some of its bytes."""
    sums = images.reshape(len(images), -1)[:, ::37].sum(axis=1, dtype=np.int64)
    first = np.where(sums % 16 == 0, 0.25, 0.75)
    return np.stack([first, 1 - first], axis=1)
