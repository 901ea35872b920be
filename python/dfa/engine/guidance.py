"""What a prior is asked while a run goes on, and what the core is told of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.engine.feed import Job
from dfa.engine.plan import Plan
from dfa.oracle.priors import Prior, raised, start
from dfa.space import BoundBall


def first_signs(plan: Plan, job: Job) -> NDArray[np.uint8] | None:
    """Return the signs of the start that a run's prior gives for an image, uint8 (H, W, C); None without a prior.

    Raises:
        PriorError: The prior failed.
    """
    if plan.prior is None:
        return None
    assert isinstance(plan.space, BoundBall)
    return start(plan.prior, job.image, job.goal, plan.space.epsilon(job.index)).view(np.uint8)


def ask_prior(prior: Prior, places: _core.Places, jobs: Mapping[int, Job]) -> None:
    """Ask a prior about all images whose best candidate is another than when it was last asked.

    Args:
        prior: Asked about all of them in one call.
        places: Told.
        jobs: By place.

    Raises:
        PriorError: The prior failed.
    """
    wanting = places.wanting_prior()
    if not wanting:
        return
    images = np.stack([places.best(place) for place in wanting])
    originals = np.stack([jobs[place].image for place in wanting])
    goals = np.array([jobs[place].goal for place in wanting], dtype=np.int64)
    signs = raised(prior.checked_directions(images, goals), images, originals)
    for place, of_place in zip(wanting, signs, strict=True):
        places.give_prior(place, of_place.view(np.uint8))
