"""Oracles that show less, the gate before one that answers the same to everything, and runs."""

from __future__ import annotations

import dataclasses

import numpy as np

import dfa
from dfa.oracle import CallableOracle
from dfa.oracle.gate import Gate, Purpose
from small_problem import CLASSIFIER, IMAGES

ALONE = dataclasses.replace(dfa.Racos(), archive=False)


def label(images):
    return CLASSIFIER.classes(images)


def attack(oracle, images=IMAGES, **settings):
    defaults = {"epsilon": 8, "max_queries": 151, "batch_size": 16, "progress": False}
    return dfa.run(oracle, images, **{**defaults, **settings})


def of_labels(function=label):
    return dfa.as_oracle(function, returns="label", num_classes=10)


def gate_to(answer, returns, **declared):
    oracle = CallableOracle(lambda batch: answer, returns=returns, name="model", **declared)
    return Gate(oracle, num_images=10, max_queries=100)


def ask(gate, number=2):
    return gate.ask(np.zeros((number, 2, 2, 1), np.uint8), np.array([3, 7])[:number], Purpose.ATTACK)
