"""RayS: the shortest way to another label along a vector of signs, of which blocks are flipped.

Source: Chen, Gu: "RayS: a ray searching method for hard-label adversarial attack", KDD 2020, arXiv 2006.12792,
Algorithms 1 to 3. Untargeted, from labels alone.

A direction of signs, all +1 at first, and a radius, at first so large that every value ends black or white. Blocks of
the direction (the whole, halves, quarters and so on, in the order channels, rows, columns) are flipped in turn. A flip
whose image at the present radius keeps the label is given up after that one query; the radius of any other is bisected,
and direction and radius become its own. It ends within epsilon: by then the counter has seen the success.

It differs in two ways, both in its favour. A real radius means nothing for whole grey levels: every value of an image
lies equally far from the next one, so rounded to the nearest a radius is a whole number, and the search comes to rest
(ResNet-20 at eps 8, 50 images, 2,000 queries: 80 % broken, mean 661). Here values are rounded up or down by thresholds
that are drawn once per image, so that a share of them moves with every step of the radius (96 %, mean 394). And it is
bisected to a tenth of a grey level: the published tolerance, 0.001 of the range in L2, takes up to 16 queries for 11
(mean 308).

Order of magnitude: 792 queries in the paper, on CIFAR-10 at eps 8 with its own network.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Image, Images
from rivals.counting import Search

_TOLERANCE = 0.1
"""Grey levels between the ends of a bisection at its end."""


def rays(image: Image, epsilon: int, rng: np.random.Generator) -> Search:
    """Attack one image. The search sees losses of 0 (another label) and 1.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels. Not used: the counter ends the search.
        rng: Of this image alone.
    """
    center = image.transpose(2, 0, 1).astype(np.float64)
    thresholds = rng.random(center.shape)

    def at(signs: NDArray[np.float64], radius: float) -> Images:
        values = np.floor(center + radius * signs.reshape(center.shape) + thresholds)
        shown: Images = np.clip(values, 0, 255).astype(np.uint8).transpose(1, 2, 0)[np.newaxis]
        return shown

    signs = np.ones(image.size)
    radius = 255.0
    while True:
        for level in range(math.ceil(math.log2(image.size)) + 1):
            length = math.ceil(image.size / 2**level)
            for start in range(0, image.size, length):
                flipped = signs.copy()
                flipped[start : start + length] *= -1
                (loss,) = yield at(flipped, radius)
                if loss:
                    continue
                low, high = 0.0, radius
                while high - low > _TOLERANCE:
                    middle = (low + high) / 2
                    (loss,) = yield at(flipped, middle)
                    low, high = (middle, high) if loss else (low, middle)
                signs, radius = flipped, high
