"""What the files of a run folder say, parsed in this one place: typed, within bounds, or refused.

A run folder may come from anybody, or have been damaged. Everything that reads its JSON, or the rows of its journal,
gets it from here.
"""

from __future__ import annotations

import math
import sqlite3
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.data.parts import Part
from dfa.originals import Form
from dfa.results.parsing import MisfitError, load_json, reader
from dfa.results.record import read_fields
from dfa.runs import door
from dfa.runs.image_files import why_not_image_file
from dfa.runs.journal import Picture, digest_of_row
from dfa.search.confirmation import Confirmation

MOST_RUN: Final = 2**28
"""Bytes that run.json may hold."""

MOST_IMAGES: Final = 2**20
"""Images of a run that has not ended. Those of one that has are as many as its records; of this one the folder could
claim any number, and each image takes memory, finished or not."""

_MOST_VALUES: Final = 2**32
_MOST_DIMENSIONS: Final = 8


@dataclass(frozen=True)
class Space:
    """What run.json says of a search space that everybody needs to know.

    Attributes:
        kind: Its name.
        form: What the originals are.
    """

    kind: str
    form: Form = Form.IMAGES


@dataclass(frozen=True)
class Config:
    """The settings of a run that dfa reads again from its folder; those of a result made by hand may lack any.

    Attributes:
        num_images: N.
        shape: Of the images.
        max_queries: Per image.
        batch_size: Images per batch.
        confirmations: As `Confirmation.parse` takes it.
        space: None for a ball.
        optimizer: Fields of the optimizer.
        oracle: What the oracle says of itself.
        max_seconds: Of the run.
        give_up_after: Of the run.
        objective: Its name.
        seed: 0..2**64 - 1, which is no integer of 64 bits with a sign.
        part: Which part of a larger set of images they are, or None.
    """

    num_images: int | None = None
    shape: tuple[int, ...] | None = None
    max_queries: int | None = None
    batch_size: int = 256
    confirmations: Any = 1
    space: Space | None = None
    optimizer: dict[str, Any] | None = None
    oracle: dict[str, Any] | None = None
    max_seconds: float | None = None
    give_up_after: int | None = None
    objective: str | None = None
    seed: Any = None
    part: Part | None = None

    def __post_init__(self) -> None:
        """Check what no type tells.

        Raises:
            ValueError: A number is out of its range.
        """
        Confirmation.parse(self.confirmations)
        if self.batch_size < 1:
            raise MisfitError("1 or more", self.batch_size, "batch_size")
        for name, number in {"num_images": self.num_images, "max_queries": self.max_queries}.items():
            if number is not None and number < 0:
                raise MisfitError("0 or more", number, name)
        if self.part is not None and self.num_images != len(self.part.places):
            raise MisfitError(
                f"the {len(self.part.places):,} images of part {self.part}", self.num_images, "num_images"
            )
        shape = self.shape or ()
        if len(shape) > _MOST_DIMENSIONS or any(number < 1 for number in shape) or math.prod(shape) > _MOST_VALUES:
            raise MisfitError(f"numbers of 1 or more, of {_MOST_VALUES:,} values together", list(shape), "shape")

    @property
    def form(self) -> Form:
        """What the originals are."""
        return Form.IMAGES if self.space is None else self.space.form


@dataclass(frozen=True)
class Command:
    """An attack in words, as they are shown again: the fields of the command line's `Request`, which says what each is.

    One that has a flag has the flag's default here.
    """

    model: str
    images: str
    folder: str
    settings: dict[str, Any]
    optimizer: dict[str, Any]
    labels: str | None = None
    target: str | None = None
    epsilon: str | None = None
    space: str | None = None
    objective: str | None = None
    preset: str = "default"
    returns: str | None = None
    shows: str | None = None
    k: int | None = None
    num_classes: int | None = None
    class_names: str | None = None
    prior: str | None = None
    class_offset: int = 0
    preprocess: str | None = None
    mean: str | None = None
    std: str | None = None
    value_range: str | None = None
    model_layout: str | None = None
    device: str | None = None
    channels: str = "auto"
    size: str | None = None
    image_layout: str | None = None
    confirmations: str | None = None
    part: str | None = None
    parse: str | None = None
    encode: str | None = None
    rate: str | None = None
    rate_file: str | None = None
    price: str | None = None
    max_cost: str | None = None
    currency: str | None = None
    concurrency: int | None = None
    images_per_request: int | None = None
    token_env: str | None = None
    header: str | None = None
    watch_every: int | None = None
    on_drift: str | None = None
    retries: int | None = None
    timeout: float | None = None
    ca_file: str | None = None


