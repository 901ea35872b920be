"""The images of a run as one array again, as pipelines take them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_length
from dfa.errors import InvalidInputError, told
from dfa.results.images import ImagesByIndex
from dfa.types import ImageSequence

_CURE = "pass the images of the run: result.adversarial(images)"


def whole(
    images: ImagesByIndex, success: NDArray[np.bool_], originals: ImageSequence | NDArray[Any] | None
) -> NDArray[Any]:
    """Return adversarial images where there are some, and originals elsewhere; `Result.adversarial` says how.

    Args:
        images: The adversarial images of a run.
        success: Which of them count, (N,).
        originals: Those of the run, (N, ...).

    Raises:
        InvalidInputError: As in `Result.adversarial`.
    """
    if originals is None:
        raise InvalidInputError(f"the originals must be at hand where no adversarial image was found; {_CURE}")
    if as_length(originals) != len(images):
        raise InvalidInputError(f"originals must be the {len(images)} images of the run, got {as_length(originals)}")
    rows: list[NDArray[Any]] = []
    for index in range(len(images)):
        found = images[index] if success[index] else None
        if found is None:
            try:
                found = np.asarray(originals[index])
            except Exception as error:  # a user's sequence may raise anything
                raise InvalidInputError(
                    f"image {index} has no adversarial image, and its original cannot be read: {told(error)}; {_CURE}"
                ) from error
        if rows and (found.shape, found.dtype) != (rows[0].shape, rows[0].dtype):
            raise InvalidInputError(
                f"all images must be {rows[0].dtype} of shape {rows[0].shape} to be one array, as image 0 is, and "
                f"image {index} is {found.dtype} of shape {found.shape}; {_CURE}"
            )
        rows.append(found)
    return np.stack(rows) if rows else np.zeros((0, 0, 0, 0), np.uint8)
