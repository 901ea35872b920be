"""Models from words: Keras and TFLite files, and `module:attribute`; and the oracles made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from dfa.cli.sources.objects import load_object
from dfa.errors import InvalidInputError, told
from dfa.files import check_file, reading
from dfa.oracle import Oracle, RestrictedOracle, ScoreKind, TfliteOracle, as_oracle

MODEL_SETTINGS: Final = ("returns", "preprocess", "class_offset", "num_classes", "k", "shows")
"""What says how a model is asked: the parameters of `open_oracle`, which commands have as flags."""

_KERAS_SUFFIXES: Final = {".keras", ".h5", ".hdf5"}


def load_model(word: str) -> Any:
    """Return the model that a word names: a Keras file, the path of a TFLite file, or `module:attribute`.

    Raises:
        InvalidInputError: It names none.
        MissingDependencyError: Keras is needed and is not installed.
    """
    path = Path(word)
    if path.suffix not in {*_KERAS_SUFFIXES, ".tflite"}:
        if ":" not in word:
            raise InvalidInputError(
                "MODEL must be a .keras or a .tflite file, or module:attribute for any function of a uint8 batch, got "
                f"{word!r}"
            )
        return load_object(word)
    with reading(word):
        is_there = path.exists()
    if not is_there:
        raise InvalidInputError(f"MODEL must be a file that exists, and {word!r} does not")
    check_file(path)
    if path.suffix == ".tflite":
        return path
    from dfa.oracle.adapters.keras import import_keras

    keras = import_keras()
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:  # Keras raises many kinds, also of custom layers
        raise InvalidInputError(
            f"Keras cannot load {word!r}: {told(error)}\n(custom layers? load the model in a module "
            "of yours, and pass module:attribute)"
        ) from error


def open_oracle(
    model: str,
    *,
    returns: str | None,
    preprocess: str | None,
    class_offset: int,
    num_classes: int | None,
    k: int | None,
    shows: str | None,
) -> tuple[Oracle, int | None]:
    """Return a model ready to be asked, and how many channels it takes, if it tells.

    Args:
        model: What names it.
        returns: What it answers; None for probabilities.
        preprocess: module:attribute of a function that goes before it.
        class_offset: Of a .tflite file: the class of its first output is minus this.
        num_classes: Of a function whose answers do not tell.
        k: How many classes are shown.
        shows: What of its answers is shown; None for all.

    Raises:
        InvalidInputError: The model cannot be opened, or these do not go together.
        MissingDependencyError: The framework that runs it is not installed.
    """
    loaded = load_model(model)
    if class_offset and not isinstance(loaded, Path):
        raise InvalidInputError(f"--class-offset is for .tflite files, and {model} is none")
    oracle: Oracle
    channels = None
    # Of what is shown here, and else of what the model answers.
    answered = (num_classes, k) if shows is None else (None, None)
    if isinstance(loaded, Oracle):
        if returns is not None or preprocess is not None or answered != (None, None):
            raise InvalidInputError(f"{model} is a dfa.Oracle and says itself what it returns and how it preprocesses")
        oracle = loaded
    else:
        function = None if preprocess is None else load_object(preprocess)
        kind = returns or "probabilities"
        if isinstance(loaded, Path):
            if answered != (None, None):
                raise InvalidInputError("a .tflite model shows all its classes; --num-classes and --k go with --shows")
            oracle = TfliteOracle(loaded, returns=kind, preprocess=function, class_offset=class_offset)
            channels = oracle.input_shape[-1]
        else:
            oracle = as_oracle(loaded, returns=kind, preprocess=function, num_classes=answered[0], k=answered[1])
            channels = _channels_of(loaded)
    if shows is not None:
        oracle = RestrictedOracle(oracle, ScoreKind(shows), k=k, num_classes=num_classes)
    return oracle, channels


def _channels_of(model: Any) -> int | None:
    """Return how many channels a Keras model takes; None of a model that does not tell."""
    shape = getattr(model, "input_shape", None)
    is_known = isinstance(shape, tuple) and len(shape) == 4 and isinstance(shape[-1], int)
    return shape[-1] if is_known and shape is not None else None
