"""MAITE's protocols of image classification: its models as oracles, its datasets as images, and a result as a dataset.

Nothing of the package `maite` is imported: its protocols say what an object has, and not what it derives from. They do
not say which numbers images hold, so `bounds` does, everywhere the same: None where they are uint8, (C, H, W), or what
black and white are in float32, such as (0, 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_length
from dfa.data.image_set import ImageSet
from dfa.errors import InvalidInputError
from dfa.integrations.grid import Grid
from dfa.integrations.settings import ids_of_one_hot, oracle_of_floats
from dfa.oracle.base import Oracle
from dfa.oracle.raw import on_host
from dfa.results.result import Result
from dfa.types import Image

_PLACES: Final = {"get_input": 0, "get_target": 1, "get_metadata": 2}


def as_oracle(
    model: Any,
    *,
    bounds: tuple[float, float] | None = None,
    returns: str = "logits",
    num_classes: int | None = None,
) -> Oracle:
    """Return the oracle that a model makes, from a list of images (C, H, W) to class scores (K,) for each.

    Args:
        model: A MAITE `Model`. Its `index2label`, if it has one, names the classes.
        bounds: Of the float32 images that it takes; None where it takes uint8.
        returns: What it answers, "logits" or "probabilities"; "label" where its scores are to count for no more than
            the likeliest class.
        num_classes: K, with "label".

    Raises:
        InvalidInputError: An argument is not as described.
    """
    metadata = _metadata(model)
    oracle = oracle_of_floats(
        lambda batch: [np.asarray(on_host(each)) for each in model(list(batch))],
        _grid(bounds),
        _dtype(bounds),
        name=_name(model, metadata),
        returns=returns,
        num_classes=num_classes,
    )
    names = _class_names(metadata)
    oracle.class_names = None if names is None else tuple(names)
    return oracle


def as_images(dataset: Any, *, bounds: tuple[float, float] | None = None) -> ImageSet:
    """Return the images of a dataset, read when they are asked for, their labels, and what their classes are called.

    Args:
        dataset: A MAITE `Dataset`; its targets are one-hot. Of a `FieldwiseDataset`, which gives them without images,
            the ids of its items are the images' names.
        bounds: Of its images; None where they are uint8.

    Raises:
        InvalidInputError: An argument is not as described; when an image is read, it is no 8-bit image between the
            bounds.
    """
    _grid(bounds)
    number = len(dataset)
    has_ids = hasattr(dataset, "get_metadata")
    return ImageSet(
        _Images(dataset, bounds),
        names=[_id_of(dataset, index) for index in range(number)] if has_ids else None,
        labels=lambda: [_label_of(dataset, index) for index in range(number)],
        class_names=_class_names(_metadata(dataset)),
    )


class AdversarialDataset:
    """A MAITE `Dataset` of what a run found, for `maite.tasks.evaluate` and the like.

    Items keep their targets and metadata; images are as they were where nothing was found.

    Attributes:
        metadata: That of the dataset, with " (adversarial)" behind its id, or behind the name of its class.
    """

    def __init__(self, result: Result, dataset: Any, *, bounds: tuple[float, float] | None = None) -> None:
        """Stand for a dataset.

        Args:
            result: Of a run on `as_images(dataset, bounds=bounds)`.
            dataset: The MAITE `Dataset` that was attacked.
            bounds: Of its images; None where they are uint8.

        Raises:
            InvalidInputError: The result is of another number of images, or the bounds are none.
        """
        _grid(bounds)
        if as_length(dataset) != len(result.records):
            raise InvalidInputError(
                f"dataset must be the one that was attacked, of {len(result.records)} images, got {as_length(dataset)}"
            )
        metadata = _metadata(dataset)
        self.metadata = {**metadata, "id": f"{_name(dataset, metadata)} (adversarial)"}
        self._result, self._dataset, self._bounds = result, dataset, bounds

    def __len__(self) -> int:
        """Return the number of items."""
        return len(self._dataset)

    def __getitem__(self, index: int, /) -> tuple[NDArray[Any], Any, Any]:
        """Return an image (C, H, W), uint8 or float32 between the bounds, its target and its metadata."""
        found = self._result.images[index] if self._result.records[index].verified else None
        image = _Images(self._dataset, self._bounds)[index] if found is None else found
        target, metadata = (_part(self._dataset, index, name) for name in ("get_target", "get_metadata"))
        return _grid(self._bounds).values(image[None], _dtype(self._bounds))[0], target, metadata


@dataclass(frozen=True)
class _Images:
    """The images of a dataset: uint8, (H, W, C)."""

    dataset: Any
    bounds: tuple[float, float] | None

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int, /) -> Image:
        values = np.asarray(on_host(_part(self.dataset, index, "get_input")))
        if self.bounds is None and values.dtype != np.uint8:
            raise InvalidInputError(
                f"images must be uint8 where no bounds are given, got {values.dtype}; say what black and white are, "
                "such as bounds=(0, 1)"
            )
        image: Image = _grid(self.bounds).images(values[None])[0]
        return image


def _grid(bounds: tuple[float, float] | None) -> Grid:
    return Grid.of((0, 255) if bounds is None else bounds, (), channels_first=True)


def _dtype(bounds: tuple[float, float] | None) -> type[np.generic]:
    return np.uint8 if bounds is None else np.float32


def _part(dataset: Any, index: int, getter: str) -> Any:
    """Return one part of an item, alone where the dataset gives it so."""
    get = getattr(dataset, getter, None)
    return dataset[index][_PLACES[getter]] if get is None else get(index)


def _metadata(owner: Any) -> Mapping[str, Any]:
    """Return what a model or a dataset says of itself; nothing where it leaves that out.

    Raises:
        InvalidInputError: It is no mapping.
    """
    metadata = getattr(owner, "metadata", None)
    if metadata is not None and not isinstance(metadata, Mapping):
        raise InvalidInputError(
            f"metadata of {type(owner).__name__} must be a mapping, such as {{'id': 'a name'}}, got {metadata!r:.80}"
        )
    return metadata or {}


def _name(owner: Any, metadata: Mapping[str, Any]) -> str:
    return str(metadata.get("id", type(owner).__name__))


def _label_of(dataset: Any, index: int) -> int:
    """Return the class of an item.

    Raises:
        InvalidInputError: Its target is not one-hot.
    """
    target = np.asarray(on_host(_part(dataset, index, "get_target")))
    if target.ndim != 1 or not target.size:
        raise InvalidInputError(f"the target of item {index} must be one-hot, (K,), got an array of {target.shape}")
    return int(ids_of_one_hot(f"the target of item {index}", target[None])[0])


def _id_of(dataset: Any, index: int) -> str:
    """Return the id of an item.

    Raises:
        InvalidInputError: It has none.
    """
    metadata = _part(dataset, index, "get_metadata")
    if not isinstance(metadata, Mapping) or "id" not in metadata:
        raise InvalidInputError(
            f"the metadata of each item must have an id, and get_metadata({index}) of {type(dataset).__name__} gave "
            f"{metadata!r:.80}"
        )
    return str(metadata["id"])


def _class_names(metadata: Mapping[str, Any]) -> list[str] | None:
    names = metadata.get("index2label")
    is_whole = names is not None and len(names) > 1 and set(names) == set(range(len(names)))
    return [str(names[number]) for number in range(len(names))] if is_whole and names is not None else None
