"""Images with what is known of them beside their pixels: labels, names, what the classes are called."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from dfa.checks import as_length, as_text, require_integer
from dfa.data.parts import Part, side_by_side
from dfa.errors import InvalidInputError
from dfa.search.class_names import class_id
from dfa.types import Classes

UNKNOWN: Final = -1
"""The label of an image that has none, as torchvision and Hugging Face write it."""
_LISTED: Final = 5


class ImageSet:
    """Images, and what is known of them beside their pixels; `dfa.run` takes it for all that it is not told itself.

    Attributes:
        images: The images, a sequence; what `dfa.run` takes.
        names: Files that they came from, or other names, one per image; or None.
        class_names: What the classes of the labels are called, in the order of their ids; or None.
        which: Which part of a larger set this is; or None.
        before: The images of that set that stand before this part.
    """

    def __init__(
        self,
        images: Any,
        *,
        names: Sequence[str] | None = None,
        labels: Any = None,
        class_names: Sequence[str] | None = None,
    ) -> None:
        """Keep images and what belongs to them.

        Args:
            images: Any sequence of images that `dfa.run` takes.
            names: One per image, or None.
            labels: Class ids, (N,), -1 where there is none; or a function that returns them, which is called when they
                are asked for; or None.
            class_names: One per class, or None.
        """
        self.images = images
        self.names = None if names is None else [as_text(each) for each in names]
        self.class_names = None if class_names is None else [as_text(each) for each in class_names]
        self.which: Part | None = None
        self.before: Sequence[Any] = ()
        self._read_labels: Callable[[], Any] = labels if callable(labels) else lambda: labels
        self._labels: Classes | None = None
        self._is_read = False

    @property
    def labels(self) -> Classes | None:
        """int64, (N,), class ids, -1 of an image without one; or None where no image has one.

        Raises:
            InvalidInputError: What the data holds are no class ids.
        """
        if not self._is_read:
            self._labels = _checked(self._read_labels(), len(self))
            self._is_read = True
        return self._labels

    def __len__(self) -> int:
        """Return N, the number of images."""
        return len(self.images)

    def __getitem__(self, index: int, /) -> Any:
        """Return image `index`: uint8, (H, W, C)."""
        return self.images[index]

    def without_labels(self) -> ImageSet:
        """Return the images and their names alone, for data whose class ids are not the model's.

        No label is read for that. What the classes are called goes as well, since it says what the ids mean.
        """
        bare = ImageSet(self.images, names=self.names)
        bare.which, bare.before = self.which, self.before
        return bare

    def part(self, number: int, *, of: int) -> ImageSet:
        """Return one of several parts of neighbouring images, for a run of its own; `dfa.merge` joins such runs.

        A part's images learn from one another alone. With `optimizer=dfa.Racos(archive=False)` no image learns, and the
        parts together find what one run over all finds: a copy of an image that stands in an earlier part is told from
        it, for which the run of a part reads the images before it once, unless it is given `ids`.

        Args:
            number: Which one, 1..of.
            of: How many parts there are.

        Raises:
            InvalidInputError: There is no such part, or these are a part already, or no sequence.
        """
        total = as_length(self.images)
        if total is None or self.which is not None:
            what = "of no length" if self.which is None else f"part {self.which} already"
            raise InvalidInputError(f"images must be a whole sequence to be parted, and are {what}")
        which = Part(require_integer("number", number, 1), require_integer("of", of, 1), total)
        places = which.places
        names = own_names(self.images, total) if self.names is None else self.names
        found = ImageSet(
            side_by_side(self.images, places),
            names=None if names is None else names[places.start : places.stop],
            labels=lambda: None if (labels := self.labels) is None else labels[places.start : places.stop],
            class_names=self.class_names,
        )
        found.which, found.before = which, side_by_side(self.images, range(places.start))
        return found

    def labels_in(self, class_names: Sequence[str] | None) -> Classes | None:
        """Return the labels as ids of classes that are called so, as `dfa.run` needs them.

        Where the data's own class names stand in another order, or are some of them, each label becomes the id of the
        class of its name. As many names in other words (ids of ImageNet, say) are taken to be of the same classes.

        Args:
            class_names: In the order of the model's classes; None for the data's own.

        Raises:
            InvalidInputError: A name stands nowhere, and the classes are more or fewer, or others stand elsewhere.
        """
        labels, own = self.labels, self.class_names
        if labels is None or own is None or class_names is None:
            return labels
        places = {own_id: _place_of(own[own_id], class_names) for own_id in np.unique(labels) if 0 <= own_id < len(own)}
        lost = [own[own_id] for own_id, place in places.items() if place is None]
        stay = all(place in (None, own_id) for own_id, place in places.items())
        if stay and (not lost or len(own) == len(class_names)):
            return labels
        if lost:
            raise InvalidInputError(
                "the images' labels are of classes of their own: class_names has other words or another order, and "
                f"lacks {listed(lost)}; pass labels=, or leave the labels out: images = "
                "dfa.data.as_images(images).without_labels()"
            )
        return np.array([places.get(each, each) for each in labels.tolist()], dtype=np.int64)


def _place_of(name: str, class_names: Sequence[str]) -> int | None:
    try:
        # A number may be an id where it is no name; here it is a name.
        return class_id(name, class_names) if name in class_names else None
    except InvalidInputError:  # two classes have that name
        return None


def _checked(given: Any, number: int) -> Classes | None:
    if given is None:
        return None
    labels = np.asarray(given)
    if labels.dtype.kind not in "iu" or labels.shape != (number,) or int(labels.min(initial=0)) < UNKNOWN:
        lowest = f" from {labels.min()} on" if labels.dtype.kind == "i" and labels.size else ""
        raise InvalidInputError(
            f"the images' own labels must be integer class ids of shape ({number},), -1 where there is none, got "
            f"{labels.dtype} of shape {labels.shape}{lowest}; pass labels=, or leave them out: "
            "images = dfa.data.as_images(images).without_labels()"
        )
    return None if bool(np.all(labels == UNKNOWN)) else labels.astype(np.int64)


def listed(words: Sequence[str]) -> str:
    """Return the first words of a list, for a message."""
    return ", ".join(map(repr, words[:_LISTED])) + (f" and {len(words) - _LISTED} more" if words[_LISTED:] else "")


def own_names(images: Any, number: int) -> list[str] | None:
    """Return the names that a sequence of images has a list of under `names`, or None."""
    names = getattr(images, "names", None)
    # Other libraries have other things under that name: torch a tuple, of a tensor's axes.
    if not isinstance(names, list) or len(names) != number or not all(isinstance(each, str) for each in names):
        return None
    return [as_text(each) for each in names]


def names_of_paths(paths: Sequence[str | os.PathLike[str]], top: str | os.PathLike[str] | None = None) -> list[str]:
    """Return where each file lies in a folder; by default in the innermost one that holds them all."""
    files = [Path(path) for path in paths]
    try:
        folder = os.path.commonpath([path.parent for path in files]) if top is None else top
    except ValueError:  # some are relative to a folder that nobody knows
        return [as_text(path.as_posix()) for path in files]
    return [as_text(path.relative_to(folder).as_posix()) for path in files]
