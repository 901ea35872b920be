"""What a model of images is given, where its input is described: its layout, its type and its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.errors import InvalidInputError
from dfa.oracle.adapters.onnx_forms import CHANNELS, Tensor, check_images, told
from dfa.oracle.adapters.scaling import HOW_TO_SCALE, Scaling, check_channels
from dfa.oracle.base import Preprocess, ScoreKind


@dataclass(frozen=True)
class ImageInput:
    """From uint8 images to what a model takes.

    Attributes:
        model: What messages call the model.
        taken: Its input.
        layout: Of the input, "NCHW" or "NHWC"; None where that is not known.
        scaling: Of the grey levels, or None.
        preprocess: Instead of both: from float32 images, 0..255, to exactly what the model takes.
        is_flat: Whether the model takes each image as one row.
    """

    model: str
    taken: Tensor
    layout: str | None
    scaling: Scaling | None
    preprocess: Preprocess | None
    is_flat: bool = False

    def refuse_what_says_nothing(self, layout: str | None) -> None:
        """Refuse settings of which the model has no use.

        Args:
            layout: As the user gave it.

        Raises:
            InvalidInputError: There are some.
        """
        if self.preprocess is not None and (self.scaling is not None or layout is not None):
            raise InvalidInputError(
                "preprocess makes exactly what the model takes, and comes instead of mean, std, value_range and layout"
            )
        dtype = self.taken.dtype
        if self._takes_grey_levels and (self.preprocess is not None or self.scaling is not None):
            raise InvalidInputError(
                f"the model {self.model!r} takes {dtype}, the images' own grey levels, so there is nothing to scale; "
                "leave out mean, std, value_range and preprocess"
            )

    def check(self, shape: Sequence[int]) -> None:
        """Refuse images that the model does not take, and a model of which it is not said what numbers it takes.

        Args:
            shape: (H, W, C) of the images.

        Raises:
            InvalidInputError: Either is so.
        """
        if self.preprocess is not None:
            return
        if self.is_flat:
            self._check_flat(shape)
        else:
            check_images(shape, self.taken, self.layout, self.model)
        if self.scaling is not None:
            check_channels((self.scaling.mean, self.scaling.std), shape[-1])
        elif not self._takes_grey_levels:
            raise InvalidInputError(
                f"the model {self.model!r} takes {self.taken.kind} and does not tell what numbers; pass {HOW_TO_SCALE}"
            )

    def made(self, batch: NDArray[Any], takes: type[np.generic]) -> NDArray[Any]:
        """Return what the model takes of a batch.

        Args:
            batch: (n, H, W, C); of vectors (n, ...).
            takes: What the batch is of: uint8 if it is of images.

        Raises:
            InvalidInputError: What `preprocess`, or a space of vectors, makes is of another shape.
        """
        dtype: Any = self.taken.dtype
        if self.preprocess is not None:
            return self._fitting(np.ascontiguousarray(self.preprocess(batch.astype(np.float32)), dtype), "preprocess")
        if takes is not np.uint8:
            return self._fitting(np.ascontiguousarray(batch, dtype), "the search space")
        channels = CHANNELS["NHWC" if self.layout is None else self.layout]
        images = np.moveaxis(batch, -1, channels)
        if self.scaling is None:
            return self._flattened(np.asarray(images, dtype))
        # In half precision 255 grey levels would not be told apart before they are scaled.
        values = images.astype(np.promote_types(dtype, np.float32), order="C")
        self.scaling.apply(values, channels)
        return self._flattened(values.astype(dtype, copy=False))

    @property
    def _takes_grey_levels(self) -> bool:
        return self.taken.dtype is not None and self.taken.dtype.kind in "iu"

    def _flattened(self, values: NDArray[Any]) -> NDArray[Any]:
        return values.reshape(len(values), -1) if self.is_flat else values

    def _check_flat(self, shape: Sequence[int]) -> None:
        (wanted,) = self.taken.shape[1:]
        if wanted not in (None, int(np.prod(shape))):
            raise InvalidInputError(
                f"the model {self.model!r} takes rows of {wanted} numbers, and these images have "
                f"{'x'.join(map(str, shape))} = {int(np.prod(shape))}; resize them first, or pass preprocess="
            )

    def _fitting(self, made: NDArray[Any], maker: str) -> NDArray[Any]:
        """Return an input that something else than images made, if the model takes it."""
        if not self.taken.fits(made.shape):
            raise InvalidInputError(
                f"the model {self.model!r} takes inputs of shape {told(self.taken.shape)}, and {maker} made "
                f"{made.shape}, of {counted(len(made), 'row')}"
            )
        return made


def as_rows(answer: NDArray[Any]) -> NDArray[Any]:
    """Return an answer with one row per image where sides of length 1 are all that it has besides."""
    is_row = answer.ndim > 2 and answer[0].size == max(answer.shape[1:])
    return answer.reshape(len(answer), -1) if is_row else answer


def both_classes(answers: NDArray[Any], returns: ScoreKind) -> NDArray[Any]:
    """Return two columns of a classifier with one output per image: of p 1 - p and p, of a logit z 0 and z."""
    # In float64, where 1 - p is exact enough that no tie appears or vanishes.
    likely = answers.astype(np.float64)
    other = 1.0 - likely if returns is ScoreKind.PROBABILITIES else 0.0 * likely
    return np.concatenate([other, likely], axis=1)
