"""Networks of torch that several tests ask: a small one with fixed weights, and ResNet-20 for CIFAR-10."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of `cifar_resnet20.pt`."""


def small_network(num_classes: int = 5, channels: int = 3, seed: int = 0) -> nn.Sequential:
    """A convolutional network with weights of its own, in eval mode."""
    generator = torch.Generator().manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(channels, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, stride=2),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Dropout(0.5),
        nn.Linear(64, num_classes),
    )
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) / 2)
    return network.eval()


class _Block(nn.Module):
    def __init__(self, given: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, made, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(made)
        self.conv2 = nn.Conv2d(made, made, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(made)
        self._stride, self._padding = stride, (made - given) // 2

    def forward(self, batch: Any) -> Any:
        made = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(batch)))))
        if self._stride > 1:
            batch = functional.pad(batch[:, :, ::2, ::2], (0, 0, 0, 0, self._padding, self._padding))
        return functional.relu(made + batch)


class ResNet20(nn.Module):
    """As akamaster/pytorch_resnet_cifar10 has it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._layer(16, 16, 1)
        self.layer2 = self._layer(16, 32, 2)
        self.layer3 = self._layer(32, 64, 2)
        self.linear = nn.Linear(64, 10)

    @staticmethod
    def _layer(given: int, made: int, stride: int) -> nn.Sequential:
        return nn.Sequential(_Block(given, made, stride), _Block(made, made, 1), _Block(made, made, 1))

    def forward(self, batch: Any) -> Any:
        batch = functional.relu(self.bn1(self.conv1(batch)))
        batch = self.layer3(self.layer2(self.layer1(batch)))
        return self.linear(batch.mean((2, 3)))


def resnet20(data: Path) -> ResNet20:
    """The one of the data folder, in eval mode."""
    network = ResNet20()
    network.load_state_dict(torch.load(data / "models" / "cifar_resnet20.pt"))
    return network.eval()
