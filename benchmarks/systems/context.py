"""What every row shares: models, images, a substitute."""

from __future__ import annotations

import hashlib
import os
import random
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import dfa
from dfa.cli import demo
from harness.inputs import load_images
from systems.attacks import moved_to
from systems.imagenet_models import imagenet_model
from systems.substitutes import imitation_of_lenet1, imitation_of_resnet20
from systems.torch_models import as_lenet1, lenet1, resnet20

SPACE = dfa.Affine(layout="NCHW")
"""All torch models here take 0..1, (n, C, H, W)."""

Result = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A model and the images it is attacked on.

    Attributes:
        name: Of the model.
        module: Vectors (n, C, H, W) in 0..1 to logits.
        keras_model: The same from uint8, or the module itself.
        images: uint8, (N, H, W, C), all classified as labelled.
        labels: int64, (N,).
        epsilon: Grey levels of Tables 6 to 9.
        pool: uint8, (M, H, W, C): all images there are, in which an attack may look for one to start from.
    """

    name: str
    module: nn.Module
    keras_model: Any
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    epsilon: int
    pool: NDArray[np.uint8]

    @classmethod
    def of(
        cls,
        name: str,
        module: nn.Module,
        keras_model: Any,
        images: NDArray[np.uint8],
        labels: Any,
        epsilon: int,
        most: int,
    ) -> Subject:
        """Return a subject on the first images, at most so many, that its model classifies as labelled."""
        right = np.flatnonzero(_classes(module, images) == labels)[:most]
        # Attacks ask for gradients of vectors, and those of weights would cost as much again.
        return cls(name, module.requires_grad_(False), keras_model, images[right], labels[right], epsilon, images)

    def first(self, number: int) -> Subject:
        """Return the subject with its first images only."""
        return replace(self, images=self.images[:number], labels=self.labels[:number])

    def starts(self, targets: NDArray[np.int64]) -> Tensor:
        """Return, for each target, the first vector of the pool that is of its class.

        Where there is none, it is the first of neither its class nor the image's, moved there by the model's gradients:
        a stranger that is of the class, as far from the image as any.
        """
        classes = _classes(self.module, self.pool)
        found = []
        for target, label in zip(targets.tolist(), self.labels.tolist(), strict=True):
            places = np.flatnonzero(classes == target)
            if not len(places):
                places = np.flatnonzero(classes != label)
            vector = torch.tensor(SPACE.vectors(self.pool[places[:1]]))
            found.append(moved_to(self.module, vector, torch.tensor([target])))
        return torch.cat(found)

    @property
    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return vectors and labels."""
        return torch.tensor(SPACE.vectors(self.images)), torch.tensor(self.labels)

    def targets(self, rank: int) -> NDArray[np.int64]:
        """Return the class of a rank of likelihood for each image."""
        with torch.no_grad():
            order = torch.argsort(-self.module(self.tensors[0]), dim=1, stable=True)
        return order[:, rank - 1].numpy().astype(np.int64)


