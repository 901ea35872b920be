"""dfa and Square Attack as two libraries have it, in turns on the same torch model.

All ask the same module, which counts what it is sent: everything is charged, whatever it was sent for. The budget is
5,000 images per image. torchattacks stops asking about an image that has fallen; ART asks three times a step, so that
a third of the budget is its number of steps. Otherwise both have their own defaults, and all images in one batch. What
they return is rounded to grey levels, and asked again, before it counts as a success; dfa's images are asked again by
its own rules.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import dfa
from fullness.attack import Figures, attack
from harness.inputs import load_images, require_file

_NUMBER = 100
_BUDGET = 5_000
_STEPS_OF_ART = _BUDGET // 3

Rival = Callable[[Any, Any, Any], Any]
"""From a module, vectors (n, C, H, W) in 0..1 and labels, both tensors, to vectors."""


def against_torchattacks(data: Path) -> Figures:
    """Hold dfa against the Square of torchattacks, within 4 grey levels."""

    def rival(module: Any, x: Any, y: Any) -> Any:
        attack = _library("torchattacks").Square(module, eps=4 / 255, n_queries=_BUDGET)
        return attack(x, y)

    return _compare(data, rival, epsilon=4)


def against_art(data: Path) -> Figures:
    """Hold dfa against the Square of ART, within 8 grey levels."""

    def rival(module: Any, x: Any, y: Any) -> Any:
        torch = _library("torch")
        estimator = _library("art.estimators.classification").PyTorchClassifier(
            module, torch.nn.CrossEntropyLoss(), tuple(x.shape[1:]), 10, clip_values=(0.0, 1.0), device_type="cpu"
        )
        attack = _library("art.attacks.evasion").SquareAttack(
            estimator, eps=8 / 255, max_iter=_STEPS_OF_ART, batch_size=len(x), verbose=False
        )
        return torch.tensor(attack.generate(x.numpy(), y.numpy()))

    return _compare(data, rival, epsilon=8)


def _compare(data: Path, rival: Rival, *, epsilon: int) -> Figures:
    torch = _library("torch")
    require_file(data / "models" / "cifar_resnet20.pt")
    module = counting(_library("systems.torch_models").resnet20_module(data))
    images, labels = load_images(data, "cifar10_correct500.npz")
    images, labels = images[:_NUMBER], labels[:_NUMBER]

    def vectors(some: Any) -> Any:
        return torch.tensor(some).permute(0, 3, 1, 2).float() / 255

    def ask(some: Any) -> Any:
        with torch.no_grad():
            return module(vectors(some)).numpy()

    ask(images)
    module.rows = 0
    oracle = dfa.as_oracle(ask, returns="logits")
    figures = attack(oracle, images, labels=labels, epsilon=epsilon, max_queries=_BUDGET)
    rows = module.rows

    torch.manual_seed(0)
    np.random.seed(0)
    module.rows = 0
    started, began = time.perf_counter(), time.process_time()
    found = rival(module, vectors(images), torch.tensor(labels))
    rival_wall, rival_processors = time.perf_counter() - started, time.process_time() - began
    rival_rows = module.rows
    rounded = np.rint(np.asarray(found) * 255).astype(np.uint8).transpose(0, 2, 3, 1)
    return figures | {
        "cost": figures["wall"],
        "rows": rows,
        "rival_rows": rival_rows,
        "rival_wall": rival_wall,
        "rival_TSR": float((ask(rounded).argmax(axis=1) != labels).mean()),
        "rival_processors": rival_processors,
        "times_wall": rival_wall / figures["wall"],
        "times_processors": rival_processors / figures["processors"],
        "times_rows": rival_rows / rows,
    }


def counting(module: Any) -> Any:
    """Return a torch module that asks another one, and adds up in `rows` what it is sent."""
    torch = _library("torch")

    class Counting(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.inner = module
            self.rows = 0

        def forward(self, x: Any) -> Any:
            self.rows += len(x)
            return self.inner(x)

    return Counting().eval()


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise SystemExit(f"this case needs {name.partition('.')[0]}, which is not installed ({error})") from error
