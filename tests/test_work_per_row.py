"""What is asked and scored a batch at a time takes as many steps of Python for many rows as for few."""

from __future__ import annotations

import gc
import sys

import numpy as np
import pytest

import dfa
from dfa.oracle.gate import Gate, Purpose
from dfa.search.objectives import NAMED, measure

NUM_CLASSES = 12


SHOWN = {"top_k": 3}


def probabilities(number):
    return np.random.default_rng(0).dirichlet(np.ones(NUM_CLASSES), number)


def top_3(number):
    scores = probabilities(number)
    labels = np.argsort(-scores, axis=1)[:, :3]
    return labels, np.take_along_axis(scores, labels, axis=1)


ANSWERS = {
    "probabilities": probabilities,
    "logits": lambda number: 5.0 * probabilities(number) - 1.0,
    "top_k": top_3,
    "top_1": lambda number: (top_3(number)[0][:, 0], top_3(number)[1][:, 0]),
    "label": lambda number: top_3(number)[0][:, 0],
}


def steps_of(function):
    """Return how many instructions of Python are executed, those that are functions of C counted as one each."""
    number = 0

    def count(frame, event, _):
        nonlocal number
        frame.f_trace_opcodes = True
        number += event == "opcode"
        return count

    before = sys.gettrace()
    # What is called when garbage is collected, whenever that is, is no part of it.
    gc.disable()
    sys.settrace(count)
    try:
        function()
    finally:
        sys.settrace(before)
        gc.enable()
    return number


@pytest.mark.parametrize("returns", ANSWERS)
def test_asking_and_scoring_take_no_more_steps_for_more_rows(returns):
    def steps(number):
        answer = ANSWERS[returns](number)
        oracle = dfa.as_oracle(lambda images: answer, returns=returns, num_classes=NUM_CLASSES, k=SHOWN.get(returns))
        gate = Gate(oracle, num_images=5, max_queries=10_000)
        images = np.zeros((number, 2, 2, 1), dtype=np.uint8)
        indices = np.arange(number) % 5
        classes = indices % NUM_CLASSES

        def ask_and_score():
            scores = gate.ask(images, indices, Purpose.ATTACK)
            for objective in NAMED.values():
                measure(objective.untargeted, scores, classes)
                measure(objective.targeted, scores, classes)

        ask_and_score()
        return steps_of(ask_and_score)

    few = steps(8)
    assert few > 300
    assert steps(800) == few
