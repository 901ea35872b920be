"""The model that is asked about vectors, and the oracle of images beside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.normalizers import AnyNormalizer, Vectors, checked_vectors
from dfa.errors import InvalidInputError
from dfa.oracle import KerasOracle, Oracle, ScoreKind, as_oracle
from dfa.oracle.adapters.torch_modules import device_of, dtype_of, import_torch, refuse_training
from dfa.oracle.base import descends_from, name_of
from dfa.oracle.raw import array_of, real
from dfa.types import Images

_BELOW_PROBABILITIES: Final = 2.0


class VectorOracle(Oracle):
    """A model that is asked about vectors, in the space of the attack that made them.

    Only its likeliest class is read, so it may give probabilities or logits alike.
    """

    kind = "vectors"
    takes = np.floating
    returns = ScoreKind.LOGITS

    def __init__(self, function: Callable[[Any], Any], *, name: str | None = None) -> None:
        """Wrap a function.

        Args:
            function: From vectors, float, (n, ...), in the precision they were given in, to scores (n, K): NumPy, or
                torch tensors wherever they live. It may read what it gets, and not write to it. (`torch.from_numpy`
                warns of such an array; `torch.tensor` copies it and does not.)
            name: What records call it; the function's own name by default.

        Raises:
            InvalidInputError: `function` is none.
        """
        if not callable(function) or isinstance(function, type):
            raise InvalidInputError(f"a vector oracle needs a function of a batch of vectors, got {function!r}")
        self._function = function
        self.name = name_of(function) if name is None else name

    def scores(self, images: Any) -> NDArray[Any]:
        """Return the scores of vectors, float, (n, ...), all less by one number: the order of classes stays."""
        answer = array_of(self._function(images))
        numbers = real(answer)
        # The gate takes logits only if they do not look like probabilities, which these may well be.
        return answer if numbers is None else numbers - _BELOW_PROBABILITIES


class NormalizedOracle(Oracle):
    """f = g o T: the classifier of images that a model of vectors and its normalizer make (paper, section 2.1)."""

    kind = "normalized"
    returns = ScoreKind.LOGITS

    def __init__(self, model: VectorOracle, normalizer: AnyNormalizer) -> None:
        """Put a normalizer before a model of vectors."""
        self._model = model
        self._normalizer = normalizer
        self.name = model.name

    def scores(self, images: Images) -> NDArray[Any]:
        """Return the model's scores of T of images, uint8, (n, H, W, C)."""
        return self._model.scores(checked_vectors(self._normalizer, images))


def as_vector_oracle(model: Any) -> VectorOracle:
    """Return the vector oracle that `model` stands for.

    Args:
        model: A `VectorOracle`; a torch module in eval mode, asked without gradients and on its own device; a Keras
            model that takes vectors; or any function from float vectors (n, ...) to scores (n, K), such as the
            `predict` of an ART classifier.

    Raises:
        InvalidInputError: It is none of these, or a torch module with a part in training mode.
    """
    if isinstance(model, VectorOracle):
        return model
    if descends_from(model, "keras", "Model"):
        return VectorOracle(_of_keras(KerasOracle(model)), name=str(model.name))
    if descends_from(model, "torch", "Module"):
        return VectorOracle(_of_torch(model), name=type(model).__name__)
    return VectorOracle(model)


def of_levels(oracle: Oracle, normalizer: AnyNormalizer) -> VectorOracle | None:
    """Return the vector oracle that an oracle of images implies, or None where it implies none.

    A Keras model takes float 0..255 as its images are uint8 0..255, with its normalizer inside or in `preprocess`, and
    so it takes T^-1(v) that is not rounded.
    """
    if not isinstance(oracle, KerasOracle):
        return None
    ask = _of_keras(oracle)
    return VectorOracle(lambda vectors: ask(np.asarray(normalizer.levels(vectors))), name=oracle.name)


def _of_keras(oracle: KerasOracle) -> Callable[[Any], Any]:
    return lambda values: oracle.scores(np.ascontiguousarray(values, dtype=np.float32))


def _of_torch(module: Any) -> Callable[[Any], Any]:
    refuse_training(module)

    def ask(vectors: Vectors) -> Any:
        torch = import_torch()
        batch = torch.tensor(vectors)
        # A module without parameters is given the precision that the vectors came in.
        batch = batch.to(device=device_of(torch, module, None), dtype=dtype_of(module) or batch.dtype)
        with torch.inference_mode():
            return module(batch)

    return ask


def image_and_vector_oracles(
    oracle: Any,
    vector_oracle: Any,
    claimed: ArrayLike | None,
    normalizer: AnyNormalizer,
    *,
    needs_vectors: bool = True,
) -> tuple[Oracle, VectorOracle | None]:
    """Return f, the oracle of images, and g, that of vectors, or None; see `dfa.audit`.

    Raises:
        InvalidInputError: Neither is there, both ways to judge vectors are, or none is although it is needed.
    """
    if vector_oracle is not None and claimed is not None:
        raise InvalidInputError(
            "pass vector_oracle, to ask about the vectors, or claimed, to believe the attack; not both"
        )
    model = None if vector_oracle is None else as_vector_oracle(vector_oracle)
    if oracle is None:
        if model is None:
            raise InvalidInputError("audit needs an oracle of images, or a vector_oracle to put behind the normalizer")
        return NormalizedOracle(model, normalizer), model
    images = as_oracle(oracle)
    if model is None and claimed is None:
        model = of_levels(images, normalizer)
        if model is None and needs_vectors:
            raise InvalidInputError(
                f"whether a vector is adversarial cannot be asked of {images.name!r}, which takes uint8 images; pass "
                "vector_oracle= the model that takes the attack's vectors, or claimed= a boolean per vector, the "
                "attack's own word"
            )
    return images, model
