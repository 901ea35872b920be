"""Images from words: folders and globs of image files, decoded one by one, and arrays."""

from __future__ import annotations

import glob
import itertools
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import numpy as np
import PIL
import PIL.Image
from numpy.typing import NDArray

from dfa.checks import as_text
from dfa.cli.sources.arrays import load_array
from dfa.cli.sources.depth import check_depth
from dfa.errors import InvalidInputError
from dfa.files import opened, reading
from dfa.types import Image, ImageSequence

Channels: TypeAlias = Literal["auto", "grey", "rgb"]

_SUFFIXES: Final = {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}
_GREY_MODES: Final = {"1", "L", "LA"}
_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is decoded, whatever a file's name says; a format more is a decoder more that a stranger's file may reach."""

_ORIENTATION: Final = 0x0112


@dataclass
class ImageFiles:
    """Image files as a sequence of uint8 images, each decoded when it is asked for.

    Pillow decodes; what it gives, in 8 bits, is what is attacked. An EXIF orientation is not applied, as
    `keras.utils.load_img` and torchvision's folders do not apply it either.

    Attributes:
        paths: The files, in order.
        channels: "grey" for (H, W, 1) or "rgb" for (H, W, 3).
        size: (H, W) to resize to by Pillow's bicubic filter before anything else, or None.
        turned: Files that carry an EXIF orientation, as far as they have been read.
    """

    paths: list[Path]
    channels: Literal["grey", "rgb"]
    size: tuple[int, int] | None = None
    turned: set[str] = field(default_factory=set)

    @property
    def names(self) -> list[str]:
        """Where each file lies in the folder that holds them all."""
        folder = os.path.commonpath([path.parent for path in self.paths])
        return [as_text(path.relative_to(folder).as_posix()) for path in self.paths]

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self.paths)

    def __getitem__(self, index: int, /) -> Image:
        """Return one image: uint8, (H, W, 1) or (H, W, 3).

        Raises:
            InvalidInputError: It cannot be read, or holds more than 8 bits per channel.
        """
        path = self.paths[index]
        with opened(path) as file, _decoder(file, path) as picture:
            check_depth(picture, file, as_text(path.name))
            if picture.getexif().get(_ORIENTATION, 1) != 1:
                self.turned.add(path.name)
            decoded = picture.convert("L" if self.channels == "grey" else "RGB")
        if self.size is not None and decoded.size != self.size[::-1]:
            decoded = decoded.resize(self.size[::-1], PIL.Image.Resampling.BICUBIC)
        pixels: Image = np.array(decoded, dtype=np.uint8)
        return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels

    def describe(self) -> str:
        """Return in words what is attacked."""
        kinds = sorted({path.suffix.lower().lstrip(".") for path in self.paths})
        shape = "" if self.size is None else f", resized once to {self.size[0]}x{self.size[1]}"
        return (
            f"{len(self.paths):,} files ({', '.join(kinds)}), decoded once by Pillow {PIL.__version__} to 8-bit "
            f"{'grey' if self.channels == 'grey' else 'RGB'} pixels{shape}; those pixels are attacked"
        )


@dataclass(frozen=True)
class ImageSource:
    """Images, and what is known of them beside their pixels.

    Attributes:
        images: The images.
        names: One per image: files, by where they lie in the folder that holds them all; or places in an array.
        text: What they are, in words.
    """

    images: ImageSequence | NDArray[np.uint8]
    names: list[str]
    text: str


def open_images(
    word: str,
    *,
    channels: Channels = "auto",
    size: tuple[int, int] | None = None,
    wanted: int | None = None,
    most: int | None = None,
) -> ImageSource:
    """Return the images that a word names: a folder, a glob, a .npy or a .npz file.

    Args:
        word: What names them. Files are taken in the order of their names; hidden ones are left out.
        channels: Of image files. "auto" is what the model takes, or else what the first file has.
        size: (H, W) to resize image files to.
        wanted: Channels that the model takes, if known.
        most: The most files that it may find; None for any number.

    Raises:
        InvalidInputError: It names no image, too many, or an array of another kind.
    """
    path = Path(word)
    if path.suffix in (".npy", ".npz"):
        if size is not None or channels != "auto":
            raise InvalidInputError("only image files can be resized or converted; an array is attacked as it is")
        images = load_array(path, "images")
        if images.ndim == 0:
            raise InvalidInputError(f"{word!r} must hold images (N, H, W, C), and holds a single value")
        return ImageSource(images, [str(index) for index in range(len(images))], f"{len(images):,} images of {word}")
    with reading(word):
        found = path.iterdir() if path.is_dir() else map(Path, glob.iglob(word, recursive=True))
        images_found = (each for each in found if each.suffix.lower() in _SUFFIXES and not each.name.startswith("."))
        files = sorted(itertools.islice(images_found, None if most is None else most + 1))
    if most is not None and len(files) > most:
        raise InvalidInputError(f"{word!r} must name the {most:,} images of the run, and names more")
    if not files:
        raise InvalidInputError(
            f"IMAGES must be a folder or a glob with images ({', '.join(sorted(_SUFFIXES))}), or a .npy or .npz file, "
            f"and {word!r} is none"
        )
    opened = ImageFiles(files, _channels_of_files(files[0], channels, wanted), size)
    return ImageSource(opened, opened.names, opened.describe())


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


def _channels_of_files(first: Path, channels: Channels, wanted: int | None) -> Literal["grey", "rgb"]:
    if channels != "auto":
        return channels
    if wanted in (1, 3):
        return "grey" if wanted == 1 else "rgb"
    with opened(first) as file, _decoder(file, first) as picture:
        return "grey" if picture.mode in _GREY_MODES else "rgb"


def _decoder(file: BinaryIO, path: Path) -> PIL.Image.Image:
    """Return an image that is opened and not decoded yet.

    Raises:
        InvalidInputError: It is of no format that is read here.
    """
    try:
        return PIL.Image.open(file, formats=_FORMATS)
    except PIL.UnidentifiedImageError as error:
        raise InvalidInputError(
            f"cannot read {str(path)!r}: it is none of {', '.join(_FORMATS)}, or damaged"
        ) from error
