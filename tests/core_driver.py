"""What the tests of the core share: its configuration from the reference's settings, and whole iterations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from reference import tuning
from reference.settings import Settings

Images = NDArray[np.uint8]
Epsilon = int | NDArray[np.uint8]

DEFAULT = Settings(
    samples=1,
    positives=1,
    coordinates=2,
    region="none",
    shape="window",
    window_share=tuning.WINDOW_SHARE,
    window_halvings=tuning.WINDOW_HALVINGS,
    placements=tuning.PLACEMENTS,
    values="textures",
    start="textures",
    starts=tuning.STARTS,
    restart_after=tuning.RESTART_AFTER,
    domain="valid",
    ties="newer",
)
"""What `dfa.Racos.sequential()` uses, without its archive. The default of `Settings` itself is the paper's."""


def config_of(settings: Settings) -> _core.Config:
    return _core.Config(
        samples=settings.samples,
        positives=settings.positives,
        coordinates=settings.coordinates,
        region=settings.region,
        shape=settings.shape,
        values=settings.values,
        start=settings.start,
        domain=settings.domain,
        ties=settings.ties,
        window_share=settings.window_share,
        window_halvings=settings.window_halvings,
        placements=settings.placements,
        starts=settings.starts or 0,
        restart_after=settings.restart_after,
        rest_ratio=settings.rest_ratio,
        improvements=settings.improvements,
        prior=settings.prior,
    )


def radius_of(epsilon: Epsilon) -> int | _core.RadiusMap:
    return epsilon if isinstance(epsilon, int) else _core.RadiusMap(epsilon)


def make_batch(settings: Settings, image: Images, *, seed: int = 1, threads: int = 1) -> _core.Batch:
    """An empty batch for images of this shape."""
    return _core.Batch(config_of(settings), image.shape, seed, threads)


def ask(batch: _core.Batch, rows: Sequence[tuple[int, int]], shape: tuple[int, ...]) -> Images:
    """The images of (slot, candidate) rows."""
    # Not zeros: a pixel that the core forgets to write must not look like a black one.
    images = np.full((len(rows), *shape), 0xA5, np.uint8)
    slots, candidates = np.array(rows, np.int64).reshape(-1, 2).T.copy()
    batch.ask(slots, candidates, images)
    return images


def tell(batch: _core.Batch, rows: Sequence[tuple[int, int]], degrees: Sequence[float]) -> None:
    slots, candidates = np.array(rows, np.int64).reshape(-1, 2).T.copy()
    batch.tell(slots, candidates, np.array(degrees, np.float64))


def rows_of(batch: _core.Batch, slot: int) -> list[tuple[int, int]]:
    """All candidates of the slot's current iteration."""
    return [(slot, i) for i in range(batch.iteration_size(slot))]


Population = list[tuple[float, int, list[int] | None]]


def population_of(batch: _core.Batch, slot: int) -> Population:
    """(degree, birth, vector) in rank order; no vector for a negative that no region reads."""
    degrees, births, vectors = batch.population(slot)
    return [
        (degree, birth, None if vector is None else vector.tolist())
        for degree, birth, vector in zip(degrees.tolist(), births.tolist(), vectors, strict=True)
    ]
