"""A complete verifier in small: the nearest counterexample of a ReLU network, as a mixed-integer program.

It stands for MIPVerify, Planet and their like. Over the reals it ends on the decision boundary itself, where rounding
takes what it found; with integer pixels, the same program finds images.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import sparse  # type: ignore[import-untyped]
from scipy.optimize import Bounds, LinearConstraint, milp  # type: ignore[import-untyped]

from harness.inputs import load_images
from systems.context import Context, Result
from systems.counting import audit, figures_of

_SIDE = 7
_HIDDEN = 16
REACH = 80
"""Grey levels within which a counterexample is looked for."""

_MARGIN = 1e-4
"""By which the other class must win, above the solver's tolerances."""


@dataclass(frozen=True)
class Network:
    """W2 relu(W1 v + b1) + b2 of vectors in 0..1."""

    w1: NDArray[np.float64]
    b1: NDArray[np.float64]
    w2: NDArray[np.float64]
    b2: NDArray[np.float64]

    def logits(self, vectors: Any) -> NDArray[np.float64]:
        """Return logits of vectors, float, (n, ...)."""
        flat = np.asarray(vectors, dtype=np.float64).reshape(len(vectors), -1)
        logits: NDArray[np.float64] = np.maximum(flat @ self.w1.T + self.b1, 0) @ self.w2.T + self.b2
        return logits

    def hidden_bounds(
        self, low: NDArray[np.float64], high: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the least and the most, (h,), that hidden units take before their ReLU in a box, both exact."""
        ends = self.w1 * low, self.w1 * high
        return np.minimum(*ends).sum(1) + self.b1, np.maximum(*ends).sum(1) + self.b1


class Verdict(NamedTuple):
    """What a complete verifier ends with: a counterexample, a proof that there is none, or neither.

    Attributes:
        vector: The counterexample, (m,), if one was found.
        proven: Whether there is none.
    """

    vector: NDArray[np.float64] | None
    proven: bool


class SmallProblem(NamedTuple):
    """The network that verifiers can handle, and what they look for.

    Attributes:
        network: It.
        images: uint8, (n, 7, 7, 1), all classified as labelled.
        labels: int64, (n,).
        runners_up: int64, (n,), the likeliest other class of each.
    """

    network: Network
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    runners_up: NDArray[np.int64]


def counterexamples(context: Context, *, integer: bool, number: int = 10, seconds: float = 10) -> Result:
    """Return what rounding leaves of the nearest counterexamples to the runner-up class.

    Args:
        context: Where the images are.
        integer: Whether pixels are whole grey levels in the program.
        number: Images.
        seconds: Limit of the solver for each.
    """
    network, images, labels, runners_up = small_problem(context, number)
    vectors = images / 255
    started = time.perf_counter()
    for row, (image, label, goal) in enumerate(zip(images, labels, runners_up, strict=True)):
        found = _nearest(network, image.reshape(-1), int(label), int(goal), integer=integer, seconds=seconds)
        if found is not None:
            vectors[row] = found.reshape(vectors[row].shape)
    elapsed = time.perf_counter() - started
    audited = audit(network.logits, images, vectors, labels)
    kind = "whole grey levels" if integer else "real numbers"
    return figures_of(
        audited,
        elapsed,
        note=f"HiGHS, nearest counterexample to the runner-up class in {kind}; 49-16-10 ReLU network on MNIST at 7x7",
    )


def small_problem(context: Context, number: int) -> SmallProblem:
    """Return the 49-16-10 ReLU network of MNIST at 7x7, and its first images, at most `number`."""
    images, labels = _small_images(context)
    network = _trained(images[500:], labels[500:])
    right = network.logits(images[:500] / 255).argmax(1) == labels[:500]
    images, labels = images[:500][right][:number], labels[:500][right][:number]
    return SmallProblem(network, images, labels, np.argsort(-network.logits(images / 255), axis=1)[:, 1])


def _nearest(
    network: Network, image: NDArray[np.uint8], label: int, goal: int, *, integer: bool, seconds: float
) -> NDArray[np.float64] | None:
    """Return the nearest vector that the network calls `goal`, or None where the solver finds none in time.

    Variables: pixels in grey levels (m), hidden activations (h), whether each hidden unit is on (h), the distance.
    """
    m, h = len(image), len(network.b1)
    low, high = np.maximum(image.astype(float) - REACH, 0), np.minimum(image.astype(float) + REACH, 255)
    w1 = network.w1 / 255
    least, most = network.hidden_bounds(low / 255, high / 255)
    size = m + 2 * h + 1
    rows: list[Any] = []
    lower: list[Any] = []
    upper: list[Any] = []

    def constrain(blocks: list[tuple[int, Any]], least_value: Any, most_value: Any) -> None:
        height = len(least_value)
        row = sparse.lil_matrix((height, size))
        for column, values in blocks:
            row[:, column : column + values.shape[1]] = values
        rows.append(row.tocsr())
        lower.append(least_value)
        upper.append(most_value)

    one, everything = np.eye(h), np.full(h, np.inf)
    on, off = np.maximum(most, 0), np.minimum(least, 0)
    # z >= W x + b;  z <= W x + b - off (1 - a);  z <= on a.
    constrain([(0, -w1), (m, one)], network.b1, everything)
    constrain([(0, -w1), (m, one), (m + h, -np.diag(off))], -everything, network.b1 - off)
    constrain([(m, one), (m + h, -np.diag(on))], -everything, np.zeros(h))
    wins = (network.w2[goal] - network.w2[label])[None]
    constrain([(m, wins)], np.array([_MARGIN - network.b2[goal] + network.b2[label]]), np.array([np.inf]))
    # The distance is above every |x - image|.
    far = -np.ones((m, 1))
    constrain([(0, np.eye(m)), (size - 1, far)], np.full(m, -np.inf), image.astype(float))
    constrain([(0, -np.eye(m)), (size - 1, far)], np.full(m, -np.inf), -image.astype(float))
    objective = np.zeros(size)
    objective[-1] = 1
    solution = milp(
        objective,
        constraints=LinearConstraint(sparse.vstack(rows), np.concatenate(lower), np.concatenate(upper)),
        integrality=np.concatenate([np.full(m, int(integer)), np.zeros(h), np.ones(h), [0]]),
        bounds=Bounds(
            np.concatenate([low, np.zeros(2 * h + 1)]), np.concatenate([high, on, np.ones(h), [float(REACH)]])
        ),
        options={"time_limit": seconds},
    )
    if solution.x is None:
        return None
    levels: NDArray[np.float64] = solution.x[:m]
    # What the solver calls an integer may be off by its tolerance.
    return (np.rint(levels) if integer else levels) / 255


def _small_images(context: Context) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = load_images(context.data, "mnist_test2000.npz")
    tiles = images.reshape(len(images), _SIDE, 4, _SIDE, 4).mean(axis=(2, 4))
    return np.rint(tiles).astype(np.uint8)[..., None], labels


def _trained(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> Network:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Linear(_SIDE * _SIDE, _HIDDEN), torch.nn.ReLU(), torch.nn.Linear(_HIDDEN, 10))
    x, y = torch.tensor(images.reshape(len(images), -1) / 255, dtype=torch.float32), torch.tensor(labels)
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-3, weight_decay=1e-4)
    for _ in range(60):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(module(x[rows]), y[rows]).backward()
            optimizer.step()
    w1, b1, w2, b2 = (each.detach().double().numpy() for each in module.parameters())
    return Network(w1, b1, w2, b2)
