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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from dfa.errors import InvalidInputError, StoreError
from dfa.results.parsing import load_json
from dfa.runs import door
from dfa.runs.image_files import IMAGES, ORIGINALS, encode_image, halves_in, image_file, with_originals
from dfa.types import Image

Plain: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""What a JSON file can hold."""

FORMAT_VERSION = 4
"""Version of the layout; counted up when a reader of the old one would go wrong."""

_FORMAT = "dfa-results"
RUN = "run.json"
"""What says that a run was begun in a folder."""

JOURNAL = "journal.sqlite"
EPSILON = "epsilon.npy"
RESULTS = "results.json"
RECORDS = "records.csv"
JOURNAL_FILES = (JOURNAL, f"{JOURNAL}-wal", f"{JOURNAL}-journal", f"{JOURNAL}-shm")

_OTHERS: Final = {
    "frontier.json": "here is a frontier: read it with dfa.Frontier.load, or take the folder of a round, round-001",
    "suite.json": "here is a suite's report: read it with dfa.SuiteReport.load, or take the folder of one of its runs",
}
"""What else may lie in a folder that somebody takes for a run's, and what to do with it."""

_MOST_RESULTS = 2**30
_MOST_BESIDE_RECORDS = 2**26
_MOST_OF_RECORD = 2**18
"""Bytes that results.json may hold: in all, without its records, and for each of these."""

_LARGEST_ARRAY = 65_536
_DEEPEST = 32  # as deep as may be read again
_LEFTOVER = re.compile(
    rf"\.({'|'.join(map(re.escape, (RUN, RESULTS, RECORDS, EPSILON)))})\.[0-9]+\.tmp|\.{{1,2}}dfa-probe\.[\w.]+"
)
"""What a process writes under another name first, or looks whether it can be written."""

_FORMULA = re.compile(r"[=@\t\r]|[+-](?![0-9.]+$)")
"""How text begins that a spreadsheet computes; a number with a sign is one."""


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
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        has_results = door.holds(folder, RESULTS)
        has_run = door.holds(folder, RUN)
        has_others = door.holds(folder, RECORDS) or any(door.names_in(folder, name) for name in (IMAGES, ORIGINALS))
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
    probe = f".dfa-probe.{os.getpid()}"
    write_bytes(folder / probe, b"")
    _remove(folder, probe)
    return folder


def clear_folder(folder: Path, images: Iterable[str]) -> None:
    """Remove a run or a result that is to be replaced; other files are left alone.

    Args:
        folder: The folder, as `check_folder` gave it.
        images: The image files that the run or result names as its own.

    Raises:
        StoreError: A file cannot be removed.
    """
    remove_images(folder, images)
    # What says that all this is ours goes last.
    _remove(folder, EPSILON, *JOURNAL_FILES, RECORDS, RUN, RESULTS)


def begin_document(folder: Path, images: Iterable[str], *, is_run: bool = False) -> None:
    """Mark a folder as holding a result that is being saved, so that a half-saved one never passes for whole.

    Args:
        folder: The folder.
        images: The image files that are about to be written or removed, in their order, so that whoever comes after a
            kill knows whose they are.
        is_run: The result is that of the run in the folder; otherwise what is left of a run goes.

    Raises:
        StoreError: The file cannot be written.
    """
    _remove_leftovers(folder)
    header = {"format": _FORMAT, "version": FORMAT_VERSION, "complete": False}
    write_json(folder / RESULTS, {**header, "images": iter(images)}, is_synced=True)
    if not is_run:
        _remove(folder, EPSILON, *JOURNAL_FILES, RUN)


def take_back(folder: Path, *, keep: Iterable[str]) -> None:
    """Mark a result as one that is being saved once more, since its run goes on, and remove what it alone had named.

    Args:
        folder: The folder of the run.
        keep: Image files that the run goes on with.

    Raises:
        StoreError: The folder cannot be written, or holds a result that cannot be read.
    """
    named = images_named(read_document(folder)) if door.holds(folder, RESULTS) else set()
    others = named - with_originals(keep)
    begin_document(folder, sorted(others), is_run=True)
    remove_images(folder, others)


def complete_document(folder: Path, content: Mapping[str, object]) -> None:
    """Write the whole document, and with it mark the folder as complete.

    Raises:
        StoreError: The file cannot be written.
    """
    header = {"format": _FORMAT, "version": FORMAT_VERSION, "complete": True}
    write_json(folder / RESULTS, {**header, **content}, is_synced=True)


def read_document(folder: Path) -> dict[str, Any]:
    """Return what results.json says, complete or not, of whichever version.

    Raises:
        StoreError: It is absent, unreadable, or nothing that was saved here.
    """
    path = folder / RESULTS
    try:
        content = door.read_file(folder, RESULTS, most=_MOST_RESULTS)
        most = _MOST_BESIDE_RECORDS + _MOST_OF_RECORD * content.count(b'"index"')
        if len(content) > most:
            raise ValueError(f"it must hold no more than {most:,} bytes for the records that it has")
        document = load_json(content)
    except (OSError, ValueError) as error:
        others = (hint for file, hint in _OTHERS.items() if isinstance(error, OSError) and door.holds(folder, file))
        raise StoreError(f"{path} must be a saved result, and {next(others, f'cannot be read: {error}')}") from error
    if document.get("format") != _FORMAT:
        raise StoreError(f"{path} must be a saved result, and is another file; choose another folder")
    return document


def write_image(folder: Path, index: int, image: Image, *, place: str = IMAGES) -> str:
    """Write an image without loss, and return the file's path inside the folder.

    Args:
        folder: The folder.
        index: Names the file.
        image: uint8, (H, W, C), or an array that is no image.
        place: `IMAGES` or `ORIGINALS`.

    Raises:
        StoreError: The file cannot be written.
    """
    file = image_file(image, index, place=place)
    write_file(folder, file, encode_image(image))
    return file


