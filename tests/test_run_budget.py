"""What a run counts, and what ends a search: every query, the budget, iterations, time."""

from __future__ import annotations

import dataclasses
import math
import time

import numpy as np
import pytest

import dfa
from dfa.search.objectives import untargeted_degree
from oracles import (
    Recorder,
    Slow,
    never,
)
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES, OPTIMIZERS


def test_an_image_where_nothing_moves_is_given_up_and_says_so():
    def frozen(images):
        scores = np.tile(np.linspace(0.3, 0.1, 5), (len(images), 1))
        return scores / scores.sum(axis=1, keepdims=True)

    settings = {"epsilon": EPSILON, "optimizer": dfa.Racos.sequential(), "max_queries": 100}
    whole = dfa.run(frozen, IMAGES[:3], **settings)
    assert [(record.reason, record.queries_sent) for record in whole.records] == [("query budget", 100)] * 3
    result = dfa.run(frozen, IMAGES[:3], give_up_after=40, **settings)
    assert [(record.reason, record.queries_sent, record.at_rest) for record in result.records] == [
        ("at rest", 40, True)
    ] * 3
    assert result.config["give_up_after"] == 40
    assert result.summary().queries_mean_with_failures == 100
    # By labels, two queries a candidate where it lies on no ray.
    labels = dfa.label_only(frozen, num_classes=5)
    settings["optimizer"] = dfa.Racos(start="stripes", starts=None, archive=False, improvements=0.0)
    result = dfa.run(labels, IMAGES[:3], give_up_after=41, **settings)
    assert [(record.reason, record.queries_sent) for record in result.records] == [("at rest", 42)] * 3


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("batch_size", [1, 7, 64])
def test_queries_stop_at_the_first_hit_and_queries_sent_count_every_candidate(optimizer, batch_size):
    oracle = Recorder(CLASSIFIER)
    settings = {"epsilon": EPSILON, "optimizer": optimizer, "max_queries": 150, "batch_size": batch_size}
    result = dfa.run(oracle, IMAGES, **settings)
    hits_inside_an_iteration = 0
    for index, (record, original) in enumerate(zip(result.records, IMAGES, strict=True)):
        asked = oracle.around(original, EPSILON)
        assert (asked[0] == original).all()
        candidates = asked[1 : len(asked) - record.verified]
        assert record.queries_sent == len(candidates)
        hits = np.flatnonzero(CLASSIFIER.classes(candidates) != CLASSES[index])
        if record.status is dfa.Status.SUCCESS:
            assert record.queries == hits[0] + 1
            assert (result.images[index] == candidates[hits[0]]).all()
            assert (result.images[index] == asked[-1]).all()
            if optimizer.improvements_wanted == 0:
                # An iteration is finished, and nothing beyond it is sent.
                start = optimizer.population
                iterations = max(0, math.ceil((record.queries - start) / optimizer.samples))
                assert record.queries_sent == min(150, start + iterations * optimizer.samples)
            hits_inside_an_iteration += record.queries < record.queries_sent
        else:
            assert not hits.size
            assert record.queries == record.queries_sent == 150
    assert result.success.sum() >= 8
    assert hits_inside_an_iteration > 0


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_clean_predictions_and_verifications_are_counted_apart(optimizer):
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, epsilon=EPSILON, optimizer=optimizer, max_queries=150, batch_size=16)
    profile = result.profile
    assert profile.clean == len(IMAGES)
    assert profile.verification == result.success.sum() > 0
    assert profile.rows_sent == result.queries_sent.sum() == result.summary().queries_sent
    assert oracle.num_images == profile.clean + profile.verification + profile.rows_sent
    assert max(map(len, oracle.batches)) <= 16
    assert profile.batches <= len(oracle.batches)
    assert 0 < profile.occupancy <= 1


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("beyond", [0, 1, 2, 23])
@pytest.mark.parametrize("batch_size", [1, 64])
def test_the_budget_binds_every_candidate_sent(optimizer, beyond, batch_size):
    budget = optimizer.population + beyond
    oracle = Recorder(never)
    result = dfa.run(
        oracle, IMAGES[:5], epsilon=EPSILON, optimizer=optimizer, max_queries=budget, batch_size=batch_size
    )
    for record, original in zip(result.records, IMAGES, strict=False):
        assert (record.status, record.reason) == (dfa.Status.FAILURE, "query budget")
        assert record.queries == record.queries_sent == budget
        assert len(oracle.around(original, EPSILON)) == 1 + budget
        assert not record.found


