"""DeepConcolic (Sun, Wu, Ruan, Huang, Kwiatkowska, Kroening 2018, "Concolic Testing for Deep Neural Networks").

Kept: the criterion is neuron coverage, that some test turns each neuron on. Concretely, the tests are run, and of the
neurons that none turns on and the tests the pair is taken whose neuron is nearest to on, for its layer. Symbolically, a
linear program looks for the input nearest to that test in L-infinity that turns this neuron on, while every ReLU and
every window of a pooling before it stays as it is for the test. What it finds becomes a test, and an adversarial
example is what has another class than the image that all of it began with. LeNet-1 has what this takes, ReLUs and
pooling; its neurons are those of both convolutions, which see a part of the image. The authors' network has a hidden
dense layer too, so a network of dense layers is measured besides.

Left out: the other criteria, the L0 search, and the robustness oracle beside a bound of the distance. A run begins with
one image, and takes a few steps instead of covering all neurons. Pixels that a neuron does not see stay as they are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.optimize import linprog  # type: ignore[import-untyped]
from torch import Tensor, nn

from harness.inputs import load_images
from systems.context import SPACE, Context, Result, Subject
from systems.counting import audit_of, figures_of
from systems.rows import CannotRunError
from systems.torch_models import LeNet1

Floats = NDArray[np.float64]

_ON = 1 / 255
"""What a neuron that is turned on is at least, as in the authors' programs."""

_KEPT = 1e-5
"""How far what must stay keeps from its border, above the rounding of float32, or as far as it was."""


@dataclass(frozen=True)
class Hidden:
    """A hidden layer: an affine map of flat inputs, ReLUs, and the largest of each window if it has any.

    Attributes:
        weight: Sparse, (n, m).
        bias: (n,), and its bias.
        windows: int, (k, size), which of the n outputs are pooled together.
    """

    weight: sparse.csr_array
    bias: Floats
    windows: NDArray[np.intp] | None = None

    def before(self, inputs: Floats) -> Floats:
        """Return what each neuron is before its ReLU, (..., n), of inputs, (..., m)."""
        return np.asarray(inputs @ self.weight.T + self.bias)

    def after(self, before: Floats) -> Floats:
        """Return the layer's outputs of that."""
        return np.maximum(before if self.windows is None else before[..., self.windows].max(-1), 0)


def measure_lenet1(subject: Subject, *, steps: int = 10) -> Result:
    """Return what rounding leaves of the tests for LeNet-1, each held against its image.

    Raises:
        CannotRunError: No test was generated.
    """
    module: Any = subject.module
    return _measured(subject, hidden_of_lenet1(module), steps)


def measure_dense(context: Context, *, number: int = 100, steps: int = 10) -> Result:
    """Return the same for a network of dense layers, trained on images that are not attacked.

    Raises:
        CannotRunError: No test was generated.
    """
    images, labels = load_images(context.data, "mnist_test2000.npz")
    module = _trained_dense(images[500:], labels[500:])
    subject = Subject.of("dense", module, None, images[:500], labels[:500], 64, number)
    return _measured(subject, hidden_of_dense(module), steps)


def _measured(subject: Subject, layers: list[Hidden], steps: int) -> Result:
    started = time.perf_counter()
    tests, rows = deepconcolic(layers, subject.tensors[0], steps=steps)
    seconds = time.perf_counter() - started
    if not len(rows):
        raise CannotRunError("no program has a solution")
    repeated = replace(subject, images=subject.images[rows], labels=subject.labels[rows])
    note = f"{len(rows)} tests for neuron coverage from {len(subject.images)} images, {steps} programs each"
    return figures_of(audit_of(repeated, tests.numpy()), seconds, note=note)


def deepconcolic(
    layers: list[Hidden], x: Tensor, *, steps: int = 10, bound: float = 0.3
) -> tuple[Tensor, NDArray[np.intp]]:
    """Return the tests that concolic runs from each of some images generate.

    Args:
        layers: Hidden layers of the network.
        x: float32, (n, ...), in 0..1.
        steps: Programs solved for each image.
        bound: L-infinity distance from the image within which a test counts.

    Returns:
        Tests, float32, (m, ...), and of which row of `x` each is, int, (m,).
    """
    tests, rows = [], []
    for row, image in enumerate(np.asarray(x.double()).reshape(len(x), -1)):
        found = generated(layers, image, steps, bound)
        tests += found
        rows += [row] * len(found)
    return torch.tensor(np.array(tests).reshape(-1, *x.shape[1:]), dtype=x.dtype), np.array(rows, dtype=np.intp)


def values_of(layers: list[Hidden], inputs: Floats) -> list[Floats]:
    """Return what the neurons of each layer are before their ReLUs, (..., n), of flat inputs."""
    values = []
    for layer in layers:
        values.append(layer.before(inputs))
        inputs = layer.after(values[-1])
    return values


def generated(layers: list[Hidden], image: Floats, steps: int, bound: float) -> list[Floats]:
    """Return the tests of a concolic run that begins with a flat image."""
    tests, values = [image], [np.concatenate(values_of(layers, image))]
    scales = np.concatenate([np.full(len(each), each.std()) for each in values_of(layers, image)])
    tried = np.zeros(len(scales), dtype=bool)
    for _ in range(steps):
        table = np.stack(values)
        left = np.flatnonzero(~(table > 0).any(0) & ~tried)
        if not len(left):
            break
        test, place = np.unravel_index((table[:, left] / scales[left]).argmax(), (len(tests), len(left)))
        neuron = int(left[place])
        tried[neuron] = True
        found = turned_on(layers, tests[test], neuron)
        if found is not None and np.abs(found - image).max() <= bound:
            tests.append(found)
            values.append(np.concatenate(values_of(layers, found)))
    return tests[1:]


