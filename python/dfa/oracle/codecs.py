"""Image files in memory: what a viewer would read back of a saved image.

| codec | what it does | channels |
|---|---|---|
| `"png"` | lossless; written uncompressed, read by Pillow | 1, 3, 4 |
| `"webp"` | lossless WebP | 1, 3, 4 |
| `"jpeg:Q"` | JPEG of quality Q, 1..100, with Pillow's other defaults (colours at half resolution) | 1, 3 |
| `"none"` | no file at all | any |
| `Codec(name, function)` | a function from uint8 (H, W, C) to uint8 (H, W, C) | |
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import PIL.features
import PIL.Image

from dfa.errors import InvalidInputError, MissingDependencyError, told_with_place
from dfa.oracle.png import CHANNELS, stored_png
from dfa.types import Image

_KNOWN: Final = "'png', 'webp', 'jpeg:QUALITY' with a quality of 1..100, 'none', or a dfa.Codec"


@dataclass(frozen=True)
class Codec:
    """Writing an image to a file and reading it back.

    Attributes:
        name: What reports call it.
        function: From uint8 (H, W, C) to uint8 (H, W, C), of the same size.
    """

    name: str
    function: Callable[[Image], Any]

    @classmethod
    def of(cls, value: Codec | str) -> Codec:
        """Return the codec that `value` names.

        Raises:
            InvalidInputError: If `value` names none.
            MissingDependencyError: If Pillow was built without WebP and it is asked for.
        """
        if isinstance(value, Codec):
            return value
        if value == "png":
            return cls("png", _png)
        if value == "none":
            return cls("none", lambda image: image)
        if value == "webp":
            if not PIL.features.check("webp"):
                raise MissingDependencyError("codec 'webp' needs a Pillow that was built with WebP; this one was not")
            return cls("webp", _webp)
        if isinstance(value, str) and value.startswith("jpeg:"):
            quality = value.removeprefix("jpeg:")
            if quality.isdecimal() and 1 <= int(quality) <= 100:
                return cls(f"jpeg:{int(quality)}", lambda image: _jpeg(image, int(quality)))
        raise InvalidInputError(f"codec must be {_KNOWN}, got {value!r}")

    def round_trip(self, image: Image, index: int) -> Image:
        """Return an image as its file gives it back.

        Args:
            image: uint8, (H, W, C).
            index: Its place in the run, for messages.

        Raises:
            InvalidInputError: The codec cannot hold such images, fails, or gives back anything but uint8 of that shape.
        """
        try:
            back = np.asarray(self.function(image))
        except Exception as error:  # a user's codec, and Pillow, may raise anything
            raise InvalidInputError(
                f"the codec {self.name!r} failed on image {index}, {image.dtype} of shape {image.shape}: "
                f"{told_with_place(error)}"
            ) from error
        if back.shape != image.shape:
            raise InvalidInputError(
                f"the codec {self.name!r} must keep the size of an image, and made {back.shape} of image {index}, "
                f"{image.shape}; an oracle that takes its size belongs behind it, as one function"
            )
        if back.dtype != np.uint8:
            raise InvalidInputError(f"the codec {self.name!r} must give uint8, and gave {back.dtype} for image {index}")
        return back


def _png(image: Image) -> Image:
    """Return what Pillow reads of a PNG that is written here; its size is nobody's concern."""
    if image.shape[2] not in CHANNELS:
        raise ValueError(f"PNG holds images of 1 or 3 or 4 channels, not {image.shape[2]}")
    with PIL.Image.open(io.BytesIO(stored_png(image)), formats=("PNG",)) as read:
        return np.asarray(read).reshape(image.shape)


def _webp(image: Image) -> Image:
    # `exact` keeps the colours of transparent pixels; method and quality only trade time for size here.
    return _through_file(image, "WEBP", (1, 3, 4), lossless=True, exact=True, method=0, quality=0)


def _jpeg(image: Image, quality: int) -> Image:
    return _through_file(image, "JPEG", (1, 3), quality=quality)


def _through_file(image: Image, file_format: str, channels: tuple[int, ...], **options: Any) -> Image:
    """Return what Pillow reads of the file that Pillow writes."""
    if image.shape[2] not in channels:
        raise ValueError(
            f"{file_format} holds images of {' or '.join(map(str, channels))} channels, not {image.shape[2]}"
        )
    picture = PIL.Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    file = io.BytesIO()
    picture.save(file, file_format, **options)
    file.seek(0)
    with PIL.Image.open(file) as read:
        # WebP knows no grey images, and reads them back as RGB of three equal channels.
        mode = picture.mode
        pixels = np.asarray(read if read.mode == mode else read.getchannel(0) if mode == "L" else read.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels
