"""What a prior is asked while a run goes on, and what the core is told of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.engine.feed import Job
from dfa.engine.plan import Plan
from dfa.oracle.priors import FROM_BEST, START, follow
from dfa.space import BoundBall


def first_signs(plan: Plan, job: Job, num_classes: int | None) -> NDArray[np.uint8] | None:
    """Return the signs of the start that a run's prior gives for an image, uint8 (H, W, C); None without a prior.

    Args:
        plan: Its prior is asked.
        job: The image.
        num_classes: Of the oracle, where it is known.

    Raises:
        PriorError: The prior failed, or is of other classes.
    """
    if plan.prior is None:
        return None
    if num_classes is not None:
        plan.prior.expect(num_classes)
    assert isinstance(plan.space, BoundBall)
    image, goals = job.image[np.newaxis], np.array([job.goal], dtype=np.int64)
    signs = follow(plan.prior, image, image, goals, plan.space.epsilon(job.index)[np.newaxis], START)
    of_image: NDArray[np.uint8] = signs[0].view(np.uint8)
    return of_image


def ask_prior(plan: Plan, places: _core.Places, jobs: Mapping[int, Job]) -> None:
    """Ask a run's prior, if it has one, about all images whose best candidate is not the one it was last asked about.

    Args:
        plan: Its prior is asked about all of them in one call per step.
        places: Told.
        jobs: By place.

    Raises:
        PriorError: The prior failed.
    """
    if plan.prior is None:
        return
    wanting = places.wanting_prior()
    if not wanting:
        return
    assert isinstance(plan.space, BoundBall)
    space = plan.space
    images = np.stack([places.best(place) for place in wanting])
    originals = np.stack([jobs[place].image for place in wanting])
    goals = np.array([jobs[place].goal for place in wanting], dtype=np.int64)
    # Each broadcast to an image: one image's may be a number, another's an array.
    epsilons = np.stack([np.broadcast_to(space.epsilon(jobs[place].index), images.shape[1:]) for place in wanting])
    signs = follow(plan.prior, images, originals, goals, epsilons, FROM_BEST)
    for place, of_place in zip(wanting, signs, strict=True):
        places.give_prior(place, of_place.view(np.uint8))
