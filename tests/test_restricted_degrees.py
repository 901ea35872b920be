"""Degrees of answers that show less: they rank candidates as those of whole answers would, as far as they can."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import dfa
from dfa.search.objectives import LOG, ODDS, PAPER, PAPER_CODE, Objective
from shown import ask, attack, gate_to
from small_problem import CLASSIFIER


def dense(returns, ids, shown, num_classes=6):
    return ask(gate_to((np.array([ids]), np.array([shown])), returns, num_classes=num_classes, k=len(ids)), 1)


@given(weights=st.lists(st.integers(0, 999), min_size=6, max_size=6).filter(lambda w: sum(w) > 0), k=st.integers(2, 5))
def test_a_candidate_that_shows_the_target_ranks_before_all_that_hide_it(weights, k):
    shown = np.sort(np.array(weights) / sum(weights))[::-1][:k]
    target = k - 1
    showing = dense("top_k", list(range(k)), shown)
    # The flattest top there is, the target not in it.
    flat = np.full(k, 1 / 6 + 1e-9)
    hiding = dense("top_k", [i for i in range(6) if i != target][:k], flat)
    for objective in (PAPER, PAPER_CODE, LOG, ODDS):
        degree = objective.seen_through(k, shows_all=False).targeted
        ids = np.array([target])
        assert degree(showing, ids)[0] < degree(hiding, ids)[0]


def test_while_the_target_is_hidden_a_flatter_top_ranks_first():
    for objective in (PAPER, PAPER_CODE, LOG, ODDS):
        degree = objective.seen_through(2, shows_all=False).targeted
        tops = [[0.9, 0.05], [0.7, 0.1], [0.5, 0.1], [0.3, 0.2]]
        degrees = [degree(dense("top_k", [0, 1], top), np.array([5]))[0] for top in tops]
        assert degrees == sorted(degrees, reverse=True)
        assert len(set(degrees)) == 4


def test_with_one_class_shown_the_papers_degree_is_the_largest_probability():
    objective = PAPER.seen_through(1, shows_all=False)
    scores = np.array([[0.6, 0.2, 0.2], [0.1, 0.5, 0.4]])
    assert objective.untargeted(scores, np.array([0, 0])).tolist() == [0.6, 0.0]
    assert objective.targeted(scores, np.array([2, 1])).tolist() == [0.6, 0.0]
    assert objective.name == "paper"


@given(st.lists(st.integers(334, 1000), min_size=2, max_size=2, unique=True))
def test_with_one_class_shown_the_other_degrees_rank_as_the_papers_does(tops):
    scores = np.concatenate([dense("top_k", [1], [top / 1000], 3) for top in tops])
    for c, name in ((1, "untargeted"), (0, "targeted")):
        ids = np.array([c, c])
        paper = getattr(PAPER.seen_through(1, shows_all=False), name)(scores, ids)
        for objective in (PAPER_CODE, LOG):
            degrees = getattr(objective.seen_through(1, shows_all=False), name)(scores, ids)
            assert (paper[0] < paper[1]) == (degrees[0] < degrees[1])
            assert (degrees > 0).all()


def test_an_objective_of_ones_own_is_left_as_it_is():
    mine = Objective("mine", PAPER.untargeted, PAPER.targeted)
    assert mine.seen_through(1, shows_all=False) is mine
    assert mine.seen_through(None, shows_all=False) is mine
    assert LOG.seen_through(None, shows_all=True) is LOG


def test_the_odds_need_every_class():
    assert ODDS.seen_through(None, shows_all=True) is ODDS
    assert ODDS.seen_through(None, shows_all=False) is LOG
    assert ODDS.seen_through(1, shows_all=False) == LOG.seen_through(1, shows_all=False)
    assert ODDS.seen_through(3, shows_all=False).name == "log"
    whole = dfa.top_k(CLASSIFIER, 10, num_classes=10)
    some = dfa.top_k(CLASSIFIER, 9, num_classes=10), dfa.label_only(CLASSIFIER, num_classes=10)
    names = [attack(each, max_queries=13).config["objective"] for each in (CLASSIFIER, whole, *some)]
    assert names == ["odds", "odds", "log", "log"]
