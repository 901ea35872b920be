"""How a result lies in a folder: whole files, lossless images, and JSON that any reader takes.

Knows files, and nothing of attacks. `saving` decides what goes into them.

    <folder>/results.json            written last; until then it says that the folder is not complete
    <folder>/records.csv
    <folder>/images/000017.png       or .npy where a PNG cannot hold the number of channels
    <folder>/originals/000017.png    the image that it was made from

`store` adds the files of a run that is under way.
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
import zlib
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

FORMAT_VERSION = 4
"""Version of the layout; counted up when a reader of the old one would go wrong."""

_FORMAT = "dfa-results"
IMAGES = "images"
"""Where adversarial images lie."""

ORIGINALS = "originals"
"""Where the images lie that they were made from."""

RUN = "run.json"
"""What says that a run was begun in a folder."""

JOURNAL = "journal.sqlite"
EPSILON = "epsilon.npy"
JOURNAL_FILES = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-journal", f"{JOURNAL}-shm")

_RESULTS = "results.json"
_RECORDS = "records.csv"
_PNG_CHANNELS = (1, 3, 4)
_IMAGE_NAME = re.compile(r"[0-9]{6,}\.(png|npy)|\.[0-9]{6,}\.(png|npy)\.[0-9]+\.tmp")
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
        has_run = (folder / RUN).exists()
        has_others = (folder / _RECORDS).exists() or any(_is_in_the_way(folder / name) for name in (IMAGES, ORIGINALS))
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
    elif has_run:
        if not overwrite:
            raise StoreError(
                f"{folder} must not hold a run, and holds one that has not ended; resume it (resume=True), choose "
                "another folder, or pass overwrite=True to replace it"
            )
    elif has_others:
        # Not even with overwrite: nothing says that these files are ours to replace.
        raise StoreError(
            f"{folder} must not hold images or records.csv without a results.json, since those are not a "
            "saved result; choose another folder"
        )
    probe = folder / f".dfa-probe.{os.getpid()}"
    write_bytes(probe, b"")
    probe.unlink()
    return folder


def clear_folder(folder: Path) -> None:
    """Remove a run or a result that is to be replaced; files of other names are left alone.

    Args:
        folder: The folder, as `check_folder` gave it.

    Raises:
        StoreError: A file cannot be removed.
    """
    remove_other_images(folder, keep=set())
    # What says that all this is ours goes last.
    _remove(folder, EPSILON, *JOURNAL_FILES, _RECORDS, RUN, _RESULTS)


def begin_document(folder: Path, *, is_run: bool = False) -> None:
    """Mark a folder as holding a result that is being saved, so that a half-saved one never passes for whole.

    Args:
        folder: The folder.
        is_run: The result is that of the run in the folder; otherwise what is left of a run goes.

    Raises:
        StoreError: The file cannot be written.
    """
    if not is_run:
        _remove(folder, EPSILON, *JOURNAL_FILES, RUN)
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


def write_image(folder: Path, index: int, image: Image, *, place: str = IMAGES) -> str:
    """Write an image without loss, and return the file's path inside the folder.

    Args:
        folder: The folder.
        index: Names the file.
        image: uint8, (H, W, C). C = 1, 3 or 4 gives a PNG (grey, RGB, RGBA), any other C a .npy file, and so does an
            array that is no image.
        place: `IMAGES` or `ORIGINALS`.

    Raises:
        StoreError: The file cannot be written.
    """
    buffer = io.BytesIO()
    file = image_file(image, index, place=place)
    if file.endswith(".png"):
        picture = PIL.Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image)
        # Filtered pixels compress as well by runs as by zlib's default, in half the time.
        picture.save(buffer, format="png", compress_level=1, compress_type=zlib.Z_RLE)
    else:
        np.save(buffer, image, allow_pickle=False)
    write_bytes(folder / file, buffer.getvalue())
    return file


def image_file(image: Image, index: int, *, place: str = IMAGES) -> str:
    """Return the path inside a folder under which `write_image` writes an image."""
    is_picture = image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] in _PNG_CHANNELS
    return f"{place}/{index:06d}.{'png' if is_picture else 'npy'}"


def read_image(path: Path) -> Image:
    """Return what an image file holds: uint8, (H, W, C); of a .npy file whatever array it is.

    Raises:
        StoreError: It is absent or unreadable.
    """
    try:
        if path.suffix == ".npy":
            array: Image = np.load(path, allow_pickle=False)
            return array
        with PIL.Image.open(path, formats=("PNG",)) as picture:
            pixels = np.array(picture, dtype=np.uint8)
    except (OSError, ValueError) as error:
        raise StoreError(f"cannot read the image {path}: {error}") from error
    return pixels if pixels.ndim == 3 else pixels[:, :, np.newaxis]


def remove_other_images(folder: Path, *, keep: set[str]) -> None:
    """Remove the image files that a replaced result or a killed process left behind; other files are left alone.

    Args:
        folder: The folder.
        keep: Paths inside the folder, as `write_image` gave them.

    Raises:
        StoreError: A file cannot be removed.
    """
    for place in (IMAGES, ORIGINALS):
        images = folder / place
        if not images.is_dir():
            continue
        try:
            for path in images.iterdir():
                is_ours = _IMAGE_NAME.fullmatch(path.name) is not None
                if is_ours and f"{place}/{path.name}" not in keep:
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
    write_bytes(folder / _RECORDS, text.getvalue().encode())


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
    write_bytes(path, ("{\n" + ",\n".join(parts) + "\n}\n").encode())


def plain(value: object) -> Plain:
    """Return `value` in what JSON can hold.

    A number that JSON cannot hold (nan, infinity) becomes null, an array larger than 65,536 its dtype, shape
    and SHA-256, a function its module and name (of dfa's own no more than `dfa`), and what is left its text.
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
    if not isinstance(name, str):
        return str(value)
    module = getattr(value, "__module__", None) or ""  # what is written in C may have none
    # In which module of dfa a function lies says nothing of a run, and may change.
    return ".".join(part for part in ("dfa" if module.startswith("dfa.") else module, name) if part)


def write_epsilon(folder: Path, epsilon: object) -> None:
    """Keep epsilon in a file of its own where it is an array, which may be too large for JSON.

    Raises:
        StoreError: The file cannot be written.
    """
    if np.ndim(epsilon) > 0:  # type: ignore[arg-type]
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(epsilon, dtype=np.uint8), allow_pickle=False)
        write_bytes(folder / EPSILON, buffer.getvalue())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        StoreError: The system refuses.
    """
    # Plain strings: on small images `pathlib` would cost a third of the whole.
    parent, name = os.path.split(path)
    temporary = os.path.join(parent, f".{name}.{os.getpid()}.tmp")
    try:
        try:
            _fill(temporary, content)
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            _fill(temporary, content)
        os.replace(temporary, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        if isinstance(error, OSError):
            raise _cannot_write(path, error) from error
        raise


def _fill(path: str, content: bytes) -> None:
    with open(path, "wb") as file:
        file.write(content)


def _cannot_write(path: Path, error: OSError) -> StoreError:
    return StoreError(
        f"cannot write {path}: {error}; choose a folder that can be written, or make room (what was to be "
        "saved is still in memory, and can be saved again)"
    )


def _remove(folder: Path, *names: str) -> None:
    try:
        for name in names:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _is_in_the_way(path: Path) -> bool:
    """Tell whether a folder of images is there already with something in it, or is no folder."""
    return path.exists() and (not path.is_dir() or any(path.iterdir()))
