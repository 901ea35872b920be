"""A loader of torch, which can be gone through only once: its images are kept to be read again."""

from __future__ import annotations

import os
import tempfile
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dfa.data.image_set import ImageSet
from dfa.data.items import class_of, taken_apart
from dfa.data.torch_data import class_names_of, read_torch
from dfa.errors import InvalidInputError, told

_IN_MEMORY: Final = 2**28
"""Bytes that are kept in memory; more go to a file."""


class KeptImages:
    """Images kept as they came, to be read again: in memory while they are few, then in a file without a name."""

    def __init__(self) -> None:
        """Begin with none."""
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 -- closed with its owner
        self._places: list[tuple[int, tuple[int, ...], np.dtype[Any]]] = []
        weakref.finalize(self, self._file.close)

    def append(self, image: NDArray[Any]) -> None:
        """Keep one more."""
        place = self._file.seek(0, os.SEEK_END)
        self._file.write(image.tobytes())
        self._places.append((place, image.shape, image.dtype))

    def __len__(self) -> int:
        """Return their number."""
        return len(self._places)

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """Return one of them."""
        place, shape, dtype = self._places[index]
        self._file.seek(place)
        return np.frombuffer(self._file.read(int(np.prod(shape)) * dtype.itemsize), dtype).reshape(shape)


def read_loader(loader: Any, pixels: Callable[[Any], NDArray[Any]]) -> ImageSet:
    """Return the images that a `torch.utils.data.DataLoader` gives, in its order, gone through once here.

    Args:
        loader: Its batches are (images, labels), images alone, dicts of them, or lists of items.
        pixels: Makes an array of an image of it.

    Raises:
        InvalidInputError: It fails, gives no images, or an image that is none.
    """
    images = KeptImages()
    labels: list[int] = []
    for batch in _batches(loader):
        for item in [batch] if loader.batch_sampler is None else items_of(batch):
            try:
                image, label = taken_apart(item)
                images.append(pixels(image))
                labels.append(class_of(label))
            except InvalidInputError as error:
                raise InvalidInputError(f"image {len(images)} of the DataLoader: {error}") from error
    return ImageSet(
        images, names=_names(loader, len(images)), labels=labels, class_names=class_names_of(loader.dataset)
    )


def items_of(batch: Any) -> Iterator[Any]:
    """Yield the items of a batch as a `collate_fn` may make it.

    Raises:
        InvalidInputError: It holds other than one label per image.
    """
    is_list = isinstance(batch, tuple | list)
    if is_list and not (len(batch) <= 2 and len(batch) > 0 and _holds_images(batch[0])):
        yield from batch  # of items, as they are
        return
    images, labels = taken_apart(batch)
    if labels is None:
        yield from images
        return
    if len(images) != len(labels):
        raise InvalidInputError(
            f"a batch of the DataLoader must hold one label per image, got {len(labels)} for {len(images)} images"
        )
    yield from zip(images, labels, strict=True)


def _holds_images(value: Any) -> bool:
    """Tell whether a value is several images."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(
            isinstance(each, PIL.Image.Image) or getattr(each, "ndim", 0) == 3 for each in value
        )
    return getattr(value, "ndim", 0) == 4


def _batches(loader: Any) -> Iterator[Any]:
    try:
        yield from loader
    except Exception as error:  # of the data set, of a worker, of the user's collate_fn
        raise InvalidInputError(
            f"the DataLoader failed: {told(error)}; pass its dataset, loader.dataset, and an image that cannot be read "
            "costs no other its result"
        ) from error


def _names(loader: Any, number: int) -> Sequence[str] | None:
    """Return the files of a loader that goes through its data set from the beginning, as far as it goes."""
    in_order = type(loader.sampler).__name__ == "SequentialSampler" and (
        loader.batch_sampler is None or type(loader.batch_sampler).__name__ == "BatchSampler"
    )
    if not in_order:
        return None
    names = read_torch(loader.dataset, np.asarray).names
    return None if names is None else names[:number]
