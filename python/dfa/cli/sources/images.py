"""Images from words: folders and globs of image files, decoded one by one, and arrays."""

from __future__ import annotations

import contextlib
import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import numpy as np
import PIL
import PIL.Image
from numpy.typing import NDArray

from dfa.checks import as_text, counted
from dfa.cli.sources.arrays import has_array, load_array
from dfa.cli.sources.depth import check_depth
from dfa.cli.sources.paths import find_files
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.types import Image, ImageSequence

Channels: TypeAlias = Literal["auto", "grey", "rgb"]

_GREY_MODES: Final = {"1", "L", "LA"}
_FORMATS: Final = ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM")
"""What is decoded, whatever a file's name says; a format more is a decoder more that a stranger's file may reach."""

_ORIENTATION: Final = 0x0112
TURNED: Final = "with an EXIF orientation, which was not applied"
_TRANSPARENT: Final = "with transparency, which was dropped"
_CMYK: Final = "in CMYK, which Pillow converted without a colour profile"
_FRAMES: Final = "with several frames, of which the first was attacked"
_CHANGES: Final = (TURNED, _TRANSPARENT, _CMYK, _FRAMES)
_ALPHA_MODES: Final = {"LA", "PA", "RGBA"}
_LOOKED_AT: Final = 100
"""Files in which one is looked for that says whether they are grey; as many as a run looks at for their shape."""


@dataclass
class ImageFiles:
    """Image files as a sequence of uint8 images, each decoded when it is asked for.

    Pillow decodes; what it gives, in 8 bits, is what is attacked. An EXIF orientation is not applied, as
    `keras.utils.load_img` and torchvision's folders do not apply it either.

    Attributes:
        paths: The files, in order.
        channels: "grey" for (H, W, 1) or "rgb" for (H, W, 3).
        size: (H, W) to resize to by Pillow's bicubic filter before anything else, or None.
        changed: Files that have more than what is attacked, by what it is, as far as they have been read.
    """

    paths: list[Path]
    channels: Literal["grey", "rgb"]
    size: tuple[int, int] | None = None
    changed: dict[str, set[str]] = field(default_factory=dict)

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
            decoded = picture.convert("L" if self.channels == "grey" else "RGB")
            for what in _not_attacked(picture):
                self.changed.setdefault(what, set()).add(str(path))
        if self.size is not None and decoded.size != self.size[::-1]:
            decoded = decoded.resize(self.size[::-1], PIL.Image.Resampling.BICUBIC)
        pixels: Image = np.array(decoded, dtype=np.uint8)
        return pixels[:, :, np.newaxis] if pixels.ndim == 2 else pixels

    def tell_changed(self) -> list[str]:
        """Return in words what of the files was not attacked."""
        return [f"{counted(len(self.changed[what]), 'file')} {what}" for what in _CHANGES if what in self.changed]

    def describe(self) -> str:
        """Return in words what is attacked."""
        kinds = sorted({path.suffix.lower().lstrip(".") for path in self.paths})
        shape = "" if self.size is None else f", resized once to {self.size[0]}x{self.size[1]}"
        return (
            f"{counted(len(self.paths), 'file')} ({', '.join(kinds)}), decoded once by Pillow {PIL.__version__} to "
            f"8-bit {'grey' if self.channels == 'grey' else 'RGB'} pixels{shape}; those pixels are attacked"
        )


@dataclass(frozen=True)
class ImageSource:
    """Images, and what is known of them beside their pixels.

    Attributes:
        images: The images.
        names: One per image: files, by where they lie in the folder that holds them all; or places in an array.
        text: What they are, in words.
        notes: What was left out, in words.
        has_labels: The file that holds them holds labels as well.
    """

    images: ImageSequence | NDArray[np.uint8]
    names: list[str]
    text: str
    notes: tuple[str, ...] = ()
    has_labels: bool = False


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
        channels: Of image files. "auto" is what the model takes, or else what the first file has that can be read.
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
        return ImageSource(
            images,
            [str(index) for index in range(len(images))],
            f"{counted(len(images), 'image')} of {word}",
            has_labels=has_array(path, "labels"),
        )
    found = find_files(word, most=most)
    files = ImageFiles(found.paths, _channels_of_files(found.paths, channels, wanted), size)
    return ImageSource(files, files.names, files.describe(), tuple(found.told()))


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


def _not_attacked(picture: PIL.Image.Image) -> Iterator[str]:
    """Yield what an image has, and what is attacked has not."""
    if picture.getexif().get(_ORIENTATION, 1) != 1:
        yield TURNED
    if picture.mode in _ALPHA_MODES or "transparency" in picture.info:
        yield _TRANSPARENT
    if picture.mode == "CMYK":
        yield _CMYK
    frames = 1
    with contextlib.suppress(Exception):  # whatever is wrong with the others, the first is attacked
        frames = getattr(picture, "n_frames", 1)
    if frames > 1:
        yield _FRAMES


def _channels_of_files(paths: Sequence[Path], channels: Channels, wanted: int | None) -> Literal["grey", "rgb"]:
    if channels != "auto":
        return channels
    if wanted in (1, 3):
        return "grey" if wanted == 1 else "rgb"
    for path in paths[:_LOOKED_AT]:
        # A file that is damaged is told of when its turn comes.
        with contextlib.suppress(InvalidInputError), opened(path) as file, _decoder(file, path) as picture:
            check_depth(picture, file, as_text(path.name))
            picture.load()
            return "grey" if picture.mode in _GREY_MODES else "rgb"
    return "rgb"


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
