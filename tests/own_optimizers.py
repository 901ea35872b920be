"""An optimizer such as a user may write, and a run with it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import dfa
from small_problem import CLASSIFIER, IMAGES


@dataclass(frozen=True)
class Steps:
    """Moves some values at random, several candidates at a time."""

    number: int = 5

    def begin(self, task):
        return OneImage(task, self.number)


class OneImage:
    """Its candidates lie in memory that all searches share: the loop must have taken what it needs."""

    memory = np.zeros((50, 6, 6, 3), dtype=np.uint8)

    def __init__(self, task, number):
        self.task, self.number = task, number
        self.best, self.least = task.original, np.inf
        self.seen = []

    def ask(self):
        shape = (self.number, *self.task.original.shape)
        is_moved = self.task.rng.random(shape) < 0.2
        ends = np.where(self.task.rng.random(shape) < 0.5, self.task.low, self.task.high)
        self.asked = np.where(is_moved, ends, self.best)
        lent = self.memory[: self.number]
        lent[:] = self.asked
        return lent

    def tell(self, degrees):
        self.seen.append(degrees)
        if degrees.min() < self.least:
            self.best, self.least = self.asked[degrees.argmin()], float(degrees.min())
        degrees[:] = -1  # its own, to do with as it likes


def attack(optimizer, oracle=CLASSIFIER, images=IMAGES, **settings):
    defaults = {"epsilon": 8, "max_queries": 150, "progress": False, "optimizer": optimizer}
    return dfa.run(oracle, images, **{**defaults, **settings})
