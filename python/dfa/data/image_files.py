"""Image files as a sequence of images, each decoded when it is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, Literal, TypeAlias

import numpy as np
import PIL
import PIL.Image

from dfa.checks import as_text, counted
from dfa.data.depth import check_depth
from dfa.data.image_set import names_of_paths
from dfa.data.paths import find_files
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.types import Image

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
        top: The folder whose places in it the files are called by; None for the one that holds them all.
        changed: Files that have more than what is attacked, by what it is, as far as they have been read.
    """

    paths: list[Path]
    channels: Literal["grey", "rgb"]
    size: tuple[int, int] | None = None
    top: Path | None = None
    changed: dict[str, set[str]] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """Where each file lies in the folder."""
        return names_of_paths(self.paths, self.top)

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

    def forget_changes(self, *, kept: range) -> None:
        """Forget what is in `changed` of other files than those at the places that are kept."""
        own = {str(self.paths[place]) for place in kept}
        left = {what: files & own for what, files in self.changed.items()}
        self.changed.clear()
        self.changed.update({what: files for what, files in left.items() if files})

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


def open_files(
    word: str,
    channels: Channels = "auto",
    size: tuple[int, int] | None = None,
    *,
    wanted: int | None = None,
    most: int | None = None,
) -> tuple[ImageFiles, tuple[str, ...]]:
    """Return the image files that a folder or a glob names, and what was left out, in words.

    Args:
        word: What names them, as of `find_files`.
        channels: "auto" is what the model takes, or else what the first file has that can be read.
        size: (H, W) to resize them to.
        wanted: Channels that the model takes, if known.
        most: The most files that it may find; None for any number.

    Raises:
        InvalidInputError: It names no image, or too many.
    """
    found = find_files(word, most=most)
    return ImageFiles(found.paths, channels_of(found.paths, channels, wanted), size), tuple(found.told())


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


def channels_of(paths: Sequence[Path], channels: Channels, wanted: int | None = None) -> Literal["grey", "rgb"]:
    """Return what image files become: what is said, else what the model takes, else what the first good one has."""
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
