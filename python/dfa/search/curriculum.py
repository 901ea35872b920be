"""Who learns from whom: the order in which the images of a run may use what others found.

Image i learns from the images 0..j-1, where j is the largest power of two that is at most i, and at least 4: the
first four know nothing, the next four learn from them, the next eight from all of these, and so on. A generation
begins when every image before it has been settled or has had its first `Lesson.CANDIDATES` candidates, and takes their
lessons in the order of the images. That depends on the images and the oracle alone, so results are the same for any
batch size and any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dfa import _core

_FIRST: Final = 4


class Curriculum:
    """The archive of a run, and how far its images may go.

    Attributes:
        num_open: The images below this index may begin.
    """

    def __init__(self, num_images: int, num_coordinates: int) -> None:
        """Open the first generation.

        Args:
            num_images: N.
            num_coordinates: H * W * C of an image.
        """
        self._archive = _core.Archive(num_coordinates)
        self._num_coordinates = num_coordinates
        self._num_images = num_images
        self.num_open = min(_FIRST, num_images)
        self._lessons: dict[int, tuple[int, _core.Lesson] | None] = {}
        self._num_learned = 0
        self._num_missing = self.num_open

    def is_open(self, index: int) -> bool:
        """Tell whether an image may begin."""
        return index < self.num_open

    def has_lesson(self, index: int) -> bool:
        """Tell whether an image needs to be heard no more."""
        return index in self._lessons or index < self._num_learned

    def plan(self, goal: int, scale: float) -> _core.Plan:
        """Return what the next search of the open generation begins with.

        Args:
            goal: The original class, or the target.
            scale: The degree of the clean image, by which degrees of different images are compared.
        """
        return self._archive.plan(goal, max(scale, 1e-9))

    def add_lesson(self, index: int, goal: int = 0, lesson: _core.Lesson | None = None) -> None:
        """Take the lesson of an image, or that it has none, and open the next generation if it was the last missing.

        Args:
            index: The image. Only its first lesson counts.
            goal: The original class, or the target.
            lesson: Of its search, over or past `Lesson.CANDIDATES`; None if there was no search.
        """
        if self.has_lesson(index):
            return
        self._lessons[index] = None if lesson is None else (goal, lesson)
        self._num_missing -= index < self.num_open
        while self._num_missing == 0 and self.num_open < self._num_images:
            for i in range(self._num_learned, self.num_open):
                taught = self._lessons.pop(i)
                if taught is not None:
                    self._archive.learn(*taught)
            self._num_learned = self.num_open
            self.num_open = min(2 * self.num_open, self._num_images)
            self._count_missing()

    def save(self) -> tuple[dict[str, Any], dict[str, bytes]]:
        """Return the exact state: what JSON can hold of it, and named bytes."""
        document = {
            "num_open": self.num_open,
            "num_learned": self._num_learned,
            "lessons": [[index, None if taught is None else taught[0]] for index, taught in self._lessons.items()],
        }
        blobs = {f"lesson {i}": taught[1].save() for i, taught in self._lessons.items() if taught is not None}
        return document, blobs | {"archive": self._archive.save()}

    def load(self, document: Mapping[str, Any], blobs: Mapping[str, bytes]) -> None:
        """Go on from what `save` returned."""
        self._archive = _core.Archive.load(blobs["archive"])
        self.num_open = document["num_open"]
        self._num_learned = document["num_learned"]
        self._lessons = {
            index: None if goal is None else (goal, _core.Lesson.load(self._num_coordinates, blobs[f"lesson {index}"]))
            for index, goal in document["lessons"]
        }
        self._count_missing()

    def _count_missing(self) -> None:
        """Count the images of the open generation that no lesson is known of."""
        self._num_missing = self.num_open - self._num_learned - sum(index < self.num_open for index in self._lessons)
