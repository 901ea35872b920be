"""Gradients of a class's log-odds with respect to the grey levels of images, where a framework knows them."""

from __future__ import annotations

import copy
import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.adapters.torch_modules import import_torch, scores_in, tensors_of
from dfa.oracle.base import ScoreKind

Gradient = Callable[[NDArray[np.uint8], int], NDArray[Any]]
"""From uint8 (n, H, W, C) and a class to the gradient of its log-odds in each image, (n, H, W, C)."""

_TINY = 1e-30
"""Added to probabilities before their logarithm is taken."""


def torch_gradients(oracle: TorchOracle, check: Callable[[int], None]) -> Gradient:
    """Return the gradients of a torch module.

    Args:
        oracle: Of the module.
        check: Called with how many classes it answers, before one of them is taken.

    Raises:
        InvalidInputError: Its input is made by a transform of uint8 tensors, through which none flow.
    """
    torch = import_torch()
    if oracle._transform is not None:
        raise InvalidInputError(
            "a prior's images must stay differentiable, and a transform takes them as uint8; pass mean= and std=, or a "
            "module that takes images / 255 and does the rest itself"
        )
    device, is_first = oracle._device, oracle._layout == "NCHW"
    # A caller may be in inference mode, and of what is made in it nothing can be differentiated.
    with torch.inference_mode(False):
        module = _differentiable(oracle._module)
        statistics = [
            torch.tensor(given, dtype=torch.float32, device=device).reshape((-1, 1, 1) if is_first else (-1,))
            for given in (oracle._mean, oracle._std)
            if given is not None
        ]

    def gradient(image: NDArray[np.uint8], goal: int) -> NDArray[Any]:
        with torch.inference_mode(False), torch.enable_grad():
            levels = torch.tensor(image, dtype=torch.float32, device=device, requires_grad=True)
            values = levels / 255
            values = values.permute(0, 3, 1, 2) if is_first else values
            if statistics:
                values = (values - statistics[0]) / statistics[1]
            scores = scores_in(torch, module(values.to(oracle._dtype)), oracle._output, oracle.name).float()
            check(scores.shape[1])
            logits = (scores + _TINY).log() if oracle.returns is ScoreKind.PROBABILITIES else scores
            others = torch.cat([logits[:, :goal], logits[:, goal + 1 :]], dim=1)
            odds = (logits[:, goal] - torch.logsumexp(others, 1)).sum()
            # Not backward(), which would leave gradients in the module.
            found: NDArray[Any] = torch.autograd.grad(odds, levels)[0].cpu().numpy()
        return found

    return gradient


def _differentiable(module: Any) -> Any:
    """Return a module, or a copy of one that was made in inference mode, through whose parameters no gradients flow."""
    return copy.deepcopy(module) if any(each.is_inference() for _, each in tensors_of(module)) else module


def keras_gradients(oracle: KerasOracle) -> Gradient:
    """Return the gradients of a Keras model on tensorflow or torch.

    Raises:
        InvalidInputError: Keras runs on another backend, or the model has a single output.
    """
    keras = oracle._keras
    backend = keras.backend.backend()
    if backend not in ("tensorflow", "torch") or oracle._is_binary:
        raise InvalidInputError(
            "a Keras model as a prior needs the backend tensorflow or torch, and more than one output; of others pass "
            f"a function from (images, goals) to gradients (backend {backend!r}, {oracle.num_classes} classes)"
        )
    ops = keras.ops

    def odds(levels: Any, goal: Any) -> Any:
        inputs = levels if oracle._preprocess is None else oracle._preprocess(levels)
        scores = ops.cast(oracle._model(inputs, training=False), "float32")
        logits = ops.log(scores + _TINY) if oracle.returns is ScoreKind.PROBABILITIES else scores
        chosen = ops.one_hot(ops.reshape(goal, (1,)), logits.shape[-1], dtype="float32")
        own = ops.sum(logits * chosen, axis=-1)
        return own - ops.logsumexp(logits - 1e9 * chosen, axis=-1)

    if backend == "torch":
        torch: Any = importlib.import_module("torch")

        def by_torch(image: NDArray[np.uint8], goal: int) -> NDArray[Any]:
            with torch.inference_mode(False), torch.enable_grad():
                levels = ops.cast(ops.convert_to_tensor(image), "float32").requires_grad_(True)
                value = ops.sum(odds(levels, ops.convert_to_tensor(goal)))
                found: NDArray[Any] = torch.autograd.grad(value, levels)[0].cpu().numpy()
            return found

        return by_torch
    tf: Any = importlib.import_module("tensorflow")

    @tf.function(autograph=False, jit_compile=False, reduce_retracing=True)  # type: ignore[untyped-decorator]
    def graph(image: Any, goal: Any) -> Any:
        levels = tf.cast(image, tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(levels)
            value = odds(levels, goal)
        return tape.gradient(value, levels)

    return lambda image, goal: graph(tf.constant(image), tf.constant(goal)).numpy()
