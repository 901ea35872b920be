"""What a surrogate says of an image: in which direction each of its values should go.

A surrogate is another model of the same classes, whose gradients can be had, or anything else that has an opinion. A
search takes it for a hint: what it says is tried, and its worth is learned from the oracle's answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, PriorError, told
from dfa.oracle.adapters.gradients import keras_gradients, torch_gradients
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.base import Oracle, descends_from, name_of
from dfa.oracle.choice import as_oracle
from dfa.oracle.raw import array_of, on_host
from dfa.types import Classes, Images

Directions = NDArray[np.float32]
"""float32, (n, H, W, C): above 0 where a value should rise, below 0 where it should fall, 0 where it matters not."""

_STEPS: Final = 10
_DECAY: Final = 1.0
_STEP_SHARE: Final = 0.25
"""Steps of a start, what each leaves of the momentum, and its size in epsilons."""


class Prior(ABC):
    """What a run asks for directions.

    Attributes:
        kind: "function" or "model".
        name: What records call it.
    """

    kind: ClassVar[str]
    name: str

    @abstractmethod
    def directions(self, images: Images, goals: Classes) -> Any:
        """Return where each image should go, (n, H, W, C): numbers, of which only the signs count.

        Args:
            images: uint8, (n, H, W, C).
            goals: int64, (n,): targets, or in an untargeted run the original classes, from which images should go away.
        """

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of it, in plain JSON types; a run is resumed with a prior of the same."""
        return {"kind": self.kind, "name": self.name}

    def checked_directions(self, images: Images, goals: Classes) -> Directions:
        """Return what `directions` does, as float32.

        Raises:
            PriorError: The surrogate failed, or what it returned is no such array.
        """
        try:
            given = array_of(on_host(self.directions(images, goals)))
        except PriorError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise PriorError(f"the prior {self.name!r} failed: {told(error)}") from error
        wanted = f"the prior {self.name!r} must return signs or gradients of shape {images.shape}"
        if given.shape != images.shape or given.dtype.kind not in "fiub":
            raise PriorError(f"{wanted}, one per value of each image; got {given.dtype} of shape {given.shape}")
        values: Directions = np.sign(given.astype(np.float64) if given.dtype.kind in "ub" else given).astype(np.float32)
        if np.isnan(values).any():
            raise PriorError(f"{wanted}, without NaN; got {int(np.isnan(values).sum())} of them")
        return values


class FunctionPrior(Prior):
    """A function of (images, goals), as `Prior.directions` describes it."""

    kind = "function"

    def __init__(self, function: Callable[[Images, Classes], Any]) -> None:
        """Wrap a function."""
        self.name = name_of(function)
        self._function = function

    def directions(self, images: Images, goals: Classes) -> Any:
        """Return what the function does."""
        images = images.view()
        images.flags.writeable = False
        return self._function(images, goals)


class ModelPrior(Prior):
    """A model whose gradients say it: those of the goal's log-odds, log p - log (1 - p), one image at a time.

    That is what the default degree measures of the oracle. Of a batch a framework gives other last bits than of one
    image, and signs would depend on who else is asked.
    """

    kind = "model"

    def __init__(self, oracle: Oracle, *, is_targeted: bool) -> None:
        """Take a torch or Keras model, as `as_oracle` made it.

        Raises:
            InvalidInputError: It is of another kind.
        """
        self.name = oracle.name
        self._oracle = oracle
        self._sign = 1.0 if is_targeted else -1.0
        if isinstance(oracle, TorchOracle):
            self._gradient = torch_gradients(oracle)
        elif isinstance(oracle, KerasOracle):
            self._gradient = keras_gradients(oracle)
        else:
            raise InvalidInputError(
                "prior must be a torch module, a Keras model on tensorflow or torch, or a function from uint8 images "
                f"(n, H, W, C) and goals (n,) to signs or gradients (n, H, W, C); got {type(oracle).__name__}"
            )

    def directions(self, images: Images, goals: Classes) -> Any:
        """Return the gradients, each of its image alone."""
        pairs = zip(images, goals.tolist(), strict=True)
        return self._sign * np.concatenate([self._gradient(image[np.newaxis], goal) for image, goal in pairs])

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of it, in plain JSON types."""
        return super().describe() | {"model": self._oracle.describe(), "fingerprint": self._oracle.fingerprint()}


def as_prior(given: Any, *, is_targeted: bool) -> Prior | None:
    """Return the prior that `dfa.run` was given.

    Args:
        given: None, a torch module or a Keras model (or the oracle that `as_oracle` made of one, which says how images
            become what it takes), or a function; see `dfa.run`.
        is_targeted: Whether goals are targets.

    Raises:
        InvalidInputError: It is nothing of that.
    """
    if given is None or isinstance(given, Prior):
        return given
    is_model = descends_from(given, "keras", "Model") or descends_from(given, "torch", "Module")
    if is_model or isinstance(given, Oracle):
        return ModelPrior(as_oracle(given), is_targeted=is_targeted)
    if callable(given) and not isinstance(given, type):
        return FunctionPrior(given)
    raise InvalidInputError(
        "prior must be None, a torch module, a Keras model, or a function from uint8 images (n, H, W, C) and goals "
        f"(n,) to signs or gradients (n, H, W, C); got {given!r:.60}"
    )


def raised(directions: Directions, now: Images, originals: Images) -> NDArray[np.bool_]:
    """Return which values should be at the upper end of their bounds; where there is no direction, as it is now."""
    return np.where(directions == 0.0, now > originals, directions > 0.0)


def start(prior: Prior, original: NDArray[np.uint8], goal: int, epsilon: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return the signs of a perturbation that a few steps on the surrogate alone lead to.

    Args:
        prior: The surrogate.
        original: uint8, (H, W, C).
        goal: As of `Prior.directions`.
        epsilon: uint8, () or (H, W, C).

    Raises:
        PriorError: The surrogate failed.

    Source:
        MI-FGSM (Dong et al., CVPR 2018), in whole grey levels; and since starts lie at the ends of the bounds, only the
        signs of what it finds are used.
    """
    levels = epsilon.astype(np.int16)
    low, high = np.maximum(original - levels, 0), np.minimum(original + levels, 255)
    step = np.maximum(1, np.rint(_STEP_SHARE * levels)).astype(np.int16)
    now, momentum = original.astype(np.int16), np.zeros(original.shape, np.float32)
    goals = np.array([goal], np.int64)
    for _ in range(_STEPS):
        momentum = _DECAY * momentum + prior.checked_directions(now.astype(np.uint8)[np.newaxis], goals)[0]
        now = np.clip(now + step * np.sign(momentum).astype(np.int16), low, high)
    return np.where(now == original, momentum > 0.0, now > original)
