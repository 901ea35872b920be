"""Parts of a set of images: neighbours, which are attacked in a run of their own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dfa.errors import InvalidInputError


@dataclass(frozen=True)
class Part:
    """Which of several parts of a set of images a run attacks; no part has more than one image more than another.

    Attributes:
        number: 1..of.
        of: How many parts there are.
        total: How many images the whole set has, at least `of`.
    """

    number: int
    of: int
    total: int

    def __post_init__(self) -> None:
        """Refuse a part that no set has.

        Raises:
            InvalidInputError: It is out of its range.
        """
        if not 1 <= self.number <= self.of:
            raise InvalidInputError(f"part must be 1/{self.of} to {self.of}/{self.of}, got {self}")
        if self.of > self.total:
            raise InvalidInputError(
                f"each part must have an image, and the images are {self.total:,}, got part {self}; make fewer parts"
            )

    @classmethod
    def parse(cls, word: str, total: int) -> Part:
        """Return the part that a word such as "3/16" names, of so many images.

        Raises:
            InvalidInputError: It names none.
        """
        number, mark, of = word.partition("/")
        if not (mark and number.isdecimal() and of.isdecimal()):
            raise InvalidInputError(f"part must be NUMBER/PARTS, such as 3/16 for the third of sixteen, got {word!r}")
        return cls(int(number), int(of), total)

    @property
    def places(self) -> range:
        """Where its images stand in the whole set."""
        return range((self.number - 1) * self.total // self.of, self.number * self.total // self.of)

    def __str__(self) -> str:
        """Return it as words have it, such as 3/16."""
        return f"{self.number}/{self.of}"


@dataclass(frozen=True)
class Neighbours:
    """Images that stand side by side in a sequence, each read when it is asked for.

    Attributes:
        images: The sequence.
        places: Where they stand.
    """

    images: Any
    places: range

    def __len__(self) -> int:
        """Return the number of images."""
        return len(self.places)

    def __getitem__(self, index: int, /) -> Any:
        """Return one image."""
        return self.images[self.places[index]]


def side_by_side(images: Any, places: range) -> Any:
    """Return images of a sequence that stand side by side: of an array a view."""
    return images[places.start : places.stop] if isinstance(images, np.ndarray) else Neighbours(images, places)
