"""What every oracle is: a black box from uint8 images to one score per class."""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from dfa.errors import InvalidInputError
from dfa.types import Images

DEFAULT_TOLERANCE: Final = 1e-3
"""How far the probabilities of one image may sum from 1, unless the user says otherwise."""

Preprocess: TypeAlias = Callable[[Any], Any]
"""What keras.applications calls `preprocess_input`: float32 (B, H, W, C), 0..255, to what the model takes."""


class ScoreKind(Enum):
    """What the scores of an oracle are."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"

    @classmethod
    def of(cls, value: ScoreKind | str) -> ScoreKind:
        """Return the kind that `value` names.

        Raises:
            InvalidInputError: If `value` names none.
        """
        try:
            return cls(value)
        except ValueError:
            raise InvalidInputError(
                f"returns must be one of {', '.join(repr(kind.value) for kind in cls)}, got {value!r}"
            ) from None


class Oracle(ABC):
    """A classifier that is asked for scores and never looked into.

    A subclass gives `scores`, and says what they are in `returns`. The normalizer belongs to the oracle: the
    attack sees uint8 images only. Counting, timing and checking are the gate's work, so an oracle does none
    of it.

    Attributes:
        kind: What sort of oracle records say this is.
        takes: The scalar type of its batches: uint8, except of an oracle that is asked about an attack's vectors.
        name: What records and messages call it.
        returns: What `scores` gives.
        tolerance: How far the probabilities of one image may sum from 1.
    """

    kind: ClassVar[str] = "custom"
    takes: ClassVar[type[np.generic]] = np.uint8
    name: str = "oracle"
    returns: ScoreKind = ScoreKind.PROBABILITIES
    tolerance: float = DEFAULT_TOLERANCE

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:  # noqa: B027 -- optional
        """Get ready for a run; called once before it, and not counted as a query.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: If the oracle cannot take such images.
        """

    @abstractmethod
    def scores(self, images: Images) -> Any:
        """Return the scores of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255, n at most the batch size given to `prepare`. It belongs to
                the caller, who reuses its memory: it is not to be changed, nor kept.

        Returns:
            Anything `numpy.asarray` takes: real numbers, (n, K), of the kind that `returns` names.
        """

    def taking(self, scalar: type[np.generic]) -> Oracle:
        """Return this oracle of uint8 as one of batches of another scalar type, for spaces whose inputs are no images.

        One that says itself what it takes is returned as it is.
        """
        if self.takes is scalar or self.takes is not np.uint8:
            return self
        other = copy.copy(self)
        other.takes = scalar  # type: ignore[misc]
        return other

    def fingerprint(self) -> str | None:
        """Return what names the model's parameters, the same in every process, or None where nothing does."""
        return None

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return {
            "kind": self.kind,
            "name": self.name,
            "returns": self.returns.value,
            "tolerance": self.tolerance,
        }


def checked_tolerance(tolerance: float) -> float:
    """Return `tolerance` if it is one.

    Raises:
        InvalidInputError: If it is not a finite number of 0 or more.
    """
    if not isinstance(tolerance, int | float) or not (0 <= tolerance < math.inf):
        raise InvalidInputError(
            f"tolerance must be a finite number of 0 or more, the distance allowed between 1 and a sum of "
            f"probabilities, got {tolerance!r}"
        )
    return float(tolerance)


def checked_preprocess(preprocess: Preprocess | None) -> Preprocess | None:
    """Return `preprocess` if it is a function or None.

    Raises:
        InvalidInputError: If it is neither.
    """
    if preprocess is not None and not callable(preprocess):
        raise InvalidInputError(
            "preprocess must be a function of a float32 batch, such as keras.applications' preprocess_input, "
            f"got {preprocess!r}"
        )
    return preprocess


def name_of(function: object) -> str:
    """Return what to call a function or a callable object."""
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def descends_from(model: object, package: str, class_name: str) -> bool:
    """Tell whether `model` descends from a class of a package, without importing the package to find out."""
    return any(
        base.__name__ == class_name and base.__module__.partition(".")[0] == package for base in type(model).__mro__
    )
