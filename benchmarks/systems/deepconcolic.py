"""DeepConcolic (Sun, Wu, Ruan, Huang, Kwiatkowska, Kroening 2018, "Concolic Testing for Deep Neural Networks").

Kept: the criterion is neuron coverage, that some test turns each neuron on. Concretely, the tests are run, and of the
neurons that none turns on and the tests the pair is taken whose neuron is nearest to on, for its layer. Symbolically, a
linear program looks for the input nearest to that test in L-infinity that turns this neuron on, while every ReLU and
every window of a pooling before it stays as it is for the test. What it finds becomes a test, and an adversarial
example is what has another class than the image that all of it began with. LeNet-1 has what this takes, ReLUs and
pooling; its neurons are those of both convolutions.

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

from systems.context import Result, Subject, audit_of, figures_of
from systems.rows import CannotRunError
from systems.torch_models import LeNet1

Floats = NDArray[np.float64]

_ON = 1 / 255
"""What a neuron that is turned on is at least, as in the authors' programs."""

_KEPT = 1e-5
"""How far what must stay keeps from its border, above the rounding of float32, or as far as it was."""


def measure_deepconcolic(subject: Subject, *, steps: int = 10) -> Result:
    """Return what rounding leaves of the adversarial ones of the tests, each held against its image.

    Raises:
        CannotRunError: No test was generated.
    """
    module: Any = subject.module
    started = time.perf_counter()
    tests, rows = deepconcolic(module, subject.tensors[0], steps=steps)
    seconds = time.perf_counter() - started
    if not len(rows):
        raise CannotRunError("no program has a solution")
    repeated = replace(subject, images=subject.images[rows], labels=subject.labels[rows])
    note = (
        f"{len(rows)} tests from {len(subject.images)} images, {steps} programs each; the paper's criterion, neurons "
        "turned on"
    )
    return figures_of(audit_of(repeated, tests.numpy()), seconds, note=note)


@dataclass(frozen=True)
class Layers:
    """LeNet-1's convolutions as matrices, and its windows.

    Attributes:
        w1: Sparse, (3136, 784), and its b1, (3136,).
        w2: Sparse, (2352, 784), from the pooled first convolution, and its b2, (2352,).
        windows: int, (784, 4), the rows of w1 that each pooling takes the largest of.
    """

    w1: sparse.csr_array
    b1: Floats
    w2: sparse.csr_array
    b2: Floats
    windows: NDArray[np.intp]

    @classmethod
    def of(cls, module: LeNet1) -> Layers:
        """Return those of a module."""
        rows = np.arange(3136).reshape(4, 14, 2, 14, 2).transpose(0, 1, 3, 2, 4).reshape(784, 4)
        return cls(*_matrix(module.conv1, (1, 28, 28)), *_matrix(module.conv2, (4, 14, 14)), rows)

    def values(self, vectors: Floats) -> Floats:
        """Return what each neuron is before its ReLU, (n, 5488), of flat vectors, (n, 784)."""
        first = vectors @ self.w1.T + self.b1
        pooled = np.maximum(first[:, self.windows].max(2), 0)
        return np.concatenate([first, pooled @ self.w2.T + self.b2], axis=1)


def deepconcolic(module: LeNet1, x: Tensor, *, steps: int = 10, bound: float = 0.3) -> tuple[Tensor, NDArray[np.intp]]:
    """Return the tests that concolic runs from each of some images generate.

    Args:
        module: To logits.
        x: float32, (n, 1, 28, 28), in 0..1.
        steps: Programs solved for each image.
        bound: L-infinity distance from the image within which a test counts.

    Returns:
        Tests, float32, (m, 1, 28, 28), and of which row of `x` each is, int, (m,).
    """
    layers = Layers.of(module)
    tests, rows = [], []
    for row, image in enumerate(np.asarray(x.double()).reshape(len(x), -1)):
        found = generated(layers, image, steps, bound)
        tests += found
        rows += [row] * len(found)
    return torch.tensor(np.array(tests).reshape(-1, *x.shape[1:]), dtype=x.dtype), np.array(rows, dtype=np.intp)


def generated(layers: Layers, image: Floats, steps: int, bound: float) -> list[Floats]:
    """Return the tests of a concolic run that begins with a flat image, (784,)."""
    tests = [image]
    values = layers.values(image[None])
    first = len(layers.b1)
    scales = np.repeat([values[0, :first].std(), values[0, first:].std()], [first, len(layers.b2)])
    tried = np.zeros(values.shape[1], dtype=bool)
    for _ in range(steps):
        left = np.flatnonzero(~(values > 0).any(0) & ~tried)
        if not len(left):
            break
        test, place = np.unravel_index((values[:, left] / scales[left]).argmax(), (len(tests), len(left)))
        neuron = int(left[place])
        tried[neuron] = True
        found = turned_on(layers, tests[test], neuron)
        if found is not None and np.abs(found - image).max() <= bound:
            tests.append(found)
            values = np.concatenate([values, layers.values(found[None])])
    return tests[1:]


def turned_on(layers: Layers, test: Floats, neuron: int) -> Floats | None:
    """Return the input nearest to a test, (784,), that turns a neuron on and no earlier ReLU or window otherwise.

    Args:
        layers: Of the network.
        test: In 0..1.
        neuron: In the order of `Layers.values`.

    Returns:
        float64, (784,) in 0..1, or None where the solver finds none.
    """
    first = layers.w1 @ test + layers.b1
    if neuron < len(layers.b1):
        row = layers.w1[[neuron]]
        seen, constant = row.indices, layers.b1[neuron]
        kept, least = sparse.csr_array((0, len(test))), np.empty(0)
    else:
        last = layers.w2[[neuron - len(layers.b1)]]
        seen = np.unique(layers.w1[layers.windows[last.indices].ravel()].indices)
        largest = layers.windows[np.arange(len(layers.windows)), first[layers.windows].argmax(1)]
        is_on = first > 0
        row = last @ sparse.diags_array(is_on[largest].astype(float)) @ layers.w1[largest]
        constant = layers.values(test[None])[0, neuron] - (row @ test)[0]
        # Signs of the ReLUs, and of the windows that are on: the largest against each other that is on too.
        others = np.flatnonzero(is_on & ~np.isin(np.arange(len(first)), largest))
        winners = np.empty(len(first), dtype=np.intp)
        winners[layers.windows] = largest[:, None]
        signs = np.where(is_on, 1.0, -1.0)
        kept = sparse.vstack(
            [sparse.diags_array(signs) @ layers.w1, layers.w1[winners[others]] - layers.w1[others]], format="csr"
        )
        now = np.concatenate([signs * first, first[winners[others]] - first[others]])
        least = np.minimum(now, _KEPT) - now
    return _nearest(test, seen, row, _ON - constant, kept, least)


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


def _matrix(layer: nn.Conv2d, shape: tuple[int, int, int]) -> tuple[sparse.csr_array, Floats]:
    """Return a convolution of inputs of a shape as a matrix and a bias for flat ones."""
    size = int(np.prod(shape))
    with torch.no_grad():
        bias = layer(torch.zeros(1, *shape)).flatten()
        columns = layer(torch.eye(size).reshape(size, *shape)).flatten(1) - bias
    return sparse.csr_array(np.asarray(columns.T.double())), np.asarray(bias.double())