def test_a_hit_in_an_iteration_cut_short_by_the_budget_counts():
    # Once with room and once with a budget that ends right at the hit.
    roomy = dfa.run(CLASSIFIER, IMAGES, epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=400)
    late = [record for record in roomy.records if record.verified and 6 <= record.queries < record.queries_sent]
    assert late
    for record in late:
        budget = record.queries
        tight = dfa.run(
            CLASSIFIER, IMAGES[[record.index]], epsilon=EPSILON, optimizer=dfa.Racos.paper(), max_queries=budget
        ).records[0]
        assert tight.verified
        assert (tight.queries, tight.queries_sent) == (budget, budget)
        assert tight.trace == record.trace


def test_the_number_of_iterations_ends_a_search():
    for iterations in (1, 4):
        optimizer = dataclasses.replace(dfa.Racos.paper(), max_iterations=iterations)
        result = dfa.run(never, IMAGES[:3], optimizer=optimizer, max_queries=1_000)
        assert {record.reason for record in result.records} == {"iterations"}
        assert result.status == [dfa.Status.FAILURE] * 3
        # Line 1 of Algorithm 1 evaluates a population before the first of the T iterations.
        assert result.queries_sent.tolist() == [5 + 3 * iterations] * 3


def test_time_ends_a_search_and_every_image_has_its_own():
    slow = Slow(0.001, never)
    started = time.perf_counter()
    # A batch of one lets two images in at a time, so the last ones start when the time of the first is over.
    result = dfa.run(slow, IMAGES[:6], optimizer=dfa.Racos.paper(), max_seconds=0.1, max_queries=10**6, batch_size=1)
    wall = time.perf_counter() - started
    assert {record.reason for record in result.records} == {"time"}
    assert result.status == [dfa.Status.FAILURE] * 6
    assert result.queries_sent.min() > dfa.Racos.paper().population
    assert (result.queries_sent == result.queries).all()
    assert 0.3 <= wall < 5


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_trace_is_the_running_minimum_of_the_degrees_of_what_was_asked(optimizer):
    oracle = Recorder(CLASSIFIER)
    result = dfa.run(oracle, IMAGES, epsilon=EPSILON, optimizer=optimizer, objective="paper", max_queries=100)
    for index, (record, original) in enumerate(zip(result.records, IMAGES, strict=True)):
        candidates = oracle.around(original, EPSILON)[1 : 1 + record.queries_sent]
        degrees = untargeted_degree(CLASSIFIER(candidates), np.repeat(CLASSES[index], len(candidates)))
        best = np.minimum.accumulate(degrees)
        improvements = np.flatnonzero(np.diff(best, prepend=np.inf) < 0)
        assert record.trace == tuple((int(i) + 1, best[i]) for i in improvements)
        assert record.degree == record.trace[-1][1] == best[-1]
        if record.verified:
            assert record.trace[-1] == (record.queries, 0.0)
    assert result.success.any()
    assert not result.success.all()


def test_the_seconds_of_the_images_add_up_to_the_wall_time():
    started = time.perf_counter()
    result = dfa.run(Slow(0.004, CLASSIFIER), IMAGES, epsilon=EPSILON, max_queries=40, batch_size=16)
    measured = time.perf_counter() - started
    profile = result.profile
    assert 0.8 * measured <= profile.wall <= measured
    assert 0.8 * profile.wall <= result.seconds.sum() <= profile.wall
    assert result.seconds.min() > 0
    parts = [profile.propose, profile.wait, profile.score, profile.update, profile.other]
    assert sum(parts) == pytest.approx(profile.wall)
    assert min(parts) >= 0
    assert 0.5 * profile.wall <= profile.oracle <= profile.wall
    assert 0.004 * profile.batches <= profile.oracle
