"""What `verify` looks at: images and originals of a run, from its files, its journal, and the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.originals import Form
from dfa.runs import door
from dfa.runs.image_files import decode_image, original_of
from dfa.runs.saved_run import SavedRun
from dfa.types import Image, ImageSequence


@dataclass
class Pictures:
    """The images of a run, and their originals: each as an array, or why there is none.

    Attributes:
        run: The run.
        originals: Of the user, to be believed instead of the folder's; or None.
        like: Dtype and shape of the first one, which all others must have; None before it.
    """

    run: SavedRun
    originals: ImageSequence | NDArray[np.uint8] | None
    like: tuple[np.dtype[Any], tuple[int, ...]] | None = None

    @property
    def form(self) -> Form:
        """What the run's originals are."""
        return Form.recorded(self.run.config)

    def image(self, row: Mapping[str, Any]) -> tuple[Image | None, str]:
        """Return an adversarial image, from the journal, its file, or both, which must then be alike."""
        picture = self.run.picture(row["index"])
        if picture is None:
            return self._alike(*self._decode(row["file"]))
        for kept, file in ((picture.image, row["file"]), (picture.original, original_of(row["file"]))):
            if door.holds(self.run.folder, file):
                found, problem = self._decode(file)
                if found is None or not np.array_equal(found, kept):
                    return None, problem or f"{file} and the journal hold two images"
        return self._alike(picture.image, "")

    def original(self, row: Mapping[str, Any]) -> tuple[Image | None, str]:
        """Return an original: the user's, if there are any, else the folder's."""
        return self._alike(*(self._kept(row) if self.originals is None else self._given(row["index"])))

    def why_not_copied(self, row: Mapping[str, Any], original: Image) -> str | None:
        """Return why the folder's copy is not the given original, nothing if it is, None where there is none."""
        is_kept = self.run.picture(row["index"]) is not None or door.holds(self.run.folder, original_of(row["file"]))
        if self.originals is None or not is_kept:
            return None
        copy, problem = self._kept(row)
        is_same = copy is not None and copy.dtype == original.dtype and np.array_equal(copy, original)
        return problem or ("" if is_same else f"{original_of(row['file'])} is not the original that was given")

    def _alike(self, found: Image | None, problem: str) -> tuple[Image | None, str]:
        if found is None or problem:
            return None, problem
        self.like = self.like or (found.dtype, self.run.shape or found.shape)
        if self.like == (found.dtype, found.shape):
            return found, ""
        dtype, shape = self.like
        return None, f"it must be {dtype} of the run's shape {shape}, and is {found.dtype} of shape {found.shape}"

    def _kept(self, row: Mapping[str, Any]) -> tuple[Image | None, str]:
        """Return the original that the folder keeps."""
        picture = self.run.picture(row["index"])
        return self._decode(original_of(row["file"])) if picture is None else (picture.original, "")

    def _given(self, index: int) -> tuple[Image | None, str]:
        """Return an original of the user's."""
        assert self.originals is not None
        try:
            original = np.asarray(self.originals[index])
        except Exception as error:  # a user's sequence may raise anything
            return None, f"it cannot be read: {type(error).__name__}: {error}"
        return original, self.form.why_not(original)

    def _decode(self, file: str) -> tuple[Image | None, str]:
        """Return what a file holds, as the run's form has it, or why it cannot be used."""
        image, problem = decode_image(self.run.folder, file, self.run.shape)
        wrong = "" if image is None else self.form.why_not(image)
        return (None, f"{Path(file).name} {wrong}") if wrong else (image, problem)
