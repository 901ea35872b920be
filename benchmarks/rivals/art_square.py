"""Square Attack as its users call it: through the Adversarial Robustness Toolbox, on a black-box classifier.

`SquareAttack(BlackBoxClassifierNeuralNetwork(...), norm=inf, eps=..., max_iter=...)`, with the toolbox's defaults
otherwise (p_init = 0.8, the margin of what the classifier returns, here probabilities), on all images at once, as
floats 0..255, which stay whole numbers. It differs from the published attack: one square and one sign per channel for
the whole batch, no redrawing, and three queries a step, since the class and the loss of the best image are asked again
every time. The clean image is asked twice before the first candidate. All of it is charged.

Images that it sends after their success are answered from memory and not sent. Untargeted only: the toolbox's default
criterion and loss know no target.
"""

from __future__ import annotations

import importlib
import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Indices, Scores
from harness.promises import Ball
from rivals.counting import QueryCounter


def toolbox_version() -> str | None:
    """Return the installed version of the toolbox, or None."""
    try:
        return importlib.metadata.version("adversarial-robustness-toolbox")
    except importlib.metadata.PackageNotFoundError:
        return None


def art_square(counter: QueryCounter, num_classes: int, seed: int, steps: int = 10_000) -> None:
    """Attack all images of a problem.

    Args:
        counter: Counts what is sent.
        num_classes: K.
        seed: Of numpy's global stream, which the toolbox draws from.
        steps: `max_iter`. The budget ends the attack long before.
    """
    if toolbox_version() is None:
        raise SystemExit("art-square needs the toolbox: pip install --group benchmarks")
    evasion: Any = importlib.import_module("art.attacks.evasion")
    classification: Any = importlib.import_module("art.estimators.classification")
    problem = counter.problem
    assert not problem.is_targeted
    assert isinstance(problem.promise, Ball)
    attendant = _Attendant(counter, num_classes)
    classifier = classification.BlackBoxClassifierNeuralNetwork(
        attendant,
        input_shape=problem.images.shape[1:],
        nb_classes=num_classes,
        channels_first=False,
        clip_values=(0, 255),
    )
    attack = evasion.SquareAttack(
        classifier,
        norm=np.inf,
        eps=problem.promise.epsilon,
        max_iter=steps,
        batch_size=len(problem.images),
        verbose=False,
    )
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        attack.generate(problem.images.astype(np.float32), problem.goals)
    except _Over:
        pass
    finally:
        np.random.set_state(before)


class _Over(Exception):  # noqa: N818 -- no error
    """Every image has its success or has spent its budget."""


class _Attendant:
    """Tells whose images the toolbox sends: all of them, or those that its last look at all found unbroken."""

    def __init__(self, counter: QueryCounter, num_classes: int) -> None:
        self._counter = counter
        self._everyone = np.arange(len(counter.problem.images))
        self._unbroken = self._everyone
        self._answers: Scores = np.zeros((len(self._everyone), num_classes))

    def __call__(self, images: NDArray[np.float32]) -> Scores:
        problem, counter = self._counter.problem, self._counter
        is_all = len(images) == len(self._everyone)
        owners: Indices = self._everyone if is_all else self._unbroken
        if len(owners) != len(images):
            raise RuntimeError(f"{len(images)} images came, where {len(owners)} were expected")
        rounded = np.clip(np.rint(images), 0, 255).astype(np.uint8)
        open_rows = np.array([row for row, owner in enumerate(owners) if not counter.hits[owner]], dtype=np.int64)
        if not open_rows.size or counter.sent[owners[open_rows]].max() >= problem.budget:
            raise _Over
        answers = self._answers[owners]
        answers[open_rows] = counter.ask(rounded[open_rows], owners[open_rows])
        hit_now = open_rows[counter.hits[owners[open_rows]] > 0]
        self._answers[owners[hit_now]] = answers[hit_now]
        if is_all:
            self._unbroken = self._everyone[~problem.is_adversarial(answers, self._everyone)]
        return answers
