"""Images as files of a run folder: named by their index, written without loss, and held to bounds before they are read.

images/000017.png       or .npy where a PNG cannot hold the number of channels
originals/000017.png    the image that it was made from
"""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import StoreError
from dfa.runs import door
from dfa.runs.png import CHANNELS, OtherImageError, decode_png, encode_png
from dfa.types import Image

IMAGES: Final = "images"
"""Where adversarial images lie."""

ORIGINALS: Final = "originals"
"""Where the images lie that they were made from."""

_MOST_VALUES: Final = 2**26
"""Of an image whose shape nobody knows."""

_LARGEST_VALUE: Final = 16
"""Bytes of a value in an array."""

_LARGEST_PIXEL: Final = 3
"""Bytes that a value takes in a PNG at the most: a row of one pixel has a byte for its filter."""

_OVERHEAD: Final = 2**20
"""Bytes that a file may hold beside its pixels."""

_IMAGE: Final = re.compile(rf"({IMAGES}|{ORIGINALS})/[0-9]{{6,}}\.(png|npy)")
_TEMPORARY: Final = re.compile(r"\.[0-9]{6,}\.(png|npy)\.[0-9]+\.tmp")


def image_file(image: Image, index: int, *, place: str = IMAGES) -> str:
    """Return the path inside a folder under which an image lies: a PNG where that can hold it, else a .npy file."""
    is_picture = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in CHANNELS
    return f"{place}/{index:06d}.{'png' if is_picture else 'npy'}"


def why_not_image_file(file: str, index: int, shape: tuple[int, ...] | None) -> str:
    """Return why a path is not that of an image's file, or nothing if it is.

    Args:
        file: A path, as a record has it.
        index: Place of the image in the run.
        shape: That of the run's images; None where nobody knows, or they are no images.
    """
    is_known = shape is not None and len(shape) == 3
    kinds = ("png", "npy") if not is_known or shape is None else ("png",) if shape[2] in CHANNELS else ("npy",)
    allowed = [f"{IMAGES}/{index:06d}.{kind}" for kind in kinds]
    return "" if file in allowed else f"the file of image {index} must be {' or '.join(allowed)}, got {file!r}"


def original_of(file: str) -> str:
    """Return the path of the original of an image's file."""
    return file.replace(IMAGES, ORIGINALS, 1)


def with_originals(files: Iterable[str]) -> set[str]:
    """Return image files, each with that of its original; what is not named like one is left out."""
    images = {file for file in files if _IMAGE.fullmatch(file)}
    return images | {original_of(file) for file in images}


def files_of(indices: Iterable[int]) -> set[str]:
    """Return all files that images of some indices may have, and their originals."""
    return with_originals(f"{IMAGES}/{index:06d}.{kind}" for index in indices for kind in ("png", "npy"))


def listed_files_of(indices: Sequence[int]) -> Iterator[str]:
    """Yield what `files_of` returns of ascending indices, in the order of the names, without holding all of it."""
    has_longer_names = len(indices) > 0 and indices[-1] >= 10**6
    in_order = sorted(indices, key="{:06d}".format) if has_longer_names else indices
    for place in (IMAGES, ORIGINALS):
        for index in in_order:
            yield f"{place}/{index:06d}.npy"
            yield f"{place}/{index:06d}.png"


def images_in(folder: Path) -> set[str]:
    """Return the files in a folder that are named like images, whosever they are.

    Raises:
        StoreError: A place of images is a link, or cannot be read.
    """
    return {file for file in _files(folder) if _IMAGE.fullmatch(file)}


def halves_in(folder: Path) -> set[str]:
    """Return the files that a killed process left half written.

    Raises:
        StoreError: A place of images is a link, or cannot be read.
    """
    return {file for file in _files(folder) if _TEMPORARY.fullmatch(file.rpartition("/")[2])}


def encode_image(image: Image) -> bytes:
    """Return what the file of an image holds.

    Args:
        image: uint8, (H, W, C). C = 1, 3 or 4 gives a PNG (grey, RGB, RGBA), any other C a .npy file, and so does an
            array that is no image.
    """
    if image_file(image, 0).endswith(".png"):
        return encode_png(image)
    buffer = io.BytesIO()
    np.save(buffer, image, allow_pickle=False)
    return buffer.getvalue()


def read_image(folder: Path, file: str, shape: tuple[int, ...] | None) -> Image:
    """Return what an image file holds: uint8, (H, W, C); of a .npy file whatever array of numbers it is.

    Args:
        folder: The run folder.
        file: Path inside it.
        shape: What the image must have; None where nobody knows.

    Raises:
        StoreError: It is absent or unreadable, no such image, or too large to be one.
    """
    image, problem = decode_image(folder, file, shape)
    if image is None:
        raise StoreError(f"cannot read the image {folder / file}: {problem}")
    return image


def decode_image(folder: Path, file: str, shape: tuple[int, ...] | None) -> tuple[Image | None, str]:
    """Return what an image file holds, or why it cannot be used; the arguments are those of `read_image`."""
    name = file.rpartition("/")[2]
    is_array = name.endswith(".npy")
    most = (_LARGEST_VALUE if is_array else _LARGEST_PIXEL) * (
        _MOST_VALUES if shape is None else math.prod(shape)
    ) + _OVERHEAD
    try:
        content = door.read_file(folder, file, most=most)
    except FileNotFoundError:
        return None, f"{name} is missing"
    except OSError as error:
        return None, f"{name} cannot be read: {error}"
    try:
        image = _decode_npy(content, shape) if is_array else decode_png(content, shape, most=_MOST_VALUES)
        return image, ""
    except OtherImageError as error:
        return None, f"{name} {error}"
    except Exception as error:  # decoders raise anything on damaged bytes, a SyntaxError and a TokenError among others
        return None, f"{name} cannot be decoded: {error}"


def read_array(content: bytes, shapes: Iterable[tuple[int, ...]] | None = None) -> NDArray[Any]:
    """Return the array of numbers that a .npy file holds, whose header was held against its size before.

    Args:
        content: What the file holds.
        shapes: Those that the array may have; None for any.

    Raises:
        ValueError: It holds none, or one of another shape.
    """
    file = io.BytesIO(content)
    version = np.lib.format.read_magic(file)
    read = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        shape, is_fortran, dtype = read[version](file)
    except Exception as error:  # NumPy's parser raises a SyntaxError, a TokenError and more on damaged bytes
        raise ValueError(f"it is no array: {error}") from error
    if dtype.kind not in "uif":
        raise OtherImageError(f"must hold integers or floats, and holds {dtype}")
    if shapes is not None and shape not in (allowed := list(shapes)):
        raise OtherImageError(f"must have the run's shape {' or '.join(map(str, allowed))}, and has {shape}")
    size, held = math.prod(shape) * dtype.itemsize, len(content) - file.tell()
    if size != held:
        raise ValueError(f"an array of shape {shape} and dtype {dtype} takes {size:,} bytes, and there are {held:,}")
    array: NDArray[Any] = np.frombuffer(content, dtype, offset=file.tell())
    shaped: NDArray[Any] = array.reshape(shape, order="F" if is_fortran else "C").copy()
    return shaped


def _decode_npy(content: bytes, shape: tuple[int, ...] | None) -> Image:
    return read_array(content, None if shape is None else [shape])


def _files(folder: Path) -> list[str]:
    return [f"{place}/{name}" for place in (IMAGES, ORIGINALS) for name in door.names_in(folder, place)]
