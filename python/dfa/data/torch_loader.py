"""A loader of torch, which can be gone through only once: its images are kept to be read again."""

from __future__ import annotations

import os
import tempfile
import warnings
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dfa.checks import as_length
from dfa.data.image_set import ImageSet
from dfa.data.items import IMAGE_NAMES, class_of, name_among, taken_apart
from dfa.data.torch_data import class_names_of, names_of
from dfa.errors import DoubtfulDataWarning, InvalidInputError, level_of_caller, told
from dfa.oracle.base import descends_from

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

    @property
    def num_bytes(self) -> int:
        """How many bytes they take, but for the last one."""
        return self._places[-1][0] if self._places else 0

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

    Warns:
        DoubtfulDataWarning: It shuffles, and nothing says by which seed; or it gives more images than fit into memory,
            and does not say how many there are.
    """
    if type(loader.sampler).__name__ == "RandomSampler" and loader.sampler.generator is None:
        text = (
            "the DataLoader shuffles without a seed: image i is not item i of its data set (records say which it is), "
            "and another run goes by another order, with other results; pass shuffle=False, or to the loader "
            "generator=torch.Generator().manual_seed(0)"
        )
        warnings.warn(DoubtfulDataWarning(text), stacklevel=level_of_caller())
    images = KeptImages()
    labels: list[int] = []
    order: list[int] = []
    is_stream = as_length(loader) is None
    for batch in _batches(loader, order):
        if is_stream and images.num_bytes > _IN_MEMORY:
            is_stream = False
            text = (
                f"the DataLoader has given {len(images):,} images by now and does not say how many there are; all of "
                "them are read and kept before the run begins, so of an endless stream give a part, such as by "
                "itertools.islice in its data set"
            )
            warnings.warn(DoubtfulDataWarning(text), stacklevel=level_of_caller())
        for item in items_of(batch) if loader.batch_sampler is not None or _is_batch(batch) else [batch]:
            try:
                image, label = taken_apart(item)
                images.append(pixels(image))
                labels.append(class_of(label))
            except InvalidInputError as error:
                raise InvalidInputError(f"image {len(images)} of the DataLoader: {error}") from error
    names = _names(loader, order, len(images))
    return ImageSet(images, names=names, labels=labels, class_names=class_names_of(loader.dataset))


def items_of(batch: Any) -> Iterator[Any]:
    """Yield the items of a batch as a `collate_fn` may make it.

    Raises:
        InvalidInputError: It holds other than one label per image, or more than images and labels.
    """
    if isinstance(batch, tuple | list) and len(batch) > 2 and getattr(batch[0], "ndim", 0) == 4:
        raise InvalidInputError(
            f"a batch of the DataLoader must be images, or (images, labels), and is {len(batch)} things; drop the "
            "others where the data set gives them, or pass labels= and the images alone"
        )
    if isinstance(batch, tuple | list) and not (_is_batch(batch) or _is_grey_batch(batch)):
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


def _is_batch(batch: Any) -> bool:
    """Tell whether something is images, with labels or without, and not one item or a list of items."""
    if isinstance(batch, Mapping):
        return _holds_images(batch.get(name_among(IMAGE_NAMES, batch)))
    if isinstance(batch, tuple | list):
        return 1 <= len(batch) <= 2 and _holds_images(batch[0])
    return _holds_images(batch)


def _is_grey_batch(batch: Sequence[Any]) -> bool:
    """Tell whether a batch is images (H, W) without their channel, and a label for each; they are refused as such."""
    axes = [getattr(each, "ndim", 0) for each in batch]
    return axes == [3, 1] and len(batch[0]) == len(batch[1])


def _holds_images(value: Any) -> bool:
    """Tell whether a value is several images."""
    if isinstance(value, list | tuple):
        return len(value) > 0 and all(
            isinstance(each, PIL.Image.Image) or getattr(each, "ndim", 0) == 3 for each in value
        )
    return getattr(value, "ndim", 0) == 4


class _Noted:
    """A sampler that notes what it says."""

    def __init__(self, sampler: Any, order: list[int]) -> None:
        """Take the sampler, and the list in which the places of items are noted."""
        self._sampler = sampler
        self._order = order

    def __len__(self) -> int:
        """Return what the sampler says."""
        return len(self._sampler)

    def __iter__(self) -> Iterator[Any]:
        """Yield what the sampler yields: places of items, or lists of them."""
        for each in self._sampler:
            self._order.extend(each if isinstance(each, tuple | list) else [each])
            yield each

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the sampler."""
        return getattr(self._sampler, name)


def _batches(loader: Any, order: list[int]) -> Iterator[Any]:
    """Yield the batches of a loader, and note in `order` which items they are of."""
    name = "sampler" if loader.batch_sampler is None else "batch_sampler"
    sampler = getattr(loader, name)
    # Who shuffles without a seed can be asked once; and a loader refuses to be given another sampler as an attribute.
    vars(loader)[name] = _Noted(sampler, order)
    try:
        yield from loader
    except Exception as error:  # of the data set, of a worker, of the user's collate_fn
        raise InvalidInputError(
            f"the DataLoader failed: {_told_by_worker(error)}; pass its dataset, loader.dataset, and an image that "
            "cannot be read costs no other its result"
        ) from error
    finally:
        vars(loader)[name] = sampler


def _told_by_worker(error: Exception) -> str:
    """Return an error in words, of one in a worker without the worker's traceback, which torch puts into them."""
    text = told(error)
    return text.strip().splitlines()[-1] if "Original Traceback" in text else text


def _names(loader: Any, order: Sequence[int], number: int) -> list[str] | None:
    """Return the files of the images; without files which items they are, if they are not the first ones in order.

    A `collate_fn` of the user's own may leave items out, or make several images of one, so of such nothing is known.
    """
    is_plain = str(getattr(loader.collate_fn, "__module__", "")).startswith("torch.")
    if not is_plain or len(order) != number or descends_from(loader.dataset, "torch", "IterableDataset"):
        return None
    names = names_of(loader.dataset)
    try:
        places = [int(place) for place in order]
        if names is not None:
            return [names[place] for place in places]
    except (TypeError, ValueError, IndexError):  # a sampler may have keys of its own
        return None
    return None if places == list(range(number)) else [f"item {place}" for place in places]
