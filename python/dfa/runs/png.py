"""The PNGs that dfa writes, and no others: every chunk is looked at before anything is decoded.

PNG leaves room for files that one decoder reads in one way and another in another: a second header, a frame of an
animation, bytes behind the end. What is read here has one meaning for all of them.
"""

from __future__ import annotations

import io
import math
import zlib
from collections.abc import Iterator
from typing import Final

import numpy as np
import PIL.Image

from dfa.types import Image

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_CHANNELS_OF_COLOUR: Final = {0: 1, 2: 3, 6: 4}
"""Channels by a PNG's colour type: grey, RGB, RGBA."""

CHANNELS: Final = tuple(_CHANNELS_OF_COLOUR.values())
"""Of images that a PNG can hold."""

_FILTERS: Final = 5
"""Ways to filter a row, 0..4."""


class OtherImageError(ValueError):
    """A file is of something else than was expected."""


def encode_png(image: Image) -> bytes:
    """Return the PNG of an image: uint8, (H, W, C), C = 1, 3 or 4."""
    buffer = io.BytesIO()
    picture = PIL.Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
    # Filtered pixels compress as well by runs as by zlib's default, in half the time.
    picture.save(buffer, format="png", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def decode_png(content: bytes, shape: tuple[int, ...] | None, *, most: int) -> Image:
    """Return the image of a PNG that dfa wrote: uint8, (H, W, C).

    Args:
        content: What the file holds.
        shape: What the image must have; None where nobody knows.
        most: The most values, H * W * C, where nobody knows.

    Raises:
        OtherImageError: It is no PNG that `encode_png` gives, or one of another shape.
    """
    found = _check(content, shape, most)
    with PIL.Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
        pixels: Image = np.array(picture, dtype=np.uint8)
    return pixels.reshape(found)


def _check(content: bytes, shape: tuple[int, ...] | None, most: int) -> tuple[int, int, int]:
    """Return the shape of an image, once nothing in its file can mean anything else."""
    if content[: len(_SIGNATURE)] != _SIGNATURE:
        raise OtherImageError("must be an 8-bit PNG, and is none")
    chunks = list(_chunks(content))
    kinds = [kind for kind, _ in chunks]
    if kinds[:1] != [b"IHDR"] or len(chunks[0][1]) != 13:
        raise _other("its header is damaged")
    found = _shape(chunks[0][1])
    if shape is not None and found != shape:
        raise OtherImageError(f"must have the run's shape {shape}, and has {found}")
    if shape is None and math.prod(found) > most:
        raise OtherImageError(f"must have no more than {most:,} values, and has the shape {found}")
    others = [kind for kind in kinds[1:-1] if kind != b"IDAT"]
    if others:
        raise _other(f"it holds a chunk {others[0].decode('ascii', 'backslashreplace')!r}")
    if kinds[-1] != b"IEND" or chunks[-1][1]:
        raise _other("it is cut off")
    _check_pixels(b"".join(data for _, data in chunks[1:-1]), found)
    return found


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the kind and the data of every chunk, to the last byte."""
    at = len(_SIGNATURE)
    while at < len(content):
        end = at + 12 + int.from_bytes(content[at : at + 4], "big")
        if end > len(content):
            raise _other("it is cut off")
        if zlib.crc32(content[at + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            raise _other("a checksum is wrong")
        yield content[at + 4 : at + 8], content[at + 8 : end - 4]
        at = end


def _shape(header: bytes) -> tuple[int, int, int]:
    """Return (H, W, C) as a header has it."""
    width, height = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
    bits, colour, *methods = header[8:]
    if bits != 8 or colour not in _CHANNELS_OF_COLOUR:
        raise OtherImageError(
            f"must be an 8-bit PNG of grey, RGB or RGBA, and has {bits} bits of PNG's colour type {colour}"
        )
    if any(methods):
        raise _other("it is interlaced, or packed in an unknown way")
    return height, width, _CHANNELS_OF_COLOUR[colour]


def _check_pixels(packed: bytes, shape: tuple[int, int, int]) -> None:
    """Refuse what does not unpack to the rows of an image, each behind the number of its filter, and nothing else."""
    height, width, channels = shape
    stride = width * channels + 1
    unpacking = zlib.decompressobj()
    try:
        rows = unpacking.decompress(packed, height * stride + 1)
    except zlib.error as error:
        raise _other(f"its pixels cannot be unpacked: {error}") from error
    if not unpacking.eof or unpacking.unused_data or len(rows) != height * stride:
        raise _other(f"its pixels must be {height * stride:,} bytes, and are not")
    if max(rows[::stride], default=0) >= _FILTERS:
        raise _other("a row is filtered in an unknown way")


def _other(why: str) -> OtherImageError:
    return OtherImageError(f"is not a PNG that dfa writes: {why}")
