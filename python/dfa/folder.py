"""How a result lies in a folder: whole files, lossless images, and JSON that any reader takes.

Knows files, and nothing of attacks. `results` decides what goes into them.

    <folder>/results.json         written last; until then it says that the folder is not complete
    <folder>/records.csv
    <folder>/images/000017.png    or .npy where a PNG cannot hold the number of channels
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import PIL.Image

from dfa.errors import StoreError
from dfa.types import Image

Plain: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""What a JSON file can hold."""

FORMAT_VERSION = 1
"""Version of the layout; counted up when a reader of the old one would go wrong."""

_FORMAT = "dfa-results"
_RESULTS = "results.json"
_RECORDS = "records.csv"
_PNG_CHANNELS = (1, 3, 4)
_IMAGE_NAME = re.compile(r"[0-9]{6,}\.(png|npy)")
_LARGEST_ARRAY = 65_536


def check_folder(folder: str | Path, *, overwrite: bool = False) -> Path:
    """Make sure that a result can be saved in a folder, before any work goes into it.

    Makes the folder if absent, and proves that a file can be written there. Removes nothing.

    Args:
        folder: The folder.
        overwrite: A result saved there before may be replaced.

    Returns:
        The folder.

    Raises:
        StoreError: The folder holds a saved result and `overwrite` is False, or holds files under the names
            needed here that no save wrote, or cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        has_results = (folder / _RESULTS).exists()
        images = folder / "images"
        has_others = (folder / _RECORDS).exists() or (
            images.exists() and (not images.is_dir() or any(images.iterdir()))
        )
    except OSError as error:
        raise _cannot_write(folder, error) from error
    if has_results:
        document = read_document(folder)
        if not overwrite:
            state = "one" if document.get("complete") else "one whose saving was cut off"
            raise StoreError(
                f"{folder} must not hold a saved result, and holds {state}; choose another folder, or pass "
                "overwrite=True to replace it"
            )
    elif has_others:
        # Not even with overwrite: nothing says that these files are ours to replace.
        raise StoreError(
            f"{folder} must not hold images or records.csv without a results.json, since those are not a "
            "saved result; choose another folder"
        )
    probe = folder / f".dfa-probe.{os.getpid()}"
    _write(probe, b"")
    probe.unlink()
    return folder


def begin_document(folder: Path) -> None:
    """Mark a folder as holding a result that is being saved, so that a half-saved one never passes for whole.

    Raises:
        StoreError: The file cannot be written.
    """
    write_json(folder / _RESULTS, {"format": _FORMAT, "version": FORMAT_VERSION, "complete": False})


def complete_document(folder: Path, content: Mapping[str, object]) -> None:
    """Write the whole document, and with it mark the folder as complete.

    Raises:
        StoreError: The file cannot be written.
    """
    header = {"format": _FORMAT, "version": FORMAT_VERSION, "complete": True}
    write_json(folder / _RESULTS, {**header, **content})


def read_document(folder: Path) -> dict[str, Any]:
    """Return what results.json says, complete or not, of whichever version.

    Raises:
        StoreError: It is absent, unreadable, or nothing that was saved here.
    """
    path = folder / _RESULTS
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} must be a saved result, and cannot be read: {error}") from error
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise StoreError(f"{path} must be a saved result, and is another file; choose another folder")
    return document


def write_image(folder: Path, index: int, image: Image) -> str:
    """Write an image without loss, and return the file's path inside the folder.

    Args:
        folder: The folder.
        index: Names the file.
        image: uint8, (H, W, C). C = 1, 3 or 4 gives a PNG (grey, RGB, RGBA), any other C a .npy file.

    Raises:
        StoreError: The file cannot be written.
    """
    channels = image.shape[2]
    buffer = io.BytesIO()
    if channels in _PNG_CHANNELS:
        picture = PIL.Image.fromarray(image[:, :, 0] if channels == 1 else image)
        picture.save(buffer, format="png")
    else:
        np.save(buffer, image, allow_pickle=False)
    file = f"images/{index:06d}.{'png' if channels in _PNG_CHANNELS else 'npy'}"
    _write(folder / file, buffer.getvalue())
    return file


def read_image(path: Path) -> Image:
    """Return what an image file holds: uint8, (H, W, C).

    Raises:
        StoreError: It is absent or unreadable.
    """
    try:
        if path.suffix == ".npy":
            return np.asarray(np.load(path, allow_pickle=False), dtype=np.uint8)
        with PIL.Image.open(path) as picture:
            pixels = np.array(picture, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the image {path}: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def remove_other_images(folder: Path, *, keep: set[str]) -> None:
    """Remove the image files that an overwritten result left behind; other files are left alone.

    Args:
        folder: The folder.
        keep: Paths inside the folder, as `write_image` gave them.

    Raises:
        StoreError: A file cannot be removed.
    """
    images = folder / "images"
    if not images.is_dir():
        return
    try:
        for path in images.iterdir():
            if _IMAGE_NAME.fullmatch(path.name) and f"images/{path.name}" not in keep:
                path.unlink()
    except OSError as error:
        raise _cannot_write(images, error) from error


def write_records(folder: Path, names: Sequence[str], rows: Iterable[Mapping[str, Plain]]) -> None:
    """Write records.csv: one row per image, an unknown value an empty cell.

    Args:
        folder: The folder.
        names: The columns; what else a row holds is left out.
        rows: Plain values by column.

    Raises:
        StoreError: The file cannot be written.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    _write(folder / _RECORDS, text.getvalue().encode())


def write_json(path: Path, document: Mapping[str, object]) -> None:
    """Write an object as JSON; its lists go one entry to a line, since they may be long.

    Raises:
        StoreError: The file cannot be written.
    """
    parts = []
    for name, value in document.items():
        content = plain(value)
        if isinstance(content, list):
            text = "[\n" + ",\n".join(json.dumps(each, allow_nan=False) for each in content) + "\n]"
        else:
            text = json.dumps(content, allow_nan=False, indent=2)
        parts.append(f"{json.dumps(name)}: {text}")
    _write(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def plain(value: object) -> Plain:
    """Return `value` in what JSON can hold.

    A number that JSON cannot hold (nan, infinity) becomes null, an array larger than 65,536 its dtype, shape
    and SHA-256, a function its name, and what is left its text.
    """
    if value is None or isinstance(value, bool | str):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.ndarray):
        if value.size <= _LARGEST_ARRAY:
            return plain(value.tolist())
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": digest}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)}
    name = getattr(value, "__qualname__", None)
    return f"{value.__module__}.{name}" if isinstance(name, str) else str(value)


def _write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        StoreError: The system refuses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise _cannot_write(path, error) from error
    finally:
        # Still there only if something went wrong, an interrupt included.
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error}; choose a folder that can be written, or make room (what was to be "
        "saved is still in memory, and can be saved again)"
    )
