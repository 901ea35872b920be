"""A network trained so that boxes prove much of it: what DeepPoly is run on, as the paper's convBigRELU of DiffAI is.

Gowal et al., "On the Effectiveness of Interval Bound Propagation for Training Verifiably Robust Models", 2018; DiffAI
(Mirman, Gehr and Vechev, ICML 2018) trains with the same boxes. The network is far smaller than convBigRELU, and of
1,500 images.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from harness.inputs import load_images
from systems.context import SPACE, Context, Subject
from systems.deeppoly import interval_bounds

NAME = "CNN trained by boxes"

_RADIUS = 0.3
_EPOCHS = 60
_RAMP = 40
"""Epochs in which the radius grows to its whole, and the boxes' share of the loss to a half."""


def certified(context: Context, number: int) -> tuple[Subject, list[nn.Module]]:
    """Return the network on the first images, at most `number`, that it classifies as labelled, and its layers."""
    images, labels = load_images(context.data, "mnist_test2000.npz")
    layers = untrained()
    module = nn.Sequential(*layers)

    def train() -> Tensor:
        train_by_boxes(layers, torch.tensor(SPACE.vectors(images[500:])), torch.tensor(labels[500:]))
        return nn.utils.parameters_to_vector(module.parameters()).detach()

    weights, _ = context.kept("trained-by-boxes", train)
    nn.utils.vector_to_parameters(torch.as_tensor(weights), module.parameters())
    subject = Subject.of(NAME, module.eval(), None, images[:500], labels[:500], 76, number)
    return subject, layers


def untrained() -> list[nn.Module]:
    """Return the layers with random weights, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return [
            nn.Conv2d(1, 8, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(8, 16, 4, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10),
        ]  # fmt: skip


def train_by_boxes(
    layers: Sequence[nn.Module], x: Tensor, y: Tensor, *, radius: float = _RADIUS, epochs: int = _EPOCHS
) -> None:
    """Train layers on vectors and on the worst logits of the boxes around them, half and half in the end.

    Args:
        layers: Conv2d, ReLU, Flatten and Linear.
        x: (n, C, H, W), in 0..1.
        y: (n,), labels.
        radius: Of the boxes at the end.
        epochs: Passes over the images.
    """
    torch.manual_seed(0)
    optimizer = torch.optim.Adam([each for layer in layers for each in layer.parameters()], lr=1e-3)
    for epoch in range(epochs):
        share = min(1.0, epoch / min(_RAMP, epochs))
        for rows in torch.randperm(len(x)).split(64):
            vectors, labels = x[rows], y[rows]
            around = share * radius
            low, high = interval_bounds(layers, (vectors - around).clamp_min(0), (vectors + around).clamp_max(1))
            is_label = nn.functional.one_hot(labels, low.shape[1]).bool()
            worst = torch.where(is_label, low, high)
            loss = nn.functional.cross_entropy(worst, labels) * share / 2
            loss = loss + nn.functional.cross_entropy(nn.Sequential(*layers)(vectors), labels) * (1 - share / 2)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
