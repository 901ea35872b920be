"""Attacks that no library has today, written small: as their papers say them, for measuring what rounding does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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


def moved_to(model: Model, x: Tensor, targets: Tensor, *, steps: int = 500, step: float = 2 / 255) -> Tensor:
    """Return vectors of the targets' classes, by steps along the gradient's sign; those of them already stay."""
    for _ in range(steps):
        x = x.detach().requires_grad_()
        logits = model(x)
        going = (logits.argmax(1) != targets).reshape(-1, 1, 1, 1)
        if not going.any():
            break
        (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(logits, targets, reduction="sum"), x)
        x = torch.where(going, (x - step * gradient.sign()).clamp(0, 1), x)
    return x.detach()


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
    rate: float = 0.05,
    confidence: float = 0.0,
    around: Tensor | None = None,
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
        rate: Adam's step.
        confidence: The margin, in logits, by which the other class must win.
        around: (k, C, H, W), changes under which a vector must be adversarial too, as OptMargin asks.
    """
    low, high = (x - epsilon).clamp_min(0), (x + epsilon).clamp_max(1)
    start = torch.atanh(((x - low) / (high - low).clamp_min(1e-6) * 2 - 1).clamp(-0.999, 0.999))
    best, best_distance = x.clone(), torch.full((len(x),), torch.inf)
    lower, upper, constant = torch.zeros(len(x)), torch.full((len(x),), 1e10), torch.full((len(x),), 1.0)

    def margins_of(vectors: Tensor) -> Tensor:
        points = vectors[None]
        if around is not None:
            points = torch.cat([points, (points + around[:, None]).clamp(0, 1)])
        logits = model(points.flatten(0, 1)).unflatten(0, points.shape[:2])
        return torch.stack([margin(each, y, targeted=targeted) + confidence for each in logits])

    for _ in range(searches):
        variable = start.clone().requires_grad_()
        optimizer = torch.optim.Adam([variable], lr=rate)
        works = torch.zeros(len(x), dtype=torch.bool)
        for _ in range(steps):
            vectors = low + (high - low) * (torch.tanh(variable) + 1) / 2
            distance = (vectors - x).square().sum((1, 2, 3))
            margins = margins_of(vectors)
            optimizer.zero_grad()
            (distance + constant * margins.clamp_min(0).sum(0)).sum().backward()
            optimizer.step()
            adversarial = (margins < 0).all(0)
            better = adversarial & (distance < best_distance)
            works |= adversarial
            best = torch.where(better.reshape(-1, 1, 1, 1), vectors.detach(), best)
            best_distance = torch.where(better, distance.detach(), best_distance)
        upper = torch.where(works, torch.minimum(upper, constant), upper)
        lower = torch.where(works, lower, torch.maximum(lower, constant))
        constant = torch.where(upper < 1e9, (lower + upper) / 2, constant * 10)
    return best


