"""HopSkipJump as its users call it: through the Adversarial Robustness Toolbox, on a classifier that shows labels.

Chen, Jordan, Wainwright: "HopSkipJumpAttack: a query-efficient decision-based attack", S&P 2020, arXiv 1904.02144.
`HopSkipJump(BlackBoxClassifierNeuralNetwork(...), norm=inf, max_iter=...)`, with the toolbox's defaults otherwise,
image by image, as floats 0..255, each rounded to the nearest grey level before it is asked. Everything that the toolbox
asks is charged, the clean image too. It ends at the first 8-bit image within epsilon, or with the budget. An image of
which no adversarial start is found among 100 random ones is a failure. Untargeted only. The toolbox draws that start
from a stream that takes no seed, so that no two runs are alike.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Scores
from rivals.art_square import toolbox_version
from rivals.counting import QueryCounter


def hop_skip_jump(counter: QueryCounter, num_classes: int, seed: int, steps: int = 1_000) -> None:
    """Attack all images of a problem, one after the other.

    Args:
        counter: Counts what is sent.
        num_classes: K.
        seed: Of numpy's global stream, which the toolbox draws all but the start from.
        steps: `max_iter`. The budget ends the attack long before.
    """
    if toolbox_version() is None:
        raise SystemExit("hop-skip-jump needs the toolbox: pip install --group benchmarks")
    evasion: Any = importlib.import_module("art.attacks.evasion")
    classification: Any = importlib.import_module("art.estimators.classification")
    images = counter.problem.images
    assert not counter.problem.is_targeted
    before = np.random.get_state()
    try:
        for owner in range(len(images)):
            classifier = classification.BlackBoxClassifierNeuralNetwork(
                _Attendant(counter, owner),
                input_shape=images.shape[1:],
                nb_classes=num_classes,
                channels_first=False,
                clip_values=(0, 255),
            )
            attack = evasion.HopSkipJump(classifier, norm=np.inf, max_iter=steps, verbose=False)
            np.random.seed([seed, owner])
            try:
                attack.generate(images[owner : owner + 1].astype(np.float32))
            except _Over:
                continue
    finally:
        np.random.set_state(before)


class _Over(Exception):  # noqa: N818 -- no error
    """The image has its success or has spent its budget."""


class _Attendant:
    """Asks about one image, and ends its attack."""

    def __init__(self, counter: QueryCounter, owner: int) -> None:
        self._counter = counter
        self._owner = owner

    def __call__(self, images: NDArray[np.float32]) -> Scores:
        rounded = np.clip(np.rint(images), 0, 255).astype(np.uint8)
        some = rounded[: self._counter.left(self._owner)]
        if not len(some):
            raise _Over
        answers = self._counter.ask(some, np.full(len(some), self._owner))
        if len(some) < len(images) or not self._counter.left(self._owner):
            raise _Over
        return answers
