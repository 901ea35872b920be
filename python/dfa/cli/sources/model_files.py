"""Models from files: which suffix is of what, and what of them is read before an oracle opens them."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any, Final

from dfa.cli.chatter import without_chatter
from dfa.errors import InvalidInputError, MissingDependencyError, told
from dfa.extras import how_to_install
from dfa.oracle.adapters import torch_files

SUFFIXES: Final = {
    **dict.fromkeys((".keras", ".h5", ".hdf5"), "keras"),
    **dict.fromkeys(torch_files.SUFFIXES, "torch"),
    **dict.fromkeys((".joblib", ".pkl", ".pickle"), "pickle"),
    ".tflite": "tflite",
    ".onnx": "onnx",
}
"""The kind of a file by its suffix."""


def load_keras(path: Path) -> Any:
    """Return the model of a Keras file.

    Raises:
        InvalidInputError: It holds none, or one with custom layers.
        MissingDependencyError: Keras is not installed.
    """
    from dfa.oracle.adapters.keras import import_keras

    with without_chatter():
        keras = import_keras()
        # The devices announce themselves at the first operation.
        keras.ops.ones(1)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds, also of custom layers
        raise InvalidInputError(
            f"Keras cannot load {str(path)!r}: {told(error)}\n(custom layers? load the model in a module "
            "of yours, and pass module:attribute)"
        ) from error


def check_trusted(path: Path, *, is_trusted: bool) -> None:
    """Refuse a pickle that the user has not said may be read.

    Raises:
        InvalidInputError: So.
    """
    if not is_trusted:
        raise InvalidInputError(
            f"{str(path)!r} is a pickle, and reading a pickle runs whatever code is in it; where you know who wrote "
            "it, pass --trust-pickle; or make the model in a module of yours, and give module:attribute"
        )


def load_pickle(path: Path, *, is_trusted: bool) -> Any:
    """Return what a pickle holds, such as an estimator of scikit-learn that joblib has written.

    Args:
        path: The file.
        is_trusted: The user has said that its code may run.

    Raises:
        InvalidInputError: The user has not, or it cannot be read.
        MissingDependencyError: joblib is not installed.
    """
    check_trusted(path, is_trusted=is_trusted)
    try:
        joblib: Any = importlib.import_module("joblib")
    except ImportError as error:
        raise MissingDependencyError(f"a {path.suffix} file needs joblib: {how_to_install('sklearn')}") from error
    try:
        return joblib.load(path)
    except Exception as error:  # a pickle may raise anything
        raise InvalidInputError(
            f"joblib cannot load {str(path)!r}: {told(error)}\n(it needs the packages, and about the versions, that it "
            "was written with)"
        ) from error
