"""What a surrogate says of an image: in which direction each of its values should go.

A surrogate is another model of the same classes, whose gradients can be had, or anything else that has an opinion. A
search takes it for a hint: what it says is tried, and its worth is learned from the oracle's answers.
"""

from __future__ import annotations

import functools
import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, PriorError, told
from dfa.oracle.adapters.gradients import keras_gradients, torch_gradients
from dfa.oracle.adapters.keras import KerasOracle
from dfa.oracle.adapters.torch import TorchOracle
from dfa.oracle.base import Oracle, descends_from, name_of
from dfa.oracle.choice import as_oracle
from dfa.oracle.raw import BFLOAT16, array_of, real
from dfa.types import Classes, Images

Directions = NDArray[np.float32]
"""float32, (n, H, W, C): above 0 where a value should rise, below 0 where it should fall, 0 where it matters not.

Of each image the mean absolute value is 1, or 0.
"""


@dataclass(frozen=True)
class Walk:
    """How far one goes on the surrogate alone.

    Attributes:
        steps: How many.
        size: Of each, in epsilons.
    """

    steps: int
    size: float


START: Final = Walk(12, 0.25)
FROM_BEST: Final = Walk(6, 0.4)
"""For a start, and from a candidate: enough to cross the ball and back in part."""

_LEAST: Final = (1.0, 1.0, 0.75, 0.75)
"""Of each copy of an image whose gradients are averaged, what it is shrunk to at most."""
_ROWS_PER_SHIFT: Final = 20
"""By one pixel more for so many rows a copy may be shifted, in each of four directions."""
_GREY: Final = 128.0
"""Beside a copy that is smaller than the image."""
_ROWS_OF_SMOOTHING: Final = 160
"""Rows of an image whose gradients are smoothed by a standard deviation of a pixel."""


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
        """Return where each image should go, (n, H, W, C): signs, gradients of any scale, or booleans (True: up).

        Args:
            images: uint8, (n, H, W, C).
            goals: int64, (n,): targets, or in an untargeted run the original classes, from which images should go away.
        """

    def expect(self, num_classes: int) -> None:  # noqa: B027 -- optional
        """Take note of how many classes the oracle knows.

        Raises:
            PriorError: The surrogate knows another number.
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
            given = array_of(self.directions(images, goals))
        except PriorError:
            raise
        except Exception as error:  # a user's function may raise anything
            raise PriorError(f"the prior {self.name!r} failed: {told(error)}") from error
        wanted = f"the prior {self.name!r} must return signs or gradients of shape {images.shape}"
        if given.dtype == BFLOAT16:
            given = np.asarray(real(given))
        if given.shape != images.shape or given.dtype.kind not in "fiub":
            raise PriorError(f"{wanted}, one per value of each image; got {given.dtype} of shape {given.shape}")
        if given.dtype.kind == "u":
            raise PriorError(
                f"{wanted}, below 0 where a value should fall; got {given.dtype}, which knows no sign: return booleans "
                "(True where it should rise, False where it should fall), signed integers or floats"
            )
        # Of booleans False is a direction too, and not none.
        values = np.where(given, 1.0, -1.0) if given.dtype.kind == "b" else given.astype(np.float64)
        # In one order, since sums below go by the order in memory, which may depend on who else is asked.
        values = np.ascontiguousarray(values)
        if np.isnan(values).any():
            raise PriorError(f"{wanted}, without NaN; got {int(np.isnan(values).sum())} of them")
        if np.isinf(values).any():
            raise PriorError(f"{wanted}, all finite; got {int(np.isinf(values).sum())} infinite ones")
        sizes = np.abs(values).max(axis=(1, 2, 3), keepdims=True)
        values = np.divide(values, sizes, out=np.zeros_like(values), where=sizes > 0.0)  # no sum overflows
        sizes = np.abs(values).mean(axis=(1, 2, 3), keepdims=True)
        scaled: Directions = np.divide(values, sizes, out=values, where=sizes > 0.0).astype(np.float32)
        return scaled


class FunctionPrior(Prior):
    """A function of (images, goals), as `Prior.directions` describes it."""

    kind = "function"

    def __init__(self, function: Callable[[Images, Classes], Any]) -> None:
        """Wrap a function."""
        self.name = name_of(function)
        self._function = function

    def directions(self, images: Images, goals: Classes) -> Any:
        """Return what the function does."""
        images, goals = images.view(), goals.view()
        images.flags.writeable = goals.flags.writeable = False
        return self._function(images, goals)

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of it: name and module. What the function does is not looked at."""
        function: Any = self._function
        while isinstance(function, functools.partial):
            function = function.func
        return super().describe() | {"module": getattr(function, "__module__", None)}


