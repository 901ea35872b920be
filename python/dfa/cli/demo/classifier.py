"""The demo's classifier: LeNet-1, trained on the handwritten digits that scikit-learn carries."""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import inspect
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from PIL import Image as Pillow

from dfa.cli.chatter import without_chatter
from dfa.errors import MissingDependencyError
from dfa.extras import how_to_install
from dfa.search.objectives import predicted
from dfa.types import Classes, Images

KerasModel: TypeAlias = Any
"""A `keras.Model`; Keras has no types, and may be absent."""

SIDE: Final = 28
"""Pixels of a digit's height, and of its width."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides which classifier comes out, beside the code that follows it.

    Attributes:
        seed: Of the split and of the training.
        num_test: Digits held back; the others are trained on.
        epochs: Passes over the training digits.
        batch_size: Digits per step.
        learning_rate: Of Adam.
    """

    seed: int = 0
    num_test: int = 500
    epochs: int = 25
    batch_size: int = 64
    learning_rate: float = 3e-3


@dataclass(frozen=True)
class Digits:
    """Handwritten digits: images uint8, (N, 28, 28, 1), and labels int64, (N,), 0..9."""

    train_images: Images
    train_labels: Classes
    test_images: Images
    test_labels: Classes


def load_digits(recipe: Recipe) -> Digits:
    """Return the digits of scikit-learn as MNIST has them: 28x28 uint8, 0..255, white on black.

    The 1,797 originals are 8x8, with values 0..16.

    Raises:
        MissingDependencyError: scikit-learn is not installed.
    """
    try:
        datasets = importlib.import_module("sklearn.datasets")
    except ImportError as error:
        raise _missing("scikit-learn", error) from error
    bunch: Any = datasets.load_digits()
    small = np.rint(bunch.images * (255 / 16)).astype(np.uint8)
    size = (SIDE, SIDE)
    images = np.stack([np.asarray(Pillow.fromarray(each).resize(size, Pillow.Resampling.BICUBIC)) for each in small])[
        ..., np.newaxis
    ]
    labels = bunch.target.astype(np.int64)
    order = np.random.default_rng(recipe.seed).permutation(len(labels))
    test, train = order[: recipe.num_test], order[recipe.num_test :]
    return Digits(images[train], labels[train], images[test], labels[test])


def build_lenet1() -> KerasModel:
    """Return LeNet-1, untrained: two convolutions, each followed by pooling, and one dense layer.

    As the paper's experiments have it, with 7,206 parameters: 4 and 12 maps of 5x5, max-pooling, softmax. It takes
    0..255; the normaliser is its first layer.
    """
    keras = _import_keras()
    layers = keras.layers
    return keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Rescaling(1 / 255),
            layers.Conv2D(4, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(12, 5, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(10, name="before_softmax"),
            layers.Softmax(),
        ],
        name="lenet1",
    )


def train(recipe: Recipe, digits: Digits) -> KerasModel:
    """Return LeNet-1 trained on the training digits."""
    keras = _import_keras()
    keras.utils.set_random_seed(recipe.seed)
    model = build_lenet1()
    model.compile(keras.optimizers.Adam(recipe.learning_rate), "sparse_categorical_crossentropy")
    model.fit(
        digits.train_images.astype(np.float32),
        digits.train_labels,
        batch_size=recipe.batch_size,
        epochs=recipe.epochs,
        verbose=0,
    )
    return model


def cache_file(recipe: Recipe, cache: Path) -> Path:
    """Return where the classifier of a recipe is kept; another recipe, code or Keras gives another file."""
    code = "".join(inspect.getsource(each) for each in (load_digits, build_lenet1, train))
    made_by = f"{recipe} {_import_keras().__version__} {importlib.metadata.version('scikit-learn')} {code}"
    return cache / f"lenet1-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.keras"


def train_or_load(recipe: Recipe, digits: Digits, file: Path) -> KerasModel:
    """Return the classifier that `file` keeps, or train it and keep it there."""
    if file.exists():
        return _import_keras().models.load_model(file, compile=False)
    model = train(recipe, digits)
    file.parent.mkdir(parents=True, exist_ok=True)
    # Under another name first, so that an interrupt leaves no half file to be loaded next time.
    temporary = file.with_name(f"{file.stem}.{os.getpid()}.keras")
    model.save(temporary)
    temporary.replace(file)
    return model


def accuracy(model: KerasModel, digits: Digits) -> float:
    """Return the share of the test digits that a classifier gets right, 0..1."""
    scores = model.predict(digits.test_images.astype(np.float32), batch_size=256, verbose=0)
    return float((predicted(np.asarray(scores, dtype=np.float64)) == digits.test_labels).mean())


def _import_keras() -> Any:
    """Return the module keras, with the chatter of a framework's start left out and its errors left in.

    Raises:
        MissingDependencyError: Keras or its backend is not installed.
    """
    try:
        return sys.modules.get("keras") or _import_keras_quietly()
    except ImportError as error:
        raise _missing("Keras with a backend such as TensorFlow", error) from error


def _import_keras_quietly() -> Any:
    # Informational messages while running; those of the start come before this is looked at.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    with without_chatter():
        keras = importlib.import_module("keras")
        # The devices announce themselves at the first operation.
        keras.ops.ones(1)
    return keras


def _missing(what: str, error: ImportError) -> MissingDependencyError:
    return MissingDependencyError(f"the demo needs {what} ({error}): {how_to_install('demo')}")
