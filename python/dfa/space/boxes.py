"""The spaces whose intervals and renderer lie in the core, each in a file of cpp/src/space/kinds: one class for each.

A class's name names the file, and its fields are the parameters.
"""

from __future__ import annotations

import dataclasses
import re
from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa import _core
from dfa.checks import MOST, is_integer
from dfa.errors import InvalidInputError
from dfa.search.objectives import LOG
from dfa.search.racos import Racos, Region
from dfa.space.ball import LinfBall
from dfa.space.base import Array, BoundSpace, Space
from dfa.space.constraints import changed, why_broken


def small_box(
    *, samples: int = 3, positives: int = 2, coordinates: int | float = 1, region: Region = "ordered"
) -> Racos:
    """Return an optimizer for a box that is no ball: RACOS with scattered coordinates and uniform values."""
    return Racos(
        samples=samples,
        positives=positives,
        shape="scattered",
        coordinates=coordinates,
        placements=1,
        values="uniform",
        region=region,
        start="uniform",
        starts=None,
        restart_after=0,
        improvements=0.0,
        archive=False,
        domain="ball",
        ties="newer",
        objective=LOG,
    )


def own_moves(share: float, halvings: tuple[int, ...]) -> Racos:
    """Return an optimizer that moves the best vector so far as the space itself says, one move at a time.

    Args:
        share: Of what there is to move, how much one move draws anew at first, in (0, 1].
        halvings: Numbers of answered candidates at which that share halves.
    """
    return replace(
        small_box(samples=1, positives=1, region="none"), shape="own", window_share=share, window_halvings=halvings
    )


@dataclass(frozen=True)
class CoreSpace(Space, ABC):
    """A space of the core. What a subclass need not say has a default here.

    Attributes:
        names: What to report the first integers of x as; the others are not reported.
    """

    names: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def kind(cls) -> str:
        """Return what the core, and the command line, call this space: `tiny_rectangles` for `TinyRectangles`."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def parameters(self, index: int) -> dict[str, int]:
        """Return what the core's definition takes, for one original."""
        return {each.name: getattr(self, each.name) for each in dataclasses.fields(self)}

    def bind(self, num_images: int, shape: tuple[int, ...]) -> BoundCoreSpace:
        """Check the space against a run's images.

        Args:
            num_images: N.
            shape: (H, W, C).

        Raises:
            InvalidInputError: A parameter is no integer, or out of the range that the images' shape leaves it.
        """
        assert len(shape) == 3
        return BoundCoreSpace(self, shape)

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space."""
        return small_box()

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the distances that matter here, by name."""
        return {name: int(value) for name, value in zip(self.names, x, strict=False)}


