"""How many bits an image file has for a sample, by the file: a decoder may make 8 of 16 without a word."""

from __future__ import annotations

import re
import shlex
from typing import BinaryIO, Final

import PIL.Image

from dfa.errors import InvalidInputError

_PNG_DEPTH: Final = 24
"""Where the depth stands in a PNG: after the signature, and length, name, width and height of IHDR."""

_BITS_PER_SAMPLE: Final = 258
_SAMPLE_FORMAT: Final = 339
_UNSIGNED: Final = {1, 4}
"""Sample formats of TIFF: unsigned integers, and those that nobody has told."""

_WORDS: Final = {2: "signed integers", 3: "floats", 5: "complex integers", 6: "complex floats"}
_SPACE: Final = rb"(?:\s|#[^\n]*\n)+"
_PPM_MOST: Final = re.compile(rb"P[2356]" + _SPACE + rb"\d+" + _SPACE + rb"\d+" + _SPACE + rb"(\d+)")
_EIGHT_BIT_MODES: Final = {"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr", "LAB", "HSV"}


def check_depth(picture: PIL.Image.Image, file: BinaryIO, name: str | None) -> None:
    """Refuse an image that does not fit into 8 bits per sample; one of fewer is widened without loss.

    Args:
        picture: The image, opened and not decoded.
        file: The file it was opened from; decoding goes to its own places in it.
        name: Its name; None of one that is in memory only.

    Raises:
        InvalidInputError: It has more bits, signed samples or floats.
    """
    found = _more_than_8_bits(picture, file)
    if found:
        tool = ""
        if name is not None:
            tool = f", such as with ImageMagick: magick {shlex.quote(name)} -depth 8 {shlex.quote(f'8bit-{name}')}"
        raise InvalidInputError(
            f"{name or 'the image'} must have 8 bits per channel, and has {found}; convert it first, and the converted "
            f"pixels are attacked{tool}"
        )


def _more_than_8_bits(picture: PIL.Image.Image, file: BinaryIO) -> str:
    """Return in words what a file holds that 8 bits cannot, or nothing."""
    bits = 8
    if picture.format == "PNG":
        file.seek(_PNG_DEPTH)
        bits = file.read(1)[0]
    elif picture.format == "TIFF":
        tags = picture.tag_v2  # type: ignore[attr-defined]
        signs = set(tags.get(_SAMPLE_FORMAT, ())) - _UNSIGNED
        if signs:
            return _WORDS.get(min(signs), f"samples of format {min(signs)}")
        bits = max(tags.get(_BITS_PER_SAMPLE, (1,)))
    elif picture.format == "PPM":
        file.seek(0)
        told = _PPM_MOST.match(file.read(65_536))
        bits = int(told[1]).bit_length() if told else 8
    if bits > 8:
        return str(bits)
    return "" if picture.mode in _EIGHT_BIT_MODES else f"pixels of mode {picture.mode!r}"
