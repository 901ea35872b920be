"""Small models of the data folder as torch modules, for libraries that want torch's gradients.

Each is checked against the Keras model whose weights it holds.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn

from harness.inputs import load_model

AGREE = 1e-4
"""How far the probabilities of the two may differ."""


class LeNet1(nn.Module):
    """LeNet-1 of DeepXplore: vectors (n, 1, 28, 28) in 0..1 to logits."""

    def __init__(self, weights: list[Any]) -> None:
        """Take the weights of the Keras model."""
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 5, padding=2)
        self.conv2 = nn.Conv2d(4, 12, 5, padding=2)
        self.dense = nn.Linear(588, 10)
        _fill(self.conv1, weights[0].transpose(3, 2, 0, 1), weights[1])
        _fill(self.conv2, weights[2].transpose(3, 2, 0, 1), weights[3])
        # Keras flattens (H, W, C), torch (C, H, W).
        _fill(self.dense, weights[4].reshape(7, 7, 12, 10).transpose(3, 2, 0, 1).reshape(10, 588), weights[5])

    @property
    def layers(self) -> list[nn.Module]:
        """Return the same as a sequence of layers."""
        pool, relu = nn.MaxPool2d(2), nn.ReLU()
        return [self.conv1, relu, pool, self.conv2, relu, pool, nn.Flatten(), self.dense]

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = torch.relu(_first_convolution_and_pooling(x, self.conv1))
        x = self.conv2(x)
        x = torch.maximum(x[:, :, ::2], x[:, :, 1::2])
        x = torch.relu(torch.maximum(x[..., ::2], x[..., 1::2]))
        logits: Tensor = self.dense(x.flatten(1))
        return logits


def _first_convolution_and_pooling(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Return max_pool2d(layer(x), 2) of a 5x5 layer that keeps the size, as one 3x3 convolution at half of it.

    With one channel in, a CPU takes several times longer for the two; and what attacks ask is mostly this.
    """
    # The four outputs that a maximum is taken of see 6x6 pixels, each through the kernel at its own place in them.
    places = ((0, 0), (0, 1), (1, 0), (1, 1))
    placed = [nn.functional.pad(layer.weight, (right, 1 - right, down, 1 - down)) for down, right in places]
    kernels = nn.functional.pixel_unshuffle(torch.cat(placed), 2)
    outputs = nn.functional.conv2d(nn.functional.pixel_unshuffle(x, 2), kernels, padding=1)
    first, second, third, fourth = outputs.chunk(4, dim=1)
    largest = torch.maximum(torch.maximum(first, second), torch.maximum(third, fourth))
    assert layer.bias is not None
    return largest + layer.bias[:, None, None]


class _Block(nn.Module):
    def __init__(self, width_in: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.pad = width_in if stride != 1 or width_in != width else 0

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        if self.pad:
            # The shortcut without parameters of the original: every second pixel, zeros for new channels.
            x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.pad // 2, self.pad // 2))
        return torch.relu(out + x)


class ResNet20(nn.Module):
    """ResNet-20 for CIFAR-10: vectors (n, 3, 32, 32) in 0..1 to logits; its mean and std are inside."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        """Take the published state of the model."""
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(_Block(16, 16, 1), _Block(16, 16, 1), _Block(16, 16, 1))
        self.layer2 = nn.Sequential(_Block(16, 32, 2), _Block(32, 32, 1), _Block(32, 32, 1))
        self.layer3 = nn.Sequential(_Block(32, 64, 2), _Block(64, 64, 1), _Block(64, 64, 1))
        self.linear = nn.Linear(64, 10)
        self.load_state_dict(state)
        self.mean = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
        self.std = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        x = (x - self.mean) / self.std
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean(dim=(2, 3)))
        return logits


def lenet1(data: Path) -> tuple[LeNet1, Any]:
    """Return LeNet-1 as a torch module, and the Keras model it equals."""
    keras_model = load_model(data, "lenet1.keras")
    return as_lenet1(keras_model), keras_model


def as_lenet1(keras_model: Any) -> LeNet1:
    """Return a Keras LeNet-1 as a torch module."""
    module = LeNet1([np.array(each) for each in keras_model.get_weights()]).eval()
    _check(module, keras_model, (28, 28, 1))
    return module


def resnet20(data: Path) -> tuple[ResNet20, Any]:
    """Return ResNet-20 as a torch module, and the Keras model it equals."""
    module = resnet20_module(data)
    keras_model = load_model(data, "cifar_resnet20.keras")
    _check(module, keras_model, (32, 32, 3))
    return module, keras_model


def resnet20_module(data: Path) -> ResNet20:
    """Return ResNet-20 as a torch module."""
    stored = torch.load(data / "models" / "cifar_resnet20.pt", map_location="cpu", weights_only=True)
    state = {name.removeprefix("module."): value for name, value in stored.get("state_dict", stored).items()}
    return ResNet20(state).eval()


def bare_resnet20(data: Path) -> tuple[ResNet20, list[float], list[float]]:
    """Return ResNet-20 as a torch module that does not normalise, and the mean and std that its input is to have."""
    module = resnet20_module(data)
    mean, std = module.mean.flatten().tolist(), module.std.flatten().tolist()
    module.mean, module.std = torch.zeros(1), torch.ones(1)
    return module, mean, std


def untrained(name: str) -> nn.Module:
    """Return a classifier of torchvision with random weights, always the same: for measuring time, and nothing else.

    Raises:
        SystemExit: torchvision is not installed.
    """
    # Operators of a torchvision that was built for CUDA cannot be described to a torch of CPUs; classifiers need none.
    try:
        with mock.patch("torch.library.register_fake", return_value=lambda function: function):
            models: Any = importlib.import_module("torchvision.models")
    except ImportError as error:
        raise SystemExit(f"this case needs torchvision: {error}") from error
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module: nn.Module = getattr(models, name)()
    return module.eval()


def _fill(layer: nn.Conv2d | nn.Linear, weight: Any, bias: Any) -> None:
    with torch.no_grad():
        layer.weight.copy_(torch.tensor(weight))
        assert layer.bias is not None
        layer.bias.copy_(torch.tensor(bias))


def _check(module: nn.Module, keras_model: Any, shape: tuple[int, int, int]) -> None:
    """Refuse a module that is not the Keras model."""
    images = np.random.default_rng(0).integers(0, 256, (8, *shape)).astype(np.float32)
    with torch.no_grad():
        found = torch.softmax(module(torch.tensor(images / 255).permute(0, 3, 1, 2)), dim=1).numpy()
    wanted = np.asarray(keras_model.predict_on_batch(images))
    difference = float(np.abs(found - wanted).max())
    if not difference < AGREE:
        raise AssertionError(f"the torch module's probabilities differ from the Keras model's by {difference:.3g}")
