"""Keras 3 models as oracles, on each backend that Keras runs models with: tensorflow, jax and torch."""

from __future__ import annotations

import hashlib
import importlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, MissingDependencyError
from dfa.extras import imported
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Oracle,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    declare_all,
    name_of,
)
from dfa.oracle.raw import rounding_of
from dfa.types import Images

_BACKENDS = ("tensorflow", "jax", "torch")

_STEP = 4
"""Between one static batch size and the next: few enough compilations, and at most this much padding."""


class _Compiled(NamedTuple):
    """A model ready to be asked.

    Attributes:
        ask: From a C-contiguous host batch, (b, ...), to scores on the host, (b, K).
        wants_few_sizes: Whether each new batch size costs a compilation or a tuning run.
    """

    ask: Callable[[NDArray[Any]], NDArray[Any]]
    wants_few_sizes: bool


class KerasOracle(Oracle):
    """A Keras 3 model with one input and one output, asked in inference mode.

    Images go to the device as uint8 and become float32 there, which moves a quarter of the bytes. Where a new
    batch size costs a compilation or a tuning run (on jax, and on any accelerator), a batch is padded up to
    the nearest of a few static sizes (batch_size, a quarter of it, and so on down to 1), so that a run that
    drains does not pay for 256 rows to ask 3; on a CPU under tensorflow and torch the rows go as they are,
    which is cheaper. One output p that comes from a sigmoid is taken as two classes, 1 - p and p.

    Attributes:
        kind: "keras".
        name: The model's own name.
    """

    kind = "keras"

    def __init__(
        self,
        model: Any,
        *,
        returns: ScoreKind | str = ScoreKind.PROBABILITIES,
        preprocess: Preprocess | None = None,
        tolerance: float = DEFAULT_TOLERANCE,
    ) -> None:
        """Wrap a model.

        Args:
            model: A built `keras.Model`.
            returns: Whether its output is "probabilities" or "logits". (`dfa.top_k` and its like show less of them.)
            preprocess: What keras.applications calls `preprocess_input`: from float32, 0..255, to what the
                model takes. It runs inside the compiled function, on the device, where it can be traced there
                (those of keras.applications can), and otherwise on the host, on a float32 numpy array. Either
                way it must be a fixed function of the batch: randomness would be frozen in when traced.
            tolerance: How far the probabilities of one image may sum from 1; at least what the rounding of a float16
                or bfloat16 output can make of them.

        Raises:
            InvalidInputError: If `model` is not a built Keras 3 model with one input and one output of shape
                (batch, K), or another argument is not what it should be.
            MissingDependencyError: If Keras 3 is not installed.
        """
        self._keras = import_keras()
        _check_model(self._keras, model)
        self.returns = declare_all(returns, "a Keras model")
        self.name = str(model.name)
        outputs = _tensors(model, "outputs")
        dtype = model.compute_dtype if outputs is None else outputs[0].dtype
        self.tolerance = max(checked_tolerance(tolerance), rounding_of(dtype))
        self.num_classes = None if outputs is None else outputs[0].shape[1]
        self._is_binary = self.num_classes == 1
        if self._is_binary:
            _check_binary(model, self.returns)
            self.num_classes = 2
        self._model = model
        self._preprocess = checked_preprocess(preprocess)
        self._on_host: Preprocess | None = None
        self._compiled: dict[tuple[Any, ...], _Compiled] = {}
        self._sizes: tuple[int, ...] = ()
        self._padded: NDArray[Any] = np.empty(0, dtype=np.uint8)

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Check that the model takes such images, and choose the static batch sizes.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: If the model takes images of another shape.
        """
        expected = _input_shape(self._model)
        given: tuple[int | None, ...] | None = shape
        self._on_host = None
        if self._preprocess is not None:
            given = _traced_shape(self._keras, self._preprocess, shape)
            if given is None:
                self._on_host = self._preprocess
        # What a preprocess on the host makes of the shape shows only when it runs; Keras complains then.
        if expected is not None and given is not None and not _fits(given, expected[1:]):
            raise InvalidInputError(
                f"the model {self.name!r} takes inputs of shape {expected[1:]} and the images have {given}"
                f"{' after preprocess' if self._preprocess else ''}; resize, reshape or transpose in front "
                "of it, by a preprocess function or by layers: keras.Sequential([keras.Input(image_shape), "
                "..., model])"
            )
        fixed = None if expected is None else expected[0]
        self._sizes = static_sizes(batch_size) if fixed is None else (fixed,)

    def scores(self, images: Images) -> NDArray[Any]:
        """Return what the model answers: float32 (or float64, if the model is, or has one output), (n, K).

        Args:
            images: uint8, (n, H, W, C), 0..255.

        Raises:
            InvalidInputError: If the model has several outputs and could not be known to before.
        """
        answers = self._outputs(images)
        if not self._is_binary:
            return answers
        # In float64, where 1 - p is exact enough that no tie appears or vanishes.
        likely = answers.astype(np.float64)
        return np.concatenate([1.0 - likely, likely], axis=1)

    def _outputs(self, images: Images) -> NDArray[Any]:
        """Return the model's outputs, (n, outputs)."""
        if not self._sizes:
            self.prepare(images.shape[1:], len(images))
        if self._on_host is None:
            batch: NDArray[Any] = np.ascontiguousarray(images)
        else:
            batch = np.ascontiguousarray(self._on_host(images.astype(np.float32, order="C")))
        # Kept from run to run, since a run, its saving and the next run of the same images all prepare.
        kind = (batch.shape[1:], batch.dtype, self._on_host is None)
        if kind not in self._compiled:
            self._compiled[kind] = self._compile(batch.shape[1:], batch.dtype)
        ask, wants_few_sizes = self._compiled[kind]
        if not wants_few_sizes and _input_batch(self._model) is None:
            return ask(batch)
        answers = [ask(self._pad(rows))[: len(rows)] for rows in _chunks(batch, self._sizes[0])]
        return answers[0] if len(answers) == 1 else np.concatenate(answers)

    def fingerprint(self) -> str:
        """Return the SHA-256 of the model's weights, in their order, with dtypes and shapes."""
        digest = hashlib.sha256()
        for weight in self._model.weights:
            values = np.ascontiguousarray(self._keras.ops.convert_to_numpy(weight))
            digest.update(f"{values.dtype} {values.shape}".encode())
            digest.update(values.tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        backend = self._keras.backend.backend()
        return super().describe() | {
            "preprocess": None if self._preprocess is None else name_of(self._preprocess),
            "framework": "keras",
            "framework_version": self._keras.__version__,
            "backend": backend,
            "backend_version": importlib.import_module(backend).__version__,
        }

    def _pad(self, rows: NDArray[Any]) -> NDArray[Any]:
        """Return `rows` followed by rows of no meaning, up to the smallest static size that holds them."""
        size = min(size for size in self._sizes if size >= len(rows))
        if size == len(rows):
            return rows
        if self._padded.shape[1:] != rows.shape[1:] or self._padded.dtype != rows.dtype or len(self._padded) < size:
            # Made once and for the largest size: at 299x299x3 a new one per batch costs more than the copy.
            self._padded = np.zeros((self._sizes[0], *rows.shape[1:]), dtype=rows.dtype)
        padded = self._padded[:size]
        padded[: len(rows)] = rows
        return padded

    def _forward(self, batch: Any) -> Any:
        """Return the scores of a batch that is on the device: the part that the backends compile."""
        inputs = self._keras.ops.cast(batch, "float32")
        if self._preprocess is not None and self._on_host is None:
            inputs = self._preprocess(inputs)
        outputs = self._model(inputs, training=False)
        if isinstance(outputs, dict | list | tuple):
            raise InvalidInputError(_ONE_OUTPUT.format(name=self.name, number=len(outputs)))
        # numpy has no bfloat16, and half precision is not worth the gate's while.
        if self._keras.backend.standardize_dtype(outputs.dtype) not in ("float32", "float64"):
            outputs = self._keras.ops.cast(outputs, "float32")
        return outputs

    def _compile(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Compiled:
        """Return the model made ready, on the backend that Keras runs on."""
        match self._keras.backend.backend():
            case "tensorflow":
                return self._compile_tensorflow(shape, dtype)
            case "jax":
                return self._compile_jax()
            case _:
                return self._compile_torch()

    def _compile_tensorflow(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Compiled:
        """Return the model as one graph for every batch size."""
        tf: Any = importlib.import_module("tensorflow")

        # No XLA: on a CPU it made LeNet-1 ten times slower, and some models hold operations that it lacks. No
        # autograph: Keras runs its own models without it, and it would rewrite the errors raised within.
        signature = [tf.TensorSpec((None, *shape), dtype)]
        graph = tf.function(self._forward, input_signature=signature, autograph=False, jit_compile=False)
        # cuDNN tries its algorithms anew for every batch size.
        return _Compiled(lambda batch: graph(batch).numpy(), bool(tf.config.list_logical_devices("GPU")))

    def _compile_jax(self) -> _Compiled:
        """Return the model as a jitted pure function of its variables and the batch."""
        jax: Any = importlib.import_module("jax")

        # Every variable, those of metrics and optimizers excepted, which take no part.
        variables = [*self._model.trainable_variables, *self._model.non_trainable_variables]

        def forward(values: list[Any], batch: Any) -> Any:
            # Not stateless_call: that hands `training` to models whose call does not take it.
            with self._keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return self._forward(batch)

        # The values are arguments: as constants they would be built into every program, and folded at length.
        pure = jax.jit(forward)
        return _Compiled(lambda batch: np.asarray(pure([v.value for v in variables], batch)), True)

    def _compile_torch(self) -> _Compiled:
        """Return the model run eagerly, without gradients, on the device that holds its weights."""
        torch: Any = importlib.import_module("torch")
        weights = self._model.weights
        device = weights[0].value.device if weights else torch.device("cpu")

        def ask(batch: NDArray[Any]) -> NDArray[Any]:
            # torch warns of arrays that may not be written, so those are copied.
            tensor = torch.from_numpy(batch) if batch.flags.writeable else torch.tensor(batch)
            # Keras would otherwise move the batch to the device that it likes best.
            with torch.no_grad(), self._keras.device(str(device)):
                outputs = self._forward(tensor.to(device))
            answer: NDArray[Any] = outputs.cpu().numpy()
            return answer

        return _Compiled(ask, device.type != "cpu")


def static_sizes(batch_size: int) -> tuple[int, ...]:
    """Return the batch sizes that are worth compiling: `batch_size`, a quarter of it, and so on down to 1.

    Args:
        batch_size: The largest, 1 or more.

    Returns:
        Falling, from `batch_size` to 1.
    """
    sizes = [batch_size]
    while sizes[-1] > 1:
        sizes.append(max(1, sizes[-1] // _STEP))
    return tuple(sizes)


_ONE_OUTPUT = (
    "the model {name!r} has {number} outputs, and an oracle gives one table of scores; pick the one under "
    "attack: keras.Model(model.inputs, model.outputs[0])"
)


def import_keras() -> Any:
    """Return the module keras, of version 3 and on a backend that this module knows."""
    keras = imported("keras", "a Keras oracle needs Keras and one of its backends", "tensorflow")
    if int(keras.__version__.partition(".")[0]) < 3:
        raise MissingDependencyError(
            f"a Keras oracle needs Keras 3, found {keras.__version__}: pip install 'keras>=3', or pass a "
            "function that calls the model"
        )
    if keras.backend.backend() not in _BACKENDS:
        raise InvalidInputError(
            f"Keras runs on {keras.backend.backend()!r}, and a Keras oracle knows {', '.join(_BACKENDS)}; set "
            "KERAS_BACKEND to one of these before Keras is imported"
        )
    return keras


def _check_model(keras: Any, model: Any) -> None:
    """Refuse what is not a built Keras model with one input and one output of shape (batch, K)."""
    if not isinstance(model, keras.Model):
        raise InvalidInputError(f"a Keras oracle needs a keras.Model, got {type(model).__name__}")
    if not model.built:
        raise InvalidInputError(
            f"the model {model.name!r} has not been built, so it has no weights to attack; call it on one "
            "batch, or build it and load its weights"
        )
    inputs, outputs = _tensors(model, "inputs"), _tensors(model, "outputs")
    if inputs is not None and len(inputs) != 1:
        raise InvalidInputError(
            f"the model {model.name!r} has {len(inputs)} inputs, and an oracle has one, the image; fix the "
            "others in a function of the image, and pass that"
        )
    if outputs is not None and len(outputs) != 1:
        raise InvalidInputError(_ONE_OUTPUT.format(name=model.name, number=len(outputs)))
    if outputs is not None and len(outputs[0].shape) != 2:
        raise InvalidInputError(
            f"the model {model.name!r} must give one row of scores per image, shape (batch, K), but its "
            f"output has shape {tuple(outputs[0].shape)}"
        )


def _check_binary(model: Any, returns: ScoreKind) -> None:
    """Refuse a model of one output that is not known to be the probability of one of two classes."""
    is_sigmoid = _is_of_sigmoid(_tensors(model, "outputs"))
    if is_sigmoid and returns is ScoreKind.PROBABILITIES:
        return
    if is_sigmoid:
        raise InvalidInputError(
            f"the model {model.name!r} has one output, and that is a sigmoid's, a probability; leave out "
            f"returns={returns.value!r}"
        )
    raise InvalidInputError(
        f"the model {model.name!r} has one output, which is not known to come from a sigmoid, and an oracle gives one "
        "score per class; pass a function that returns two columns, of an output p that is a probability "
        "numpy.concatenate([1 - p, p], axis=1), and of a logit z, with returns='logits', "
        "numpy.concatenate([0 * z, z], axis=1)"
    )


def _is_of_sigmoid(outputs: list[Any] | None) -> bool:
    """Tell whether a model's symbolic output is known to be that of a sigmoid, at the end of whatever nested model."""
    if not outputs:
        return False
    operation = outputs[0]._keras_history.operation
    # Layers that end in one, and the bare function.
    activation = getattr(operation, "activation", None)
    is_sigmoid = type(operation).__name__ == "Sigmoid" or getattr(activation, "__name__", "") == "sigmoid"
    return is_sigmoid or _is_of_sigmoid(_tensors(operation, "outputs"))


def _tensors(model: Any, attribute: str) -> list[Any] | None:
    """Return a model's symbolic inputs or outputs, or None of a subclassed model, which has none."""
    tensors = getattr(model, attribute, None)
    return list(tensors) if isinstance(tensors, list | tuple) else None


def _input_shape(model: Any) -> tuple[int | None, ...] | None:
    """Return (batch, ...) of a model's input, None for any size; or None where the model does not say."""
    inputs = _tensors(model, "inputs")
    return None if inputs is None else tuple(inputs[0].shape)


def _input_batch(model: Any) -> int | None:
    """Return the one batch size that a model takes, or None where it takes any."""
    shape = _input_shape(model)
    return None if shape is None else shape[0]


def _fits(given: tuple[int | None, ...], expected: tuple[int | None, ...]) -> bool:
    """Tell whether a shape is one that is expected; None stands for any size, on either side."""
    return len(given) == len(expected) and all(
        a == b or a is None or b is None for a, b in zip(given, expected, strict=True)
    )


def _traced_shape(keras: Any, preprocess: Preprocess, shape: tuple[int, int, int]) -> tuple[int | None, ...] | None:
    """Return the shape of one preprocessed image, or None where `preprocess` cannot run on the device."""
    try:
        image = keras.KerasTensor((None, *shape), dtype="float32")
        traced = keras.layers.Lambda(preprocess, dtype="float32")(image)
    except Exception:
        # Any exception: what numpy does with a symbolic tensor differs between backends, and what is wrong
        # with the function itself shows again, and is reported, when it runs on the host.
        return None
    return tuple(traced.shape[1:]) if isinstance(traced, keras.KerasTensor) else None


def _chunks(batch: NDArray[Any], size: int) -> Iterator[NDArray[Any]]:
    """Yield the rows of a batch, at most `size` at a time."""
    for start in range(0, len(batch), size):
        yield batch[start : start + size]
