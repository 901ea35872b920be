"""Sparse-RS in integers: few pixels, a patch, or a frame.

Source: Croce, Andriushchenko, Singh, Flammarion, Hein: "Sparse-RS: a versatile framework for query-efficient sparse
black-box adversarial attacks", AAAI 2022, arXiv 2006.12834, Algorithm 1 and its forms for the three threat models.

Random search, one candidate a step, accepted if the loss falls. Every colour is a corner of the colour cube, each
channel 0 or 255, so the attack is integer by nature.

- Pixels: k distinct places with random corner colours. A step gives alpha k of them, at least one, the original's
  colour back, and takes as many other places with colours of their own.
- Patch: a square at a random place, at first of many small random squares. A step gives one colour to a square of it,
  sqrt(alpha) of its side; every fifth step moves the patch instead, by at most 0.75 of the image's height at first and
  linearly less towards the last step.
- Frame: random corner colours all around. A step gives one colour to what a square of alpha of the image's side covers
  of the frame; the square has a pixel of the frame as one of its corners. (With sqrt(alpha) of the side it took 78
  queries for 63 on ResNet-20, frame of one pixel, 50 images, two seeds.)

A single pixel never gets the colour that is there already. In the second half of the steps whose square is a single
pixel, one channel of it changes alone.

alpha is 0.3 (pixels), 0.4 (patch) and 0.5 (frame) before it is divided: by 2, 4, 5, 6, 8, 10, 12, 15 and 20 from steps
0, 50, 200, 500, 1,000, 2,000, 4,000, 6,000 and 8,000 of 10,000 for pixels, and by 2, 4, 8, ... from steps 10, 50, 200,
... for the others. The schedule is stretched to the number of steps. Targeted the paper has 0.1 for pixels and patch.

Loss: as the paper, the margin of the logits when untargeted, the cross-entropy when targeted.
"""

from __future__ import annotations

import itertools
from bisect import bisect_left

import numpy as np
from numpy.typing import NDArray

from harness.arrays import Degrees, Image, Indices, Scores
from rivals.counting import Problem, Search, cross_entropy, log_margin

_STEPS = 10_000
_PIXEL_CHANGES = (0, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000)
_PIXEL_DIVISORS = (1, 2, 4, 5, 6, 8, 10, 12, 15, 20)
_SQUARE_CHANGES = (10, 50, 200, 500, 1_000, 2_000, 4_000, 6_000, 8_000)
_MOVE_EVERY = 5
_FIRST_MOVE = 0.75
_FIRST_SQUARES = 1_000


def sparse_rs_loss(scores: Scores, problem: Problem, owners: Indices) -> Degrees:
    """Return the margin of the log-probabilities, or, in a targeted attack, the cross-entropy."""
    return (cross_entropy if problem.is_targeted else log_margin)(scores, problem, owners)


def sparse_rs_pixels(
    image: Image, number: int, rng: np.random.Generator, *, share: float = 0.3, steps: int = _STEPS
) -> Search:
    """Attack one image by a few of its pixels.

    Args:
        image: uint8, (H, W, C).
        number: k, of pixels, fewer than the image has.
        rng: Of this image alone.
        share: alpha before it is divided.
        steps: That the schedule is stretched over.
    """
    height, width, channels = image.shape
    original = image.reshape(height * width, channels)
    # The first k places are those that are changed.
    places = rng.permutation(height * width)
    best = original.copy()
    best[places[:number]] = _colours(rng, number, channels)
    (best_loss,) = yield best.reshape(1, *image.shape)
    for step in itertools.count(1):
        divisor = _PIXEL_DIVISORS[bisect_left(_PIXEL_CHANGES, int(step / steps * _STEPS))]
        swapped = max(int(share / divisor * number), 1)
        freed = rng.choice(number, swapped, replace=False)
        taken = number + rng.choice(height * width - number, swapped, replace=False)
        candidate = best.copy()
        candidate[places[freed]] = original[places[freed]]
        if swapped > 1:
            candidate[places[taken]] = _colours(rng, swapped, channels)
        else:
            candidate[places[taken]] = _other_colour(rng, candidate[places[taken[0]]])
        (loss,) = yield candidate.reshape(1, *image.shape)
        if loss < best_loss:
            best, best_loss = candidate, loss
            places[freed], places[taken] = places[taken], places[freed]


