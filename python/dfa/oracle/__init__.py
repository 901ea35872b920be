"""Oracles: the models under attack, seen through their answers only."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.oracle.base import DEFAULT_TOLERANCE, Oracle, Preprocess, ScoreKind, descends_from
from dfa.oracle.callable import CallableOracle
from dfa.oracle.keras import KerasOracle
from dfa.oracle.tflite import TfliteOracle

__all__ = ["CallableOracle", "KerasOracle", "Oracle", "Preprocess", "ScoreKind", "TfliteOracle", "as_oracle"]

_TORCH_ADVICE: Final = (
    "a torch module takes tensors, not uint8 arrays; wrap it in a function, such as\n"
    "    def scores(images):  # uint8, (n, H, W, C)\n"
    "        batch = torch.tensor(images, device=device).permute(0, 3, 1, 2).float() / 255\n"
    "        with torch.no_grad():\n"
    "            return module(batch)\n"
    "and pass that, with returns='logits' unless the module ends in a softmax"
)


def as_oracle(
    model: Any,
    *,
    returns: ScoreKind | str = "probabilities",
    preprocess: Preprocess | None = None,
    tolerance: float = DEFAULT_TOLERANCE,
) -> Oracle:
    """Return an oracle for a model.

    Args:
        model: An `Oracle` (returned as it is), a Keras model, the path of a .tflite file (`TfliteOracle` has more
            arguments), or any callable from a uint8 batch (n, H, W, C) to scores (n, K).
        returns: Whether the scores are "probabilities" or "logits".
        preprocess: What keras.applications calls `preprocess_input`: applied to the batch as float32, 0..255,
            before the model sees it. The attack itself only ever sees uint8.
        tolerance: How far the probabilities of one image may sum from 1. (Of a .tflite file with an 8-bit output,
            whatever its rounding can make of them, unless another is given.)

    Raises:
        InvalidInputError: If `model` is none of these, or an `Oracle` comes with other arguments, which it
            would have to ignore.
    """
    if isinstance(model, Oracle):
        kind = ScoreKind.of(returns)
        if kind is not ScoreKind.PROBABILITIES or preprocess is not None or tolerance != DEFAULT_TOLERANCE:
            raise InvalidInputError(
                "an Oracle already says what it returns and how it preprocesses; set returns, preprocess and "
                f"tolerance on the {type(model).__name__} itself"
            )
        return model
    # A class is callable too, but calling it makes a model instead of asking one.
    if isinstance(model, type):
        raise InvalidInputError(f"as_oracle needs a model, got the class {model.__name__}; pass an instance of it")
    # Keras goes first: on its torch backend a Keras model is a torch module as well.
    if descends_from(model, "keras", "Model"):
        return KerasOracle(model, returns=returns, preprocess=preprocess, tolerance=tolerance)
    if descends_from(model, "torch", "Module"):
        raise InvalidInputError(_TORCH_ADVICE)
    if isinstance(model, str | Path) and Path(model).suffix == ".tflite":
        given = None if tolerance == DEFAULT_TOLERANCE else tolerance
        return TfliteOracle(model, returns=returns, preprocess=preprocess, tolerance=given)
    # By its full name: within this package, `callable` is the module of callable oracles.
    if builtins.callable(model):
        return CallableOracle(model, returns=returns, preprocess=preprocess, tolerance=tolerance)
    raise InvalidInputError(
        "as_oracle needs an Oracle, a Keras model, a .tflite file, or a function from uint8 images (n, H, W, C) to "
        f"scores (n, K), got {f'{model!r}' if isinstance(model, str | Path) else type(model).__name__}"
    )