def turned_on(layers: list[Hidden], test: Floats, neuron: int) -> Floats | None:
    """Return the input nearest to a test that turns a neuron on and no ReLU or window of an earlier layer otherwise.

    Args:
        layers: Of the network.
        test: Flat, in 0..1.
        neuron: Counted through all layers.

    Returns:
        float64, flat, in 0..1, or None where the solver finds none.
    """
    # What comes into a layer, as a value, as a linear map of the image while nothing turns, and what it can see of it.
    inputs, linear, seen = test, sparse.eye_array(len(test), format="csr"), sparse.eye_array(len(test), format="csr")
    kept, now = [sparse.csr_array((0, len(test)))], [np.empty(0)]
    for layer in layers:
        before = layer.before(inputs)
        if neuron < len(before):
            weight = layer.weight[[neuron]]
            row, can_see = weight @ linear, np.unique((abs(weight) @ seen).indices)
            constraints, margins = sparse.vstack(kept, format="csr"), np.concatenate(now)
            needed = _ON - before[neuron] + (row @ test)[0]
            return _nearest(test, can_see, row, needed, constraints, np.minimum(margins, _KEPT) - margins)
        neuron -= len(before)
        linear, seen, is_on = layer.weight @ linear, abs(layer.weight) @ seen, before > 0
        signs = np.where(is_on, 1.0, -1.0)
        kept.append(sparse.diags_array(signs) @ linear)
        now.append(signs * before)
        if layer.windows is None:
            linear = sparse.diags_array(is_on.astype(float)) @ linear
        else:
            largest = np.take_along_axis(layer.windows, before[layer.windows].argmax(1)[:, None], axis=1)
            # The largest of a window that is on, against each other that is on too.
            pairs = np.stack([np.broadcast_to(largest, layer.windows.shape), layer.windows], axis=-1).reshape(-1, 2)
            winners, others = pairs[is_on[pairs[:, 1]] & (pairs[:, 0] != pairs[:, 1])].T
            kept.append(linear[winners] - linear[others])
            now.append(before[winners] - before[others])
            linear = sparse.diags_array(is_on[largest[:, 0]].astype(float)) @ linear[largest[:, 0]]
            seen = sum((seen[members] for members in layer.windows.T[1:]), seen[layer.windows[:, 0]])
        inputs = layer.after(before)
    raise IndexError("no such neuron")


def _nearest(
    test: Floats,
    seen: NDArray[np.intp],
    row: sparse.csr_array,
    needed: float,
    kept: sparse.csr_array,
    least: Floats,
) -> Floats | None:
    """Return the input nearest to a test with row @ input >= needed and kept @ (input - test) >= least, or None.

    Only the pixels `seen` may change.
    """
    kept = kept[:, seen]
    touched = np.diff(kept.indptr) > 0
    size, one = len(seen), sparse.eye_array(len(seen))
    far = -np.ones((size, 1))
    turned = sparse.hstack([-row[:, seen], np.zeros((1, 1))])
    rest = sparse.hstack([-kept[touched], np.zeros((int(touched.sum()), 1))])
    solution = linprog(
        np.append(np.zeros(size), 1),
        A_ub=sparse.vstack([turned, rest, sparse.hstack([one, far]), sparse.hstack([-one, far])], format="csr"),
        b_ub=np.concatenate([[(row @ test)[0] - needed], -least[touched], np.zeros(2 * size)]),
        bounds=np.column_stack([np.append(-test[seen], 0), np.append(1 - test[seen], 1)]),
        method="highs",
    )
    if solution.x is None:
        return None
    found = test.copy()
    found[seen] = np.clip(test[seen] + solution.x[:-1], 0, 1)
    return found


def hidden_of_lenet1(module: LeNet1) -> list[Hidden]:
    """Return both convolutions of LeNet-1 with their pooling; what follows them is no hidden layer."""
    return [_convolution(module.conv1, (1, 28, 28)), _convolution(module.conv2, (4, 14, 14))]


def hidden_of_dense(module: nn.Sequential) -> list[Hidden]:
    """Return the dense layers of a network but the last."""
    linear = [each for each in module if isinstance(each, nn.Linear)][:-1]
    return [
        Hidden(sparse.csr_array(np.asarray(each.weight.detach().double())), np.asarray(each.bias.detach().double()))
        for each in linear
    ]


def _convolution(layer: nn.Conv2d, shape: tuple[int, int, int]) -> Hidden:
    """Return a convolution of inputs of a shape, pooled in windows of 2 x 2."""
    size, (_, height, width) = int(np.prod(shape)), shape
    with torch.no_grad():
        bias = layer(torch.zeros(1, *shape)).flatten()
        columns = layer(torch.eye(size).reshape(size, *shape)).flatten(1) - bias
    places = np.arange(len(bias)).reshape(-1, height // 2, 2, width // 2, 2)
    windows = places.transpose(0, 1, 3, 2, 4).reshape(-1, 4)
    return Hidden(sparse.csr_array(np.asarray(columns.T.double())), np.asarray(bias.double()), windows)


def _trained_dense(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> nn.Sequential:
    """Return a network of two hidden dense layers, trained on images, uint8 (n, 28, 28, 1)."""
    torch.manual_seed(0)
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    x, y = torch.tensor(SPACE.vectors(images)), torch.tensor(labels)
    optimizer = torch.optim.Adam(module.parameters(), lr=2e-3, weight_decay=1e-4)
    for _ in range(30):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
    return module.eval().requires_grad_(False)
