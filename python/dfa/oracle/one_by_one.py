"""A function that is asked about one image at a time, as an oracle."""

from __future__ import annotations

import copy
from typing import Any

from dfa.errors import PartialAnswer
from dfa.oracle.base import ScoreKind
from dfa.oracle.callable import CallableOracle
from dfa.oracle.raw import on_host


class OneByOne(CallableOracle):
    """A function of one image: a request to a service, a program that is started, a camera.

    The images of a batch are asked about one after another. Where the function fails, those behind it are not asked
    about, and what was answered before is not lost: a run that is kept in a folder (`store=`) goes on from there when
    it is resumed.

    The function gets uint8, (H, W, C), read-only (with `preprocess` what that makes of it), and returns what it says of
    this image alone: K scores, a pair of class ids and their probabilities (with "top_k" k of each, with "top_1" one of
    each), or with "label" one class id.

    Example:
        >>> import numpy as np
        >>> def brightness(image):
        ...     bright = image.mean() / 255
        ...     return 1 - bright, bright
        >>> OneByOne(brightness).scores(np.full((2, 2, 2, 1), 255, dtype=np.uint8))
        [(np.float64(0.0), np.float64(1.0)), (np.float64(0.0), np.float64(1.0))]
    """

    kind = "one_by_one"

    def _ask(self, batch: Any) -> Any:
        answers: list[Any] = []
        for image in batch:
            try:
                # Arrays of their own: a function may use the memory of its answer again for the next image.
                answers.append(_kept(self._function(image)))
            except KeyboardInterrupt:
                raise
            except BaseException as error:  # a user's function may raise anything, and ask the process to exit
                raise PartialAnswer(range(len(answers)), self._of_all(answers), error) from error
        return self._of_all(answers)

    def _of_all(self, answers: list[Any]) -> Any:
        """Return what a function of a batch would have answered."""
        is_pair = self.returns in (ScoreKind.TOP_K, ScoreKind.TOP_1)
        return tuple(map(list, zip(*answers, strict=True))) if is_pair and answers else answers


def _kept(answer: Any) -> Any:
    """Return an answer about one image in memory of its own."""
    return copy.deepcopy(on_host(answer))
