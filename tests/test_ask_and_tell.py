"""The core's search in a loop of another, and what a search is given."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import dfa
from oracles import Recorder
from own_optimizers import attack
from small_problem import CLASSIFIER, IMAGES


def test_searches_of_many_images_ask_what_a_run_asks():
    racos = dfa.Racos(archive=False)
    recorder = Recorder(CLASSIFIER)
    expected = attack(racos, recorder, epsilon=20, ids=np.arange(len(IMAGES)), seed=3)
    goals = CLASSIFIER.classes(IMAGES)
    for threads in (1, 2):
        tasks = [dfa.Task(original=image, epsilon=20, id=place, seed=3) for place, image in enumerate(IMAGES)]
        searches = dfa.Racos().begin_all(tasks, threads=threads)
        sent = np.zeros(len(IMAGES), dtype=int)
        for _ in range(200):
            candidates, owners = searches.ask()
            again, _ = searches.ask()
            np.testing.assert_array_equal(candidates, again)
            if not len(candidates):
                break
            degrees = dfa.objectives.ODDS.untargeted(CLASSIFIER(candidates), goals[owners])
            np.add.at(sent, owners, 1)
            searches.tell(degrees)
            for owner in np.unique(owners[degrees > 0]).tolist():
                if sent[owner] >= 150 and not (degrees[owners == owner] == 0).any():
                    searches.end(owner)
        broken = expected.success
        assert broken.sum() > 10
        np.testing.assert_array_equal(sent[broken], expected.queries_sent[broken])


def test_one_search_is_one_of_many_and_its_epsilon_may_be_a_map():
    epsilon = np.zeros((6, 6, 3), dtype=np.uint8)
    epsilon[:3] = 20
    task = dfa.Task(original=IMAGES[0], epsilon=epsilon, id=5)
    search, searches = dfa.Racos().begin(task), dfa.Racos().begin_all([task])
    for _ in range(5):
        candidates = search.ask()
        assert isinstance(search, dfa.Search)
        np.testing.assert_array_equal(candidates, searches.ask()[0])
        assert (candidates[:, 3:] == IMAGES[0, 3:]).all()
        assert np.abs(candidates.astype(int) - IMAGES[0])[:, :3].max() == 20
        degrees = 1 + candidates.reshape(len(candidates), -1).sum(axis=1)
        search.tell(degrees)
        searches.tell(degrees)
    search.tell(np.zeros(len(search.ask())))
    assert search.ask().shape == (0, 6, 6, 3)


@pytest.mark.parametrize(
    "degrees", [[1.0] * 3, [[1.0, 1.0]], [1.0, np.nan], [1.0, -1.0], ["a", "b"], [[1], [1, 2]]], ids=str
)
def test_degrees_that_are_none_are_refused_and_teach_nothing(degrees):
    search = dfa.Racos.sequential().begin(dfa.Task(original=IMAGES[0], epsilon=8))
    asked = search.ask()
    assert len(asked) == 2
    with pytest.raises(dfa.InvalidInputError, match="degrees must be 2 finite numbers"):
        search.tell(degrees)
    np.testing.assert_array_equal(search.ask(), asked)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"original": IMAGES}, r"the original of a task must be uint8 of shape \(H, W, C\)"),
        ({"original": IMAGES[0] / 255}, "the original of a task must be uint8"),
        ({"epsilon": 0.03}, "epsilon of a task must be an integer"),
        ({"epsilon": 256}, "epsilon of a task must be an integer"),
        ({"epsilon": np.zeros((6, 6, 3), np.uint8)}, "not 0 everywhere"),
        ({"goal": -1}, "goal"),
        ({"is_targeted": "no"}, "is_targeted must be True or False"),
        ({"max_queries": 0}, "max_queries"),
        ({"seed": -1}, "seed must be"),
        ({"id": 2**32}, "id must be"),
    ],
    ids=lambda given: next(iter(given)) if isinstance(given, dict) else "",
)
def test_a_task_that_is_none_is_refused(fields, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        dfa.Task(**{"original": IMAGES[0], "epsilon": 8, **fields})


def test_tasks_that_do_not_go_together_are_refused():
    task = dfa.Task(original=IMAGES[0], epsilon=8)
    for others in ([], [IMAGES[0]]):
        with pytest.raises(dfa.InvalidInputError, match=r"tasks must be one dfa\.Task per image"):
            dfa.Racos().begin_all(others)
    for other in (dfa.Task(original=IMAGES[0][:5], epsilon=8), dataclasses.replace(task, seed=1)):
        with pytest.raises(dfa.InvalidInputError, match="of one shape and one seed"):
            dfa.Racos().begin_all([task, other])
    with pytest.raises(dfa.InvalidInputError, match="not for a ball"):
        dfa.Pixels(2).optimizer().begin(task)
    searches = dfa.Racos().begin_all([task])
    searches.end(0)
    with pytest.raises(dfa.InvalidInputError, match="search under way of task 0"):
        searches.end(0)
