"""Data sets of Hugging Face: the image column by its type, and the classes and files that it knows."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from dfa.data.depth import check_depth
from dfa.data.image_set import UNKNOWN, ImageSet, names_of_paths
from dfa.data.items import IMAGE_NAMES, LABEL_NAMES, ItemImages, labels_of, name_among
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.oracle.base import descends_from

_ROWS: Final = 256
"""Rows whose files are looked at together for their paths; the bytes of the images may come with them."""


@dataclass(frozen=True)
class EncodedImages:
    """The images of a column, each decoded by the column's own type when it is asked for.

    Attributes:
        data: The data set, its column alone, not decoded.
        column: Its name.
        feature: Its type, which decodes.
        pixels: Makes an array of a Pillow image.
    """

    data: Any
    column: str
    feature: Any
    pixels: Callable[[Any], NDArray[Any]]

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.data)

    def __getitem__(self, index: int, /) -> NDArray[Any]:
        """Return one image.

        Raises:
            InvalidInputError: There is none, it has more than 8 bits per channel, or is not of mode L or RGB.
            Exception: Whatever is raised where it cannot be decoded.
        """
        encoded = self.data[index][self.column]
        if encoded is None:
            raise InvalidInputError(f"the column {self.column!r} must hold an image, and holds None")
        _check_depth(encoded)
        return self.pixels(self.feature.decode_example(encoded))


def read_hugging_face(data: Any, pixels: Callable[[Any], NDArray[Any]]) -> ImageSet:
    """Return the images of a `datasets.Dataset`, and what is known of them.

    Images are those of its column of type `Image`, decoded as `datasets` decodes them, whatever the format is set to;
    with a transform (`set_transform`) they are what that makes. Labels are those of its column of type `ClassLabel`
    with its names, or integers of a column that is called so; with a transform that gives labels, what it gives. Files
    are the images' paths.

    Args:
        data: The data set.
        pixels: Makes an array of an image of it.

    Raises:
        InvalidInputError: It has no column of images, or several without a usual name.
    """
    columns = data.features
    image = _column(columns, "Image", IMAGE_NAMES)
    if image is None:
        types = ", ".join(f"{name} ({type(each).__name__})" for name, each in columns.items())
        raise InvalidInputError(
            f"the data set must have a column of type datasets.Image, and has {types}; files become images with "
            "data.cast_column('image', datasets.Image())"
        )
    label, class_names = class_column(data)
    encoded = _encoded(data, image)
    paths = paths_of(data)
    column = None if label is None else partial(_labels, data, label)
    images: Any
    if data.format["type"] == "custom":
        images = ItemImages(data, pixels)
        labels: Any = partial(_labels_of_rows, images, column)
    else:
        feature = columns[image]
        images, labels = EncodedImages(encoded, image, type(feature)(mode=feature.mode), pixels), column
    return ImageSet(
        images,
        names=None if paths is None else names_of_paths(paths),
        labels=labels,
        class_names=class_names,
    )


def paths_of(data: Any) -> list[str] | None:
    """Return the files of the images of a `datasets.Dataset`, if all have one."""
    column = _column(data.features, "Image", IMAGE_NAMES)
    if column is None:
        return None
    tables = _encoded(data, column).with_format("arrow")
    paths: list[str] = []
    for start in range(0, len(data), _ROWS):
        found = tables[start : start + _ROWS].flatten().column(f"{column}.path").to_pylist()
        if None in found:
            return None
        paths += found
    return paths or None


def _encoded(data: Any, column: str) -> Any:
    """Return the column of images alone, not decoded."""
    feature = data.features[column]
    return (
        data.with_format(None)
        .select_columns([column])
        .cast_column(column, type(feature)(mode=feature.mode, decode=False))
    )


def class_column(data: Any) -> tuple[str | None, list[str] | None]:
    """Return the column of a `datasets.Dataset` that holds labels, and what their classes are called; None for neither.

    Raises:
        InvalidInputError: It has several such columns without a usual name.
    """
    columns = data.features
    integers = {name: each for name, each in columns.items() if "int" in str(getattr(each, "dtype", ""))}
    label = (
        _column(columns, "ClassLabel", LABEL_NAMES)
        or name_among(LABEL_NAMES, integers)
        or name_among(LABEL_NAMES, columns)  # which is refused when labels are asked for
    )
    return label, None if label is None else getattr(columns[label], "names", None)


def refuse_other_kinds(data: Any) -> None:
    """Refuse what Hugging Face has beside a data set, with how to make one of it.

    Raises:
        InvalidInputError: It is several splits, or a stream.
    """
    if descends_from(data, "datasets", "DatasetDict") or descends_from(data, "datasets", "IterableDatasetDict"):
        splits = list(data)
        raise InvalidInputError(
            f"images must be one data set, and are the splits {', '.join(map(repr, splits))}; pass one of them, such "
            f"as images[{splits[-1] if splits else 'test'!r}]"
        )
    if descends_from(data, "datasets", "IterableDataset"):
        raise InvalidInputError(
            "images must be a data set that can be read at any place, and this one is a stream; take what is to be "
            "attacked: datasets.Dataset.from_list(list(images.take(1000)), features=images.features)"
        )


def _column(columns: Any, kind: str, names: tuple[str, ...]) -> str | None:
    """Return the one column of a type; of several the one with a usual name.

    Raises:
        InvalidInputError: There are several, and none has one.
    """
    found = [name for name, each in columns.items() if descends_from(each, "datasets", kind)]
    if len(found) <= 1:
        return found[0] if found else None
    usual = name_among(names, dict.fromkeys(found))
    if usual is None:
        raise InvalidInputError(
            f"the data set has several columns of type {kind}: {', '.join(found)}; leave the others out with "
            f"data.remove_columns([...]), or name yours {names[0]!r} with data.rename_column"
        )
    return usual


def _labels_of_rows(images: ItemImages, column: Callable[[], NDArray[np.int64]] | None) -> Any:
    """Return the labels that a transform gives; where it gives none, those of the column."""
    found = labels_of(images)
    return column() if found is None and column is not None else found


def _labels(data: Any, column: str) -> NDArray[np.int64]:
    """Return the labels of a column.

    Raises:
        InvalidInputError: They are no integers.
    """
    kind = str(getattr(data.features[column], "dtype", type(data.features[column]).__name__))
    if "int" not in kind:
        cure = f"data.class_encode_column({column!r}) makes ids of words in their alphabetical order, " * (
            kind == "string"
        )
        raise InvalidInputError(
            f"the data set's column {column!r} must hold integer class ids, and holds {kind}; {cure}pass labels=, or "
            "leave the labels out: images = dfa.data.as_images(images).without_labels()"
        )
    table = data.select_columns([column]).with_format("arrow")[:]
    labels: NDArray[np.int64] = table.column(column).cast("int64").fill_null(UNKNOWN).to_numpy()
    return labels


def _check_depth(encoded: Any) -> None:
    """Refuse more than 8 bits per channel, of which a decoder may make 8 without a word.

    Raises:
        InvalidInputError: There are more.
    """
    name, content = encoded["path"], encoded["bytes"]
    if content is not None:
        file = io.BytesIO(content)
        check_depth(PIL.Image.open(file), file, name)
    elif name is not None and "://" not in name:
        with opened(name) as found:
            check_depth(PIL.Image.open(found), found, name)
