"""The runs of all parts of one set of images, joined to one result; no oracle is asked."""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dfa.checks import require_flag, require_path
from dfa.data.parts import Part
from dfa.errors import InvalidInputError, StoreError
from dfa.results.images import ImagesByIndex
from dfa.results.profile import TOTALS, CallsOverTime, Profile
from dfa.results.record import Record, Status, rewritten
from dfa.results.result import Result
from dfa.runs import door
from dfa.runs.documents import parse_config
from dfa.runs.folder import JOURNAL
from dfa.runs.loading import epsilon_of, load
from dfa.runs.saved_run import fresh_answers, holds_run, journal_rows, read_run, read_run_json, what_differs
from dfa.runs.saving import Verdict, save_checked
from dfa.runs.store import check_images
from dfa.types import Image

_PER_IMAGE: Final = "per image"
_SHOWN: Final = 8
"""Folders and parts that a message names; of more their number."""


def merge(folder: str | Path, parts: Sequence[str | Path], *, overwrite: bool = False) -> Result:
    """Join the runs of all parts of one set of images to one saved result; no oracle is asked.

    A part is a run of its own: `dfa attack --part 3/16`, or `dfa.run` of `ImageSet.part`. Its images have learned from
    one another alone, so one run over all finds other images, but where none learns (`dfa.Racos(archive=False)`).

    Every image is read from its part, held against its record, and written anew. What answers said of its file goes
    with it. Queries, calls and times are sums over the parts, but for the wall time, which is the longest; so
    `Profile.oracle_share` may be above 1.

    Args:
        folder: Where to save the result.
        parts: The folders of the parts, in any order. They are left as they are.
        overwrite: Replace a result saved in `folder` before.

    Returns:
        The result, as `Result.load` reads it from `folder`. Its config has the number of parts under `merged`, and what
        parts may differ in, such as `workers`, as the first part has it.

    Raises:
        InvalidInputError: There are no folders, or `folder` is one of them.
        StoreError: A folder holds no part, or one that has not ended; a part is there twice, or missing; parts differ
            in settings, oracle or version; an image is not what its record is about; or `folder` cannot be written.
    """
    folder, overwrite = require_path("folder", folder), require_flag("overwrite", overwrite)
    if isinstance(parts, str | Path) or not parts:
        raise InvalidInputError(f"parts must be a list of run folders, got {parts!r}")
    folders = [require_path("each part", each) for each in parts]
    if folder.resolve() in [each.resolve() for each in folders]:
        raise InvalidInputError(f"the result must have a folder of its own, and {folder} is a part; choose another")
    found = _in_order([_Run.read(each) for each in folders])
    for each in found:
        each.check_images()
    save_checked(_joined(found), folder, _checked(found), overwrite=overwrite)
    return load(folder)


@dataclass(frozen=True)
class _Run:
    """The run of a part.

    Attributes:
        folder: Its folder.
        part: Which part.
        result: What it found.
        checked: What saving found of its files, by index.
        model: What run.json says of the model.
    """

    folder: Path
    part: Part
    result: Result
    checked: dict[int, Verdict]
    model: dict[str, Any]

    @classmethod
    def read(cls, folder: Path) -> _Run:
        """Return the run of a part that a folder holds, ended or not.

        Raises:
            StoreError: It holds none.
        """
        saved = read_run(folder)
        part = parse_config(saved.config).part
        if part is None:
            raise StoreError(
                f"{folder} must hold the run of a part, and holds one of a whole set of images; begin it with "
                "dfa attack --part, or with the images of ImageSet.part"
            )
        checked = {
            index: Verdict(row.get("png_verified"), row.get("png_problem", ""), fresh_answers(row))
            for index, row in saved.rows.items()
            if row["file"] is not None
        }
        model = read_run_json(folder).model if holds_run(folder) else {}
        return cls(folder, part, load(folder), checked, model)

    @property
    def has_ended(self) -> bool:
        """Whether no image is left to be attacked, and no file to be asked about."""
        if door.holds(self.folder, JOURNAL) and not journal_rows(self.folder).is_over:
            return False
        return Status.UNFINISHED not in self.result.status

    @property
    def about(self) -> dict[str, Any]:
        """What all parts must have in common."""
        config: dict[str, Any] = {**self.result.config, "num_images": None}
        config["part"] = {"of": self.part.of, "total": self.part.total}
        if _is_per_image(config.get("targets"), 1):
            config["targets"] = _PER_IMAGE
        if _is_per_image(config.get("epsilon"), 1, 4):
            config["epsilon"] = _PER_IMAGE
        return {"config": config, "model": self.model}

    @property
    def targets(self) -> list[int]:
        """The target of each image, where each has its own; -1 of one that was never asked about."""
        given = self.result.config["targets"]
        if isinstance(given, list):
            return given
        return [-1 if record.target is None else record.target for record in self.result.records]

    def check_images(self) -> None:
        """Hold the files of a kept run to the digests in its journal.

        Raises:
            StoreError: One is missing, or is not what it was.
        """
        if door.holds(self.folder, JOURNAL):
            check_images(self.folder, journal_rows(self.folder).digests)


def _is_per_image(value: object, *dimensions: int) -> bool:
    """Tell whether a setting, as a folder has it, is an array of so many dimensions, or the digest of one."""
    if isinstance(value, dict):
        return "sha256" in value and len(value.get("shape", ())) in dimensions
    depth = 0
    while isinstance(value, list):
        depth, value = depth + 1, value[0] if value else None
    return depth in dimensions


