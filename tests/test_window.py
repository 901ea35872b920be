"""The window keeps the oracle busy, and serves all images in turn."""

from __future__ import annotations

import threading

import dfa
from dfa.search.objectives import untargeted_degree
from oracles import (
    Recorder,
    never,
)
from small_problem import EPSILON, IMAGES


def test_the_oracle_answers_one_half_of_the_window_while_the_other_is_scored():
    # Scoring batch n waits for the oracle to be busy with batch n + 1, and the oracle stays busy with that one until
    # batch n is being scored. A loop that does one after the other would wait for ever.
    num_checked = 20
    meeting = threading.Condition()
    asked, scored, in_time = 0, 0, []

    def ask(images):
        nonlocal asked
        with meeting:
            asked += 1
            meeting.notify_all()
            # The first call is the clean prediction, and there is nothing to score during the second.
            if 2 < asked <= num_checked:
                in_time.append(meeting.wait_for(lambda: scored >= asked - 2, timeout=10))
        return never(images)

    def degree(scores, classes):
        nonlocal scored
        with meeting:
            scored += 1
            meeting.notify_all()
            if scored <= num_checked - 2:
                in_time.append(meeting.wait_for(lambda: asked >= scored + 2, timeout=10))
        return untargeted_degree(scores, classes)

    dfa.run(ask, IMAGES[:8], optimizer=dfa.Racos.paper(), objective=degree, max_queries=60, batch_size=8)
    assert len(in_time) == 2 * (num_checked - 2)
    assert all(in_time)


def test_a_batch_too_small_for_all_candidates_serves_the_images_in_turn():
    # Two images with three candidates each share a batch of four.
    oracle = Recorder(never)
    dfa.run(oracle, IMAGES[:4], epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=90, batch_size=4)
    oracle.batches = oracle.batches[: len(oracle.batches) // 2]
    asked = [len(oracle.around(image, EPSILON)) for image in IMAGES[:4]]
    assert max(asked) - min(asked) <= dfa.Racos.paper().population
    assert min(asked) > 20
