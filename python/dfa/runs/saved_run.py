"""What a folder says of a run, finished or not: read, and never written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.errors import StoreError
from dfa.runs.folder import FORMAT_VERSION, RUN, plain, read_document
from dfa.runs.journal import Picture, reading

RUN_FORMAT: Final = "dfa-run"

RUN_VERSION: Final = 5
"""Version of the journal and of run.json; counted up when a reader of the old one would go wrong."""

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

    def picture(self, index: int) -> Picture | None:
        """Return the adversarial image of a place, with its original, if it is not a file yet."""
        return Picture.of(*self.pictures[index]) if index in self.pictures else None


def holds_run(folder: Path) -> bool:
    """Tell whether a run was begun in a folder."""
    return (folder / RUN).exists()


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
    differences = what_differs(read_run_json(folder), json.loads(json.dumps(plain(about))))
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
        document = json.loads(path.read_text(encoding="utf-8"))
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
    document = read_document(folder) if (folder / "results.json").exists() or not holds_run(folder) else {}
    if document and document.get("version") != FORMAT_VERSION:
        raise StoreError(
            f"{folder} must hold a result saved in version {FORMAT_VERSION} of the layout, got version "
            f"{document.get('version')!r}; read it with the dfa that wrote it"
        )
    if document.get("complete") is True:
        try:
            rows = {row["index"]: row for row in document["records"]}
            return SavedRun(folder, document["config"], len(rows), rows, document["profile"], True)
        except (KeyError, TypeError) as error:
            raise StoreError(f"the result in {folder} must be as it was saved, and is not: {error!r}") from error
    if not holds_run(folder):
        raise StoreError(f"{folder} must hold a complete result, and its saving was cut off; save the result again")
    try:
        about = read_run_json(folder)
        config, names = about["config"], _names_in(about)
        with reading(folder) as journal:
            # One moment of a run that may be going on.
            journal.execute("BEGIN")
            rows = {place: json.loads(record) for place, record in journal.execute("SELECT place, record FROM records")}
            found = journal.execute("SELECT place, form, image, original FROM pictures")
            pictures = {place: (form, image, original) for place, form, image, original in found}
        return SavedRun(folder, config, config["num_images"], rows, {}, False, names, pictures)
    except (KeyError, TypeError, ValueError) as error:
        raise StoreError(f"the run in {folder} must be as it was written, and is not: {error!r}") from error


def _names_in(about: Mapping[str, Any]) -> list[str] | None:
    """Return the images' names that run.json has, if it has one for each."""
    names, number = about.get("inputs", {}).get("names"), about["config"]["num_images"]
    is_whole = isinstance(names, list) and len(names) == number and all(isinstance(each, str) for each in names)
    return names if is_whole else None


def what_differs(begun: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return, in words, what of run.json is another than it was, and may not be."""
    return list(_differences("", begun, now))


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
