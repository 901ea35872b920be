"""Bandits-TD: the gradient as a slowly moving prior over tiles, learned from two queries per step.

Source: Ilyas, Engstrom, Madry: "Prior convictions: black-box adversarial attacks with bandits and priors", ICLR 2019,
Algorithms 1 to 3, and the parameters of its attack in L-infinity.

As published: exploration 1, learning rate 100 of a prior that moves by exponentiated gradients, cross-entropy, image
steps of a fifth of eps (0.01 at eps 0.05). The prior has 50x50 tiles for ImageNet, as published, and 8x8 for MNIST and
20x20 for CIFAR-10, as tuned by Al-Dujaili and O'Reilly (2020). One difference: probes are 0.1 long in [0, 1], which is
0.9 grey levels per coordinate at 28x28, 0.5 at 32x32x3 and 0.07 at 224x224x3, where rounding would make them
all the same image; here their length is set by `probe`, in grey levels per coordinate.

Even so the two probes of a step differ less and less from one another as the prior grows, and of 8-bit images less is
left: this attack pays the most for being asked in integers. A step costs 3 queries, since the iterate is asked too,
which the paper leaves out of its count.

Order of magnitude: 1,117 queries and 5 % failures in the paper, on ImageNet at eps 0.05; here 399 (median 56) on
LeNet-1 at eps 64 over 60 images, with 7 % failures counted as the budget of 2,000.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Image
from rivals.counting import Search, box
from rivals.nes import on_grid

_EXPLORATION = 1.0


def tile_of(height: int, width: int) -> int:
    """Return the side of the grid of tiles."""
    side = min(height, width)
    return min(side, 8 if side < 32 else 20 if side < 64 else 50)


def bandits(image: Image, epsilon: int, rng: np.random.Generator, *, probe: float, rate: float = 100.0) -> Search:
    """Attack one image.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels.
        rng: Of this image alone.
        probe: Root mean square of what a probe changes, grey levels.
        rate: Learning rate of the prior.
    """
    height, width, channels = image.shape
    tiles = tile_of(height, width)
    rows, columns = np.arange(height) * tiles // height, np.arange(width) * tiles // width
    length = probe * math.sqrt(image.size)
    low, high = (bound.astype(np.float32) for bound in box(image, epsilon))
    iterate = image.astype(np.float32)
    prior = np.zeros((tiles, tiles, channels), dtype=np.float32)

    def spread(values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return values of tiles as values of coordinates."""
        coordinates: NDArray[np.float32] = values[rows[:, None], columns]
        return coordinates

    def probed(values: NDArray[np.float32]) -> NDArray[np.float32]:
        direction = spread(values)
        point: NDArray[np.float32] = iterate + direction * np.float32(
            length / max(float(np.linalg.norm(direction)), 1e-8)
        )
        return point

    while True:
        noise = _EXPLORATION / math.sqrt(prior.size) * rng.standard_normal(prior.shape, dtype=np.float32)
        plus, minus = yield on_grid(np.stack([probed(prior + noise), probed(prior - noise)]))
        slope = float(minus - plus) / (length / 255 * _EXPLORATION)
        prior = _exponentiated(prior, slope * noise, rate)
        iterate = np.clip(iterate + epsilon / 5 * np.sign(spread(prior)), low, high)
        yield on_grid(iterate)[None]


def _exponentiated(prior: NDArray[np.float32], gradient: NDArray[np.float32], rate: float) -> NDArray[np.float32]:
    """Return the prior, in [-1, 1], after a step of exponentiated gradients."""
    # (1 + prior) / 2 is a probability, and the step adds to its logit.
    share = np.clip((1 + prior) / 2, 1e-7, 1 - 1e-7)
    logit = np.log(share / (1 - share)) + 2 * rate * gradient
    stepped: NDArray[np.float32] = np.tanh(logit / 2)
    return stepped
