"""Images and models of the data folder, and an oracle that counts."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa.oracle.gate import Gate, Purpose
from dfa.search.goals import resolve_targets
from harness.arrays import Classes, Images, Scores


class ImageSet(NamedTuple):
    """Images of one data file.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class CountingOracle(dfa.Oracle):
    """Passes everything on to an oracle and counts the images."""

    def __init__(self, oracle: dfa.Oracle) -> None:
        """Wrap an oracle of probabilities or logits."""
        self.name, self.returns, self.tolerance = oracle.name, oracle.returns, oracle.tolerance
        self.num_classes = oracle.num_classes
        self.images = 0
        self._oracle = oracle

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready."""
        self._oracle.prepare(shape, batch_size)

    def scores(self, images: Images) -> Any:
        """Return what the oracle answers."""
        self.images += len(images)
        return self._oracle.scores(images)


class MissingInputError(SystemExit):
    """A benchmark's input is not there; ends the process with the reason."""


def load_images(data: Path, name: str) -> ImageSet:
    """Return the images and labels of `data/name`.

    Raises:
        MissingInputError: There is no such file.
    """
    path = require_file(data / name)
    with np.load(path) as arrays:
        return ImageSet(arrays["images"], arrays["labels"].astype(np.int64))


def load_model(data: Path, name: str) -> Any:
    """Return the model `data/models/name`: of Keras, or the oracle of an .onnx file, which takes grey levels.

    Raises:
        MissingInputError: There is no such file, or no Keras.
    """
    path = require_file(data / "models" / name)
    if path.suffix == ".onnx":
        return dfa.as_oracle(path, value_range=(0, 255))
    try:
        keras = importlib.import_module("keras")
    except ImportError as error:
        raise MissingInputError("this benchmark needs Keras and a backend: pip install '.[tensorflow]'") from error
    return keras.models.load_model(path)


def first_correct(
    oracle: dfa.Oracle, images: ImageSet, number: int, batch_size: int, *, skip: int = 0
) -> tuple[ImageSet, NDArray[np.float64]]:
    """Return the first images that an oracle classifies correctly, so many or all there are, and their probabilities.

    The first `skip` of them are left out. The oracle is then ready for batches of this size.
    """
    gate = Gate(oracle, num_images=len(images.images), max_queries=0)
    gate.prepare(images.images.shape[1:], batch_size)
    kept: list[int] = []
    rows: list[NDArray[np.float64]] = []
    for start in range(0, len(images.images), batch_size):
        places = np.arange(start, min(start + batch_size, len(images.images)))
        scores = gate.ask(images.images[places], places, Purpose.CLEAN)
        is_right = dfa.objectives.predicted(scores) == images.labels[places]
        kept += places[is_right].tolist()
        rows += list(scores[is_right])
        if len(kept) >= skip + number:
            break
    wanted = slice(skip, skip + number)
    return ImageSet(images.images[kept[wanted]], images.labels[kept[wanted]]), np.array(rows[wanted])


def require_file(path: Path) -> Path:
    """Return a path if there is such a file.

    Raises:
        MissingInputError: There is none.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} is not there; say where the benchmark inputs are with --data FOLDER")
    return path


def targets_of(rank: int, scores: Scores) -> Classes:
    """Return the class of a rank of likelihood for each image, as `dfa.rank` takes it.

    Args:
        rank: 1 is the likeliest class.
        scores: float64, (N, K), of the clean images.
    """
    targets = resolve_targets(dfa.rank(rank), scores, np.arange(len(scores)))
    assert targets is not None
    return targets
