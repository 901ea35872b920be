"""A problem for attacks: random images that a linear classifier sees, and their goals."""

from __future__ import annotations

import numpy as np

from harness.promises import Ball
from oracles import LinearClassifier, random_images
from rivals.counting import Problem

SHAPE = (8, 8, 3)
EPSILON = 20
CLASSIFIER = LinearClassifier(SHAPE)


def problem_of(number=6, *, budget=400, epsilon=EPSILON, rank=None, ask=CLASSIFIER):
    images = random_images(number, SHAPE)
    order = np.argsort(-np.asarray(ask(images)), axis=1, kind="stable")
    return Problem(images, order[:, 0 if rank is None else rank - 1], rank is not None, Ball(epsilon), budget)