def sparse_rs_patch(
    image: Image, size: int, rng: np.random.Generator, *, share: float = 0.4, steps: int = _STEPS
) -> Search:
    """Attack one image by a square of free content at a free place.

    Args:
        image: uint8, (H, W, C).
        size: Of the patch, pixels a side, at most H and W.
        rng: Of this image alone.
        share: alpha before it is divided.
        steps: That the schedule is stretched over.
    """
    height, width, channels = image.shape
    room = np.array([height - size, width - size])
    place = rng.integers(0, room + 1)
    best = _first_patch(size, channels, rng)
    (best_loss,) = yield _with_patch(image, best, place)[None]
    sides = [int(alpha**0.5 * size) or 1 for alpha in _alphas(share)]
    single_channel = _first_single_channel(sides, steps)
    for step in itertools.count(1):
        patch, moved = best, place
        reach = int(_FIRST_MOVE * max(1 - step / steps, 0) * height)
        if step % _MOVE_EVERY == 0 and reach:
            moved = np.clip(place + rng.integers(-reach, reach + 1, 2), 0, room)
        else:
            side = sides[_phase(step, steps)]
            top, left = rng.integers(0, size - side + 1, 2)
            patch = _recoloured(best, np.s_[top : top + side, left : left + side], step >= single_channel, rng)
        (loss,) = yield _with_patch(image, patch, moved)[None]
        if loss < best_loss:
            best, place, best_loss = patch, moved, loss


def sparse_rs_frame(
    image: Image, width: int, rng: np.random.Generator, *, share: float = 0.5, steps: int = _STEPS
) -> Search:
    """Attack one image by its outermost pixels.

    Args:
        image: uint8, (H, W, C).
        width: Of the frame, pixels, less than half of H and W.
        rng: Of this image alone.
        share: alpha before it is divided.
        steps: That the schedule is stretched over.
    """
    rows, columns, channels = image.shape
    is_frame = np.ones((rows, columns), dtype=np.bool_)
    is_frame[width:-width, width:-width] = False
    frame = np.argwhere(is_frame)
    best = image.copy()
    best[is_frame] = _colours(rng, len(frame), channels)
    (best_loss,) = yield best[None]
    sides = [int(alpha * min(rows, columns)) or 1 for alpha in _alphas(share)]
    single_channel = _first_single_channel(sides, steps)
    for step in itertools.count(1):
        side = sides[_phase(step, steps)]
        row, column = frame[rng.integers(len(frame))]
        top, left = np.maximum((row, column) - (side - 1) * rng.integers(0, 2, 2), 0)
        window = np.s_[top : max(row, top + side - 1) + 1, left : max(column, left + side - 1) + 1]
        candidate = np.where(is_frame[..., np.newaxis], _recoloured(best, window, step >= single_channel, rng), image)
        (loss,) = yield candidate[None]
        if loss < best_loss:
            best, best_loss = candidate, loss


def _alphas(share: float) -> list[float]:
    """Return alpha in each phase of the schedule of patches and frames."""
    return [share / 2**halvings for halvings in range(len(_SQUARE_CHANGES) + 1)]


def _phase(step: int, steps: int) -> int:
    """Return how often alpha has been halved before a step."""
    return bisect_left(_SQUARE_CHANGES, int(step / steps * _STEPS))


def _first_single_channel(sides: list[int], steps: int) -> int:
    """Return the step from which on a channel changes alone: half-way from the first single pixel to the last step.

    Args:
        sides: Of the coloured square in each phase.
        steps: That the schedule is stretched over.
    """
    first = next((step for step in range(steps) if sides[_phase(step, steps)] == 1), steps)
    return first + (steps - first) // 2


def _recoloured(
    colours: Image, window: tuple[slice, slice], is_single_channel: bool, rng: np.random.Generator
) -> Image:
    """Return colours, uint8 (H, W, C), of which a window has one colour; or of its one pixel another channel."""
    result: Image = colours.copy()
    part = result[window]
    if part.shape[:2] != (1, 1):
        part[:] = _colours(rng, 1, part.shape[2])
    elif is_single_channel:
        channel = rng.integers(part.shape[2])
        part[..., channel] = 255 - part[..., channel]
    else:
        part[:] = _other_colour(rng, part[0, 0])
    return result


def _first_patch(size: int, channels: int, rng: np.random.Generator) -> Image:
    """Return a patch of many small squares, one over the other: uint8, (size, size, C)."""
    patch = np.zeros((size, size, channels), dtype=np.uint8)
    longest = max(int(np.ceil(size**0.5)) - 1, 1)
    for side in rng.integers(1, longest + 1, _FIRST_SQUARES):
        top, left = rng.integers(0, size - side + 1, 2)
        patch[top : top + side, left : left + side] = _colours(rng, 1, channels)
    return patch


def _with_patch(image: Image, patch: Image, place: NDArray[np.int64]) -> Image:
    result: Image = image.copy()
    top, left = place
    result[top : top + len(patch), left : left + len(patch)] = patch
    return result


def _colours(rng: np.random.Generator, number: int, channels: int) -> NDArray[np.uint8]:
    """Return corners of the colour cube: uint8, (number, C)."""
    colours: NDArray[np.uint8] = rng.integers(0, 2, (number, channels), dtype=np.uint8) * np.uint8(255)
    return colours


def _other_colour(rng: np.random.Generator, colour: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a corner of the colour cube that is not this colour: uint8, (C,)."""
    while True:
        other: NDArray[np.uint8] = _colours(rng, 1, len(colour))[0]
        if (other != colour).any():
            return other