class ModelPrior(Prior):
    """A model whose gradients say it: those of the goal's log-odds, log p - log (1 - p), one image at a time.

    That is what the default degree measures of the oracle. Of a batch a framework gives other last bits than of one
    image, and signs would depend on who else is asked.

    What holds of one network alone is fine and fragile. So gradients are averaged over four copies of an image,
    each shifted by up to a twentieth of its shorter side, and two of them shrunk as well, to three quarters or more
    both ways, and put anywhere in grey, as is drawn anew for every image; and, of images of more than 80 rows,
    smoothed. Images of less than 20 rows are asked about as they are.

    Source:
        TI-FGSM (Dong et al., CVPR 2019) smooths as much for the same reason, and there instead of shifting. DI-FGSM
        (Xie et al., CVPR 2019) resizes at random as well, one copy a step, and only some of the time.
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
        self._num_classes: int | None = None
        if isinstance(oracle, TorchOracle):
            self._gradient = torch_gradients(oracle, self._check)
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
        return self._sign * np.stack([self._averaged(image, goal) for image, goal in pairs])

    def _averaged(self, image: NDArray[np.uint8], goal: int) -> NDArray[Any]:
        side = min(image.shape[:2])
        reach = side // _ROWS_PER_SHIFT
        if reach == 0:
            found: NDArray[Any] = self._gradient(image[np.newaxis], goal)[0]
            return found
        random = np.random.default_rng(zlib.crc32(image.tobytes()))
        views = [[_view(size, reach, least, random) for size in image.shape[:2]] for least in _LEAST]
        copies = np.stack([_seen(image, down, right) for down, right in views])
        given = self._gradient(copies, goal).astype(np.float64)
        back = [_along(each, down.T, right.T) for each, (down, right) in zip(given, views, strict=True)]
        return smoothed(np.mean(back, axis=0), round(2 * (side / _ROWS_OF_SMOOTHING) ** 2))

    def expect(self, num_classes: int) -> None:
        """Take note of how many classes the oracle knows.

        Raises:
            PriorError: The model declares another number; of one that declares none its first answer tells.
        """
        self._num_classes = num_classes
        if self._oracle.num_classes is not None:
            self._check(self._oracle.num_classes)

    def _check(self, answered: int) -> None:
        if self._num_classes not in (None, answered):
            raise PriorError(
                f"a prior must be of the oracle's classes: the prior {self.name!r} answers {answered} classes, the "
                f"oracle {self._num_classes}; pass a model of the same classes, or a function of images and goals"
            )

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


def _view(size: int, reach: int, least: float, random: np.random.Generator) -> NDArray[np.float64]:
    """Return what makes of rows or columns those of a copy, (size, size): shifted, shrunk, and put at random.

    Args:
        size: Rows or columns.
        reach: How many of them a copy may be shifted by, either way.
        least: The share of them that is left, at least.
        random: Drawn from.
    """
    shift = int(random.integers(-reach, reach + 1))
    length = int(random.integers(round(size * least), size + 1))
    start = int(random.integers(size - length + 1))
    centres = np.clip((np.arange(length) + 0.5) * size / length - 0.5, 0, size - 1)
    weights = np.zeros((size, size))
    weights[start : start + length] = np.maximum(0.0, 1.0 - np.abs(centres[:, np.newaxis] - np.arange(size)))
    return np.roll(weights, -shift, axis=1)


def _seen(image: NDArray[np.uint8], down: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return a copy of an image, (H, W, C), grey where nothing of the image is."""
    levels: NDArray[np.uint8] = np.rint(_along(image - _GREY, down, right) + _GREY).astype(np.uint8)
    return levels


def _along(values: NDArray[Any], down: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return values, (H, W, C), taken by a matrix along rows and by another along columns."""
    rows = np.tensordot(down, values, (1, 0))
    return np.tensordot(right, rows, (1, 1)).transpose(1, 0, 2)


def smoothed(values: NDArray[np.float64], times: int) -> NDArray[np.float64]:
    """Return values, (H, W, C), each the mean of itself and its neighbours with weights 1, 2, 1 both ways, so often."""
    for _ in range(times):
        for axis in (0, 1):
            wide = np.moveaxis(
                np.pad(values, [(1, 1) if axis == each else (0, 0) for each in range(3)], "edge"), axis, 0
            )
            values = np.moveaxis((wide[:-2] + 2.0 * wide[1:-1] + wide[2:]) / 4.0, 0, axis)
    return values


def follow(
    prior: Prior, images: Images, originals: Images, goals: Classes, epsilons: Images, walk: Walk
) -> NDArray[np.bool_]:
    """Return which values a few steps on the surrogate alone leave above the original, (n, H, W, C).

    Args:
        prior: The surrogate, asked about all images in one call per step.
        images: uint8, (n, H, W, C): where to go from.
        originals: uint8, (n, H, W, C): the centres of the balls.
        goals: As of `Prior.directions`.
        epsilons: uint8, broadcast to (n, H, W, C).
        walk: The steps.

    Raises:
        PriorError: The surrogate failed.

    Source:
        MI-FGSM (Dong et al., CVPR 2018), in whole grey levels, and, as the search stays at the ends of the bounds, for
        the signs of what it finds alone. GFCS (Lord et al., ICLR 2022) takes one gradient at the best candidate; its
        signs alone hardly carry over to another network, where those of several steps do.
    """
    levels = epsilons.astype(np.int16)
    centres = originals.astype(np.int16)
    low, high = np.maximum(centres - levels, 0), np.minimum(centres + levels, 255)
    step = np.maximum(1, np.rint(walk.size * levels)).astype(np.int16)
    now, momentum = images.astype(np.int16), np.zeros(images.shape, np.float32)
    for _ in range(walk.steps):
        momentum += prior.checked_directions(now.astype(np.uint8), goals)
        now = np.clip(now + step * np.sign(momentum).astype(np.int16), low, high)
    is_raised: NDArray[np.bool_] = np.where(now == centres, momentum > 0.0, now > centres)
    return is_raised
