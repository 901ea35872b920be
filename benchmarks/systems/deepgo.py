"""DeepGo (Ruan, Huang, Kwiatkowska 2018, "Reachability Analysis of Deep Neural Networks with Provable Guarantees").

Kept: of a few pixels that may take any value, the least margin of the label is found by nested optimisation. Each level
minimises over one pixel what the next level returns, and bounds it from below with a Lipschitz constant: between two
points the function cannot go under where two cones meet, and there it is looked at next. Bounds below and above the
least margin result. A negative margin is a counterexample, a positive lower bound a proof for these pixels.

Left out: the upper end of the range, and the authors' estimate of the Lipschitz constant from slopes seen so far, which
may be too small. Here it is sound: slopes of LeNet-1's logits over the box, by intervals. They minimise the label's
logit, here it is the margin over every other logit. They name the pixels, here those are taken that lower the margin
most when they are black or white. All intervals that can still hold the minimum are split at once, for larger batches.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from systems.attacks import margin
from systems.context import Result, Subject
from systems.counting import audit_of, figures_of
from systems.rows import CannotRunError
from systems.torch_models import LeNet1

Floats = NDArray[np.float64]


def measure_deepgo(subject: Subject) -> Result:
    """Return what rounding leaves of the vectors of least margin."""
    module: Any = subject.module
    started = time.perf_counter()
    vectors, lower, upper = deepgo(module, *subject.tensors)
    seconds = time.perf_counter() - started
    proven, open_ = int((lower > 0).sum()), int(((lower <= 0) & (upper >= 0)).sum())
    note = f"4 pixels of each image, margin within 1 logit; {proven} images proven safe in them, {open_} undecided"
    return figures_of(audit_of(subject, vectors.numpy()), seconds, note=note)


def measure_one_image(subject: Subject, *, number: int = 1_000) -> Result:
    """Return what rounding leaves of points that the search looked at: those of least margin, of one image.

    That is what the paper's row has. The image is the first with a counterexample.

    Raises:
        CannotRunError: No image has one.
    """
    module: Any = subject.module
    started = time.perf_counter()
    for row, (image, label) in enumerate(zip(*subject.tensors, strict=True)):
        search = search_image(module, image, label)
        if search.least.upper[0] < 0:
            vectors = _filled(image, search.chosen, search.points[np.argsort(search.margins)[:number]])
            seconds = time.perf_counter() - started
            rows = np.full(len(vectors), row)
            repeated = replace(subject, images=subject.images[rows], labels=subject.labels[rows])
            note = f"the {len(rows):,} points of least margin of {len(search.margins):,}, in 4 pixels of image {row}"
            return figures_of(audit_of(repeated, vectors.numpy()), seconds, note=note)
    raise CannotRunError("no image has a counterexample in four pixels")


@dataclass(frozen=True)
class Least:
    """The least value of a function over its last coordinates, for n choices of the first ones.

    Attributes:
        lower: (n,), bound below it.
        upper: (n,), least value seen.
        points: (n, d), where.
    """

    lower: Floats
    upper: Floats
    points: Floats


@dataclass(frozen=True)
class Search:
    """What the search on one image found.

    Attributes:
        chosen: int64, (d,), its pixels.
        least: Their least margin.
        points: (m, d), all that were looked at.
        margins: (m,), theirs.
    """

    chosen: Tensor
    least: Least
    points: Floats
    margins: Floats


def deepgo(module: LeNet1, x: Tensor, y: Tensor) -> tuple[Tensor, Floats, Floats]:
    """Return for each image the vector of least margin, and bounds of the margin.

    Args:
        module: To logits.
        x: float32, (n, 1, 28, 28), in 0..1.
        y: int64, (n,), labels.

    Returns:
        Vectors, float32, (n, 1, 28, 28); lower and upper bounds in logits, (n,).
    """
    searches = [search_image(module, image, label) for image, label in zip(x, y, strict=True)]
    pairs = zip(x, searches, strict=True)
    vectors = torch.cat([_filled(image, search.chosen, search.least.points) for image, search in pairs])
    lower, upper = (
        np.concatenate([getattr(search.least, bound) for search in searches]) for bound in ("lower", "upper")
    )
    return vectors, lower, upper


def search_image(module: LeNet1, image: Tensor, label: Tensor, *, pixels: int = 4, tolerance: float = 1.0) -> Search:
    """Return the least margin of an image of which a few pixels may change, and what was looked at for it.

    Args:
        module: To logits.
        image: float32, (1, 28, 28), in 0..1.
        label: int64, ().
        pixels: That may change.
        tolerance: How far the bounds may lie apart, in logits.
    """
    chosen = weakest_pixels(module, image, label, pixels)
    seen: list[tuple[Floats, Floats]] = []

    def function(points: Floats) -> Floats:
        parts = np.array_split(points, -(-len(points) // 1_000))
        margins = np.concatenate([_margins(module, _filled(image, chosen, part), label) for part in parts])
        seen.append((points, margins))
        return margins

    least = minimise(function, slopes(module, image, label, chosen), tolerance)
    points, margins = (np.concatenate(each) for each in zip(*seen, strict=True))
    return Search(chosen, least, points, margins)


def minimise(
    function: Callable[[Floats], Floats], constants: Floats, tolerance: float, first: Floats | None = None
) -> Least:
    """Minimise a function over the unit cube by nested Lipschitz optimisation.

    Args:
        function: From (n, d) to (n,).
        constants: (d,), Lipschitz constants along the coordinates.
        tolerance: How far the bounds may lie apart; inner levels take their share of it.
        first: (n, k), choices of the first coordinates; one empty choice if not given.
    """
    first = np.empty((1, 0)) if first is None else first
    (number, level), depth = first.shape, len(constants)
    if level == depth:
        values = function(first)
        return Least(values, values, first)
    upper, points = np.full(number, np.inf), np.zeros((number, depth))

    def look(owners: NDArray[np.intp], places: Floats) -> Floats:
        """Return lower bounds at places of this coordinate, and remember the least values."""
        inner = minimise(function, constants, tolerance, np.column_stack([first[owners], places]))
        # Of several places of one choice the last assignment stays, the least value's.
        order = np.argsort(-inner.upper, kind="stable")
        order = order[inner.upper[order] < upper[owners[order]]]
        upper[owners[order]], points[owners[order]] = inner.upper[order], inner.points[order]
        return inner.lower

    slope, wanted = max(float(constants[level]), 1e-9), tolerance * (depth - level) / depth
    owners = np.arange(number)
    left, right = np.zeros(number), np.ones(number)
    at_left, at_right = np.split(look(np.append(owners, owners), np.append(left, right)), 2)
    while True:
        bounds = (at_left + at_right) / 2 - slope * (right - left) / 2
        open_ = bounds < upper[owners] - wanted
        if not open_.any():
            lower = np.full(number, np.inf)
            np.minimum.at(lower, owners, bounds)
            return Least(lower, upper, points)
        tenth = (right - left) / 10
        meeting = (left + right) / 2 + (at_left - at_right) / (2 * slope)
        places = np.clip(meeting, left + tenth, right - tenth)[open_]
        at_places = look(owners[open_], places)
        left, at_left = np.append(left, places), np.append(at_left, at_places)
        right, at_right = np.append(right, right[open_]), np.append(at_right, at_right[open_])
        split = np.flatnonzero(open_)
        right[split], at_right[split] = places, at_places
        owners = np.append(owners, owners[open_])


def weakest_pixels(module: nn.Module, image: Tensor, label: Tensor, number: int) -> Tensor:
    """Return the pixels, int64 (number,), that lower the margin most when black or white.

    One after the other, of the pixels that do so most alone.
    """
    size = image.numel()
    alone = _at_extremes(module, image, label, torch.arange(size)).min(0)
    left = torch.tensor(alone).topk(4 * number, largest=False).indices
    base, chosen = image.flatten().clone(), []
    for _ in range(number):
        found = _at_extremes(module, base.reshape(image.shape), label, left)
        value, best = np.unravel_index(found.argmin(), found.shape)
        base[left[best]] = float(value)
        chosen.append(left[best])
        left = torch.cat([left[:best], left[best + 1 :]])
    return torch.stack(chosen)


def _at_extremes(module: nn.Module, image: Tensor, label: Tensor, pixels: Tensor) -> Floats:
    """Return the margins with each of some pixels, (P,), black and white: (2, P)."""
    candidates = image.reshape(1, 1, -1).repeat(2, len(pixels), 1)
    for value in range(2):
        candidates[value, torch.arange(len(pixels)), pixels] = float(value)
    return _margins(module, candidates.reshape(-1, *image.shape), label).reshape(2, -1)


def slopes(module: LeNet1, image: Tensor, label: Tensor, chosen: Tensor) -> Floats:
    """Return Lipschitz constants of the margin, (d,), in logits per unit, while the chosen pixels take any value.

    Intervals of the activations say which units can be on and which can be the largest of their window; intervals of
    the derivatives follow from them.
    """
    count = len(chosen)
    low = _filled(image, chosen, np.zeros((1, count)))
    high = _filled(image, chosen, np.ones((1, count)))
    derivative = torch.zeros(count, image.numel())
    derivative[torch.arange(count), chosen] = 1
    down = up = derivative.reshape(count, *image.shape)
    with torch.no_grad():
        for layer in (module.conv1, module.conv2):
            low, high = _through(layer, low, high, is_change=False)
            down, up = _through(layer, down, up, is_change=True)
            down = torch.where(low > 0, down, torch.where(high > 0, down.clamp_max(0), 0))
            up = torch.where(low > 0, up, torch.where(high > 0, up.clamp_min(0), 0))
            low, high = low.clamp_min(0), high.clamp_min(0)
            surely = torch.max_pool2d(low, 2)
            can_be_largest = high >= surely.repeat_interleave(2, 2).repeat_interleave(2, 3)
            down = -torch.max_pool2d(-torch.where(can_be_largest, down, torch.inf), 2)
            up = torch.max_pool2d(torch.where(can_be_largest, up, -torch.inf), 2)
            low, high = surely, torch.max_pool2d(high, 2)
        weight = module.dense.weight
        wins = weight[label] - weight[torch.arange(len(weight)) != label]
        middle, radius = (down + up).flatten(1) / 2, (up - down).flatten(1) / 2
        steepest = ((middle @ wins.T).abs() + radius @ wins.abs().T).amax(1)
    # Somewhat more, for the rounding of float32.
    return np.asarray(steepest.double() * 1.001)


def _through(layer: nn.Conv2d, low: Tensor, high: Tensor, *, is_change: bool) -> tuple[Tensor, Tensor]:
    """Return the interval of a convolution of an interval, of values or of changes."""
    bias = None if is_change else layer.bias
    middle = torch.conv2d((low + high) / 2, layer.weight, bias, padding=2)
    radius = torch.conv2d((high - low) / 2, layer.weight.abs(), padding=2)
    return middle - radius, middle + radius


def _filled(image: Tensor, chosen: Tensor, values: Floats) -> Tensor:
    """Return copies of an image, (n, ...), with values, (n, d), in its chosen pixels."""
    copies = image.reshape(1, -1).repeat(len(values), 1)
    copies[:, chosen] = torch.tensor(values, dtype=image.dtype)
    return copies.reshape(-1, *image.shape)


def _margins(module: nn.Module, vectors: Tensor, label: Tensor) -> Floats:
    with torch.no_grad():
        found = margin(module(vectors), label.expand(len(vectors)), targeted=False)
    return np.asarray(found.double())
