"""How a frontier lies in a folder, with the runs of its rounds.

<folder>/begun.json             what the search was begun with
<folder>/frontier.json          written last
<folder>/critical/000017.png    the adversarial image at its critical size; .npy where a PNG cannot hold it
<folder>/round-001/             a run folder; with other spaces than the ball round-001-size-000016/
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from dfa.critical.record import CriticalRecord
from dfa.critical.schedule import MOST_SIZES, Attempt, State
from dfa.errors import StoreError
from dfa.results.images import ImagesByIndex
from dfa.results.parsing import MisfitError, fields_reader
from dfa.results.record import read_record
from dfa.runs import door
from dfa.runs.begun import Begun, remove_begun
from dfa.runs.documents import MOST_IMAGES, MOST_RUN, read_json
from dfa.runs.folder import RESULTS, clear_folder, write_image, write_json
from dfa.runs.image_files import read_image
from dfa.runs.journal import held_alone, remove_lock
from dfa.runs.saved_run import check_replaceable, holds_nothing_paid, holds_run, shape_of
from dfa.types import Image

FILE: Final = "frontier.json"
ROUND: Final = "round-{:03d}"
_ROUND: Final = re.compile(r"round-[0-9]{3,}(-size-[0-9]{6,})?")
_LARGEST: Final = {"epsilon": 255, "size": MOST_SIZES}
"""What sizes are called, and the largest that there is."""
_PLACE: Final = "critical"
_IMAGE: Final = re.compile(r"[0-9]{6,}\.(png|npy)")
_HEADER: Final = {"format": "dfa-frontier", "version": 1}


def save(folder: Path, document: Mapping[str, Any], images: ImagesByIndex) -> Path:
    """Write a frontier as `write` does, in a folder at which no search may be.

    Raises:
        StoreError: As of `write`; or a search is at the folder.
    """
    with held_alone(folder):
        return write(folder, document, images)


def write(folder: Path, document: Mapping[str, Any], images: ImagesByIndex) -> Path:
    """Write a frontier in place of one that lies there, and return the path of its document; whoever calls holds it.

    Raises:
        StoreError: A file cannot be written, or an image cannot be read.
    """
    # It may have been loaded from this very folder: nothing goes before all of it could be read.
    for index in images.held():
        _held(images, index)
    with _telling(folder):
        folder.mkdir(parents=True, exist_ok=True)
        door.remove_files(folder, [FILE])
    files = [write_image(folder, index, _held(images, index), place=_PLACE) for index in images.held()]
    write_json(folder / FILE, {**_HEADER, **document})
    _remove_images(folder, keep=files)
    return folder / FILE


def read(folder: Path) -> tuple[dict[str, Any], ImagesByIndex]:
    """Return the fields of the frontier in a folder, and its images, each read when it is asked for.

    Raises:
        StoreError: The folder holds none, or one that is damaged or contradicts itself.
    """
    try:
        document = read_json(folder, FILE, most=MOST_RUN)
        if {name: document.get(name) for name in _HEADER} != _HEADER:
            raise MisfitError(f"an object with {_HEADER}", {name: document.get(name) for name in _HEADER})
        fields = _read_fields(document)
        if fields["unit"] not in _LARGEST:
            raise MisfitError(f"one of {', '.join(_LARGEST)}", fields["unit"], "unit")
        _require("largest", fields["largest"], 1, _LARGEST[fields["unit"]])
        for name in ("max_queries", "rounds", "calls", "clean", "verification", "wall"):
            _require(name, fields[name], 0)
        _require("the number of records", len(fields["records"]), 0, MOST_IMAGES)
        limits = fields["largest"], fields["max_queries"]
        fields["records"] = [_record(row, place, *limits) for place, row in enumerate(fields["records"])]
        names = set(door.names_in(folder, _PLACE))
        broken = [each.index for each in fields["records"] if each.critical is not None]
        return fields, _KeptImages(folder, len(fields["records"]), _files(broken, names), shape_of(fields["config"]))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{folder / FILE} must be a frontier as dfa saved it, and is not: {error}; choose another folder, or "
            "search it again"
        ) from error


def held_for_search(
    folder: Path, begun: Begun, *, overwrite: bool, resume: bool
) -> contextlib.AbstractContextManager[None]:
    """Return what holds a folder for one search, and makes room there or sees that there is.

    Raises:
        StoreError: When it is entered: another search is at the folder, or it holds one and may be neither overwritten
            nor resumed, or one that was begun otherwise, or it cannot be written.
    """

    def make_room() -> None:
        if overwrite:
            _clear(folder)
        elif not resume:
            _refuse_kept(folder)

    return begun.held(folder, lambda: _is_begun(folder), make_room)


def _is_begun(folder: Path) -> bool:
    """Tell whether a folder holds anything of a frontier that was paid for."""
    return door.holds(folder, FILE) or any(not holds_nothing_paid(each) for each in _rounds(folder))


def _refuse_kept(folder: Path) -> None:
    if _is_begun(folder):
        state = "one" if door.holds(folder, FILE) else "one that has not ended"
        raise StoreError(
            f"{folder} must not hold a frontier, and holds {state}; resume it (resume=True), choose another folder, or "
            "pass overwrite=True to replace it"
        )


def _clear(folder: Path) -> None:
    """Remove what a frontier left in a folder; other files stay."""
    with contextlib.ExitStack() as stack:
        images = {}
        for each in _rounds(folder):
            stack.enter_context(held_alone(each))
            images[each] = check_replaceable(each)
        with _telling(folder):
            door.remove_files(folder, [FILE])
        for each, files in images.items():
            clear_folder(each, files)
            remove_lock(each)
        remove_begun(folder)
    for each in images:
        for place in (each / "images", each / "originals", each):
            with contextlib.suppress(OSError):
                place.rmdir()
    _remove_images(folder, keep=[])


def _rounds(folder: Path) -> list[Path]:
    """Return the folders of rounds that hold a run.

    Raises:
        StoreError: One is a link.
    """
    rounds = [folder / name for name in door.names_in(folder, "") if _ROUND.fullmatch(name)]
    for each in rounds:
        if each.is_symlink():
            raise StoreError(f"{each} must be a folder, and is a symbolic link; choose another folder")
    return [each for each in rounds if holds_run(each) or door.holds(each, RESULTS)]


def _remove_images(folder: Path, *, keep: list[str]) -> None:
    names = [f"{_PLACE}/{name}" for name in door.names_in(folder, _PLACE) if _IMAGE.fullmatch(name)]
    with _telling(folder):
        door.remove_files(folder, sorted(set(names) - set(keep)))
    if not keep:
        with contextlib.suppress(OSError):
            (folder / _PLACE).rmdir()


@contextlib.contextmanager
def _telling(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"{folder} cannot be written: {error}; choose another folder") from error


def _held(images: ImagesByIndex, index: int) -> Image:
    image = images[index]
    assert image is not None
    return image


_read_fields: Final = fields_reader(
    {
        "largest": int,
        "max_queries": int,
        "unit": str,
        "rounds": int,
        "calls": int,
        "clean": int,
        "verification": int,
        "wall": float,
        "config": dict[str, Any],
        "records": list[Any],
    }
)
_read_row: Final = fields_reader(
    {
        "index": int,
        "state": State,
        "critical": int | None,
        "queries": int,
        "unconfirmed": int,
        "attempts": tuple[tuple[int, int, bool], ...],
        "record": Any,
    }
)


def _record(row: Any, place: int, largest: int, max_queries: int) -> CriticalRecord:
    """Return the record that a row of the document describes.

    Raises:
        ValueError: It describes none, or one that contradicts itself.
    """
    try:
        fields = _read_row(row)
        record = read_record(fields["record"])
        attempts = tuple(Attempt(*each) for each in fields["attempts"])
        for each in attempts:
            _require("attempts", each.size, 1, largest)
            _require("attempts", each.queries, 0)
        _require("queries", fields["queries"], 0, max_queries)
        cut = fields["queries"] - sum(each.queries for each in attempts)
        _require("queries, beside those of attempts,", cut, 0)
        _require("unconfirmed", fields["unconfirmed"], 0, sum(not each.is_success for each in attempts))
        _require("index", fields["index"], place, place)
        _require("index", record.index, place, place)
    except MisfitError as error:
        raise error.below(f"records.{place}") from None
    critical, state = fields["critical"], fields["state"]
    reached = [each.size for each in attempts if each.is_success]
    if critical is None:
        is_open = state is State.OPEN or (state is State.HELD) == bool(attempts)
        is_sound = not reached and state is not State.BROKEN and is_open
    else:
        is_sound = 0 <= critical <= min(reached, default=-1) and state in (State.BROKEN, State.OPEN)
    if not is_sound:
        raise ValueError(f"record {place} contradicts itself: {state.value}, critical {critical}, {attempts}")
    return CriticalRecord(place, state, critical, attempts, record, cut, fields["unconfirmed"])


def _require(name: str, value: float, least: float, most: float = 2**63) -> None:
    if not least <= value <= most:
        raise MisfitError(f"in {least}..{most}", value, name)


def _files(indices: list[int], names: set[str]) -> dict[int, str]:
    """Return the image file of each index.

    Raises:
        ValueError: One is missing.
    """
    files = {}
    for index in indices:
        file = next((file for kind in ("png", "npy") if (file := f"{index:06d}.{kind}") in names), None)
        if file is None:
            raise ValueError(f"image {index} was broken, and {_PLACE} has no file {index:06d}.png")
        files[index] = f"{_PLACE}/{file}"
    return files


class _KeptImages(ImagesByIndex):
    """The images of a saved frontier, each read from its file when it is asked for."""

    def __init__(self, folder: Path, number: int, files: Mapping[int, str], shape: tuple[int, ...] | None) -> None:
        self._folder = folder
        self._number = number
        self._files = files
        self._shape = shape

    def held(self) -> list[int]:
        return sorted(self._files)

    def __len__(self) -> int:
        return self._number

    def _read(self, index: int) -> Image | None:
        file = self._files.get(index)
        return None if file is None else read_image(self._folder, file, self._shape)