@dataclass
class Context:
    """Models are loaded when a row first asks for them."""

    data: Path
    num_lenet: int
    num_resnet: int
    witnesses: Path | None = None
    folder: Path | None = None
    num_imagenet: int = 20
    again: bool = False
    _made: set[Path] = field(default_factory=set)
    _trained: dict[tuple[str, int], nn.Module] = field(default_factory=dict)

    @cached_property
    def lenet(self) -> Subject:
        """LeNet-1, the paper's MNIST model, on MNIST test images."""
        module, keras_model = lenet1(self.data)
        images, labels = load_images(self.data, "mnist_test2000.npz")
        return Subject.of("LeNet-1", module, keras_model, images, labels, 64, self.num_lenet)

    @cached_property
    def demo(self) -> Subject:
        """The LeNet-1 that `dfa.demo` trains, on its test digits."""
        recipe = demo.Recipe()
        digits = demo.load_digits(recipe)
        cache = Path(tempfile.gettempdir()) if self.folder is None else self.folder
        keras_model = demo.train_or_load(recipe, digits, demo.cache_file(recipe, cache))
        module = as_lenet1(keras_model)
        images, labels = digits.test_images, digits.test_labels
        return Subject.of("demo's LeNet-1", module, keras_model, images, labels, 64, self.num_lenet)

    @cached_property
    def resnet(self) -> Subject:
        """ResNet-20 on CIFAR-10, in the place of the paper's ImageNet models."""
        module, keras_model = resnet20(self.data)
        images, labels = load_images(self.data, "cifar10_correct500.npz")
        return Subject.of("ResNet-20", module, keras_model, images, labels, 10, self.num_resnet)

    @cached_property
    def mobilenet(self) -> Subject:
        """MobileNetV2-224 on ImageNet pictures, in the place of the paper's ResNet50."""
        return self._on_imagenet("MobileNetV2-224")

    @cached_property
    def squeezenet(self) -> Subject:
        """SqueezeNet 1.1 on ImageNet pictures, in the place of the paper's InceptionV3."""
        return self._on_imagenet("SqueezeNet 1.1")

    def _on_imagenet(self, name: str) -> Subject:
        module, _ = imagenet_model(self.data, name)
        images, labels = load_images(self.data, "imagenet100_224.npz")
        # dfa asks the module as well: it is as fast as the file, and on as many threads as the other attacks have. The
        # ten candidates of the paper's setting are two batches of five.
        asked = dfa.TorchOracle(module, static_batch=5)
        return Subject.of(name, module, asked, images, labels, 10, self.num_imagenet)

    def kept(self, name: str, make: Callable[[], Any], *made_of: Any) -> tuple[Any, float]:
        """Return vectors and the seconds they took, made now or read from `folder`.

        Args:
            name: Of the file, to be read.
            make: Returns the vectors.
            made_of: What they depend on, arrays or texts: those of other images or settings are others.
        """
        digest = hashlib.sha256()
        for part in made_of:
            digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
            digest.update(b"|")
        path = None if self.folder is None else self.folder / f"{name}-{digest.hexdigest()[:12]}.npz"
        if path is not None and path.is_file() and not (self.again and path not in self._made):
            try:
                with path.open("rb") as file, np.load(file) as arrays:
                    return arrays["vectors"], float(arrays["seconds"])
            except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
                pass  # cut while it was written: made again
        started = time.perf_counter()
        seed_everything()
        vectors = make()
        seconds = time.perf_counter() - started
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = path.with_name(f"{path.stem}.{os.getpid()}.part.npz")
            np.savez(temporary, vectors=vectors, seconds=seconds)
            temporary.replace(path)
            self._made.add(path)
        return vectors, seconds

    def substitute(self, of: str, seed: int = 0) -> nn.Module:
        """Return a model trained on the answers of another about images that no row attacks, one for each seed."""
        if (of, seed) not in self._trained:
            if of == "LeNet-1":
                images, _ = load_images(self.data, "mnist_test2000.npz")
                imitate: Callable[[nn.Module, Tensor], nn.Module] = partial(imitation_of_lenet1, seed=seed)
                attacked = self.lenet
            else:
                images, _ = load_images(self.data, "cifar10_correct500.npz")
                imitate, attacked = imitation_of_resnet20, self.resnet
            others = torch.tensor(SPACE.vectors(images[len(images) // 4 :]))
            self._trained[of, seed] = imitate(attacked.module, others)
        return self._trained[of, seed]


def seed_everything() -> None:
    """Begin the random numbers of torch, NumPy and Python anew, so that nothing depends on what ran before."""
    torch.manual_seed(0)
    np.random.seed(0)
    random.seed(0)


def _classes(module: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    with torch.no_grad():
        parts = [module(part).argmax(1).numpy() for part in torch.tensor(SPACE.vectors(images)).split(250)]
    classes: NDArray[np.int64] = np.concatenate(parts)
    return classes
