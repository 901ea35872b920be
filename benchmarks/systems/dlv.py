"""DLV (Huang, Kwiatkowska, Wang, Wu 2017, "Safety Verification of Deep Neural Networks") on LeNet-1.

Kept: the analysis goes layer by layer, here the input and the output of the first convolution. In a layer it takes
feature after feature: the dimensions furthest from the layer's mean that were not manipulated yet, with every
combination of manipulations of them, at most a span away in a number of steps. It stops at the first change of class,
and otherwise goes on from the combination of least margin (the single-path search). A feature of the hidden layer is
mapped back to an input, and it is the input that is classified. Numbers of features, dimensions, span and steps are
those of the authors' configuration for MNIST, which begins at the hidden layer.

Left out: the proof that what was not manipulated is safe too, the multi-path search, and deeper layers. The authors map
back by an SMT solver that must meet the manipulated activations; here the least change of the input that meets them
over the reals is clipped to the range of pixels and rounded to whole grey levels.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
from torch import Tensor

from systems.attacks import margin
from systems.context import Result, Subject
from systems.counting import attack_and_audit
from systems.torch_models import LeNet1


def measure_dlv(subject: Subject, *, from_input: bool) -> Result:
    """Return what rounding leaves of DLV's examples; `from_input` as in `dlv`."""
    module: Any = subject.module
    note = f"{'input, then ' if from_input else ''}first convolution; 40 features of 5 dimensions, span 255 in 1 step"
    return attack_and_audit(subject, lambda x, y: dlv(module, x, y, from_input=from_input), note=note)


def dlv(
    module: LeNet1,
    x: Tensor,
    y: Tensor,
    *,
    from_input: bool = True,
    features: int = 40,
    dims: int = 5,
    span: int = 255,
    steps: int = 1,
) -> Tensor:
    """Return for each vector the first adversarial one that was found, or the last one that was looked at.

    Args:
        module: To logits.
        x: float32, (n, 1, 28, 28), clean vectors in 0..1 that are 8-bit images.
        y: int64, (n,), labels.
        from_input: Whether the input is searched before the hidden layer.
        features: Looked at in each layer, at most.
        dims: Dimensions of a feature.
        span: Grey levels that a pixel may change by; a hidden dimension may take all that any input gives it.
        steps: In which a dimension goes as far as its span.
    """
    # All combinations of manipulations of a feature, in shares of the span.
    shares = torch.tensor(list(product(range(-steps, steps + 1), repeat=dims)), dtype=torch.float32) / steps
    found = []
    for image, label in zip(x, y, strict=True):
        for search in (search_input, search_first_layer) if from_input else (search_first_layer,):
            vector, is_adversarial = search(module, image, label, shares, features, span)
            if is_adversarial:
                break
        found.append(vector)
    return torch.stack(found)


def search_input(
    module: LeNet1, image: Tensor, label: Tensor, shares: Tensor, features: int, span: int
) -> tuple[Tensor, bool]:
    """Search in the pixels; return a vector, and whether it is adversarial.

    Args:
        module: To logits.
        image: float32, (1, 28, 28).
        label: int64, ().
        shares: float32, (combinations, dims), manipulations in shares of the span.
        features: At most.
        span: Grey levels.
    """
    current, manipulated = image.flatten().clone(), torch.zeros(image.numel(), dtype=torch.bool)
    changes = torch.round(shares * span) / 255
    for _ in range(features):
        chosen = _furthest(current, manipulated, shares.shape[1])
        candidates = current.repeat(len(changes), 1)
        candidates[:, chosen] = (candidates[:, chosen] + changes).clamp(0, 1)
        current, is_adversarial = _least(module, candidates, label, image)
        if is_adversarial:
            return current.reshape(image.shape), True
        manipulated[chosen] = True
    return current.reshape(image.shape), False


def search_first_layer(
    module: LeNet1, image: Tensor, label: Tensor, shares: Tensor, features: int, span: int
) -> tuple[Tensor, bool]:
    """Search in the output of the first convolution, as `search_input` does in the pixels."""
    pixels = image.numel()
    with torch.no_grad():
        bias = module.conv1(torch.zeros(1, *image.shape)).flatten()
        weights = module.conv1(torch.eye(pixels).reshape(pixels, *image.shape)).reshape(pixels, -1).T - bias[:, None]
    least, most = bias + weights.clamp_max(0).sum(1), bias + weights.clamp_min(0).sum(1)
    clean = image.flatten()
    low, high = (clean - span / 255).clamp_min(0), (clean + span / 255).clamp_max(1)
    current, manipulated = clean.clone(), torch.zeros(len(bias), dtype=torch.bool)
    for _ in range(features):
        activations = weights @ current + bias
        chosen = _furthest(activations, manipulated, shares.shape[1])
        down, up = least[chosen] - activations[chosen], most[chosen] - activations[chosen]
        wanted = shares.clamp_min(0) * up - shares.clamp_max(0) * down
        moved = current + wanted @ torch.linalg.pinv(weights[chosen]).T
        candidates = torch.round(torch.minimum(torch.maximum(moved, low), high) * 255) / 255
        current, is_adversarial = _least(module, candidates, label, image)
        if is_adversarial:
            return current.reshape(image.shape), True
        manipulated[chosen] = True
    return current.reshape(image.shape), False


def _furthest(values: Tensor, manipulated: Tensor, number: int) -> Tensor:
    """Return the dimensions furthest from the mean, of those not manipulated yet."""
    return (values - values.mean()).abs().masked_fill(manipulated, -1).topk(number).indices


def _least(module: LeNet1, candidates: Tensor, label: Tensor, image: Tensor) -> tuple[Tensor, bool]:
    """Return the candidate of least margin, and whether its class is another one."""
    with torch.no_grad():
        logits = module(candidates.reshape(-1, *image.shape))
    index = margin(logits, label.expand(len(candidates)), targeted=False).argmin()
    return candidates[index], bool(logits[index].argmax() != label)
