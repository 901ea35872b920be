"""What a prior is asked while a run goes on, and what the core is told of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from dfa import _core
from dfa.engine.feed import Job
from dfa.oracle.priors import FROM_BEST, START, Prior, follow
from dfa.space import BoundBall, BoundSpace


def first_signs(prior: Prior, space: BoundSpace, job: Job, num_classes: int | None) -> NDArray[np.uint8]:
    """Return the signs of the start that a prior gives for an image, uint8 (H, W, C).

    Args:
        prior: Asked.
        space: A ball.
        job: The image.
        num_classes: Of the oracle, where it is known.

    Raises:
        PriorError: The prior failed, or is of other classes.
    """
    if num_classes is not None:
        prior.expect(num_classes)
    assert isinstance(space, BoundBall)
    image, goals = job.image[np.newaxis], np.array([job.goal], dtype=np.int64)
    signs = follow(prior, image, image, goals, space.epsilon(job.index)[np.newaxis], START)
    of_image: NDArray[np.uint8] = signs[0].view(np.uint8)
    return of_image


def ask_prior(prior: Prior, space: BoundSpace, places: _core.Places, jobs: Mapping[int, Job]) -> None:
    """Ask a prior about all images whose best candidate is not the one it was last asked about.

    Args:
        prior: Asked about all of them in one call per step.
        space: A ball.
        places: Told.
        jobs: By place.

    Raises:
        PriorError: The prior failed.
    """
    wanting = places.wanting_prior()
    if not wanting:
        return
    assert isinstance(space, BoundBall)
    images = np.stack([places.best(place) for place in wanting])
    originals = np.stack([jobs[place].image for place in wanting])
    goals = np.array([jobs[place].goal for place in wanting], dtype=np.int64)
    # Each broadcast to an image: one image's may be a number, another's an array.
    epsilons = np.stack([np.broadcast_to(space.epsilon(jobs[place].index), images.shape[1:]) for place in wanting])
    signs = follow(prior, images, originals, goals, epsilons, FROM_BEST)
    for place, of_place in zip(wanting, signs, strict=True):
        places.give_prior(place, of_place.view(np.uint8))