class BoundCoreSpace(BoundSpace):
    """A space of the core, for the images of one run."""

    def __init__(self, space: CoreSpace, shape: tuple[int, int, int]) -> None:
        """Make the box of the first image, which most spaces share among all."""
        self.row_shape = shape
        self.space = space
        self._boxes: dict[tuple[tuple[str, int], ...], _core.Box] = {}
        self.size = len(self.limits(0).low)

    def limits(self, index: int) -> _core.Box:
        """Return the box of original `index` as the core takes it."""
        parameters = self.space.parameters(index)
        name = type(self.space).__name__
        for key, value in parameters.items():
            if not is_integer(value):
                raise InvalidInputError(f"{name}: {key} must be an integer, got {value!r}")
            if abs(int(value)) > MOST:
                # The core tells the range that images leave a number, of those that it can hold.
                raise InvalidInputError(f"{name}: {key} must be at most {MOST:,}, either way, got {value!r}")
        key_of_box = tuple(parameters.items())
        if key_of_box not in self._boxes:
            try:
                self._boxes[key_of_box] = _core.Box(self.space.kind(), self.row_shape, parameters)
            except (ValueError, TypeError) as error:
                raise InvalidInputError(f"{name}, images of shape {self.row_shape}: {error}") from error
        return self._boxes[key_of_box]

    def describe(self) -> dict[str, Any]:
        """Return the kind and the parameters."""
        return {"epsilon": None, "space": {"kind": type(self.space).__name__, **_plain_fields(self.space)}}

    def why_broken(
        self, index: int, original: Array, shown: Array, distances: Mapping[str, float] | None
    ) -> str | None:
        """Hold the image to what run.json says of the space."""
        return why_broken(self.describe()["space"], index, original, shown, distances)

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Ask the space."""
        return self.space.measure(original, shown, x)


@dataclass(frozen=True)
class Pixels(CoreSpace):
    """Few pixels, each replaced by one of any colour. Reports `pixels`, how many of them differ: L0 in pixels.

    The search for several draws only colours whose channels are 0 or 255, which is where models break first, and no
    colour that the image has there already. `optimizer=dfa.Pixels(1).optimizer()` draws any.

    Attributes:
        number: Of pixels, 1..10,000.

    Examples:
        `dfa.run(oracle, images, space=dfa.Pixels(5))`; at the command line `--space pixels:number=5`.

    Source:
        Su, Vargas and Sakurai, One pixel attack for fooling deep neural networks (2019). Several pixels: Croce,
        Andriushchenko, Singh, Flammarion and Hein, Sparse-RS (2022), from which it differs in that colours are new, and
        that every second pixel goes beside another.
    """

    number: int = 1

    moves_itself: ClassVar[bool] = True

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space.

        One pixel that does nothing teaches nothing, so a search for one begins in many places, takes large steps, and
        begins anew where it has come to rest.
        """
        if is_integer(self.number) and self.number == 1:
            return replace(small_box(coordinates=3), starts=100, restart_after=512, rest_ratio=0.8)
        return own_moves(0.3, (20, 50, 200, 500))

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the number of pixels that differ."""
        return {"pixels": int(changed(original, shown).sum())}


@dataclass(frozen=True)
class Patch(CoreSpace):
    """A square of any content, anywhere in the image. Reports `pixels`, how many of them differ.

    Attributes:
        size: Pixels to a side, 1..min(H, W).

    Examples:
        `dfa.run(oracle, images, space=dfa.Patch(8))`; at the command line `--space patch:size=8`.

    Source:
        Croce, Andriushchenko, Singh, Flammarion and Hein, Sparse-RS: a versatile framework for query-efficient sparse
        black-box adversarial attacks (2022), of patches for one image.
    """

    size: int = 8

    moves_itself: ClassVar[bool] = True

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space; its contents are of corners of the colour cube."""
        return own_moves(0.3, (20, 50, 200, 500, 1_000, 2_000, 4_000))

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the number of pixels that differ."""
        return {"pixels": int(changed(original, shown).sum())}


@dataclass(frozen=True)
class Frame(CoreSpace):
    """A border of any content around the image. Reports `pixels`, how many of them differ.

    Attributes:
        width: Pixels of it at each edge, 1..min(H, W) / 2.

    Examples:
        `dfa.run(oracle, images, space=dfa.Frame(2))`; at the command line `--space frame:width=2`.

    Source:
        Croce et al., Sparse-RS (2022), of frames for one image.
    """

    width: int = 2

    moves_itself: ClassVar[bool] = True

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space; its contents are of corners of the colour cube."""
        return own_moves(0.3, (20, 50, 200, 500, 1_000, 2_000, 4_000))

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the number of pixels that differ."""
        return {"pixels": int(changed(original, shown).sum())}


@dataclass(frozen=True)
class Rectangle(CoreSpace):
    """One rectangle of one colour laid over the image. Reports its `area`, pixels.

    Attributes:
        height: The most rows, 1..H; the search chooses how many.
        width: The most columns, 1..W.
        colour: Grey level of all channels; None: any colour, which the search chooses.
    """

    height: int = 8
    width: int = 8
    colour: int | None = None

    def parameters(self, index: int) -> dict[str, int]:
        """Return the core's, in which no colour is -1."""
        return {"height": self.height, "width": self.width, "colour": -1 if self.colour is None else self.colour}

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the pixels of the rectangle that lie in the image."""
        top, left, height, width = x[:4].tolist()
        return {"area": min(height, original.shape[0] - top) * min(width, original.shape[1] - left)}


@dataclass(frozen=True)
class TinyRectangles(CoreSpace):
    """Many black rectangles laid over the image. Reports `area`, the pixels that differ.

    Attributes:
        number: Of rectangles, 1..10,000.
        size: Of each: one number of pixels for a square, or (height, width).
    """

    number: int = 10
    size: int | tuple[int, int] = 2

    def parameters(self, index: int) -> dict[str, int]:
        """Return the core's."""
        height, width = _pair(self.size)
        return {"number": self.number, "height": height, "width": width}

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space."""
        return small_box(samples=1, positives=1, coordinates=2, region="none")

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the number of pixels that differ."""
        return {"area": int(changed(original, shown).sum())}


