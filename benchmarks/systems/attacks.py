"""Attacks that no library has today, written small: as their papers say them, for measuring what rounding does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize  # type: ignore[import-untyped]
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]


def margin(logits: Tensor, classes: Tensor, *, targeted: bool) -> Tensor:
    """Return how far each is from adversarial, in logits: negative where it is."""
    own = logits.gather(1, classes[:, None])[:, 0]
    other = logits.scatter(1, classes[:, None], -torch.inf).amax(1)
    return other - own if targeted else own - other


def bim(
    model: Model, x: Tensor, y: Tensor, epsilon: Tensor, *, steps: int = 10, step: float = 0.05, momentum: float = 0.0
) -> Tensor:
    """Basic iterative method, with momentum for MI-FGSM; stops for each image where it is adversarial first.

    Args:
        model: To logits.
        x: Clean vectors.
        y: Labels.
        epsilon: (n,), radius of each.
        steps: At most.
        step: Share of epsilon per step, so that a small radius is walked in small steps.
        momentum: Decay of the gradient's memory.
    """
    radius = epsilon.reshape(-1, 1, 1, 1)
    adversarial, memory = x.clone(), torch.zeros_like(x)
    for _ in range(steps):
        adversarial.requires_grad_()
        logits = model(adversarial)
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, y, reduction="sum"), adversarial)
        going = (logits.argmax(1) == y).reshape(-1, 1, 1, 1)
        memory = momentum * memory + gradient / gradient.abs().mean((1, 2, 3), keepdim=True).clamp_min(1e-12)
        moved = adversarial.detach() + step * radius * memory.sign()
        moved = torch.minimum(torch.maximum(moved, x - radius), x + radius).clamp(0, 1)
        adversarial = torch.where(going, moved, adversarial.detach())
    return adversarial


def smallest_radius(attack: Callable[[Tensor], Tensor], model: Model, x: Tensor, y: Tensor, most: float) -> Tensor:
    """Return the vectors of the smallest radius at which an attack succeeds, by 20 bisections for each image.

    Foolbox 1 did this with its iterative attacks by default, and the paper used it.
    """
    low, high = torch.zeros(len(x)), torch.full((len(x),), most)
    best = attack(high)
    for _ in range(20):
        middle = (low + high) / 2
        found = attack(middle)
        with torch.no_grad():
            works = model(found).argmax(1) != y
        best = torch.where(works.reshape(-1, 1, 1, 1), found, best)
        low, high = torch.where(works, low, middle), torch.where(works, middle, high)
    return best


def carlini_wagner(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    targeted: bool = False,
    epsilon: float = 1.0,
    searches: int = 5,
    steps: int = 100,
    extra: Callable[[Tensor, Tensor], Tensor] | None = None,
) -> Tensor:
    """Carlini and Wagner's L2 attack, its tanh variable squeezed into the L-infinity ball where epsilon is below 1.

    Args:
        model: To logits.
        x: Clean vectors.
        y: Labels, or targets.
        targeted: Which of the two.
        epsilon: Radius of the ball.
        searches: Values of the constant tried, by bisection.
        steps: Of Adam for each.
        extra: What to minimise in place of the margin, from (vectors, classes): OptMargin's.
    """
    low, high = (x - epsilon).clamp_min(0), (x + epsilon).clamp_max(1)
    start = torch.atanh(((x - low) / (high - low).clamp_min(1e-6) * 2 - 1).clamp(-0.999999, 0.999999))
    best, best_distance = x.clone(), torch.full((len(x),), torch.inf)
    lower, upper, constant = torch.zeros(len(x)), torch.full((len(x),), 1e10), torch.full((len(x),), 1.0)

    def loss_of(vectors: Tensor) -> Tensor:
        return margin(model(vectors), y, targeted=targeted) if extra is None else extra(vectors, y)

    for _ in range(searches):
        variable = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([variable], lr=0.05)
        works = torch.zeros(len(x), dtype=torch.bool)
        for _ in range(steps):
            vectors = low + (high - low) * (torch.tanh(variable) + 1) / 2
            distance = (vectors - x).square().sum((1, 2, 3))
            loss = loss_of(vectors)
            optimizer.zero_grad()
            (distance + constant * loss.clamp_min(0)).sum().backward()
            optimizer.step()
            better = (loss < 0) & (distance < best_distance)
            works |= loss < 0
            best = torch.where(better.reshape(-1, 1, 1, 1), vectors.detach(), best)
            best_distance = torch.where(better, distance.detach(), best_distance)
        upper = torch.where(works, torch.minimum(upper, constant), upper)
        lower = torch.where(works, lower, torch.maximum(lower, constant))
        constant = torch.where(upper < 1e9, (lower + upper) / 2, constant * 10)
    return best


def opt_margin(model: Model, x: Tensor, y: Tensor, *, radius: float = 0.3, directions: int = 10) -> Tensor:
    """OptMargin (He, Li, Song 2018): adversarial also at a distance in random directions."""
    generator = torch.Generator().manual_seed(0)
    around = torch.randn(directions, *x.shape[1:], generator=generator).sign() * radius

    def all_around(vectors: Tensor, classes: Tensor) -> Tensor:
        points = torch.cat([vectors[None], (vectors[None] + around[:, None]).clamp(0, 1)])
        logits = model(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        worst = torch.stack([margin(each, classes, targeted=False) for each in logits])
        return worst.amax(0)

    return carlini_wagner(model, x, y, extra=all_around, searches=4, steps=60)


def box_lbfgs(model: Model, x: Tensor, y: Tensor, *, searches: int = 12, iterations: int = 50) -> Tensor:
    """Box-constrained L-BFGS (Szegedy et al. 2014), towards the likeliest other class, the constant bisected."""
    with torch.no_grad():
        goals = model(x).scatter(1, y[:, None], -torch.inf).argmax(1)
    found = []
    for image, goal in zip(x, goals, strict=True):
        clean = image.flatten().numpy().astype(np.float64)

        def loss_and_gradient(
            values: Any, constant: float, clean: Any = clean, goal: Tensor = goal, image: Tensor = image
        ) -> tuple[float, Any]:
            vector = torch.tensor(values, dtype=torch.float32).reshape(1, *image.shape).requires_grad_()
            loss = constant * nn.functional.cross_entropy(model(vector), goal[None])
            (gradient,) = torch.autograd.grad(loss, vector)
            apart = values - clean
            slope = gradient.flatten().numpy().astype(np.float64) + 2 * apart
            return float(loss.detach()) + float(apart @ apart), slope

        best, low, high, constant = image, 0.0, np.inf, 0.1
        for _ in range(searches):
            solution = minimize(
                loss_and_gradient,
                clean,
                args=(constant,),
                jac=True,
                method="L-BFGS-B",
                bounds=[(0, 1)] * len(clean),
                options={"maxiter": iterations},
            )
            vector = torch.tensor(solution.x, dtype=torch.float32).reshape(image.shape)
            with torch.no_grad():
                works = bool(model(vector[None]).argmax(1)[0] == goal)
            best = vector if works else best
            low, high = (low, constant) if works else (constant, high)
            constant = (low + high) / 2 if np.isfinite(high) else 10 * constant
        found.append(best)
    return torch.stack(found)


class AttackState:
    """Vectors of a black-box attack with the queries each took until it was first adversarial."""

    def __init__(self, x: Tensor) -> None:
        """Begin at the clean vectors."""
        self.vectors = x.clone()
        self.queries = torch.zeros(len(x), dtype=torch.int64)
        self.done = torch.zeros(len(x), dtype=torch.bool)

    def mean(self, successes: Any) -> float:
        """Return the mean queries of some of them."""
        return float(self.queries[torch.as_tensor(successes)].double().mean()) if successes.any() else float("nan")


def nes_pgd(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float,
    targeted: bool = False,
    max_queries: int = 10_000,
    samples: int = 50,
    sigma: float = 0.001,
    rate: float = 0.01,
) -> AttackState:
    """NES gradient estimates in PGD (Ilyas et al. 2018), with their published defaults.

    A step costs samples + 1 queries; the last one sees whether it succeeded.
    """
    state = AttackState(x)
    generator = torch.Generator().manual_seed(0)
    memory = torch.zeros_like(x)
    while (active := ~state.done & (state.queries + samples + 1 <= max_queries)).any():
        rows = active.nonzero()[:, 0]
        here, goal = state.vectors[rows], y[rows]
        noise = torch.randn(len(rows), samples // 2, *x.shape[1:], generator=generator)
        points = torch.cat([here[:, None] + sigma * noise, here[:, None] - sigma * noise], dim=1)
        with torch.no_grad():
            logits = model(points.flatten(0, 1))
            losses = nn.functional.cross_entropy(logits, goal.repeat_interleave(samples), reduction="none")
        losses = losses.reshape(len(rows), 2, samples // 2)
        gradient = torch.einsum("ns,nschw->nchw", losses[:, 0] - losses[:, 1], noise) / (samples * sigma)
        gradient = -gradient if targeted else gradient
        memory[rows] = 0.9 * memory[rows] + 0.1 * gradient
        moved = here + rate * memory[rows].sign()
        moved = torch.minimum(torch.maximum(moved, x[rows] - epsilon), x[rows] + epsilon).clamp(0, 1)
        _advance(state, model, rows, moved, goal, samples + 1, targeted=targeted)
    return state


def bandits(
    model: Model, x: Tensor, y: Tensor, *, epsilon: float, max_queries: int = 10_000, tiles: int = 14
) -> AttackState:
    """Bandits with time and data priors (Ilyas et al. 2019), with its published L-infinity settings.

    A step costs 3 queries: two for the gradient, one to see whether it succeeded (the authors do not count that one).
    """
    state = AttackState(x)
    generator = torch.Generator().manual_seed(0)
    prior = torch.zeros(len(x), x.shape[1], tiles, tiles)

    def enlarged(values: Tensor) -> Tensor:
        return nn.functional.interpolate(values, size=x.shape[2:], mode="nearest")

    def loss(points: Tensor, goal: Tensor) -> Tensor:
        return nn.functional.cross_entropy(model(points), goal, reduction="none")

    exploration, step, rate, online_rate = 1.0, 0.1, 0.01, 100.0
    while (active := ~state.done & (state.queries + 3 <= max_queries)).any():
        rows = active.nonzero()[:, 0]
        here, goal, known = state.vectors[rows], y[rows], prior[rows]
        noise = exploration * torch.randn(known.shape, generator=generator) / known[0].numel() ** 0.5
        first, second = enlarged(known + noise), enlarged(known - noise)
        with torch.no_grad():
            change = loss(here + step * _unit(first), goal) - loss(here + step * _unit(second), goal)
        gradient = (change / (step * exploration)).reshape(-1, 1, 1, 1) * noise
        share = (known + 1) / 2
        up, down = share * (online_rate * gradient).exp(), (1 - share) * (-online_rate * gradient).exp()
        prior[rows] = 2 * up / (up + down) - 1
        moved = here + rate * enlarged(prior[rows]).sign()
        moved = torch.minimum(torch.maximum(moved, x[rows] - epsilon), x[rows] + epsilon).clamp(0, 1)
        _advance(state, model, rows, moved, goal, 3, targeted=False)
    return state


def deepxplore(first: Model, second: Model, x: Tensor, y: Tensor, *, steps: int = 20, step: float = 10 / 255) -> Tensor:
    """DeepXplore (Pei et al. 2017), light constraint: change the brightness until two models disagree."""
    vectors = x.clone()
    for _ in range(steps):
        vectors.requires_grad_()
        one, two = first(vectors), second(vectors)
        going = (one.argmax(1) == two.argmax(1)).reshape(-1, 1, 1, 1)
        aim = two.softmax(1).gather(1, y[:, None]).sum() - 0.1 * one.softmax(1).gather(1, y[:, None]).sum()
        (gradient,) = torch.autograd.grad(aim, vectors)
        moved = (vectors.detach() + step * gradient.mean((1, 2, 3), keepdim=True).sign()).clamp(0, 1)
        vectors = torch.where(going, moved, vectors.detach())
    return vectors


def _advance(
    state: AttackState, model: Model, rows: Tensor, moved: Tensor, goal: Tensor, cost: int, *, targeted: bool
) -> None:
    """Take a step and look whether it succeeded."""
    state.vectors[rows] = moved
    state.queries[rows] += cost
    with torch.no_grad():
        classes = model(moved).argmax(1)
    state.done[rows] = (classes == goal) if targeted else (classes != goal)


def _unit(values: Tensor) -> Tensor:
    return values / values.square().sum((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
