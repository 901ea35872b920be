"""Settings of every kind, and whole trajectories of the core under them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from core_driver import (
    DEFAULT,
    Epsilon,
    Images,
    Population,
    ask,
    make_batch,
    population_of,
    radius_of,
    rows_of,
    tell,
)
from reference.settings import Settings

SETTINGS = {
    "default": DEFAULT,
    "textures": replace(DEFAULT, samples=4, positives=2, starts=8, window_halvings=(1, 6)),
    "placements": replace(DEFAULT, samples=3, positives=2, placements=3, values="extremes", window_share=0.2),
    "placements in a region": replace(DEFAULT, samples=3, positives=2, values="extremes", region="ordered"),
    "restarts": replace(DEFAULT, samples=2, starts=5, restart_after=4),
    "improvements": replace(DEFAULT, starts=7, restart_after=16, improvements=1.5),
    "paper": Settings(),
    "large y": Settings(samples=4, coordinates=90, region="ordered"),
    "per coordinate": Settings(samples=5, positives=3, coordinates=7, region="per_coordinate", ties="newer"),
    "no region": Settings(samples=4, positives=3, coordinates=5, region="none", values="extremes", start="stripes"),
    "ordered windows": Settings(shape="window", window_share=0.3, window_halvings=(9,), domain="valid"),
}
EPSILONS: dict[str, Any] = {
    "narrow": 10,
    "wide": 200,
    "masked": np.random.default_rng(0).integers(0, 256, (9, 8, 3)).astype(np.uint8) // 3 * 3 % 254,
}


def picture(size: tuple[int, int, int], seed: int = 0) -> Images:
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def degree_of(image: Images) -> float:
    """Exact, and coarse enough for ties."""
    return float(int((image.astype(np.int64) * (np.arange(image.size).reshape(image.shape) % 5)).sum()) // 64)


def degrees_of(images: Images) -> list[float]:
    return [degree_of(image) for image in images]


Step = tuple[bytes, Population]


def run_alone(
    settings: Settings, image: Images, epsilon: Epsilon, iterations: int, *, seed: int = 1, image_id: int = 0
) -> list[Step]:
    """One image by itself, all candidates of an iteration in one call: the images and the population of each."""
    batch = make_batch(settings, image, seed=seed)
    slot = batch.add(image, image_id, radius_of(epsilon))
    steps = []
    for _ in range(iterations):
        images = ask(batch, rows_of(batch, slot), image.shape)
        tell(batch, rows_of(batch, slot), degrees_of(images))
        steps.append((images.tobytes(), population_of(batch, slot)))
    return steps
