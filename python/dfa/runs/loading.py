"""Reading a result back: its records at once, its images when they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dfa.errors import StoreError
from dfa.results.images import ImagesByIndex
from dfa.results.profile import read_profile
from dfa.results.record import Record, Status, read_record
from dfa.results.result import Result
from dfa.runs import door
from dfa.runs.folder import EPSILON
from dfa.runs.image_files import original_of, read_image
from dfa.runs.recorded import kept_epsilon
from dfa.runs.saved_run import SavedRun, fresh_answers, is_refuted, read_run
from dfa.types import Image


def load(folder: str | Path) -> Result:
    """Read back what `Result.save` or a stored run wrote; `Result.load` says how.

    Raises:
        StoreError: As in `Result.load`.
    """
    saved = read_run(folder)
    try:
        records = [
            read_record(saved.rows[index])
            if index in saved.rows
            else Record(
                index,
                0,
                Status.UNFINISHED,
                "the run has not ended",
                None if saved.names is None else saved.names[index],
            )
            for index in range(saved.num_images)
        ]
        files = {index: row["file"] for index, row in saved.rows.items() if row["file"] is not None}
        return Result(
            records=records,
            images=_SavedImages(saved, files),
            profile=read_profile(saved.profile),
            config=saved.config,
            originals=_SavedOriginals(saved, files),
            refuted={index: row.get("png_problem", "") for index, row in saved.rows.items() if is_refuted(row)},
            fresh={index: answers for index, row in saved.rows.items() if (answers := fresh_answers(row)).number},
        )
    except ValueError as error:
        raise StoreError(
            f"the result in {saved.folder} must be as it was saved, and is not: {error}; save it again"
        ) from error


def epsilon_of(result: Result) -> object:
    """Return a result's epsilon; where its settings keep but a digest, that of the folder that it was loaded from.

    Raises:
        StoreError: What lies there is not the epsilon of the digest.
    """
    epsilon = result.config.get("epsilon")
    if not isinstance(epsilon, dict) or not isinstance(result.images, _SavedImages):
        return epsilon
    folder = result.images.folder
    if not door.holds(folder, EPSILON):
        return epsilon
    kept, problem = kept_epsilon(folder, result.config, len(result.images))
    if problem:
        raise StoreError(
            f"{folder / EPSILON} must hold the run's epsilon to be saved again: {problem}; put it back, or remove it"
        )
    return kept


class _SavedImages(ImagesByIndex):
    """The images of a saved result, each read from its file when it is asked for."""

    def __init__(self, saved: SavedRun, files: Mapping[int, str]) -> None:
        self._saved = saved
        self._files = files

    @property
    def folder(self) -> Path:
        return self._saved.folder

    def held(self) -> list[int]:
        return sorted(self._files)

    def __len__(self) -> int:
        return self._saved.num_images

    def _read(self, index: int) -> Image | None:
        picture = self._saved.picture(index)
        if picture is not None:
            return np.array(picture.image)
        file = self._files.get(index)
        return None if file is None else read_image(self._saved.folder, file, self._saved.shape)


class _SavedOriginals:
    """The originals of a saved result's images, each read from its file when it is asked for."""

    def __init__(self, saved: SavedRun, files: Mapping[int, str]) -> None:
        self._saved = saved
        self._files = files

    def __len__(self) -> int:
        return self._saved.num_images

    def __getitem__(self, index: int, /) -> Image:
        folder = self._saved.folder
        if index not in self._files:
            raise StoreError(f"{folder} keeps the originals of its adversarial images only; {index} is not one")
        picture = self._saved.picture(index)
        return (
            np.array(picture.original)
            if picture is not None
            else read_image(folder, original_of(self._files[index]), self._saved.shape)
        )
