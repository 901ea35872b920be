"""Synthetic oracles whose answers are exact, so that an image's answer cannot depend on its batch.

Sums are of whole numbers far below 2**53, which float64 adds without rounding in whatever order, and the one division
that follows is rounded alike everywhere. A matrix product of rounded numbers would differ with the batch size.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]
Scores = NDArray[np.float64]
Ask = Callable[[Images], Any]


def random_images(number: int, shape: tuple[int, int, int] = (6, 6, 3), seed: int = 0) -> Images:
    """Images so unlike one another that a candidate tells whose it is; none within 20 grey levels of the ends."""
    return np.random.default_rng(seed).integers(20, 236, (number, *shape), dtype=np.uint8)


class LinearClassifier:
    """A fixed random linear classifier with small whole weights."""

    def __init__(self, shape: tuple[int, int, int] = (6, 6, 3), num_classes: int = 10, seed: int = 1) -> None:
        size = int(np.prod(shape))
        weights = np.random.default_rng(seed).integers(-9, 10, (size, num_classes))
        # No class may win by its mean weight alone: random images would then all have it.
        self._weights = (weights * size - weights.sum(axis=0)).astype(np.float64)

    def activations(self, images: Images) -> Scores:
        return images.reshape(len(images), -1).astype(np.float64) @ self._weights

    def __call__(self, images: Images) -> Scores:
        activations = self.activations(images)
        positive = activations - activations.min(axis=1, keepdims=True) + 1
        return positive / positive.sum(axis=1, keepdims=True)

    def classes(self, images: Images) -> NDArray[np.int64]:
        """Return the classes by whole numbers alone, apart from the probabilities."""
        activations = self.activations(images)
        return np.array([row.tolist().index(max(row)) for row in activations], dtype=np.int64)


def brightness(images: Images) -> Scores:
    """Class 1 where the mean is above 127.5."""
    bright = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64) / (255 * images[0].size)
    return np.stack([1.0 - bright, bright], axis=1)


def never(images: Images) -> Scores:
    """Class 0 of two, whatever it is shown, at no cost."""
    return np.broadcast_to([0.75, 0.25], (len(images), 2))


class Recorder:
    """Passes everything on and remembers it, in the order in which it was asked."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.batches: list[Images] = []
        self.is_busy = False

    def __call__(self, images: Images) -> Any:
        self.is_busy = True
        try:
            self.batches.append(images.copy())
            return self._ask(images)
        finally:
            self.is_busy = False

    @property
    def num_images(self) -> int:
        return sum(map(len, self.batches))

    @property
    def images(self) -> Images:
        return np.concatenate(self.batches)

    def around(self, original: Images, epsilon: int) -> Images:
        """Return what was asked within epsilon of an image, in order: its clean query, its candidates, ..."""
        asked = self.images
        distances = np.abs(asked.astype(np.int64) - original).reshape(len(asked), -1).max(axis=1)
        return asked[distances <= epsilon]


class Until:
    """Asks one oracle for a number of calls, and after that does something else."""

    def __init__(self, num_calls: int, ask: Ask, then: Ask) -> None:
        self._calls_left = num_calls
        self._ask = ask
        self._then = then

    def __call__(self, images: Images) -> Any:
        if self._calls_left == 0:
            return self._then(images)
        self._calls_left -= 1
        return self._ask(images)


def raising(error: BaseException) -> Ask:
    """Return an oracle that raises."""

    def ask(images: Images) -> Any:
        raise error

    return ask


class Contradicting:
    """Never gives an image class 1 twice, where the first value of the image is odd."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._seen: set[bytes] = set()

    def __call__(self, images: Images) -> Scores:
        scores = np.array(self._ask(images))
        for image, row in zip(images, scores, strict=True):
            if image.flat[0] % 2 == 1 and image.tobytes() in self._seen:
                row[:] = [1.0, 0.0]
            self._seen.add(image.tobytes())
        return scores


class Slow:
    """Takes its time over every call."""

    def __init__(self, seconds: float, ask: Ask) -> None:
        self._seconds = seconds
        self._ask = ask

    def __call__(self, images: Images) -> Any:
        time.sleep(self._seconds)
        return self._ask(images)


class LazyImages:
    """A sequence that has nothing but a length and items, and makes each image when it is asked for."""

    def __init__(self, images: Images | Sequence[Any], instead: dict[int, Callable[[], Any]] | None = None) -> None:
        self._images = images
        self._instead = instead or {}
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Any:
        self.read.append(index)
        if index in self._instead:
            return self._instead[index]()
        return np.array(self._images[index])

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("a lazy set of images is asked for one image at a time")
