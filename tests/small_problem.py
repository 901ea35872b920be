"""A problem that a run solves in a moment: two dozen images, the classifier that sees them, and optimizers."""

from __future__ import annotations

import pytest

import dfa
from oracles import LinearClassifier, random_images

EPSILON = 8
SHAPE = (6, 6, 3)
IMAGES = random_images(24, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)

OPTIMIZERS = [
    pytest.param(dfa.Racos(), id="default"),
    pytest.param(dfa.Racos.sequential(), id="sequential"),
    pytest.param(dfa.Racos.paper(), id="paper"),
    pytest.param(dfa.Racos.paper(targeted=True), id="paper-targeted"),
]