def opt_margin(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    radius: float,
    steps: int,
    rate: float = 0.05,
    searches: int = 4,
    directions: int = 10,
) -> Tensor:
    """OptMargin (He, Li, Song 2018): adversarial also at a distance in random directions.

    The authors take 20 orthogonal directions, 4 constants and 1,000 steps.
    """
    generator = torch.Generator().manual_seed(0)
    around = torch.randn(directions, *x.shape[1:], generator=generator).sign() * radius
    return carlini_wagner(model, x, y, around=around, searches=searches, steps=steps, rate=rate)


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

    A step costs samples + 1 queries; the last one sees whether it succeeded. The authors' loss is in float32, where it
    is 0 for a model that is sure of its class, and nothing moves; ours has all digits. Their step also shrinks where
    the loss stays; ours does not.
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
            losses = _exact_cross_entropy(model(points.flatten(0, 1)), goal.repeat_interleave(samples))
        losses = losses.reshape(len(rows), 2, samples // 2)
        change = (losses[:, 0] - losses[:, 1]).float()
        gradient = torch.einsum("ns,nschw->nchw", change, noise) / (samples * sigma)
        gradient = -gradient if targeted else gradient
        memory[rows] = 0.9 * memory[rows] + 0.1 * gradient
        moved = here + rate * memory[rows].sign()
        moved = torch.minimum(torch.maximum(moved, x[rows] - epsilon), x[rows] + epsilon).clamp(0, 1)
        _advance(state, model, rows, moved, goal, samples + 1, targeted=targeted)
    return state


def bandits(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    epsilon: float,
    max_queries: int = 10_000,
    tiles: int = 14,
    online_rate: float = 3.0,
) -> AttackState:
    """Bandits with time and data priors (Ilyas et al. 2019), with its published L-infinity settings but for one.

    A step costs 3 queries: two for the gradient, one to see whether it succeeded (the authors do not count that one).
    The loss is the margin in logits: the authors' cross-entropy hardly changes where a model is sure of its class, and
    a prior that is multiplied by what changes then stays where it is. As a margin changes more, the prior's rate is 3
    in place of their 100: the best of 100, 30, 10 and 3 on the very images of its rows.
    """
    state = AttackState(x)
    generator = torch.Generator().manual_seed(0)
    prior = torch.zeros(len(x), x.shape[1], tiles, tiles)

    def enlarged(values: Tensor) -> Tensor:
        return nn.functional.interpolate(values, size=x.shape[2:], mode="nearest")

    def loss(points: Tensor, goal: Tensor) -> Tensor:
        return -margin(model(points), goal, targeted=False)

    exploration, step, rate = 1.0, 0.1, 0.01
    while (active := ~state.done & (state.queries + 3 <= max_queries)).any():
        rows = active.nonzero()[:, 0]
        here, goal, known = state.vectors[rows], y[rows], prior[rows]
        noise = exploration * torch.randn(known.shape, generator=generator) / known[0].numel() ** 0.5
        first, second = enlarged(known + noise), enlarged(known - noise)
        with torch.no_grad():
            change = loss(here + step * _unit(first), goal) - loss(here + step * _unit(second), goal)
        gradient = (change / (step * exploration)).reshape(-1, 1, 1, 1) * noise
        # Their exponentiated gradient, which does not end at the corners, from where it could not come back.
        share = ((known + 1) / 2).clamp(1e-4, 1 - 1e-4)
        prior[rows] = 2 * (share.logit() + 2 * online_rate * gradient).sigmoid() - 1
        moved = here + rate * enlarged(prior[rows]).sign()
        moved = torch.minimum(torch.maximum(moved, x[rows] - epsilon), x[rows] + epsilon).clamp(0, 1)
        _advance(state, model, rows, moved, goal, 3, targeted=False)
    return state


def deepxplore(models: Sequence[Model], x: Tensor, y: Tensor, *, steps: int = 50, step: float = 0.5) -> Tensor:
    """DeepXplore (Pei et al. 2017), light constraint: change the brightness until models disagree.

    A step is as long as the gradient's mean, over its root mean square, says: no whole grey levels.

    The model that is to leave the class is drawn for each image, as in the authors' code; their coverage of neurons is
    left out.
    """
    vectors = x.clone()
    leaving = torch.randint(len(models), (len(x),), generator=torch.Generator().manual_seed(0))
    weights = torch.where(torch.arange(len(models))[:, None] == leaving, -1.0, 1.0)
    for _ in range(steps):
        vectors.requires_grad_()
        logits = torch.stack([model(vectors) for model in models])
        classes = logits.argmax(2)
        going = (classes == classes[0]).all(0).reshape(-1, 1, 1, 1)
        own = logits.softmax(2)[:, torch.arange(len(x)), y]
        (gradient,) = torch.autograd.grad((weights * own).sum(), vectors)
        light = gradient.mean((1, 2, 3), keepdim=True)
        length = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
        moved = (vectors.detach() + step * light / length).clamp(0, 1)
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


def _exact_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """Return the cross-entropy in float64, with all its digits however near 0 it is."""
    logits = logits.double()
    own = logits.gather(1, classes[:, None])[:, 0]
    others = logits.scatter(1, classes[:, None], -torch.inf).logsumexp(1)
    return nn.functional.softplus(others - own)


def _unit(values: Tensor) -> Tensor:
    return values / values.square().sum((1, 2, 3), keepdim=True).sqrt().clamp_min(1e-12)