@dataclass(frozen=True)
class Lighting(CoreSpace):
    """Brightness, contrast and, as an option, gamma: clamp(a d + b), rounded once. Reports the steps of each.

    Attributes:
        brightness: The most grey levels, either way, that b may be, 0..255.
        contrast: The most steps, either way, of a = 1 + step / 64; 0..63.
        gamma: The most steps, either way, of an exponent 1 + step / 8 of d / 255, applied first; 0..7.
    """

    brightness: int = 64
    contrast: int = 32
    gamma: int = 0

    names: ClassVar[tuple[str, ...]] = ("brightness", "contrast", "gamma")

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space."""
        return small_box(region="none")


@dataclass(frozen=True, eq=False)
class Tiled(CoreSpace):
    """A coarse perturbation, one value for each tile and channel, enlarged. Reports `tiles`, values that are not 0.

    Attributes:
        base: The ball that it lies in: epsilon of one number, or one per image.
        factor: Pixels to a tile's side, 1..max(H, W). Tiles at the lower and the right edge may be cut off.
    """

    base: LinfBall = dataclasses.field(default_factory=LinfBall)
    factor: int = 4

    def bind(self, num_images: int, shape: tuple[int, ...]) -> BoundCoreSpace:
        """Check the ball, too."""
        if not isinstance(self.base, LinfBall):
            raise InvalidInputError(f"Tiled: base must be a dfa.LinfBall, got {self.base!r}")
        assert len(shape) == 3
        ball = self.base.bind(num_images, shape)
        levels = np.array([int(each) if (each := ball.epsilon(i)).ndim == 0 else -1 for i in range(num_images)])
        if levels.min() < 0:
            raise InvalidInputError("Tiled: base must have one epsilon for a whole image, and no mask")
        return BoundCoreSpace(replace(self, base=LinfBall(levels)), shape)

    def parameters(self, index: int) -> dict[str, int]:
        """Return the core's, once bound."""
        return {"epsilon": self._epsilon(index), "factor": self.factor}

    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space."""
        return replace(small_box(samples=1, positives=1, coordinates=0.1, region="none"), values="extremes")

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the number of values that are not 0."""
        return {"tiles": int(np.count_nonzero(x))}

    def _epsilon(self, index: int) -> int:
        given: ArrayLike = self.base.epsilon
        return int(np.asarray(given).reshape(-1)[index if np.ndim(given) else 0])


@dataclass(frozen=True)
class Shift(CoreSpace):
    """The image moved by whole pixels, its edges repeated. Reports the `rows` and `columns` it was moved by.

    Attributes:
        rows: The most, up or down, 0..H-1.
        columns: The most, to a side, 0..W-1.
    """

    rows: int = 3
    columns: int = 3

    names: ClassVar[tuple[str, ...]] = ("rows", "columns")


def core_spaces() -> dict[str, type[CoreSpace]]:
    """Return the spaces of the core by their kinds, in the order of these."""
    return dict(sorted((each.kind(), each) for each in CoreSpace.__subclasses__()))


def read_space(description: Mapping[str, Any]) -> CoreSpace | None:
    """Return the space that run.json describes; None for one that it cannot describe, such as a user's."""
    fields = dict(description)
    kind = fields.pop("kind", None)
    for known in CoreSpace.__subclasses__():
        if known.__name__ == kind:
            try:
                return known(**fields | ({"base": LinfBall(fields["base"])} if "base" in fields else {}))
            except (TypeError, ValueError, OverflowError):
                return None
    return None


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    if not isinstance(size, tuple | list) or len(size) != 2:
        raise InvalidInputError(f"TinyRectangles: size must be one number or (height, width), got {size!r}")
    return size[0], size[1]


def _plain_fields(space: CoreSpace) -> dict[str, Any]:
    """Return the fields of a space; of a ball within it, its epsilon."""
    fields = {each.name: getattr(space, each.name) for each in dataclasses.fields(space)}
    return {name: value.epsilon if isinstance(value, LinfBall) else value for name, value in fields.items()}
