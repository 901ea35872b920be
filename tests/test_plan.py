"""A plan is a run before it begins, and stays what it was."""

from __future__ import annotations

import numpy as np

import dfa
from dfa.engine.loop import attack
from dfa.engine.plan import make_plan
from small_problem import CLASSIFIER, IMAGES


def test_a_plan_is_what_it_was_after_its_run():
    plan = make_plan(
        dfa.label_only(CLASSIFIER, num_classes=10),
        np.stack([IMAGES[0], IMAGES[0], IMAGES[1]]),
        None,
        targets=None,
        epsilon=8,
        space=None,
        objective=None,
        optimizer=None,
        confirmations=1,
        max_queries=60,
        max_seconds=None,
        give_up_after=None,
        batch_size=4,
        seed=0,
        threads=None,
        progress=False,
        ids=None,
        layout=None,
        names=None,
        class_names=None,
    )
    first, second = attack(plan), attack(plan)
    assert [record.id for record in first.records] == [record.id for record in second.records]
    assert first.queries.tolist() == second.queries.tolist()
