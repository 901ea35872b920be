"""Square Attack in integers.

Source: Andriushchenko, Croce, Flammarion, Hein: "Square Attack: a query-efficient black-box adversarial attack via
random search", ECCV 2020, arXiv 1912.00049, Algorithms 1 and 2 (L-infinity).

Every coordinate of its candidates is original - eps or original + eps, clipped to 0..255, so the attack is integer by
nature. As published: a start of vertical stripes; one square per step with one sign per channel; redrawn signs, for
the same square, until the candidate differs from the best image; accepted if the loss falls; the share of the image
that a square covers halves after 10, 50, 200, 500, 1,000, 2,000, 4,000, 6,000 and 8,000 of 10,000 steps. Squares lie
anywhere in the image, as the paper has it; the authors' code spares the last row and column.

Shares p in the paper: 0.05 for ordinary models, 0.3 to 0.8 for robust ones.

Order of magnitude: 73 queries (median 11) in the paper, on ResNet-50 at eps 12.75; here 21 (median 15) on LeNet-1 at
eps 64 and 44 (median 19) on ResNet-20 at eps 8, with p = 0.1.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterator

import numpy as np

from harness.arrays import Image
from rivals.counting import Search, box

_HALVINGS = (10, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000)
_STEPS = 10_000


def side_of_square(step: int, share: float, height: int, width: int, steps: int = _STEPS) -> int:
    """Return the side of the square of a step.

    Args:
        step: 0 for the first square.
        share: p, of the image's area at the start.
        height: Of the image.
        width: Of the image.
        steps: That the schedule is stretched over.
    """
    halvings = bisect_left(_HALVINGS, int(step / steps * _STEPS))
    side = round(math.sqrt(share / 2**halvings * height * width))
    return max(min(side, min(height, width) - 1), 1)


def square(image: Image, epsilon: int, rng: np.random.Generator, *, share: float, steps: int = _STEPS) -> Search:
    """Attack one image.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels.
        rng: Of this image alone.
        share: p, of the image's area that a square covers at first.
        steps: That the schedule is stretched over.
    """
    height, width, channels = image.shape
    low, high = box(image, epsilon)
    patterns = [np.array(signs) for signs in itertools.product((False, True), repeat=channels)]
    uniform = _uniforms(rng)
    best = np.where(rng.integers(0, 2, (1, width, channels), dtype=np.bool_), high, low)
    (best_loss,) = yield best[None]
    for step in itertools.count():
        side = side_of_square(step, share, height, width, steps)
        top = int(next(uniform) * (height - side + 1))
        left = int(next(uniform) * (width - side + 1))
        window = (slice(top, top + side), slice(left, left + side))
        lower, higher, current = low[window], high[window], best[window]
        while True:
            patch = np.where(patterns[int(next(uniform) * len(patterns))], higher, lower)
            if (patch != current).any():
                break
        candidate = best.copy()
        candidate[window] = patch
        (loss,) = yield candidate[None]
        if loss < best_loss:
            best, best_loss = candidate, loss


def _uniforms(rng: np.random.Generator) -> Iterator[float]:
    """Yield floats in [0, 1), drawn many at a time: one at a time costs more than the rest of a step."""
    while True:
        yield from rng.random(1_024).tolist()
