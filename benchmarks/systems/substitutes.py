"""Substitutes: models trained on the answers of the one that is attacked, through which gradients are had."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from systems.torch_models import LeNet1


def imitation_of_lenet1(teacher: nn.Module, x: Tensor, *, rounds: int = 30, seed: int = 0) -> nn.Module:
    """Return a LeNet-1 trained from nothing on the classes that a teacher tells of vectors, (n, 1, 28, 28)."""
    shapes = [(5, 5, 1, 4), (4,), (5, 5, 4, 12), (12,), (588, 10), (10,)]
    module = _from_nothing(LeNet1([np.zeros(shape, np.float32) for shape in shapes]), seed)
    with torch.no_grad():
        y = teacher(x).argmax(1)
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    for _ in range(rounds):
        for rows in torch.randperm(len(x)).split(64):
            _step(optimizer, module, x[rows], y[rows])
    return module.eval().requires_grad_(False)


def imitation_of_resnet20(teacher: nn.Module, x: Tensor, *, steps: int = 200, batch: int = 128) -> nn.Module:
    """Return a small network trained on the probabilities that a teacher tells of variants of vectors, (n, 3, 32, 32).

    Hundreds of images are too few to imitate a model by. Whoever attacks one may ask about as many variants of them as
    they like; each here is new.
    """
    module = _from_nothing(
        nn.Sequential(
            nn.Conv2d(3, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(64, 128, 3, padding=1), nn.BatchNorm2d(128), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(2048, 10),
        )
    )  # fmt: skip
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        vectors = _variants(x, batch, generator)
        with torch.no_grad():
            answers = teacher(vectors).softmax(1)
        _step(optimizer, module, vectors, answers)
    return module.eval().requires_grad_(False)


def _variants(x: Tensor, number: int, generator: torch.Generator) -> Tensor:
    """Return some vectors, mirrored and moved by up to 4 pixels, every second blended with another."""
    pairs = []
    for rows in torch.randint(len(x), (2, number), generator=generator):
        is_mirrored = (torch.rand(number, generator=generator) < 0.5).reshape(-1, 1, 1, 1)
        vectors = torch.where(is_mirrored, x[rows].flip(3), x[rows])
        height, width = vectors.shape[2:]
        wider = nn.functional.pad(vectors, (4, 4, 4, 4), mode="reflect")
        places = torch.randint(9, (number, 2), generator=generator).tolist()
        moved = [
            each[:, top : top + height, left : left + width] for each, (top, left) in zip(wider, places, strict=True)
        ]
        pairs.append(torch.stack(moved))
    share = torch.rand(number, generator=generator).reshape(-1, 1, 1, 1) / 2
    share[::2] = 0
    return (1 - share) * pairs[0] + share * pairs[1]


def _from_nothing(module: nn.Module, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.reset_parameters()
    return module.requires_grad_(True).train()


def _step(optimizer: torch.optim.Optimizer, module: nn.Module, x: Tensor, y: Tensor) -> None:
    optimizer.zero_grad()
    nn.functional.cross_entropy(module(x), y).backward()
    optimizer.step()