def _in_order(runs: Sequence[_Run]) -> list[_Run]:
    """Return the runs in the order of their parts.

    Raises:
        StoreError: They are not those of all parts of one set, each once, alike, and ended.
    """
    first, *others = ordered = sorted(runs, key=lambda run: run.part.number)
    for run in others:
        differences = what_differs(first.about, run.about)
        if differences:
            raise StoreError(
                f"all parts must be of one set of images and attacked alike, and {run.folder} differs from "
                f"{first.folder}: {'; '.join(differences)}; attack it again as the others"
            )
    for one, other in itertools.pairwise(ordered):
        if one.part == other.part:
            raise StoreError(
                f"each part must be there once, and {one.folder} and {other.folder} are both part {one.part}; leave "
                "one of them out"
            )
    # A folder may say that there are more than memory holds.
    there = {run.part.number for run in runs}
    if number := first.part.of - len(there):
        missing = list(itertools.islice((each for each in range(1, first.part.of + 1) if each not in there), _SHOWN))
        raise StoreError(
            f"all {first.part.of} parts must be there, and {_listed(missing, number)} of them "
            f"{'is' if number == 1 else 'are'} not"
        )
    unfinished = [run.folder for run in ordered if not run.has_ended]
    if unfinished:
        raise StoreError(
            f"all parts must have ended, and {_listed(unfinished)} "
            f"{'has' if len(unfinished) == 1 else 'have'} not; resume them (resume=True)"
        )
    return ordered


def _listed(values: Sequence[object], number: int | None = None) -> str:
    more = (len(values) if number is None else number) - _SHOWN
    return ", ".join(map(str, values[:_SHOWN])) + (f" and {more} more" if more > 0 else "")


def _joined(runs: Sequence[_Run]) -> Result:
    first = runs[0]
    config = {**first.result.config, "num_images": first.part.total, "merged": {"parts": first.part.of}}
    del config["part"]
    if _is_per_image(config.get("targets"), 1):
        config["targets"] = np.array([each for run in runs for each in run.targets], dtype=np.int64)
    config["epsilon"] = _joined_epsilon(runs)
    return Result(
        records=[_moved(record, run.part.places.start) for run in runs for record in run.result.records],
        images=_JoinedImages(runs),
        profile=_summed(runs),
        config=config,
        originals=_JoinedOriginals(runs),
    )


def _joined_epsilon(runs: Sequence[_Run]) -> object:
    """Return the epsilon of all images.

    Raises:
        StoreError: A part has lost its own.
    """
    told = runs[0].result.config.get("epsilon")
    if not _is_per_image(told, 1, 4):
        return epsilon_of(runs[0].result)
    arrays = []
    for run in runs:
        epsilon = epsilon_of(run.result)
        if isinstance(epsilon, Mapping):
            raise StoreError(f"{run.folder} must hold the epsilon of its images in epsilon.npy; put the file back")
        arrays.append(np.asarray(epsilon, dtype=np.int64))
    return np.concatenate(arrays)


def _moved(record: Record, start: int) -> Record:
    """Return a record at its place in the whole set; also its reason names an image by that."""
    place = start + record.index
    return rewritten(record, index=place, reason=re.sub(rf"^image {record.index}\b", f"image {place}", record.reason))


def _checked(runs: Iterable[_Run]) -> dict[int, Verdict]:
    starts = [(run, run.part.places.start) for run in runs]
    return {start + index: image for run, start in starts for index, image in run.checked.items()}


def _summed(runs: Sequence[_Run]) -> Profile:
    """Return the totals of runs that went on side by side."""
    profiles = [run.result.profile for run in runs]
    workers = [
        replace(share, name=f"part {run.part}, {share.name}") for run in runs for share in run.result.profile.workers
    ]
    # The longest parts first: what they count together nobody can take apart.
    over_time = CallsOverTime(seconds=max(each.calls_over_time.seconds for each in profiles))
    for each in profiles:
        counts = zip(each.calls_over_time.calls, each.calls_over_time.rows, strict=True)
        for place, (calls, rows) in enumerate(counts):
            over_time.add(place * each.calls_over_time.seconds, rows, calls=calls)
    totals = {name: sum(getattr(each, name) for each in profiles) for name in TOTALS}
    totals["wall"] = max(each.wall for each in profiles)
    return Profile(**totals, calls_over_time=over_time, workers=workers)


@dataclass(frozen=True)
class _Places:
    """Where the images of several runs stand, one after another."""

    runs: Sequence[_Run]

    def find(self, index: int) -> tuple[Result, int]:
        """Return the result that has an image, and where it stands there."""
        number = bisect.bisect_right(self.runs, index, key=lambda run: run.part.places.start) - 1
        run = self.runs[number]
        return run.result, index - run.part.places.start

    def __len__(self) -> int:
        return self.runs[0].part.total


class _JoinedImages(ImagesByIndex):
    """The images of several runs, each read when it is asked for."""

    def __init__(self, runs: Sequence[_Run]) -> None:
        self._places = _Places(runs)

    def held(self) -> list[int]:
        return [run.part.places.start + index for run in self._places.runs for index in run.result.images.held()]

    def __len__(self) -> int:
        return len(self._places)

    def _read(self, index: int) -> Image | None:
        result, place = self._places.find(index)
        return result.images[place]


class _JoinedOriginals:
    """Their originals, each read when it is asked for."""

    def __init__(self, runs: Sequence[_Run]) -> None:
        self._places = _Places(runs)

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int, /) -> Image:
        result, place = self._places.find(index)
        if result.originals is None:
            raise StoreError(f"no originals are kept of image {index}")
        return result.originals[place]
