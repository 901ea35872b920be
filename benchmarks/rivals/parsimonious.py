"""Parsimonious black-box attack: local search over a set of blocks.

Source: Moon, An, Song: "Parsimonious black-box adversarial attacks via efficient combinatorial optimization", ICML
2019, Algorithms 1 to 3.

Every coordinate is original - eps or original + eps, clipped, so the attack is integer by nature. It starts from all at
-eps. The image is cut into blocks (a square of one channel); in random order, 64 at a time, blocks are added to the
set at +eps by lazy greedy insertion, and those in the set are taken out by lazy greedy deletion; then blocks halve.

Hyper-parameters: mini-batches of 64 blocks and one round of insertion and deletion, as the authors' code; blocks at
first an eighth of the image's side, as the paper's 4 of 32 (CIFAR-10) and 32 of 256 (ImageNet), as a power of two.
Loss: as the paper, the margin of the log-probabilities when untargeted, the cross-entropy when targeted. As in the
authors' code the best block of a mini-batch is flipped even if the loss rises. The loss of the current image, which
that code asks again for every mini-batch, is known and not asked again here.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Degrees, Image, Images, Indices, Scores
from rivals.counting import Problem, Search, box, cross_entropy, log_margin

_MINI_BATCH = 64

Block: TypeAlias = tuple[slice, slice, int]
"""Rows, columns and the channel."""


def parsimonious_loss(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return the margin of the log-probabilities, or, in a targeted attack, the cross-entropy."""
    return (cross_entropy if problem.is_targeted else log_margin)(scores, problem, owners)


def first_side(height: int, width: int) -> int:
    """Return the side of the first blocks: the power of two nearest to an eighth of the image's shorter side."""
    return int(2 ** max(0, round(math.log2(min(height, width) / 8))))


def parsimonious(image: Image, epsilon: int, rng: np.random.Generator) -> Search:
    """Attack one image.

    Args:
        image: uint8, (H, W, C).
        epsilon: Grey levels.
        rng: Of this image alone.
    """
    height, width, channels = image.shape
    low, high = box(image, epsilon)
    (loss,) = yield low[None]
    state = _State(low, high, np.zeros(image.shape, dtype=np.bool_), low, loss)
    side = first_side(height, width)
    while True:
        blocks = [
            (slice(row, row + side), slice(column, column + side), channel)
            for row, column, channel in itertools.product(
                range(0, height, side), range(0, width, side), range(channels)
            )
        ]
        order = rng.permutation(len(blocks)).tolist()
        for start in range(0, len(blocks), _MINI_BATCH):
            some = [blocks[place] for place in order[start : start + _MINI_BATCH]]
            for is_raised in (False, True):
                yield from _lazy_greedy(state, [block for block in some if state.is_raised(block) == is_raised])
        side = max(1, side // 2)


@dataclass
class _State:
    """The set of raised coordinates, its image, and the loss of that."""

    low: Image
    high: Image
    raised: NDArray[np.bool_]
    best: Image
    loss: float

    def is_raised(self, block: Block) -> bool:
        return bool(self.raised[block[0].start, block[1].start, block[2]])

    def flipped(self, block: Block) -> Image:
        image: Image = self.best.copy()
        image[block] = (self.low if self.is_raised(block) else self.high)[block]
        return image

    def flip(self, block: Block, loss: float) -> None:
        self.best = self.flipped(block)
        self.raised[block] ^= True
        self.loss = loss


def _lazy_greedy(state: _State, blocks: Sequence[Block]) -> Generator[Images, Degrees, None]:
    """Flip those of the blocks that lower the loss, the best first; a gain is asked again only when it leads."""
    if not blocks:
        return
    losses = yield np.stack([state.flipped(block) for block in blocks])
    queue = [(loss - state.loss, place) for place, loss in enumerate(losses.tolist())]
    heapq.heapify(queue)
    gain, place = heapq.heappop(queue)
    state.flip(blocks[place], state.loss + gain)
    while queue:
        _, place = heapq.heappop(queue)
        (loss,) = yield state.flipped(blocks[place])[None]
        gain = float(loss) - state.loss
        if queue and gain > queue[0][0]:
            heapq.heappush(queue, (gain, place))
        elif gain > 0:
            return
        else:
            state.flip(blocks[place], float(loss))
