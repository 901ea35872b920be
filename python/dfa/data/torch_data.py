"""Data sets of torch: images read one by one, and what torchvision and its like know of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.data.hugging_face import class_column
from dfa.data.image_set import UNKNOWN, ImageSet, names_of_paths
from dfa.data.items import ItemImages, class_of, taken_apart
from dfa.errors import InvalidInputError
from dfa.oracle.base import descends_from

_LOOKED_AT: Final = 100
"""Items in which one is looked for that can be read, to see whether it has a label; as many as for the shape."""


def read_torch(data: Any, pixels: Callable[[Any], NDArray[Any]]) -> ImageSet:
    """Return the images of a `torch.utils.data.Dataset`, and what is known of them.

    Files are those of `samples`, classes those of `classes`. Labels are what the items hold. Those of torchvision's
    data sets, and of a `Subset` of them, are in `targets` or `labels`; elsewhere every item is read once for them,
    when the labels are asked for. An item that cannot be read has none then.

    Args:
        data: The data set.
        pixels: Makes an array of an image of it.
    """
    return ImageSet(
        ItemImages(data, pixels),
        names=_names(data),
        labels=lambda: _labels(data),
        class_names=class_names_of(data),
    )


def class_names_of(data: Any) -> list[str] | None:
    """Return what the classes of a data set are called, by `classes`, or None; of several names for one, all."""
    if _is_subset(data):
        return class_names_of(data.dataset)
    if descends_from(data, "datasets", "Dataset"):
        return class_column(data)[1]
    classes = getattr(data, "classes", None)
    if not isinstance(classes, list | tuple) or len(classes) < 2:
        return None
    names = [", ".join(each) if isinstance(each, tuple) and _is_text(each) else each for each in classes]
    return names if _is_text(names) else None


def _is_text(words: Sequence[Any]) -> bool:
    return all(isinstance(each, str) for each in words)


def _is_subset(data: Any) -> bool:
    return descends_from(data, "torch", "Subset")


def _names(data: Any) -> list[str] | None:
    paths = _paths(data)
    return None if paths is None else names_of_paths(paths)


def _paths(data: Any) -> list[str] | None:
    if _is_subset(data):
        paths = _paths(data.dataset)
        return None if paths is None else [paths[index] for index in data.indices]
    samples = getattr(data, "samples", None)
    if not isinstance(samples, list) or not samples or len(samples) != len(data):
        return None
    paths = [each[0] for each in samples if isinstance(each, tuple) and each and isinstance(each[0], str)]
    return paths if len(paths) == len(samples) else None


def _labels(data: Any) -> Any:
    known = _known_labels(data)
    if known is not None:
        return known
    for index in range(min(len(data), _LOOKED_AT)):
        item = _item(data, index)
        if item is not None and taken_apart(item)[1] is None:
            return None  # images alone
        if item is not None:
            break
    return [_label(data, index) for index in range(len(data))]


def _item(data: Any, index: int) -> Any:
    """Return an item, or None where it cannot be read; that is told when its turn comes."""
    try:
        return data[index]
    except Exception:  # a user's data set may raise anything
        return None


def _label(data: Any, index: int) -> int:
    item = _item(data, index)
    try:
        return UNKNOWN if item is None else class_of(taken_apart(item)[1])
    except InvalidInputError as error:
        raise InvalidInputError(f"image {index}: {error}") from error


def _known_labels(data: Any) -> NDArray[np.int64] | None:
    """Return the labels that are known without reading items, or None.

    Only what torchvision itself reads is believed: elsewhere an item's label may be made from what lies in `targets`.
    """
    reader = getattr(type(data).__getitem__, "__module__", "")
    if _is_subset(data):
        inner = _known_labels(data.dataset) if reader.startswith("torch.") else None
        return None if inner is None else inner[list(data.indices)]
    if not reader.startswith("torchvision.") or getattr(data, "target_transform", None) is not None:
        return None
    for name in ("targets", "labels"):
        labels = np.asarray(getattr(data, name, None))
        if labels.dtype.kind in "iu" and labels.shape == (len(data),):
            return labels.astype(np.int64)
    return None
