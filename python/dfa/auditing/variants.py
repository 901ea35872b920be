"""The images that a vector becomes: rounded, written to a file, and read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.auditing.normalizers import AnyNormalizer, check_round_trip, checked_levels
from dfa.auditing.roundings import Rounding, rounded
from dfa.auditing.vectors import GivenVectors
from dfa.oracle.codecs import Codec
from dfa.types import Image, Images


@dataclass
class Variants:
    """What a slice of the vectors became, ready to be asked about.

    `distinct[i]` are the distinct images of original i, itself the first; `image_place` (R, n) and `file_place`
    (R, C, n) say which of them a rounding and a codec made.
    """

    indices: NDArray[np.int64]
    originals: Images
    distinct: list[list[Image]]
    image_place: NDArray[np.int64]
    file_place: NDArray[np.int64]
    linf_vector: NDArray[np.float64]
    linf_image: NDArray[np.int64]
    linf_file: NDArray[np.int64]


@dataclass(frozen=True)
class Preparation:
    """How the vectors of an audit become images; may be used by several threads at once."""

    normalizer: AnyNormalizer
    vectors: GivenVectors
    shape: tuple[int, int, int]
    roundings: tuple[Rounding, ...]
    codecs: tuple[Codec, ...]
    seed: int

    def variants(self, indices: NDArray[np.int64], originals: Images, ids: NDArray[np.int64]) -> Variants:
        """Round, write and read back the vectors of some originals.

        Args:
            indices: int64, (n,): places of the originals.
            originals: uint8, (n, H, W, C).
            ids: int64, (n,): names of their random streams.

        Raises:
            InvalidInputError: The normalizer or a codec does not fit, or a vector lies outside the range.
        """
        check_round_trip(self.normalizer, originals, self.vectors.dtype, int(indices[0]))
        has_vector = self.vectors.present[indices]
        rows = np.flatnonzero(has_vector)
        number = len(indices)
        shape = (len(self.roundings), len(self.codecs), number)
        image_place = np.zeros((shape[0], number), dtype=np.int64)
        file_place = np.zeros(shape, dtype=np.int64)
        linf_vector = np.full(number, np.nan)
        linf_image = np.full((shape[0], number), -1, dtype=np.int64)
        linf_file = np.full(shape, -1, dtype=np.int64)
        distinct = [[original] for original in originals]
        places = [{original.tobytes(): 0} for original in originals]

        def place_of(row: int, image: Image) -> int:
            place = places[row].setdefault(image.tobytes(), len(distinct[row]))
            if place == len(distinct[row]):
                distinct[row].append(image)
            return place

        if len(rows):
            vectors = self.vectors.load(indices[rows])
            levels = checked_levels(self.normalizer, vectors, self.shape, int(indices[rows[0]]))
            base = originals[rows]
            linf_vector[rows] = _distances(levels, base)
            for r, rounding in enumerate(self.roundings):
                images = rounded(levels, rounding, seed=self.seed, ids=ids[rows])
                linf_image[r, rows] = _distances(images.astype(np.int16), base)
                for place, row in enumerate(rows.tolist()):
                    image_place[r, row] = place_of(row, images[place])
                    for c, codec in enumerate(self.codecs):
                        file = codec.round_trip(images[place], int(indices[row]))
                        file_place[r, c, row] = place_of(row, file)
                        linf_file[r, c, row] = _distances(file[None].astype(np.int16), originals[row : row + 1])[0]
        return Variants(indices, originals, distinct, image_place, file_place, linf_vector, linf_image, linf_file)


def _distances(changed: NDArray[Any], originals: Images) -> Any:
    """Return the largest distance of each image from its original, in the dtype of `changed`, which can hold it."""
    difference = np.abs(changed - originals)
    return difference.reshape(len(difference), -1).max(axis=1)
