"""What a folder says of a run, finished or not: read, and never written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from dfa.checks import require_path
from dfa.errors import StoreError
from dfa.results.rates import FreshAnswers
from dfa.runs import door
from dfa.runs.documents import (
    MOST_IMAGES,
    MOST_RUN,
    Config,
    JournalRows,
    RunDocument,
    parse_config,
    parse_results,
    parse_run,
    read_journal,
    read_json,
    read_pictures,
    read_records,
)
from dfa.runs.folder import FORMAT_VERSION, JOURNAL, RECORDS, RESULTS, RUN, images_named, plain, read_document
from dfa.runs.image_files import images_in, with_originals
from dfa.runs.journal import Picture, reading

T = TypeVar("T")

_SHORT: Final = 60
"""Letters of a value that a message shows; of longer lists it shows where they differ."""

RUN_FORMAT: Final = "dfa-run"

RUN_VERSION: Final = 6
"""Version of the journal and of run.json; counted up when a reader of the old one would go wrong."""


_MAY_DIFFER: Final = {
    "command",
    "config.oracle.name",
    "config.threads",
    "config.versions.numpy",
    "config.versions.python",
    "config.workers",
    "created",
}
"""What decides nothing about the results, or is only told."""

_OF_REQUESTS: Final = {
    "concurrency",
    "currency",
    "headers",
    "max_cost",
    "on_drift",
    "price",
    "rate",
    "retries",
    "timeout",
    "watch_every",
}
_SERVICES: Final = ("http", "oip")
"""Kinds of oracles of which these may differ too: how a service is asked, and not what it answers."""


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
        names: Of all images, where the run was given them and has not ended.
        pictures: What `picture` returns, as the journal has it; none once the run has ended.
    """

    folder: Path
    config: dict[str, Any]
    num_images: int
    rows: dict[int, dict[str, Any]]
    profile: dict[str, Any]
    is_complete: bool
    names: list[str] | None = None
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
    return parse_config(config).shape


def is_refuted(row: Mapping[str, Any]) -> bool:
    """Tell whether saving found that the file of a record, as a folder has it, is not what the record says."""
    return row.get("file") is not None and row.get("png_verified") is False


def fresh_answers(row: Mapping[str, Any]) -> FreshAnswers:
    """Return what answers about the file of a record said when it was saved; none where it was not asked about."""
    return FreshAnswers(row.get("png_agreeing", 0), row.get("png_answers", 0))


def holds_run(folder: Path) -> bool:
    """Tell whether a run was begun in a folder."""
    return door.holds(folder, RUN)


def holds_nothing_paid(folder: Path) -> bool:
    """Tell whether nothing lies in a folder but what a run leaves that died before it sent anything.

    Raises:
        StoreError: The folder cannot be read, or something in it is a link.
    """
    if any(door.holds(folder, name) for name in (RESULTS, RECORDS)) or images_in(folder):
        return False
    try:
        if door.size_of(folder, RUN):
            _raw_run_json(folder)
        if not door.size_of(folder, JOURNAL):
            return True
        with reading(folder) as journal:
            paid = "SELECT EXISTS (SELECT 1 FROM sent) OR EXISTS (SELECT 1 FROM records)"
            (is_paid,) = journal.execute(paid).fetchone()
            return not is_paid
    except StoreError:
        return False


def own_images(folder: Path) -> set[str]:
    """Return the image files that a run or result in a folder names as its own.

    Raises:
        StoreError: What names them cannot be read.
    """
    document = read_document(folder) if door.holds(folder, RESULTS) else {}
    named = images_named(document)
    if document.get("complete") is not True and door.size_of(folder, RUN) and door.holds(folder, JOURNAL):
        rows = _of_run(folder, read_records)
        named |= with_originals(row["file"] for row in rows.values() if row["file"] is not None)
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


def journal_rows(folder: Path) -> JournalRows:
    """Return all that the journal of the run in a folder holds.

    Raises:
        StoreError: The folder holds no run that can be read.
    """
    return _of_run(folder, read_journal)


def check_alike(folder: Path, about: Mapping[str, object]) -> None:
    """Refuse to go on with a run that was begun otherwise.

    Args:
        folder: Its folder.
        about: What run.json would say now.

    Raises:
        StoreError: Something that may change results differs; it is named.
    """
    differences = what_differs(_raw_run_json(folder), json.loads(json.dumps(plain(about))))
    if differences:
        raise StoreError(
            f"the run in {folder} must be resumed as it was begun, and this differs: {'; '.join(differences)}; "
            "put it back, or start a new run in another folder"
        )


def read_run_json(folder: Path) -> RunDocument:
    """Return what run.json says beside its format and version.

    Raises:
        StoreError: It is absent, unreadable, or of another version.
    """
    document = _raw_run_json(folder)
    try:
        return parse_run(document)
    except ValueError as error:
        raise StoreError(f"{folder / RUN} must be as it was written, and is not: {error}") from error


