"""What a folder says of a run, finished or not: read, and never written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import StoreError
from dfa.originals import Form
from dfa.runs import door
from dfa.runs.folder import EPSILON, FORMAT_VERSION, JOURNAL, RESULTS, RUN, images_named, plain, read_document
from dfa.runs.image_files import images_in, read_array, why_not_image_file, with_originals
from dfa.runs.journal import Picture, reading

RUN_FORMAT: Final = "dfa-run"

RUN_VERSION: Final = 4
"""Version of the journal and of run.json; counted up when a reader of the old one would go wrong."""

_MOST_RUN: Final = 2**26
_MOST_EPSILON: Final = 2**32

_MAY_DIFFER: Final = {
    "command",
    "config.oracle.name",
    "config.threads",
    "config.versions.numpy",
    "config.versions.python",
    "created",
}
"""What decides nothing about the results, or is only told."""


@dataclass(frozen=True)
class SavedRun:
    """What a folder says of a run, finished or not.

    Attributes:
        folder: The folder.
        config: The run's settings, versions and build.
        num_images: N.
        rows: By place, as results.json has them; until the run has ended only of images that are finished.
        profile: Where the time went; empty until the run has ended.
        is_complete: Whether the run had ended, and was written down as a whole.
        pictures: What `picture` returns, as the journal has it; none once the run has ended.
    """

    folder: Path
    config: dict[str, Any]
    num_images: int
    rows: dict[int, dict[str, Any]]
    profile: dict[str, Any]
    is_complete: bool
    pictures: dict[int, tuple[str, bytes, bytes]] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...] | None:
        """That of the run's images; None where the folder does not tell."""
        return shape_of(self.config)

    def picture(self, index: int) -> Picture | None:
        """Return the adversarial image of a place, with its original, if it is not a file yet."""
        return Picture.of(*self.pictures[index]) if index in self.pictures else None


def shape_of(config: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return the shape of a run's images; None where its configuration does not tell."""
    return tuple(config["shape"]) if "shape" in config else None


def holds_run(folder: Path) -> bool:
    """Tell whether a run was begun in a folder."""
    return door.holds(folder, RUN)


def own_images(folder: Path) -> set[str]:
    """Return the image files that a run or result in a folder names as its own.

    Raises:
        StoreError: What names them cannot be read.
    """
    document = read_document(folder) if door.holds(folder, RESULTS) else {}
    named = images_named(document)
    if document.get("complete") is not True and holds_run(folder) and door.holds(folder, JOURNAL):
        with reading(folder) as journal:
            rows = [json.loads(record) for (record,) in journal.execute("SELECT record FROM records")]
        named |= with_originals(row["file"] for row in rows if row["file"] is not None)
    return named


def check_replaceable(folder: Path) -> set[str]:
    """Return the image files in a folder that go when its run or result is replaced.

    Raises:
        StoreError: There are others, which nothing says are ours to remove or to write over.
    """
    own = own_images(folder)
    others = images_in(folder) - own
    if others:
        raise StoreError(
            f"{folder} must hold no images but those that its run names, and holds {min(others)}; move it away, or "
            "choose another folder"
        )
    return own


def has_ended(folder: Path) -> bool:
    """Tell whether the run in a folder has ended.

    Raises:
        StoreError: The folder holds no run that can be read.
    """
    read_run_json(folder)
    with reading(folder) as journal:
        return journal.execute("SELECT 1 FROM about WHERE name = 'ended'").fetchone() is not None


def check_alike(folder: Path, about: Mapping[str, object]) -> None:
    """Refuse to go on with a run that was begun otherwise.

    Args:
        folder: Its folder.
        about: What run.json would say now.

    Raises:
        StoreError: Something that may change results differs; it is named.
    """
    differences = list(_differences("", read_run_json(folder), json.loads(json.dumps(plain(about)))))
    if differences:
        raise StoreError(
            f"the run in {folder} must be resumed as it was begun, and this differs: {'; '.join(differences)}; "
            "put it back, or start a new run in another folder"
        )


def read_run_json(folder: Path) -> dict[str, Any]:
    """Return what run.json says beside its format and version.

    Raises:
        StoreError: It is absent, unreadable, or of another version.
    """
    path = folder / RUN
    try:
        document = json.loads(door.read_file(folder, RUN, most=_MOST_RUN))
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} must hold a run, and {path.name} cannot be read: {error}") from error
    if not isinstance(document, dict) or document.pop("format", None) != RUN_FORMAT:
        raise StoreError(f"{path} must be that of a run, and is another file")
    version = document.pop("version", None)
    if version != RUN_VERSION:
        raise StoreError(
            f"{folder} must hold a run of version {RUN_VERSION} of the layout, got version {version!r}; use the dfa "
            "that began it"
        )
    return document


