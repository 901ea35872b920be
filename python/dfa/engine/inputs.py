"""The originals of a run: checked, read one at a time, and named for their random streams."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.checks import as_array
from dfa.errors import InvalidInputError
from dfa.originals import Form, float_hint
from dfa.types import ImageSequence

OTHER_SHAPE: Final = "must have the shape of the first"
"""What is said of an image that has another; also whoever can resize images knows it by that."""


class Inputs:
    """The originals of a run, whatever sequence they came as; images, but for a user's search space.

    Attributes:
        num_images: N.
        form: What they are.
        shape: (H, W, C) of every image.
        dtype: uint8 of images.
    """

    def __init__(self, images: ImageSequence | Sequence[Any] | NDArray[Any], form: Form = Form.IMAGES) -> None:
        """Look at the length and at the first image; read nothing else.

        Args:
            images: uint8, (N, H, W, C), or any sequence (a list, a memory map, a lazily read folder) that gives
                uint8 (H, W, C) images of one shape.
            form: What they are to be instead.

        Raises:
            InvalidInputError: It is neither, holds no image, or its first image is not uint8 (H, W, C).
        """
        is_array = form is Form.IMAGES and isinstance(images, np.ndarray)
        if is_array and (images.dtype != np.uint8 or images.ndim != 4):  # type: ignore[union-attr]
            raise InvalidInputError(_describe_array(np.asarray(images)))
        if not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
            raise InvalidInputError(
                "images must be uint8 of shape (N, H, W, C), or a sequence of uint8 images with __len__ and "
                f"__getitem__, got {type(images).__name__}"
            )
        self.num_images = len(images)
        if self.num_images == 0:
            raise InvalidInputError("images must hold at least one image, got none")
        self._images = images
        self.form = form
        self.shape: Any = None  # a tuple of integers, three of images
        first = self.load(0)
        self.shape = first.shape
        self.dtype = first.dtype

    def load(self, index: int) -> NDArray[Any]:
        """Return a copy of image `index`: uint8, (H, W, C), C-contiguous.

        Raises:
            InvalidInputError: It cannot be read, or is not a uint8 image of the run's shape.
        """
        try:
            image = np.asarray(self._images[index])
        except Exception as error:  # a user's sequence may raise anything
            raise InvalidInputError(f"image {index} cannot be read: {type(error).__name__}: {error}") from error
        problem = self.form.why_not(image)
        if problem:
            raise InvalidInputError(f"image {index} {problem}")
        if self.shape is not None and image.shape != self.shape:
            raise InvalidInputError(
                f"image {index} {OTHER_SHAPE}, {self.shape}, got {image.shape}; attack images "
                "of another shape in a run of their own"
            )
        if self.shape is not None and image.dtype != self.dtype:
            raise InvalidInputError(f"image {index} must have the dtype of the first, {self.dtype}, got {image.dtype}")
        # A copy: a sequence may hand out the same memory for every image.
        return np.array(image, order="C")


class StreamIds:
    """Names the random stream of each image after the image, not after its place.

    So a shuffled or split set gives every image the same search. Copies of one image get different names by a
    running number, in the order in which they are read.

    Attributes:
        given: int64, (N,): the user's ids, or None.
    """

    def __init__(self, given: ArrayLike | None, num_images: int) -> None:
        """Take the user's ids, or none.

        Args:
            given: Integers of 0..2**32 - 1, (N,), or None to name images after their bytes.
            num_images: N.

        Raises:
            InvalidInputError: Ids of another kind, number or range.
        """
        self.given: NDArray[np.int64] | None = None
        self._copies: Counter[bytes] = Counter()
        if given is None:
            return
        ids = as_array(given)
        if ids.dtype.kind not in "iu" or ids.shape != (num_images,):
            raise InvalidInputError(
                f"ids must be integers of shape ({num_images},), got {ids.dtype} of shape {ids.shape}"
            )
        if int(ids.min()) < 0 or int(ids.max()) >= 2**32:
            raise InvalidInputError(f"ids must be in 0..2**32 - 1, got {ids.min()}..{ids.max()}")
        self.given = ids.astype(np.int64)

    def name(self, index: int, image: NDArray[Any]) -> int:
        """Return the id of image `index`; to be called once per image, in order."""
        if self.given is not None:
            return int(self.given[index])
        digest = hashlib.blake2b(image.tobytes(), digest_size=16).digest()
        copy = self._copies[digest]
        self._copies[digest] += 1
        named = hashlib.blake2b(digest + copy.to_bytes(8, "little"), digest_size=4).digest()
        return int.from_bytes(named, "little")


def _describe_array(images: NDArray[Any]) -> str:
    text = f"images must be uint8 of shape (N, H, W, C), got {images.dtype} of shape {images.shape}"
    if images.dtype == np.uint8 and images.ndim == 3:
        return f"{text}; pass images[..., None] for grey images (N, H, W), images[None] for one image (H, W, C)"
    return text + float_hint(images)
