"""A look at the first answers of a run, while there is time to stop it: does the model see what the labels say?"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Final

from dfa.checks import counted
from dfa.errors import ChanceAccuracyWarning, DoubtfulDataWarning, level_of_caller
from dfa.results.rates import chance_of
from dfa.results.record import Record
from dfa.results.skips import LIKELY_CAUSES, Mislabelled, told_causes
from dfa.types import Image

ENOUGH: Final = 20
"""Labelled images that say something: of fewer a good model may get few right by bad luck."""

LUCK: Final = 0.05
"""An accuracy that guessing reaches less often than this is no guessing."""


class FirstLook:
    """Counts how often the first clean answers agree with the labels that were given, and looks once."""

    def __init__(self, own_classes: Sequence[str] | None = None) -> None:
        """Begin with nothing seen.

        Args:
            own_classes: As of `dfa.results.skips.told_causes`.
        """
        self._own_classes = own_classes
        self._has_seen_images = False
        self._seen = 0
        self._wrong: list[Mislabelled] = []
        self._is_over = False

    def see_images(self, images: Sequence[Image]) -> None:
        """Look at the first images, 8-bit ones, before they are asked about.

        Warns:
            DoubtfulDataWarning: All their values are 0 or 1.
        """
        if not self._has_seen_images and all(int(image.max()) <= 1 for image in images):
            text = (
                f"no value of the first {counted(len(images), 'image')} is above 1, of 0..255, so they look black; "
                "if they were made of floats in 0..1, these must be multiplied first: (images * 255).round()"
            )
            warnings.warn(DoubtfulDataWarning(text), stacklevel=level_of_caller())
        self._has_seen_images = True

    def see(self, drafts: Sequence[Record], classes: Sequence[int], num_classes: int) -> None:
        """Take note of clean answers.

        Args:
            drafts: Of the images that were asked about.
            classes: The answers.
            num_classes: K.

        Warns:
            ChanceAccuracyWarning: Once there are enough, if no more of them are right than guessing gets right.
        """
        if self._is_over:
            return
        for draft, answer in zip(drafts, classes, strict=True):
            if draft.label is not None:
                self._seen += 1
                if answer != draft.label:
                    self._wrong.append(Mislabelled(draft.index, draft.label, answer))
        if self._seen < ENOUGH:
            return
        self._is_over = True
        if chance_of(self._seen - len(self._wrong), self._seen, 1 / num_classes) > LUCK:
            warning = ChanceAccuracyWarning(self._evidence(num_classes), LIKELY_CAUSES)
            warnings.warn(warning, stacklevel=level_of_caller())

    def _evidence(self, num_classes: int) -> str:
        right = self._seen - len(self._wrong)
        parts = [
            f"the answers on the first {self._seen:,} images agree with {right:,} of their labels "
            f"({100 * right / self._seen:.1f} %), no more than guessing among {num_classes:,} classes would "
            f"({100 / num_classes:.2g} %), so the model hardly sees what it was made for",
            *told_causes(self._wrong, self._own_classes),
            "usual causes are a wrong normalisation, order of channels (RGB or BGR) or order of classes",
        ]
        return "; ".join(parts)