def sync_images(folder: Path, files: Sequence[str]) -> None:
    """Wait until image files lie on the disk.

    Raises:
        StoreError: One cannot be written there.
    """
    with _writing(folder):
        door.sync_files(folder, files)


def images_named(document: Mapping[str, Any]) -> set[str]:
    """Return the image files that results.json names as a result's own, complete or not; of other names none."""
    rows, images = (each if isinstance(each := document.get(name), list) else [] for name in ("records", "images"))
    files = [row.get("file") for row in rows if isinstance(row, dict)]
    return with_originals(file for file in (*files, *images) if isinstance(file, str))


def remove_images(folder: Path, images: Iterable[str]) -> None:
    """Remove image files, and what a killed process left of half of one; other files are left alone.

    Args:
        folder: The folder.
        images: Paths inside the folder; only what the run or result there names as its own.

    Raises:
        StoreError: A file cannot be removed.
    """
    with _writing(folder):
        door.remove_files(folder, sorted(with_originals(images) | halves_in(folder)))


def write_records(folder: Path, names: Sequence[str], rows: Iterable[Mapping[str, Plain]]) -> None:
    """Write records.csv: one row per image, an unknown value an empty cell, no text that a spreadsheet would compute.

    Args:
        folder: The folder.
        names: The columns; what else a row holds is left out.
        rows: Plain values by column.

    Raises:
        StoreError: The file cannot be written.
    """
    write_file(folder, RECORDS, map(_encoded, _lines(names, rows)))


def _lines(names: Sequence[str], rows: Iterable[Mapping[str, Plain]]) -> Iterator[str]:
    text = io.StringIO()
    writer = csv.DictWriter(text, names, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        yield text.getvalue()
        text.seek(0)
        text.truncate()
        writer.writerow({name: _cell(value) for name, value in row.items()})
    yield text.getvalue()


def _cell(value: Plain) -> Plain:
    """Return a cell that no spreadsheet takes for a formula: text that begins like one has a ' in front."""
    return f"'{value}" if isinstance(value, str) and _FORMULA.match(value) else value


def write_json(path: Path, document: Mapping[str, object], *, is_synced: bool = False) -> None:
    """Write an object as JSON; its lists go one entry to a line, since they may be long.

    Args:
        path: The file.
        document: Values that `plain` takes, by name, or iterators of such, whose entries are written as they come.
        is_synced: Wait until it lies on the disk.

    Raises:
        StoreError: The file cannot be written.
    """
    write_file(path.parent, path.name, map(str.encode, _json_of(document)), is_synced=is_synced)


def _json_of(document: Mapping[str, object]) -> Iterator[str]:
    """Yield the text of a JSON file in small parts."""
    yield "{\n"
    for place, (name, value) in enumerate(document.items()):
        yield (",\n" if place else "") + f"{json.dumps(name)}: "
        content = map(plain, value) if isinstance(value, Iterator) else plain(value)
        if not isinstance(content, list | Iterator):
            yield json.dumps(content, allow_nan=False, indent=2)
            continue
        yield "[\n"
        for number, each in enumerate(content):
            yield (",\n" if number else "") + json.dumps(each, allow_nan=False)
        yield "\n]"
    yield "\n}\n"


def plain(value: object, depth: int = 0) -> Plain:
    """Return `value` in what JSON can hold.

    A number that JSON cannot hold (nan, infinity) becomes null, an array larger than 65,536 its dtype, shape
    and SHA-256, a function its module and name (of dfa's own no more than `dfa`), and what is left its text.

    Args:
        value: Anything.
        depth: How many levels of what is written lie around it.

    Raises:
        InvalidInputError: It is nested deeper than may be read again, as what holds itself is.
    """
    if depth > _DEEPEST:
        raise InvalidInputError("what is kept must be nested less deeply, and must not hold itself; keep it flat")
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
            return plain(value.tolist(), depth)
        digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "sha256": digest}
    if isinstance(value, Mapping):
        return {str(key): plain(each, depth + 1) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each, depth + 1) for each in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {each.name: plain(getattr(value, each.name), depth + 1) for each in dataclasses.fields(value)}
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


def write_text(path: Path, text: str) -> None:
    """Write text as UTF-8, as `write_bytes` does; what is no character of it, as in names of no encoding, is escaped.

    Raises:
        StoreError: The system refuses.
    """
    write_bytes(path, _encoded(text))


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all.

    Raises:
        StoreError: The system refuses.
    """
    write_file(path.parent, path.name, content)


def write_file(folder: str | Path, name: str, content: bytes | Iterable[bytes], *, is_synced: bool = False) -> None:
    """Write a file of a run folder, as `door.write_file` does.

    Raises:
        StoreError: The system refuses, or something else lies there.
    """
    with _writing(os.path.join(folder, name)):
        door.write_file(folder, name, content, is_synced=is_synced)


@contextlib.contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    """Say in an error what cannot be written, and what to do."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        raise StoreError(
            f"cannot write {path}: {error}; choose a folder that can be written, or make room (what was to be "
            "saved is still in memory, and can be saved again)"
        ) from error


def _remove_leftovers(folder: Path) -> None:
    """Remove what killed processes had not renamed or removed yet; whoever calls this owns the folder."""
    with _writing(folder):
        door.remove_files(folder, [name for name in door.names_in(folder, "") if _LEFTOVER.fullmatch(name)])


def _remove(folder: Path, *names: str) -> None:
    with _writing(folder):
        door.remove_files(folder, names)
