"""DeepPoly in small: one lower and one upper linear bound of every neuron, substituted back to the pixels.

Singh, Gehr, Pueschel and Vechev, "An Abstract Domain for Certifying Neural Networks", POPL 2019. Kept are the bounds of
affine layers, ReLU (Section 4.1; of the two lower bounds the one with less area) and max-pooling (4.4), and back-
substitution through all layers (4.3). Left out are sigmoid and tanh, which no network here has, and bounds that hold in
spite of the rounding of floats.

DeepPoly proves or fails, and gives no witness. What fails has a linear bound of a margin, and a corner of the box where
that bound is least: the point that ERAN, its authors' tool, tests where it solves the same bounds as a linear program.
Here the corners of all classes that are not excluded are tested, and the one that is likeliest wrong is the witness.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.grad import conv2d_input

from systems.context import Result, Subject
from systems.counting import audit_of, figures_of

_Step = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From a linear bound over a layer's output, (n, *shape) and (n,), to one over its input that is no higher."""


class Margins(NamedTuple):
    """What is known of a label's logit minus those of the other classes, in their order, in a box.

    Attributes:
        least: (k - 1,), below every value of each; the label is proven where all are above 0.
        corners: (k - 1, C, H, W), the points of the box where the linear bound of each is least.
    """

    least: Tensor
    corners: Tensor


def measure_deeppoly(subject: Subject, layers: Sequence[nn.Module], *, radius: float = 0.3, levels: int = 76) -> Result:
    """Return what rounding leaves of the points that DeepPoly's bounds suggest where they prove nothing.

    Args:
        subject: What is attacked.
        layers: Its module, as a sequence of layers.
        radius: Of every pixel, within 0..1.
        levels: The same in whole grey levels, in which the paper counted once more what is not proven.
    """
    started = time.perf_counter()
    vectors, not_proven = _suggested(subject, layers, radius)
    seconds = time.perf_counter() - started
    _, in_integers = _suggested(subject, layers, levels / 255)
    result = figures_of(
        audit_of(subject, vectors.numpy()),
        seconds,
        note=f"its bounds in small, every pixel within {radius:.4g}, the corner where they are least; not proven, and "
        f"as it seems counted by the paper: {not_proven} of {len(vectors)}, {in_integers} within {levels} grey levels",
    )
    return result | {"not_proven": not_proven, "not_proven_in_integers": in_integers}


def _suggested(subject: Subject, layers: Sequence[nn.Module], radius: float) -> tuple[Tensor, int]:
    """Return a vector for every image, itself where it is proven, and how many are not."""
    x, y = subject.tensors
    vectors, not_proven = x.clone(), 0
    with torch.no_grad():
        for row, (vector, label) in enumerate(zip(x, y.tolist(), strict=True)):
            margins = margins_of(layers, (vector - radius).clamp_min(0), (vector + radius).clamp_max(1), label)
            if not (margins.least > 0).all():
                not_proven += 1
                vectors[row] = _likeliest(layers, margins, label)
    return vectors, not_proven


def margins_of(layers: Sequence[nn.Module], low: Tensor, high: Tensor, label: int) -> Margins:
    """Return what DeepPoly knows of the margins of a label.

    Args:
        layers: Conv2d, ReLU, MaxPool2d without overlap, Flatten and Linear; the last gives logits.
        low: (C, H, W), lower ends of the box.
        high: (C, H, W), upper ends of the box.
        label: Class that is to be proven.
    """
    steps, logits, _ = _steps(layers, low, high)
    one = torch.eye(len(logits), dtype=low.dtype)
    others = torch.arange(len(logits)) != label
    least, slopes = _substituted(steps, one[label] - one[others], low, high)
    return Margins(least, torch.where(slopes > 0, low, high))


