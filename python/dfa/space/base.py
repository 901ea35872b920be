"""What every search space is: an integer box for each original, and how a vector of it becomes an input of the oracle.

The core writes rows of bytes. Of a space whose renderer lies in the core a row is the image itself; of a user's space
it is the vector, which the space turns into what the oracle is asked.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.errors import InvalidInputError
from dfa.originals import Form
from dfa.search.racos import Racos

Limits: TypeAlias = "int | _core.RadiusMap | _core.Box"
"""What the core takes: one radius for a whole image, one per coordinate, or a box with its renderer."""

Array: TypeAlias = NDArray[Any]
"""An original, or what the oracle is asked in its place: uint8 (H, W, C), but for a user's space."""


class Space(ABC):
    """A search space, before it has met the images of a run.

    Attributes:
        form: What originals are.
        moves_itself: Whether an optimizer may leave to the space what a candidate changes: `shape="own"`.
    """

    form: ClassVar[Form] = Form.IMAGES
    moves_itself: ClassVar[bool] = False

    @abstractmethod
    def bind(self, num_images: int, shape: tuple[int, ...]) -> BoundSpace:
        """Check the space against a run's originals.

        Args:
            num_images: N.
            shape: Of every original; (H, W, C) of images.

        Raises:
            InvalidInputError: The space does not fit them.
        """

    @abstractmethod
    def optimizer(self) -> Racos:
        """Return the best optimizer measured in this space."""

    def check_optimizer(self, optimizer: Racos) -> None:
        """Refuse an optimizer that makes no sense in this space.

        Raises:
            InvalidInputError: It makes none.
        """
        require_own_moves(self, optimizer)
        # An archive needs textured starts, so it is refused with them.
        if optimizer.shape == "window" or optimizer.start != "uniform":
            shape = "own" if self.moves_itself else "scattered"
            raise InvalidInputError(
                f"windows, stripes, textures and an archive lie on an image's pixels, which the integers of "
                f"{type(self).__name__} do not; its optimizer must have shape={shape!r}, start='uniform' and "
                f"archive=False, got {optimizer.shape!r}, {optimizer.start!r} and {optimizer.archive}; leave it out, "
                "or change space.optimizer() with dataclasses.replace"
            )


class BoundSpace(ABC):
    """The search spaces around the originals of one run.

    Attributes:
        size: Integers in a vector.
        row_shape: (H, W, C) of a row of bytes that the core writes.
    """

    size: int
    row_shape: tuple[int, int, int]

    @abstractmethod
    def limits(self, index: int) -> Limits:
        """Return the box of original `index` as the core takes it."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what run.json says of the space: `epsilon`, and `space` for one that is no ball."""

    @abstractmethod
    def why_broken(
        self, index: int, original: Array, shown: Array, distances: Mapping[str, float] | None
    ) -> str | None:
        """Return in what an image breaks the promise of the space, nothing if it keeps it, None if there is none.

        Args:
            index: Place of the original.
            original: The original.
            shown: What is asked in its place.
            distances: As `measure` gave them.
        """

    def base(self, original: Array) -> NDArray[np.uint8]:
        """Return what the core's renderer is given of an original: uint8, `row_shape`."""
        return original

    def show(self, rows: NDArray[np.uint8], originals: Callable[[], Array]) -> Array:
        """Return what the oracle is asked for rows of the core, (n, *row_shape).

        Args:
            rows: What the core wrote.
            originals: Gives the original of each row, (n, ...), where that is needed.

        Raises:
            SpaceError: A user's renderer failed.
        """
        return rows

    def measure(self, original: Array, shown: Array, x: NDArray[np.int16]) -> dict[str, float]:
        """Return the distances that matter in this space, by name, beside L0, L2 and L-infinity.

        Args:
            original: The original.
            shown: What is asked in its place.
            x: Its vector; empty of a ball, whose images tell it.
        """
        return {}


def require_own_moves(space: Space, optimizer: Racos) -> None:
    """Refuse an optimizer that leaves its moves to a space which has none.

    Raises:
        InvalidInputError: It does.
    """
    if optimizer.shape == "own" and not space.moves_itself:
        raise InvalidInputError(
            f"shape='own' is for spaces that move their integers themselves, as dfa.Pixels does, and "
            f"{type(space).__name__} does not; leave the optimizer out, or take another shape"
        )