@dataclass(frozen=True)
class RunDocument:
    """What run.json says.

    Attributes:
        config: Every setting.
        command: The words of whoever began the run; `parse_command` holds them to those of `dfa attack`.
        model: Its fingerprint.
        inputs: Labels and ids.
        created: When.
    """

    config: dict[str, Any]
    command: Any = None
    model: dict[str, Any] = field(default_factory=dict)
    inputs: dict[str, Any] = field(default_factory=dict)
    created: Any = None


@dataclass(frozen=True)
class ResultsDocument:
    """What a complete results.json says.

    Attributes:
        config: Every setting.
        records: One per image, in order.
        profile: Where the time went.
        saved: What reading the files back showed.
    """

    config: dict[str, Any]
    records: list[Any]
    profile: dict[str, Any]
    saved: dict[str, Any]


@dataclass(frozen=True)
class _OnDisk:
    """What a record says of its file; the journal says no more than its name."""

    file: str | None
    png_verified: bool | None = None
    png_problem: str = ""
    png_agreeing: int = 0
    png_answers: int = 0


_read_config: Final = reader(Config)
_read_command: Final = reader(Command)
_read_run: Final = reader(RunDocument)
_read_results: Final = reader(ResultsDocument)
_read_on_disk: Final = reader(_OnDisk)


def read_json(folder: Path, name: str, *, most: int) -> dict[str, Any]:
    """Return the object that a file of a run folder holds.

    Raises:
        OSError: The file cannot be read, or holds more bytes than `most`.
        ValueError: It holds no such object.
    """
    return load_json(door.read_file(folder, name, most=most))


def parse_run(document: object) -> RunDocument:
    """Return what run.json says, beside its format and version.

    Raises:
        ValueError: It is not what a run writes.
    """
    run: RunDocument = _read_run(document)
    config = parse_config(run.config)
    if config.num_images is None:
        raise MisfitError("an object with 'num_images'", run.config, "config")
    return run


def parse_config(config: object) -> Config:
    """Return the settings that a folder keeps.

    Raises:
        ValueError: They are none.
    """
    try:
        parsed: Config = _read_config(config)
    except MisfitError as error:
        raise error.below("config") from None
    return parsed


def parse_command(command: object) -> Command:
    """Return the words that a run was begun with.

    Raises:
        ValueError: They are none.
    """
    parsed: Command = _read_command(command)
    return parsed


def parse_results(document: object) -> ResultsDocument:
    """Return what a complete results.json says, its records one per image and in order.

    Raises:
        ValueError: It is not what saving writes.
    """
    results: ResultsDocument = _read_results(document)
    config = parse_config(results.config)
    number = len(results.records)
    if config.num_images not in (None, number):
        raise ValueError(f"there must be a record for each of {config.num_images:,} images, and there are {number:,}")
    for place, row in enumerate(results.records):
        try:
            check_record(row, place, config)
        except MisfitError as error:
            raise error.below(place).below("records") from None
    return results


def check_record(row: object, place: int, config: Config) -> None:
    """Refuse what is not the record of an image, or names another file than the image's own.

    Raises:
        ValueError: It is none.
    """
    index = read_fields(row)["index"]
    if index != place:
        raise ValueError(f"the record at place {place} is of image {index}")
    on_disk = _read_on_disk(row)
    if not 0 <= on_disk.png_agreeing <= on_disk.png_answers:
        raise MisfitError(f"0 to {on_disk.png_answers} answers", on_disk.png_agreeing, "png_agreeing")
    file = on_disk.file
    shape = config.shape if config.form is Form.IMAGES else None
    problem = "" if file is None else why_not_image_file(file, place, shape)
    if problem:
        raise ValueError(problem)


