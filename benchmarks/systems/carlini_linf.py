"""Carlini and Wagner's L-infinity attack, many images at once, in torch.

ART's CarliniLInfMethod takes 10 steps of 0.01 in the tanh's variable for each tau, each time from the clean image, and
its gradient leaves out the constant: at a black pixel, where the tanh is flat, nothing moves.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from systems.attacks import margin


def carlini_wagner_linf(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: Tensor,
    *,
    targeted: bool = False,
    tau: float = 1.0,
    steps: int = 1_000,
    rate: float = 5e-3,
    constant: float = 1e-5,
    most: float = 20.0,
    max_steps: int | None = None,
) -> Tensor:
    """Return the vectors of the smallest tau that succeeded for each image, the clean one where none did.

    Minimises the constant times the margin, and what of each coordinate's change exceeds tau. As soon as both are
    nothing, tau becomes 0.9 times the largest change; where a constant fails for all its steps, it is doubled. An image
    ends when its constant passes the largest, or when tau is a grey level. Each image has its own tau, constant, steps
    and Adam, so what is found for it does not depend on the others, up to how the model rounds a batch.

    Args:
        model: Vectors (n, C, H, W) in 0..1 to logits.
        x: Clean vectors, float32, (N, C, H, W).
        y: Labels, or targets, int64, (N,).
        targeted: Which of the two.
        tau: The first, in 0..1.
        steps: For each constant.
        rate: Adam's step, in 0..1.
        constant: The first.
        most: No larger constant is tried.
        max_steps: Of an image in all, if limited.

    Source:
        Carlini and Wagner, "Towards Evaluating the Robustness of Neural Networks", 2017, section VI.C, and their code,
        whose defaults these are. The box is kept by clipping (their section V.B, "projected gradient descent") in place
        of a tanh, which is flat where MNIST is black.
    """
    here, first, second = x.clone(), torch.zeros_like(x), torch.zeros_like(x)
    found = x.clone()
    taus, constants = torch.full((len(x),), tau), torch.full((len(x),), constant)
    count, taken = torch.zeros(len(x)), torch.zeros(len(x), dtype=torch.int64)
    total = torch.zeros(len(x), dtype=torch.int64)
    active = torch.arange(len(x))
    while len(active):
        vectors, clean, goal = here[active].requires_grad_(), x[active], y[active]
        margins = margin(model(vectors), goal, targeted=targeted)
        excess = ((vectors - clean).abs() - _as_images(taus[active])).clamp_min(0).sum((1, 2, 3))
        losses = constants[active] * margins.clamp_min(0) + excess
        (slope,) = torch.autograd.grad(losses.sum(), vectors)
        vectors = vectors.detach()
        works = (losses.detach() < 1e-4 * constants[active]) & (margins.detach() < 0)

        won = active[works]
        found[won] = vectors[works]
        largest = (vectors[works] - clean[works]).abs().amax((1, 2, 3))
        taus[won] = 0.9 * torch.minimum(largest, taus[won])
        # The next tau begins where this one ended, with a new Adam.
        for memory in (first, second, count, taken):
            memory[won] = 0

        going = active[~works]
        count[going] += 1
        taken[going] += 1
        slope, number = slope[~works], _as_images(count[going])
        first[going] = 0.9 * first[going] + 0.1 * slope
        second[going] = 0.999 * second[going] + 0.001 * slope.square()
        scale = (1 - 0.999**number).sqrt() / (1 - 0.9**number)
        here[going] = (here[going] - rate * scale * first[going] / (second[going].sqrt() + 1e-8)).clamp(0, 1)

        spent = going[taken[going] >= steps]
        constants[spent] *= 2
        taken[spent] = 0
        total[active] += 1
        alive = (constants[active] < most) & (taus[active] > 1 / 256)
        if max_steps is not None:
            alive &= total[active] < max_steps
        active = active[alive]
    return found


def _as_images(values: Tensor) -> Tensor:
    return values.reshape(-1, 1, 1, 1)
