"""An oracle that can be pickled and loaded in another process, which needs a module that can be imported there."""

from __future__ import annotations

import dfa
from dfa.types import Images, Scores
from oracles import LinearClassifier


class Hashed(dfa.Oracle):
    """Its fingerprint is the same as long as the process lives, and another in every process."""

    def __init__(self) -> None:
        self.classify = LinearClassifier()

    def scores(self, images: Images) -> Scores:
        return self.classify(images)

    def fingerprint(self) -> str:
        return str(hash("model"))


class Named(Hashed):
    """Its fingerprint is the same everywhere."""

    def fingerprint(self) -> str:
        return "model"
