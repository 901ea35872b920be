"""The window keeps the oracle busy, and serves all images in turn."""

from __future__ import annotations

import threading

import dfa
from dfa.search.objectives import untargeted_degree
from oracles import Recorder, never
from small_problem import CLASSIFIER, EPSILON, IMAGES


def test_the_oracle_answers_one_batch_while_another_is_scored():
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


def test_a_batch_that_is_not_half_full_waits_for_the_answers_that_would_fill_it():
    """All images go on together, with one call for an iteration of each, and not with two calls in turns."""
    optimizer = dfa.Racos(archive=False, improvements=0.0)
    oracle = Recorder(never)
    result = dfa.run(oracle, IMAGES[:8], epsilon=EPSILON, optimizer=optimizer, max_queries=40, batch_size=64)
    _, start, *rest = (len(batch) for batch in oracle.batches)
    assert start == 16
    assert rest == [8] * 38
    assert result.profile.rows_per_call == 320 / 39


def test_a_batch_holds_candidates_of_whichever_images_are_ready():
    """Three candidates each do not go into batches of eight; what is left over shares the next one with others."""
    oracle = Recorder(never)
    profile = dfa.run(
        oracle, IMAGES, epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=305, batch_size=8
    ).profile
    assert profile.occupancy > 0.97


def test_an_easy_image_is_not_asked_more_than_the_start_promises():
    """Where a start is likely to succeed, it goes alone; where none is, all of them go at once."""
    found = dfa.run(CLASSIFIER, IMAGES, epsilon=40, batch_size=64)
    assert (found.queries_sent - found.queries).mean() < 2
    never_found = Recorder(never)
    dfa.run(never_found, IMAGES[:1], epsilon=1, max_queries=12, batch_size=64)
    assert [len(batch) for batch in never_found.batches[1:]] == [2, 3, 3, 3, 1]