@dataclass(frozen=True)
class JournalRows:
    """What the journal of a run holds.

    Attributes:
        records: By place.
        waiting: Places of the images that are no files yet.
        digests: By place, of the images read; None for one that could not be.
        checkpoint: By name, if there is one.
        sent: Images by purpose.
        resumes: How often the run has been taken up again.
        is_over: Whether the run has ended.
    """

    records: dict[int, dict[str, Any]]
    waiting: list[int]
    digests: dict[int, bytes | None]
    checkpoint: dict[str, bytes]
    sent: dict[str, int]
    resumes: int
    is_over: bool


def read_records(journal: sqlite3.Connection, config: Config) -> dict[int, dict[str, Any]]:
    """Return the records that a journal holds, by place.

    Raises:
        ValueError: One is damaged, or none.
        sqlite3.Error: The journal cannot be read.
    """
    records = {}
    for place, record, digest in _rows(journal, "records", config, (int, str, bytes)):
        if digest != digest_of_row(place, record.encode()):
            raise ValueError(f"the record of image {place} is damaged: its digest does not match")
        records[place] = load_json(record)
        check_record(records[place], place, config)
    return records


def read_pictures(journal: sqlite3.Connection, config: Config) -> dict[int, tuple[str, bytes, bytes]]:
    """Return the images that a journal holds, by place, as it holds them.

    Raises:
        ValueError: One is damaged, or none.
        sqlite3.Error: The journal cannot be read.
    """
    return dict(_pictures(journal, config))


def _pictures(journal: sqlite3.Connection, config: Config) -> Iterator[tuple[int, tuple[str, bytes, bytes]]]:
    for place, form, image, original, digest in _rows(journal, "pictures", config, (int, str, bytes, bytes, bytes)):
        if digest != digest_of_row(place, form.encode(), image, original):
            raise ValueError(f"image {place} is damaged: its digest does not match")
        picture = Picture.of(form, image, original)
        shape = picture.image.shape
        if config.shape is not None and shape != config.shape:
            raise ValueError(f"image {place} must have the run's shape {config.shape}, and has {shape}")
        problem = next((why for each in picture if (why := config.form.why_not(each))), "")
        if problem:
            raise ValueError(f"image {place} {problem}")
        yield place, (form, image, original)


def read_journal(journal: sqlite3.Connection, config: Config) -> JournalRows:
    """Return all that a journal holds.

    Raises:
        ValueError: A row is damaged, or none.
        sqlite3.Error: The journal cannot be read.
    """
    about = _named(journal, "about", str)
    sent = _named(journal, "sent", int)
    for purpose, images in sent.items():
        if not 0 <= images < 2**62:
            raise MisfitError("0 or more", images, f"images sent for {purpose}")
    return JournalRows(
        records=read_records(journal, config),
        waiting=[place for place, _ in _pictures(journal, config)],
        digests=dict(_rows(journal, "inputs", config, (int, (bytes, type(None))))),
        checkpoint=_named(journal, "checkpoint", bytes),
        sent=sent,
        resumes=int(about.get("resumes", "0")),
        is_over="ended" in about,
    )


def _rows(journal: sqlite3.Connection, table: str, config: Config, kinds: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table that has one per image, at most."""
    last = -1
    for row in journal.execute(f"SELECT * FROM {table} ORDER BY place"):
        if not all(isinstance(value, kind) for value, kind in zip(row, kinds, strict=True)):
            raise ValueError(f"a row of {table} has other types of values: {[type(value).__name__ for value in row]}")
        # Whatever a table claims, it ends: places ascend, up to the last image.
        if not last < row[0] < typing.cast(int, config.num_images):
            raise ValueError(f"a row of {table} is of image {row[0]}, behind {last}, of {config.num_images}")
        last = row[0]
        yield row


def _named(journal: sqlite3.Connection, table: str, kind: type) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for name, value in journal.execute(f"SELECT * FROM {table}"):
        if not isinstance(name, str) or not isinstance(value, kind) or name in rows:
            raise ValueError(f"a row of {table} is none: {name!r}")
        rows[name] = value
    return rows