def output_bounds(layers: Sequence[nn.Module], low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the most that the last layer's outputs can be in a box."""
    _, least, most = _steps(layers, low, high)
    return least, most


def interval_bounds(layers: Sequence[nn.Module], low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least and the most of outputs, (n, k), in boxes (n, ...), by interval arithmetic alone."""
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            middle, spread = layer((low + high) / 2), (high - low) / 2
            if isinstance(layer, nn.Conv2d):
                spread = nn.functional.conv2d(spread, layer.weight.abs(), stride=layer.stride, padding=layer.padding)
            else:
                spread = spread @ layer.weight.abs().T
            low, high = middle - spread, middle + spread
        else:
            low, high = layer(low), layer(high)
    return low, high


def _likeliest(layers: Sequence[nn.Module], margins: Margins, label: int) -> Tensor:
    corners = margins.corners[~(margins.least > 0)]
    logits = corners
    for layer in layers:
        logits = layer(logits)
    others = logits.clone()
    others[:, label] = -torch.inf
    return corners[(logits[:, label] - others.amax(1)).argmin()]


def _steps(layers: Sequence[nn.Module], low: Tensor, high: Tensor) -> tuple[list[_Step], Tensor, Tensor]:
    """Return a step for every layer, and the bounds of what the last one gives."""
    steps: list[_Step] = []
    least, most = low, high
    for layer in layers:
        step = _step(layer, least, most)
        if steps and isinstance(layer, nn.Conv2d | nn.Linear):
            rows, constant, shape = _as_matrix(layer, least)
            least = (_substituted(steps, rows, low, high)[0] + constant).reshape(shape)
            most = (constant - _substituted(steps, -rows, low, high)[0]).reshape(shape)
        else:  # intervals lose nothing in the first layer, and the others are monotone
            least, most = (each[0] for each in interval_bounds([layer], least[None], most[None]))
        steps.append(step)
    return steps, least, most


def _as_matrix(layer: nn.Module, like: Tensor) -> tuple[Tensor, Tensor, torch.Size]:
    """Return rows, (n, *shape of the input), and constants, (n,), of an affine layer, and its output's shape."""
    one = torch.eye(like.numel(), dtype=like.dtype).reshape(-1, *like.shape)
    constant = layer(torch.zeros_like(like)[None])[0]
    rows = (layer(one) - constant).flatten(1).T.reshape(-1, *like.shape)
    return rows, constant.flatten(), constant.shape


def _substituted(steps: Sequence[_Step], bound: Tensor, low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least values, (n,), of linear functions of the last layer's output, and their slopes in the pixels."""
    constant = torch.zeros(len(bound), dtype=low.dtype)
    for step in reversed(steps):
        bound, constant = step(bound, constant)
    return constant + torch.where(bound > 0, bound * low, bound * high).flatten(1).sum(1), bound


def _step(layer: nn.Module, least: Tensor, most: Tensor) -> _Step:
    """Return how a bound passes a layer whose input, of any shape, is between two tensors."""
    if isinstance(layer, nn.Conv2d):
        return _through_convolution(layer, least.shape)
    if isinstance(layer, nn.Linear):
        return lambda bound, constant: (bound @ layer.weight, constant + bound @ layer.bias)
    if isinstance(layer, nn.ReLU):
        return _through_relu(least, most)
    if isinstance(layer, nn.MaxPool2d):
        return _through_pool(layer, least, most)
    if isinstance(layer, nn.Flatten):
        return lambda bound, constant: (bound.reshape(-1, *least.shape), constant)
    raise TypeError(f"no bounds for {type(layer).__name__}")


def _through_convolution(layer: nn.Conv2d, shape: torch.Size) -> _Step:
    bias = layer.bias
    if bias is None or layer.groups != 1 or isinstance(layer.padding, str):
        raise TypeError("no bounds for a convolution without bias, with groups or with padding by name")
    stride, padding = layer.stride, layer.padding
    flipped = layer.weight.flip(2, 3).transpose(0, 1)
    around = [size - 1 - pad for size, pad in zip(layer.kernel_size, padding, strict=True)]

    def step(bound: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        if stride == (1, 1):  # a convolution too, and three times as fast
            moved = nn.functional.conv2d(bound, flipped, padding=around)
        else:
            moved = conv2d_input((len(bound), *shape), layer.weight, bound, stride=stride, padding=padding)
        return moved, constant + bound.sum((2, 3)) @ bias

    return step


def _through_relu(least: Tensor, most: Tensor) -> _Step:
    is_open = (least < 0) & (most > 0)
    spread = torch.where(is_open, most - least, 1)
    is_on = (least >= 0).to(least.dtype)
    # Above an open unit: the line through (least, 0) and (most, most). Below: 0, or the unit's input.
    above = torch.where(is_open, most / spread, is_on)
    intercept = torch.where(is_open, -above * least, 0)
    below = torch.where(is_open, (most > -least).to(least.dtype), is_on)

    def step(bound: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        up, down = bound.clamp_min(0), bound.clamp_max(0)
        return up * below + down * above, constant + (down * intercept).flatten(1).sum(1)

    return step


def _through_pool(layer: nn.MaxPool2d, least: Tensor, most: Tensor) -> _Step:
    """Below: the input whose lower end is highest. Above: the same where no other can be higher, else a constant."""
    if layer.stride != layer.kernel_size or layer.padding != 0:
        raise TypeError("no bounds for max-pooling that overlaps or pads")
    _, chosen = nn.functional.max_pool2d(least[None], layer.kernel_size, return_indices=True)
    height, width = least.shape[1:]
    is_chosen = torch.zeros_like(least).flatten(1).scatter(1, chosen[0].flatten(1), 1).reshape(least.shape) > 0
    highest = layer(most[None])[0]
    rivals = layer(torch.where(is_chosen, -torch.inf, most)[None])[0]
    wins = layer(least[None])[0] >= rivals

    def step(bound: Tensor, constant: Tensor) -> tuple[Tensor, Tensor]:
        up, down = bound.clamp_min(0), bound.clamp_max(0)
        kept = torch.where(wins, bound, up)
        moved = torch.zeros(len(bound), len(least), height * width, dtype=bound.dtype)
        moved.scatter_(2, chosen.flatten(2).expand(len(bound), -1, -1), kept.flatten(2))
        constant = constant + torch.where(wins, 0, down * highest).flatten(1).sum(1)
        return moved.reshape(-1, *least.shape), constant

    return step
