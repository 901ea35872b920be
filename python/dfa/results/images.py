"""Images by index, in memory while they are small, of whatever number."""

from __future__ import annotations

import math
import tempfile
import threading
import weakref
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np

from dfa.errors import InvalidInputError, StoreError
from dfa.originals import Form
from dfa.types import Image


class ImagesByIndex(Sequence["Image | None"]):
    """Images by index, where index i may have none: uint8, (H, W, C), or None."""

    @abstractmethod
    def held(self) -> list[int]:
        """Return the indices that have an image, ascending."""

    @abstractmethod
    def _read(self, index: int) -> Image | None:
        """Return image `index`, in 0..N-1, or None."""

    @overload
    def __getitem__(self, index: int) -> Image | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[Image | None]: ...

    def __getitem__(self, index: int | slice) -> Image | list[Image | None] | None:
        """Return image `index`, or None where there is none; a list of such for a slice."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        return self._read(self._checked(index))

    def __repr__(self) -> str:
        """Return how many of how many images there are."""
        return f"{type(self).__name__}({len(self.held())} of {len(self)})"

    def _checked(self, index: int) -> int:
        number = len(self)
        if not -number <= index < number:
            # An IndexError, because it ends iteration over a sequence.
            raise IndexError(f"the image index must be in {-number}..{number - 1}, got {index}")
        return int(index) % number


class AdversarialImages(ImagesByIndex):
    """The adversarial images of a run, by index: uint8, (H, W, C), or None where image i has none.

    The images lie in one temporary file that stays in memory while it is small, so memory does not grow with
    the number of images. Reading one gives a copy that the caller may change.
    """

    def __init__(
        self,
        num_images: int,
        *,
        form: Form = Form.IMAGES,
        memory_limit: int = 128 * 2**20,
        folder: str | Path | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            num_images: N, the images of the run.
            form: What they are, if they are no images.
            memory_limit: Bytes to keep in memory before moving to disk, at least 1.
            folder: Where the temporary file goes then; None for the system's folder for such files.

        Raises:
            InvalidInputError: `num_images` is negative, or `memory_limit` below 1.
        """
        if num_images < 0:
            raise InvalidInputError(f"num_images must be 0 or more, got {num_images}")
        if memory_limit < 1:
            # A limit of 0 would mean "no limit" to the file underneath.
            raise InvalidInputError(f"memory_limit must be at least 1 byte, got {memory_limit}")
        self._slots = np.full(num_images, -1, dtype=np.int64)
        self._num_held = 0
        self._form = form
        self._shape: tuple[int, ...] | None = None
        self._dtype = np.dtype(np.uint8)
        # Opened here and closed with this object: results outlive any `with` block.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=memory_limit, mode="w+b", dir=None if folder is None else str(folder)
        )
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def put(self, index: int, image: Image) -> None:
        """Keep a copy of the adversarial image of image `index`, instead of any kept before.

        Raises:
            InvalidInputError: No such index, or `image` is not uint8 (H, W, C) of the shape of the others.
            StoreError: The temporary file cannot grow.
        """
        index = self._checked(index)
        problem = self._form.why_not(image)
        if problem:
            raise InvalidInputError(f"an adversarial image {problem}")
        if self._shape is None:
            self._shape, self._dtype = image.shape, image.dtype
        if image.shape != self._shape or image.dtype != self._dtype:
            raise InvalidInputError(
                f"all images of a run must have one shape, here {self._shape}, got {image.shape}"
                + (f" of {image.dtype} instead of {self._dtype}" if image.dtype != self._dtype else "")
            )
        with self._lock:
            slot = int(self._slots[index])
            if slot < 0:
                slot = self._num_held
            try:
                self._file.seek(slot * image.nbytes)
                self._file.write(image.tobytes())
            except OSError as error:
                raise StoreError(
                    f"cannot keep adversarial image {index} in a temporary file: {error}; make room there, "
                    "or choose another folder for temporary files (environment variable TMPDIR)"
                ) from error
            self._num_held = max(self._num_held, slot + 1)
            self._slots[index] = slot

    def held(self) -> list[int]:
        """Return the indices that have an adversarial image, ascending."""
        return [int(index) for index in np.flatnonzero(self._slots >= 0)]

    def __len__(self) -> int:
        """Return N, the number of images of the run, with an adversarial image or not."""
        return len(self._slots)

    def _read(self, index: int) -> Image | None:
        slot = int(self._slots[index])
        if slot < 0 or self._shape is None:
            return None
        size = math.prod(self._shape) * self._dtype.itemsize
        with self._lock:
            self._file.seek(slot * size)
            stored = self._file.read(size)
        image: Image = np.frombuffer(stored, dtype=self._dtype).reshape(self._shape).copy()
        return image
