"""Models that cost next to nothing, and answer about a row alike in whatever batch it comes."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Classes, Images
from harness.inputs import ImageSet, load_images

_GRID = 4096.0
"""Weights are multiples of 1 / _GRID: sums of integers are exact in float64, in whatever order a library adds them."""

_RIDGE = 30.0
_SHIFTS = ((0, 0), (0, 1), (1, 0), (0, -1), (-1, 0))


class LinearModel:
    """Logits that are linear in the pixels."""

    def __init__(self, weights: NDArray[np.float64], biases: NDArray[np.float64]) -> None:
        """Round a model.

        Args:
            weights: float64, (H * W * C, K), of pixels 0..1.
            biases: float64, (K,).
        """
        self._weights = np.rint(weights * _GRID)
        self._biases = np.rint(biases * _GRID * 255)

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return logits of uint8 images, (n, K)."""
        return (images.reshape(len(images), -1).astype(np.float64) @ self._weights + self._biases) / (_GRID * 255)

    @classmethod
    def fitted(cls, images: Images, labels: Classes, *, scale: float) -> LinearModel:
        """Return least squares, with a ridge, from images to their labels, with logits so many times as large."""
        pixels = np.c_[images.reshape(len(images), -1) / 255, np.ones(len(images))]
        wanted = np.eye(labels.max() + 1)[labels]
        solved = np.linalg.solve(pixels.T @ pixels + _RIDGE * np.eye(pixels.shape[1]), pixels.T @ wanted)
        return cls(scale * solved[:-1], scale * solved[-1])

    @classmethod
    def drawn(cls, size: int, num_classes: int) -> LinearModel:
        """Return a random one of `size` pixels."""
        rng = np.random.default_rng(0)
        return cls(rng.normal(size=(size, num_classes)), np.zeros(num_classes))


def digits(data: Path, number: int) -> tuple[LinearModel, Images]:
    """Return a model of MNIST, and so many images: those of the file, then the same moved by a pixel, and so on."""
    images, labels = load_images(data, "mnist_test2000.npz")
    if number > len(_SHIFTS) * len(images):
        raise ValueError(f"there are {len(_SHIFTS) * len(images)} images, asked for {number}")
    return LinearModel.fitted(images, labels, scale=20.0), moved_copies(data).images[:number]


def moved_copies(data: Path) -> ImageSet:
    """Return the images of MNIST, then the same moved by a pixel, and so on, with their labels."""
    images, labels = load_images(data, "mnist_test2000.npz")
    copies = [np.roll(images, shift, axis=(1, 2)) for shift in _SHIFTS]
    return ImageSet(np.concatenate(copies), np.tile(labels, len(_SHIFTS)))


class FallingScores:
    """An oracle that costs nothing: its answers ignore the images, and fall so that candidates keep improving."""

    def __init__(self) -> None:
        """Draw what tells one answer from another."""
        self._noise = np.random.default_rng(0).uniform(0.95, 1.0, 4096)
        self._calls = 0

    def __call__(self, images: Images) -> NDArray[np.float64]:
        """Return probabilities of two classes, float64, (n, 2), the first always the likelier."""
        self._calls += 1
        start = 97 * self._calls % (len(self._noise) - len(images))
        margin = math.exp(-self._calls / 3_000) * self._noise[start : start + len(images)]
        return np.stack([1 + margin, 1 - margin], axis=1) / 2
