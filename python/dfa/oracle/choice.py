"""Which oracle a model becomes."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.oracle.base import DEFAULT_TOLERANCE, Oracle, Preprocess, ScoreKind, descends_from
from dfa.oracle.callable import CallableOracle
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.restricted import RestrictedOracle
from dfa.oracle.adapters.tflite import TfliteOracle

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
    num_classes: int | None = None,
    k: int | None = None,
) -> Oracle:
    """Return an oracle for a model.

    Args:
        model: An `Oracle` (returned as it is), a Keras model, the path of a .tflite file (`TfliteOracle` has more
            arguments), or any callable from a uint8 batch (n, H, W, C) to what `returns` names.
        returns: What the model answers:

            - "probabilities": real numbers, (n, K), each row summing to 1;
            - "logits": real numbers, (n, K);
            - "top_k": a pair (labels, probabilities), each (n, k): integer class ids, distinct and the likeliest first,
              and their probabilities, falling;
            - "top_1": a pair (labels, probabilities), each (n,): the likeliest class and its probability;
            - "label": integer class ids, (n,).

            A Keras model or a .tflite file returns one of the first two; `top_k`, `top_1` and `label_only` show less.
        preprocess: What keras.applications calls `preprocess_input`: applied to the batch as float32, 0..255,
            before the model sees it. The attack itself only ever sees uint8.
        tolerance: How far the probabilities of one image may sum from 1; what is shown of them may sum to so much more.
            (Of answers in float16 or bfloat16, at least what their rounding can make of them; of a .tflite file with an
            8-bit output, whatever its rounding can make of them, unless another is given.)
        num_classes: K; needed with "top_k", "top_1" and "label", whose answers do not tell.
        k: How many classes an answer of "top_k" shows.

    Raises:
        InvalidInputError: If `model` is none of these, or an `Oracle` comes with other arguments, which it
            would have to ignore.
    """
    if isinstance(model, Oracle):
        kind = ScoreKind.of(returns)
        others = preprocess is not None or num_classes is not None or k is not None
        if kind is not ScoreKind.PROBABILITIES or others or tolerance != DEFAULT_TOLERANCE:
            raise InvalidInputError(
                "an Oracle already says what it returns and how it preprocesses; set returns, preprocess, tolerance, "
                f"num_classes and k on the {type(model).__name__} itself"
            )
        return model
    # A class is callable too, but calling it makes a model instead of asking one.
    if isinstance(model, type):
        raise InvalidInputError(f"as_oracle needs a model, got the class {model.__name__}; pass an instance of it")
    # Keras goes first: on its torch backend a Keras model is a torch module as well.
    if descends_from(model, "keras", "Model"):
        _refuse_shown("a Keras model", num_classes, k)
        return KerasOracle(model, returns=returns, preprocess=preprocess, tolerance=tolerance)
    if descends_from(model, "torch", "Module"):
        raise InvalidInputError(_TORCH_ADVICE)
    if isinstance(model, str | Path) and Path(model).suffix == ".tflite":
        _refuse_shown("a .tflite model", num_classes, k)
        given = None if tolerance == DEFAULT_TOLERANCE else tolerance
        return TfliteOracle(model, returns=returns, preprocess=preprocess, tolerance=given)
    if callable(model):
        return CallableOracle(
            model, returns=returns, preprocess=preprocess, tolerance=tolerance, num_classes=num_classes, k=k
        )
    raise InvalidInputError(
        "as_oracle needs an Oracle, a Keras model, a .tflite file, or a function from uint8 images (n, H, W, C) to "
        f"scores (n, K), got {f'{model!r}' if isinstance(model, str | Path) else type(model).__name__}"
    )


def _refuse_shown(model: str, num_classes: int | None, k: int | None) -> None:
    if num_classes is not None or k is not None:
        raise InvalidInputError(f"{model} shows all its classes, so it takes neither num_classes nor k")


def top_k(oracle: Any, k: int, *, num_classes: int | None = None) -> RestrictedOracle:
    """Return an oracle that shows the k likeliest classes of another and their probabilities.

    Args:
        oracle: What `as_oracle` takes, returning probabilities or logits.
        k: 1..K.
        num_classes: K, where the oracle does not declare it (a Keras model does).

    Raises:
        InvalidInputError: An argument is not as described.
    """
    return RestrictedOracle(as_oracle(oracle), ScoreKind.TOP_K, k=k, num_classes=num_classes)


def top_1(oracle: Any, *, num_classes: int | None = None) -> RestrictedOracle:
    """Return an oracle that shows the likeliest class of another and its probability; arguments as of `top_k`."""
    return RestrictedOracle(as_oracle(oracle), ScoreKind.TOP_1, num_classes=num_classes)


def label_only(oracle: Any, *, num_classes: int | None = None) -> RestrictedOracle:
    """Return an oracle that shows the likeliest class of another and nothing else; arguments as of `top_k`."""
    return RestrictedOracle(as_oracle(oracle), ScoreKind.LABEL, num_classes=num_classes)
