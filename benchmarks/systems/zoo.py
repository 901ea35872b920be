"""ZOO (Chen et al. 2017): Carlini and Wagner's L2 objective by differences of coordinates, in torch.

ART's ZooAttack takes its steps one call of the model after another, and its defaults take 10 of them. Here, as in the
authors' code, each step of an image asks for both sides of all its coordinates in one batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

Model = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Schedule:
    """How long ZOO searches; the defaults are those of its authors' code on MNIST.

    Attributes:
        searches: Values of the constant tried: tenfold until one succeeds, then by bisection.
        iterations: Steps for each, of which the search of a constant that no longer improves takes fewer.
        constant: The first one, what the margin weighs against the squared L2 distance.
        check: Steps after which the objective must have fallen by one in 10,000, or the next constant is tried.
        max_queries: Of an image; its search ends before the step that would pass it.
        first_success: Whether to be content with the first adversarial vector, as the authors are on ImageNet.
    """

    searches: int = 9
    iterations: int = 3_000
    constant: float = 0.01
    check: int = 100
    max_queries: float = math.inf
    first_success: bool = False


def zoo(
    model: Model,
    x: Tensor,
    y: Tensor,
    *,
    targeted: bool = False,
    schedule: Schedule | None = None,
    coordinates: int = 128,
    rate: float = 0.01,
    apart: float = 1e-4,
) -> tuple[Tensor, Tensor]:
    """Return the nearest adversarial vector found for each image, the clean one where there is none, and its queries.

    Each image has the same draws and its own batches, so what is found for it does not depend on the others.

    Args:
        model: Vectors (n, C, H, W) in 0..1 to logits.
        x: Clean vectors, float32, (N, C, H, W).
        y: Labels, or targets, int64, (N,).
        targeted: Which of the two.
        schedule: How long to search.
        coordinates: Changed in a step, drawn anew for each.
        rate: Adam's step, in 0..1.
        apart: Half the distance between the two sides of a difference.

    Returns:
        Vectors like x, and queries, int64, (N,): two for each coordinate of a step and one to look where it is.

    Source:
        Chen et al., "ZOO", AISec 2017, equations 4 to 6 and Algorithm 2 (ZOO-ADAM); the bisection and the early end are
        in the authors' code. As there on MNIST, a vector is clipped to the box, since a tanh's gradient vanishes at
        black pixels; on CIFAR-10 they have the tanh. Their hierarchy and importance sampling are for ImageNet, and left
        out. The squared distance is known, so that only the margin is asked for.
    """
    schedule = schedule or Schedule()
    vectors, queries = [], []
    for image, number in zip(x, y.tolist(), strict=True):
        search = _Search(model, image, number, targeted, schedule, min(coordinates, image.numel()), rate, apart)
        vectors.append(search.run())
        queries.append(search.queries)
    return torch.stack(vectors), torch.tensor(queries)


def zoo_on_tiles(
    model: Model, x: Tensor, y: Tensor, *, tiles: int, targeted: bool = False, schedule: Schedule | None = None
) -> tuple[Tensor, Tensor]:
    """Return what `zoo` finds where it changes the values of tiles, each channel's change enlarged to the image.

    Args:
        model: As of `zoo`, and so are x, y, targeted and schedule.
        x: Clean vectors.
        y: Labels, or targets.
        tiles: In a row, and rows of them.
        targeted: Which of the two.
        schedule: How long to search; the squared distance is that of halves of the tiles' changes.

    Returns:
        As of `zoo`.

    Source:
        Chen et al., section 3.3, attack-space dimension reduction, with bilinear enlargement as in the authors' code,
        and its first 32 x 32; their hierarchy of more and more tiles and importance sampling are left out.
    """
    vectors, queries = [], []
    for image, number in zip(x, y, strict=True):

        def changed(values: Tensor, image: Tensor = image) -> Tensor:
            change = nn.functional.interpolate(2 * values - 1, size=image.shape[1:], mode="bilinear")
            return (image + change).clamp(0, 1)

        def few_at_once(values: Tensor, changed: Model = changed) -> Tensor:
            # Hundreds of enlarged images would not fit a CPU's caches.
            return torch.cat([model(changed(part)) for part in values.split(16)])

        still = torch.full((1, len(image), tiles, tiles), 0.5)
        found, asked = zoo(few_at_once, still, number[None], targeted=targeted, schedule=schedule, rate=0.01)
        vectors.append(changed(found)[0])
        queries.append(asked[0])
    return torch.stack(vectors), torch.stack(queries)


class _Search:
    """The search of one image."""

    def __init__(
        self,
        model: Model,
        image: Tensor,
        number: int,
        targeted: bool,
        schedule: Schedule,
        coordinates: int,
        rate: float,
        apart: float,
    ) -> None:
        self.model, self.number, self.targeted, self.schedule = model, number, targeted, schedule
        self.clean, self.shape, self.rate, self.apart = image.flatten(), image.shape, rate, apart
        self.coordinates = coordinates
        self.generator = torch.Generator().manual_seed(0)
        self.queries = 0
        self.best, self.best_distance = self.clean, math.inf

    def run(self) -> Tensor:
        """Return the nearest adversarial vector found."""
        low, high, constant = 0.0, math.inf, self.schedule.constant
        for _ in range(self.schedule.searches):
            works = self._minimise(constant)
            if self._is_over():
                break
            low, high = (low, constant) if works else (constant, high)
            constant = (low + high) / 2 if math.isfinite(high) else 10 * constant
        return self.best.reshape(self.shape)

    def _is_over(self) -> bool:
        is_content = self.schedule.first_success and math.isfinite(self.best_distance)
        return is_content or self.queries + 2 * self.coordinates + 1 > self.schedule.max_queries

    def _minimise(self, constant: float) -> bool:
        """Descend from the clean vector with one constant, and return whether anything was adversarial."""
        here = self.clean.clone()
        first, second, steps = torch.zeros_like(here), torch.zeros_like(here), torch.zeros_like(here)
        works, before = False, math.inf
        for iteration in range(self.schedule.iterations):
            if self._is_over():
                break
            chosen = torch.randperm(len(here), generator=self.generator)[: self.coordinates]
            margins = self._margins(here, chosen)
            distance = float((here - self.clean).square().sum())
            if margins[0] < 0:
                works = True
                if distance < self.best_distance:
                    self.best, self.best_distance = here.clone(), distance
                    if self._is_over():
                        break
            hinge = margins.clamp_min(0)
            objective = distance + constant * float(hinge[0])
            if iteration % self.schedule.check == 0:
                if objective > 0.9999 * before:
                    break
                before = objective
            up, down = hinge[1:].chunk(2)
            slope = constant * (up - down).float() / (2 * self.apart) + 2 * (here - self.clean)[chosen]
            steps[chosen] += 1
            first[chosen] = 0.9 * first[chosen] + 0.1 * slope
            second[chosen] = 0.999 * second[chosen] + 0.001 * slope.square()
            count = steps[chosen]
            scale = (1 - 0.999**count).sqrt() / (1 - 0.9**count)
            moved = here[chosen] - self.rate * scale * first[chosen] / (second[chosen].sqrt() + 1e-8)
            here[chosen] = moved.clamp(0, 1)
        return works

    def _margins(self, here: Tensor, chosen: Tensor) -> Tensor:
        """Return the margins, float64, of a vector and of both sides of each chosen coordinate."""
        points = here.repeat(2 * len(chosen) + 1, 1)
        rows = torch.arange(len(chosen))
        points[1 + rows, chosen] += self.apart
        points[1 + len(chosen) + rows, chosen] -= self.apart
        with torch.no_grad():
            logits = self.model(points.reshape(-1, *self.shape)).double()
        self.queries += len(points)
        own = logits[:, self.number].clone()
        logits[:, self.number] = -math.inf
        margins: Tensor = logits.amax(1) - own if self.targeted else own - logits.amax(1)
        return margins
