"""A look at the first answers of a run, while there is time to stop it: does the model see what the labels say?"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Final

import dfa.errors
from dfa.errors import ChanceAccuracyWarning
from dfa.results.record import Record
from dfa.results.skips import LIKELY_CAUSES, Mislabelled, told_step

_ENOUGH: Final = 20
"""Labelled images that say something: of fewer a good model may get few right by bad luck."""

_LUCK: Final = 0.05
"""An accuracy that guessing reaches less often than this is no guessing."""

_OURS: Final = os.path.dirname(os.path.abspath(dfa.errors.__file__)) + os.sep


class FirstLook:
    """Counts how often the first clean answers agree with the labels that were given, and looks once."""

    def __init__(self) -> None:
        """Begin with nothing seen."""
        self._seen = 0
        self._wrong: list[Mislabelled] = []
        self._is_over = False

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
        if self._seen < _ENOUGH:
            return
        self._is_over = True
        if chance_of(self._seen - len(self._wrong), self._seen, 1 / num_classes) > _LUCK:
            warning = ChanceAccuracyWarning(self._evidence(num_classes), LIKELY_CAUSES)
            warnings.warn(warning, stacklevel=_level_of_caller())

    def _evidence(self, num_classes: int) -> str:
        right = self._seen - len(self._wrong)
        parts = [
            f"the answers on the first {self._seen:,} images agree with {right:,} of their labels "
            f"({100 * right / self._seen:.1f} %), no more than guessing among {num_classes:,} classes would "
            f"({100 / num_classes:.2g} %), so the model hardly sees what it was made for",
            *told_step(self._wrong),
            "usual causes are a wrong normalisation, order of channels (RGB or BGR) or order of classes",
        ]
        return "; ".join(parts)


def chance_of(right: int, number: int, each: float) -> float:
    """Return how likely guessing gets at least so many right: the tail of a binomial distribution.

    Args:
        right: 0..number.
        number: Guesses.
        each: How likely one is right, above 0 and below 1.
    """
    whole = math.lgamma(number + 1)
    return math.fsum(
        math.exp(
            whole
            - math.lgamma(hits + 1)
            - math.lgamma(number - hits + 1)
            + hits * math.log(each)
            + (number - hits) * math.log1p(-each)
        )
        for hits in range(right, number + 1)
    )


def _level_of_caller() -> int:
    """Return the `stacklevel` of whoever called dfa, seen from the caller of this."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level