def _raw_run_json(folder: Path) -> dict[str, Any]:
    """Return run.json, of this version, as it stands there."""
    path = folder / RUN
    try:
        document = read_json(folder, RUN, most=MOST_RUN)
    except (OSError, ValueError) as error:
        raise StoreError(f"{folder} must hold a run, and {path.name} cannot be read: {error}") from error
    if document.pop("format", None) != RUN_FORMAT:
        raise StoreError(f"{path} must be that of a run, and is another file")
    version = document.pop("version", None)
    if version != RUN_VERSION or type(version) is not int:
        raise StoreError(
            f"{folder} must hold a run of version {RUN_VERSION} of the layout, got version {_short(version)}; use the "
            "dfa that began it"
        )
    return document


def read_run(folder: str | Path) -> SavedRun:
    """Return what a folder says of a run: from results.json once it is complete, before that from the journal.

    Raises:
        InvalidInputError: It is no path.
        StoreError: It holds neither, or one of another version.
    """
    folder = require_path("folder", folder)
    document = read_document(folder) if door.holds(folder, RESULTS) or not holds_run(folder) else {}
    if document and document.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder} must hold a result saved in version {FORMAT_VERSION} of the layout, got version "
            f"{_short(document.get('version'))}; read it with the dfa that wrote it"
        )
    if document.get("complete") is True:
        try:
            results = parse_results(document)
        except ValueError as error:
            raise StoreError(f"the result in {folder} must be as it was saved, and is not: {error}") from error
        rows = dict(enumerate(results.records))
        return SavedRun(folder, results.config, len(rows), rows, results.profile, True)
    if not holds_run(folder):
        raise StoreError(f"{folder} must hold a complete result, and its saving was cut off; save the result again")
    run = read_run_json(folder)
    config = run.config
    number = config["num_images"]
    if number > MOST_IMAGES:
        raise StoreError(
            f"{folder} must hold a run of at most {MOST_IMAGES:,} images to be read before it has ended, and its "
            f"{RUN} tells of {number:,}; resume it first"
        )
    rows, pictures = _of_run(folder, _read_unfinished)
    return SavedRun(folder, config, number, rows, {}, False, _names_in(run), pictures)


def _read_unfinished(
    journal: sqlite3.Connection, config: Config
) -> tuple[dict[int, dict[str, Any]], dict[int, tuple[str, bytes, bytes]]]:
    return read_records(journal, config), read_pictures(journal, config)


def _of_run(folder: Path, read: Callable[[sqlite3.Connection, Config], T]) -> T:
    """Return what is read from the journal of a run at one moment, as the run may be going on.

    Raises:
        StoreError: The folder holds no run that can be read.
    """
    config = parse_config(read_run_json(folder).config)
    with reading(folder) as journal:
        journal.execute("BEGIN")
        try:
            return read(journal, config)
        except ValueError as error:
            raise StoreError(f"the run in {folder} must be as it was written, and is not: {error}") from error


def what_differs(begun: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, in words, what of run.json is another than it was, and may not be."""
    return list(_differences("", begun, now))


def _names_in(run: RunDocument) -> list[str] | None:
    """Return the images' names that run.json has, if it has one for each."""
    names, number = run.inputs.get("names"), run.config["num_images"]
    is_whole = isinstance(names, list) and len(names) == number and all(isinstance(each, str) for each in names)
    return names if is_whole else None


def _differences(where: str, begun: Any, now: Any) -> Iterator[str]:
    """Yield, in words, what of run.json is no longer as it was."""
    if where in _MAY_DIFFER:
        return
    if isinstance(begun, dict) and isinstance(now, dict):
        may_differ = _OF_REQUESTS if begun.get("kind") in _SERVICES else frozenset[str]()
        for name in sorted({*begun, *now} - may_differ):
            yield from _differences(f"{where}.{name}" if where else name, begun.get(name), now.get(name))
    elif begun != now:
        long = isinstance(begun, list) and isinstance(now, list) and _short(begun).endswith("...")
        if long and len(begun) == len(now):
            # The first that differs: what is cut off may be all that does.
            places = [place for place, pair in enumerate(zip(begun, now, strict=True)) if pair[0] != pair[1]]
            more = f" (and {len(places) - 1:,} more)" if len(places) > 1 else ""
            first = places[0]
            yield f"{where}[{first}] was {_short(begun[first])}, and is {_short(now[first])}{more}"
        elif long:
            yield f"{where} had {len(begun):,} entries, and has {len(now):,}"
        else:
            yield f"{where} was {_short(begun)}, and is {_short(now)}"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHORT else f"{text[: _SHORT - 3]}..."
