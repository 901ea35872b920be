"""Data sets of torch: images read one by one, and what torchvision and its like know of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from dfa.data.hugging_face import class_column, paths_of
from dfa.data.image_set import ImageSet, names_of_paths
from dfa.data.items import ItemImages, labels_of
from dfa.oracle.base import descends_from

_Value = TypeVar("_Value")


def read_torch(data: Any, pixels: Callable[[Any], NDArray[Any]]) -> ImageSet:
    """Return the images of a `torch.utils.data.Dataset`, and what is known of them.

    Classes are those of `classes`. Labels are what the items hold. Where torchvision itself reads the items, and not a
    class of the user's own, they are in its lists, and the files of its folders likewise; so in a `Subset` or a
    `ConcatDataset` of such. Elsewhere every item is read once for its label, when the labels are asked for.

    Args:
        data: The data set.
        pixels: Makes an array of an image of it.
    """
    images = ItemImages(data, pixels)
    return ImageSet(
        images,
        names=names_of(data),
        labels=lambda: _labels(data, images),
        class_names=class_names_of(data),
    )


def class_names_of(data: Any) -> list[str] | None:
    """Return what the classes of a data set are called, by `classes`, or None; of several names for one, all."""
    if _is_subset(data):
        return class_names_of(data.dataset)
    if _is_concatenated(data):
        names, *others = [class_names_of(part) for part in data.datasets]
        return names if all(each == names for each in others) else None
    if descends_from(data, "datasets", "Dataset"):
        return class_column(data)[1]
    classes = getattr(data, "classes", None)
    if not isinstance(classes, list | tuple) or len(classes) < 2:
        return None
    names = [", ".join(each) if isinstance(each, tuple) and _is_text(each) else each for each in classes]
    return names if _is_text(names) else None


def names_of(data: Any) -> list[str] | None:
    """Return where the files of a data set lie in the folder that holds them all, or None."""
    paths = _paths(data)
    return None if paths is None else names_of_paths(paths)


def _is_text(words: Sequence[Any]) -> bool:
    return all(isinstance(each, str) for each in words)


def _is_subset(data: Any) -> bool:
    return descends_from(data, "torch", "Subset")


def _is_concatenated(data: Any) -> bool:
    return descends_from(data, "torch", "ConcatDataset")


def _reader(data: Any) -> str:
    """Return the module that reads the items: what lies in a data set's lists is believed only of who reads them."""
    return str(getattr(type(data).__getitem__, "__module__", ""))


def _paths(data: Any) -> list[str] | None:
    if descends_from(data, "datasets", "Dataset"):
        return paths_of(data)
    if _reader(data).startswith("torch.") and _is_subset(data):
        return _chosen(_paths(data.dataset), data.indices)
    if _reader(data).startswith("torch.") and _is_concatenated(data):
        return _joined([_paths(part) for part in data.datasets])
    samples = _samples(data)
    return None if samples is None else [os.fspath(path) for path, _ in samples]


def _samples(data: Any) -> list[tuple[str, Any]] | None:
    """Return the files and labels that a folder of torchvision reads its items by, or None."""
    samples = getattr(data, "samples", None)
    if _reader(data) != "torchvision.datasets.folder" or not isinstance(samples, list) or not samples:
        return None
    is_whole = all(
        isinstance(each, tuple | list) and len(each) == 2 and isinstance(each[0], str | os.PathLike) for each in samples
    )
    return samples if is_whole else None


def _chosen(values: list[_Value] | None, indices: Any) -> list[_Value] | None:
    """Return the values of a `Subset`, None if one is of no item."""
    try:
        return None if values is None else [values[int(index)] for index in indices]
    except (IndexError, TypeError, ValueError):
        return None


def _joined(parts: list[list[_Value] | None]) -> list[_Value] | None:
    known = [each for part in parts if part is not None for each in part]
    return None if None in parts else known


def _labels(data: Any, images: ItemImages) -> list[int] | None:
    known = _known_labels(data)
    if known is not None:
        return known
    starts = [0, *data.cumulative_sizes[:-1]] if _is_concatenated(data) else []
    return labels_of(images, starts)


def _known_labels(data: Any) -> list[int] | None:
    """Return the labels that are known without reading items, or None."""
    reader = _reader(data)
    if reader.startswith("torch.") and _is_subset(data):
        return _chosen(_known_labels(data.dataset), data.indices)
    if reader.startswith("torch.") and _is_concatenated(data):
        return _joined([_known_labels(part) for part in data.datasets])
    if not reader.startswith("torchvision.") or getattr(data, "target_transform", None) is not None:
        return None
    samples = _samples(data)  # by which items are read: `targets` is another list, which stays as it was
    found = [getattr(data, name, None) for name in ("targets", "labels")]
    for each in found if samples is None else [[label for _, label in samples]]:
        try:
            labels = np.asarray(each)
        except ValueError:  # of other things under that name, of different lengths
            continue
        if labels.dtype.kind in "iu" and labels.shape == (len(data),):
            return [int(label) for label in labels]
    return None