def read_run(folder: str | Path) -> SavedRun:
    """Return what a folder says of a run: from results.json once it is complete, before that from the journal.

    Raises:
        StoreError: It holds neither, or one of another version.
    """
    folder = Path(folder)
    document = read_document(folder) if door.holds(folder, RESULTS) or not holds_run(folder) else {}
    if document and document.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder} must hold a result saved in version {FORMAT_VERSION} of the layout, got version "
            f"{document.get('version')!r}; read it with the dfa that wrote it"
        )
    if document.get("complete") is True:
        try:
            rows = dict(enumerate(document["records"]))
            _check_rows(document["config"], rows)
            if len(rows) != document["config"].get("num_images", len(rows)):
                raise ValueError(f"there are {len(rows)} records of {document['config']['num_images']} images")
            return SavedRun(folder, document["config"], len(rows), rows, document["profile"], True)
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(f"the result in {folder} must be as it was saved, and is not: {error!r}") from error
    if not holds_run(folder):
        raise StoreError(f"{folder} must hold a complete result, and its saving was cut off; save the result again")
    try:
        config = read_run_json(folder)["config"]
        with reading(folder) as journal:
            # One moment of a run that may be going on.
            journal.execute("BEGIN")
            rows = {place: json.loads(record) for place, record in journal.execute("SELECT place, record FROM records")}
            found = journal.execute("SELECT place, form, image, original FROM pictures")
            pictures = {place: (form, image, original) for place, form, image, original in found}
        _check_rows(config, rows)
        return SavedRun(folder, config, config["num_images"], rows, {}, False, pictures)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the run in {folder} must be as it was written, and is not: {error!r}") from error


def read_epsilon(folder: Path, config: Mapping[str, Any]) -> NDArray[np.int64] | None:
    """Return the largest change that a run allowed, grey levels: (), (N,), (H, W, C) or (N, H, W, C).

    Returns:
        None where the folder does not tell, because it was too large to be part of a saved result.
    """
    try:
        if door.holds(folder, EPSILON):
            return read_array(door.read_file(folder, EPSILON, most=_MOST_EPSILON)).astype(np.int64)
        return np.asarray(config.get("epsilon"), dtype=np.int64)
    except (OSError, ValueError, TypeError):
        return None


def _check_rows(config: Mapping[str, Any], rows: Mapping[int, Mapping[str, Any]]) -> None:
    shape = shape_of(config) if Form.recorded(config) is Form.IMAGES else None
    for place, row in rows.items():
        if row["index"] != place:
            raise ValueError(f"the record at place {place} is of image {row['index']}")
        problem = row["file"] is not None and why_not_image_file(row["file"], place, shape)
        if problem:
            raise ValueError(problem)


def _differences(where: str, begun: Any, now: Any) -> Iterator[str]:
    """Yield, in words, what of run.json is no longer as it was."""
    if isinstance(begun, dict) and isinstance(now, dict):
        for name in sorted({*begun, *now}):
            yield from _differences(f"{where}.{name}" if where else name, begun.get(name), now.get(name))
    elif begun != now and where not in _MAY_DIFFER:
        yield f"{where} was {_short(begun)}, and is {_short(now)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
