"""JAX functions and flax modules as oracles, jitted once, for batches of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import DfaError, InvalidInputError, told
from dfa.oracle.adapters.batches import BatchedOracle, Batches
from dfa.oracle.adapters.jax_models import applied, device_of, digest_of, import_jax
from dfa.oracle.adapters.scaling import check_channels, checked_statistics
from dfa.oracle.adapters.static_batch import StaticBatch
from dfa.oracle.base import (
    DEFAULT_TOLERANCE,
    Preprocess,
    ScoreKind,
    checked_preprocess,
    checked_tolerance,
    declare_all,
    name_of,
)

_FEW: Final = 2
"""Rows of the first look at a model that takes batches of any size."""


class JaxOracle(BatchedOracle):
    """A JAX model that gives one score per class, jitted, on the device that its parameters lie on.

    A model is a flax module, or a function of parameters and inputs, and is given what is usual: float32 in 0..1,
    (n, H, W, C), normalised by `mean` and `std` where these are given. A function of the images alone is given what
    every function is in dfa: uint8, (n, H, W, C), unless `mean` and `std` or `preprocess` say otherwise. Either way
    images go to the device as uint8, which moves a quarter of the bytes.

    Every batch is filled up to one size, for which the model is compiled once: on a CPU 4 to 64 rows, by the size of
    the images and whatever the run's batch size; on an accelerator the run's batch size. An image's answer is then the
    same to the bit whatever else is asked with it, so far as the model itself treats rows alike. With
    `static_batch=False` batches go as they come, and each new size is compiled anew.

    Parameters are those that the model has when it is wrapped.

    Attributes:
        kind: "jax".
        name: The function's name or the module's class, unless another is given.
    """

    kind = "jax"

    def __init__(
        self,
        model: Any,
        variables: Any = None,
        *,
        returns: ScoreKind | str | None = None,
        mean: Sequence[float] | float | None = None,
        std: Sequence[float] | float | None = None,
        preprocess: Preprocess | None = None,
        static_batch: StaticBatch = True,
        tolerance: float = DEFAULT_TOLERANCE,
        name: str | None = None,
    ) -> None:
        """Wrap a model.

        Args:
            model: A function of the images; a function of `variables` and inputs, such as
                `lambda variables, x: module.apply(variables, x, train=False)`; a `flax.nnx` module after
                `module.eval()`; a bound `flax.linen` module, or one that is not with its `variables`. JAX must be able
                to trace it.
            variables: A pytree of arrays. They are arguments of the compiled function, and no constants in it.
            returns: Whether it gives "logits" (None, of a model) or "probabilities" (None, of a function of images
                alone).
            mean: Subtracted from x / 255: one number, or one per channel. None: nothing is.
            std: Divides what is left then; likewise. Both or neither are given.
            preprocess: What makes the inputs instead, a function that JAX can trace: from float32, 0..255, to what the
                model takes. It runs on the device.
            static_batch: Whether every batch has the same number of rows (see above); a number is that number.
            tolerance: How far the probabilities of one image may sum from 1.
            name: What records call the oracle.

        Raises:
            InvalidInputError: An argument is not as described, or a part of the module is in training mode.
            MissingDependencyError: JAX is not installed.
        """
        self._jax = import_jax()
        self._model = applied(self._jax, model, variables)
        usual = ScoreKind.LOGITS if self._model.is_model else ScoreKind.PROBABILITIES
        self.returns = declare_all(usual if returns is None else returns, "a JAX model")
        self.tolerance = checked_tolerance(tolerance)
        self.name = self._model.name if name is None else name
        self._preprocess = checked_preprocess(preprocess)
        self._mean, self._std = checked_statistics(mean, std)
        if preprocess is not None and mean is not None:
            raise InvalidInputError("preprocess comes instead of mean and std; pass one or the other")
        self._device = device_of(self._jax, self._model.variables)
        self._forward = self._jax.jit(self._asked)
        self._batches = Batches(static_batch, on_cpu=self._device.platform == "cpu")

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Choose the size of batches, and look whether the model takes them and answers twice alike, on noise.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: The model does not take such images, or what it gives are no scores.
        """
        if self._batches.begin(shape, batch_size):
            if self.takes is np.uint8:
                check_channels((self._mean, self._std), shape[-1])
                self._look((self._batches.rows or min(batch_size, _FEW), *shape))
                self._batches.try_out(self._ask, self.name)
            self._batches.end()

    def fingerprint(self) -> str | None:
        """Return the SHA-256 of the variables, with their paths; None of a function without any."""
        return digest_of(self._jax, self._model.weights)

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        config = self._jax.config
        return super().describe() | {
            "mean": self._mean,
            "std": self._std,
            "preprocess": None if self._preprocess is None else name_of(self._preprocess),
            "static_batch": self._batches.static_batch,
            "device": str(self._device.device_kind),
            "x64": bool(config.jax_enable_x64),
            "matmul_precision": config.jax_default_matmul_precision,
            "framework": "jax",
            "framework_version": str(self._jax.__version__),
            "backend": str(self._device.platform),
        }

    def _ask(self, batch: NDArray[Any]) -> NDArray[Any]:
        return np.asarray(self._forward(self._model.variables, batch))

    def _asked(self, variables: Any, batch: Any) -> Any:
        """Return the scores of a batch on the device: what is compiled."""
        return self._model.apply(variables, self._normalised(batch))

    def _normalised(self, batch: Any) -> Any:
        numpy = self._jax.numpy
        if batch.dtype != numpy.uint8:
            return batch
        if self._preprocess is not None:
            return self._preprocess(batch.astype(numpy.float32))
        if self._mean is None:
            return batch.astype(numpy.float32) / 255 if self._model.is_model else batch
        mean, std = (numpy.asarray(given, dtype=numpy.float32) for given in (self._mean, self._std))
        return (batch.astype(numpy.float32) / 255 - mean) / std

    def _look(self, shape: tuple[int, ...]) -> None:
        """Trace the model for one batch."""
        batch = self._jax.ShapeDtypeStruct(shape, np.uint8)
        try:
            given = self._forward.eval_shape(self._model.variables, batch)
        except DfaError:
            raise
        except Exception as error:  # a model may raise anything
            raise InvalidInputError(
                f"the JAX model {self.name!r} must take images of shape {shape[1:]} in batches of {shape[0]}, and be "
                f"one that jax.jit can trace; it failed: {told(error)}"
            ) from error
        found = getattr(given, "shape", None)
        if found is None or len(found) != 2 or found[0] != shape[0]:
            what = f"a {type(given).__name__}" if found is None else f"shape {found}"
            raise InvalidInputError(
                f"a JAX model must give scores of shape (n, K), and {self.name!r} gives {what} for {shape[0]} images; "
                "pass a function that picks or reshapes them (of one output p per image: "
                "jax.numpy.stack([1 - p, p], 1), p of shape (n,); of one logit z: jax.numpy.stack([0 * z, z], 1))"
            )
