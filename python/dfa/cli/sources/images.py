"""Images from words: folders and globs of image files, decoded one by one, and arrays."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.data.arrays import has_array, load_array
from dfa.data.folders import open_folder
from dfa.data.image_files import Channels, open_files
from dfa.data.image_set import ImageSet
from dfa.data.parts import Part, side_by_side
from dfa.errors import InvalidInputError
from dfa.types import ImageSequence

FOLDERS: Final = "folders"
"""The word for labels that says that images lie in a folder for each class."""


@dataclass(frozen=True)
class ImageSource:
    """Images, and what is known of them beside their pixels.

    Attributes:
        images: The images.
        names: One per image: files, by where they lie in the folder that holds them all; or places in an array.
        text: What they are, in words.
        notes: What was left out, in words.
        has_labels: The file that holds them holds labels as well.
        folders: The images with the labels and class names of their folders, if these are the labels; else None.
    """

    images: ImageSequence | NDArray[np.uint8]
    names: list[str]
    text: str
    notes: tuple[str, ...] = ()
    has_labels: bool = False
    folders: ImageSet | None = None

    @property
    def class_names(self) -> list[str] | None:
        """What the folders' classes are called, if these are the labels."""
        return None if self.folders is None else self.folders.class_names

    def part(self, part: Part) -> ImageSource:
        """Return the images of a part of these."""
        places = part.places
        images = side_by_side(self.images, places)
        return replace(self, images=images, names=self.names[places.start : places.stop])


def open_images(
    word: str,
    *,
    labels: str | None = None,
    class_names: Sequence[str] | None = None,
    channels: Channels = "auto",
    size: tuple[int, int] | None = None,
    wanted: int | None = None,
    most: int | None = None,
) -> ImageSource:
    """Return the images that a word names: a folder, a glob, a .npy or a .npz file.

    Args:
        word: What names them. Files are taken in the order of their names; hidden ones are left out.
        labels: `FOLDERS` where the word is a folder with a folder for each class.
        class_names: Of the model, as which the folders are called then; or None.
        channels: Of image files. "auto" is what the model takes, or else what the first file has that can be read.
        size: (H, W) to resize image files to.
        wanted: Channels that the model takes, if known.
        most: The most files that it may find; None for any number.

    Raises:
        InvalidInputError: It names no image, too many, or an array of another kind.
    """
    path = Path(word)
    if labels == FOLDERS:
        if not path.is_dir():
            raise InvalidInputError(
                f"--labels {FOLDERS} needs a folder with a folder for each class as IMAGES, and {word!r} is none; a "
                f"file of labels that is called so is ./{FOLDERS}"
            )
        folders = open_folder(path, class_names, channels, size, wanted=wanted, most=most)
        files = folders.images
        return ImageSource(files, files.names, files.describe(), folders=folders)
    if path.suffix in (".npy", ".npz"):
        if size is not None or channels != "auto":
            raise InvalidInputError("only image files can be resized or converted; an array is attacked as it is")
        images = load_array(path, "images")
        if images.ndim == 0:
            raise InvalidInputError(f"{word!r} must hold images (N, H, W, C), and holds a single value")
        return ImageSource(
            images,
            [str(index) for index in range(len(images))],
            f"{counted(len(images), 'image')} of {word}",
            has_labels=has_array(path, "labels"),
        )
    files, notes = open_files(word, channels, size, wanted=wanted, most=most)
    return ImageSource(files, files.names, files.describe(), notes)


def tell_unused_labels(source: ImageSource, word: str, labels: str | None) -> list[str]:
    """Return what to say where the images' file holds labels, and none are asked for."""
    if labels is not None or not source.has_labels:
        return []
    return [f"{word} also holds labels, which are not used; --labels {shlex.quote(word)} uses them"]


def parse_size(word: str | None) -> tuple[int, int] | None:
    """Return (H, W) from `HxW` or `H`.

    Raises:
        InvalidInputError: It is neither.
    """
    if word is None:
        return None
    sides = word.lower().split("x")
    if not 1 <= len(sides) <= 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise InvalidInputError(f"the size must be HEIGHTxWIDTH, such as 224x224, got {word!r}")
    return int(sides[0]), int(sides[-1])
