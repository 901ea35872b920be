"""Which oracle a model becomes."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.oracle.adapters.jax import JaxOracle
from dfa.oracle.adapters.jax_models import is_flax, is_jitted
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.adapters.onnx import OnnxOracle, is_onnx
from dfa.oracle.adapters.scikit_learn import SklearnOracle, is_sklearn
from dfa.oracle.adapters.static_batch import StaticBatch
from dfa.oracle.adapters.tflite import TfliteOracle
from dfa.oracle.adapters.torch import Output, TorchOracle
from dfa.oracle.adapters.torch_files import SUFFIXES
from dfa.oracle.adapters.torch_inputs import Transform
from dfa.oracle.base import Oracle, Preprocess, ScoreKind, descends_from
from dfa.oracle.callable import CallableOracle
from dfa.oracle.restricted import RestrictedOracle

_SHOW_LESS: Final = (
    "all its classes show, and dfa.top_k(module, k), dfa.top_1(module) and dfa.label_only(module) show less; one that "
    "answers with labels goes in as a function of uint8 (n, H, W, C)"
)
_CURES: Final[dict[tuple[str, type[Oracle]], str]] = {
    ("num_classes", TorchOracle): _SHOW_LESS,
    ("k", TorchOracle): _SHOW_LESS,
    ("preprocess", TorchOracle): "mean= and std=, or transform=, a function of uint8 tensors on its device, do that",
}


def as_oracle(
    model: Any,
    *,
    returns: ScoreKind | str | None = None,
    preprocess: Preprocess | None = None,
    tolerance: float | None = None,
    num_classes: int | None = None,
    k: int | None = None,
    mean: Sequence[float] | float | None = None,
    std: Sequence[float] | float | None = None,
    value_range: Sequence[float] | None = None,
    layout: str | None = None,
    transform: Transform | None = None,
    output: Output | None = None,
    device: Any = None,
    autocast: Any = None,
    compile: bool | str | Mapping[str, Any] | None = None,
    static_batch: StaticBatch | None = None,
) -> Oracle:
    """Return an oracle for a model.

    Args:
        model: An `Oracle` (returned as it is); a torch module or program, a Keras model, a flax module or a function of
            jax.jit, an ONNX Runtime session, a fitted classifier of scikit-learn; the path of a file that holds a torch
            program (TorchScript or torch.export), an ONNX or a TFLite model; or any callable from a uint8 batch
            (n, H, W, C) to what `returns` names. What each is given its class says: `TorchOracle`, `OnnxOracle` and so
            on.
        returns: What the model answers:

            - "probabilities": real numbers, (n, K), each row summing to 1;
            - "logits": real numbers, (n, K);
            - "top_k": a pair (labels, probabilities), each (n, k): integer class ids, distinct and the likeliest first,
              and their probabilities, falling;
            - "top_1": a pair (labels, probabilities), each (n,): the likeliest class and its probability;
            - "label": integer class ids, (n,).

            None: "logits" of a torch or flax module, the most that an estimator tells, "probabilities" of others. All
            but functions and estimators return one of the first two; `top_k`, `top_1` and `label_only` show less.
        preprocess: What keras.applications calls `preprocess_input`: applied to the batch as float32, 0..255,
            before the model sees it. The attack itself only ever sees uint8.
        tolerance: How far the probabilities of one image may sum from 1; what is shown of them may sum to so much more.
            None: 1e-3. (Of answers in float16 or bfloat16, at least what their rounding can make of them; of a .tflite
            file with an 8-bit output, whatever its rounding can make of them, unless another is given.)
        num_classes: K; needed with "top_k", "top_1" and "label", whose answers do not tell.
        k: How many classes an answer of "top_k" shows.
        mean: Of a torch, JAX or ONNX model: subtracted from x / 255.
        std: Divides what is left then.
        value_range: Of an ONNX model or an estimator: what the grey levels 0 and 255 become.
        layout: Of a torch or an ONNX model: what it takes, "NCHW" or "NHWC".
        transform: Of a torch module, as the next four: what makes its input of a uint8 batch on its device, instead of
            x / 255, mean and std.
        output: Where the scores are in what it returns; of an ONNX model the name or place of its output.
        device: Where a module lies that has no parameters.
        autocast: "bfloat16" or "float16", to run it under `torch.autocast`.
        compile: Whether and how to run it through `torch.compile`.
        static_batch: Of these models: whether every batch has the same number of rows (None: yes), so that an image's
            answer is the same whatever else is asked with it; or that number.

    Raises:
        InvalidInputError: `model` is none of these, or an argument is not as described or none that such a model takes.
    """
    given = {name: value for name, value in locals().items() if name != "model" and value is not None}
    if isinstance(model, Oracle):
        if given:
            raise InvalidInputError(
                f"an Oracle already says how it is asked; set {', '.join(given)} on the {type(model).__name__} itself"
            )
        return model
    # A class is callable too, but calling it makes a model instead of asking one.
    if isinstance(model, type):
        raise InvalidInputError(f"as_oracle needs a model, got the class {model.__name__}; pass an instance of it")
    called, adapter = _adapter_of(model, shows_all=num_classes is None)
    takes = inspect.signature(adapter).parameters
    for name in given:
        if name not in takes:
            cure = _CURES.get((name, adapter))
            raise InvalidInputError(
                f"{called} takes no {name}, got {given[name]!r:.60}{'' if cure is None else f'; {cure}'}"
            )
    make: Any = adapter
    oracle: Oracle = make(model, **given)
    return oracle


def _adapter_of(model: Any, *, shows_all: bool) -> tuple[str, type[Oracle]]:
    """Return what messages call a model of this kind, and the class of its oracle.

    Args:
        model: The model.
        shows_all: Whether nothing was declared that only answers of less than all classes need.
    """
    # Keras goes first: on its torch backend a Keras model is a torch module as well.
    if descends_from(model, "keras", "Model"):
        return "a Keras model", KerasOracle
    if descends_from(model, "torch", "Module"):
        return "a torch module", TorchOracle
    if descends_from(model, "torch", "ExportedProgram"):
        return "a torch program", TorchOracle
    if is_onnx(model):
        return "an ONNX model", OnnxOracle
    suffix = Path(model).suffix if isinstance(model, str | Path) else None
    if suffix in SUFFIXES:
        return "a torch program", TorchOracle
    if suffix == ".tflite":
        return "a .tflite file", TfliteOracle
    if is_flax(model) or (is_jitted(model) and shows_all):
        return "a JAX model", JaxOracle
    if descends_from(model, "transformers", "Pipeline"):
        raise InvalidInputError(
            "as_oracle needs a model, got a pipeline of transformers, which answers with texts; pass what is in it: "
            "dfa.from_transformers(pipeline.model, pipeline.image_processor)"
        )
    if is_sklearn(model):
        return "an estimator of scikit-learn", SklearnOracle
    if callable(model):
        return "a function", CallableOracle
    raise InvalidInputError(
        "as_oracle needs an Oracle, a model of torch, Keras, flax or scikit-learn, the path of a .pt, .onnx or .tflite "
        "file, or a function from uint8 images (n, H, W, C) to scores (n, K), got "
        f"{f'{model!r}' if isinstance(model, str | Path) else type(model).__name__}"
    )


def top_k(oracle: Any, k: int, *, num_classes: int | None = None) -> RestrictedOracle:
    """Return an oracle that shows the k likeliest classes of another and their probabilities.

    Args:
        oracle: What `as_oracle` takes, returning probabilities or logits.
        k: 1..K.
        num_classes: K, where the oracle does not declare it (a Keras model does, a torch module does not).

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
