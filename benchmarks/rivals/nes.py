"""NES: the gradient from random probes in pairs, and signed steps along it.

Source: Ilyas, Engstrom, Athalye, Lin: "Black-box adversarial attacks with limited queries and information", ICML 2018,
Algorithm 1, and the parameters of its query-limited attack.

As published: 25 antithetic pairs of normal probes per step, momentum 0.9, steps along the sign of the gradient, the
step halved when the loss has not fallen over 5 steps, at first a fifth of eps (0.01 at eps 0.05). One difference: the
published sigma, 0.001 of the range, is a quarter of a grey level, which rounding removes from 95 % of the
coordinates; here it is one grey level. With the cross-entropy and the published sigma the mean on LeNet-1 at eps 64
(60 images, 2,000 queries) is 644, with the margin of the log-probabilities and one grey level 415, both at 95 %.

Order of magnitude: Ilyas et al. (2019) report 1,735 queries and 22 % failures for NES on ImageNet at eps 0.05; hundreds
of queries on a small network are in keeping with that.

A step costs 51 queries, the iterate included, as the authors' code counts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Image, Images
from rivals.counting import Search, box

_PAIRS = 25
_MOMENTUM = 0.9
_PLATEAU = 5


def nes(image: Image, epsilon: int, rng: np.random.Generator, *, sigma: float) -> Search:
    """Attack one image.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels.
        rng: Of this image alone.
        sigma: Standard deviation of the probes, grey levels.
    """
    low, high = (bound.astype(np.float32) for bound in box(image, epsilon))
    iterate = image.astype(np.float32)
    gradient = np.zeros(image.shape, dtype=np.float32)
    step, least_step = epsilon / 5, epsilon / 1_000
    recent: list[float] = []
    while True:
        noise = rng.standard_normal((_PAIRS, *image.shape), dtype=np.float32)
        losses = yield on_grid(np.concatenate([iterate + sigma * noise, iterate - sigma * noise]))
        differences = (losses[:_PAIRS] - losses[_PAIRS:]).astype(np.float32)
        gradient = _MOMENTUM * gradient + (1 - _MOMENTUM) * np.tensordot(differences, noise, axes=1)
        recent = [*recent, float(losses.mean())][-_PLATEAU:]
        if len(recent) == _PLATEAU and recent[-1] > recent[0]:
            step = max(step / 2, least_step)
            recent = []
        iterate = np.clip(iterate - step * np.sign(gradient), low, high)
        yield on_grid(iterate)[None]


def on_grid(values: NDArray[np.float32]) -> Images:
    """Return the nearest uint8 image, of one or of a batch."""
    rounded: Images = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded
