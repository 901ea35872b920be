"""The number of threads that a run chooses by itself: from made-up timings, and what a run makes of it."""

from __future__ import annotations

import dataclasses
import itertools
import threading

import numpy as np
import psutil
import pytest

import dfa
from dfa import _core
from dfa.engine.thread_choice import MOST_THREADS, ThreadChoice
from dfa.engine.window import Window
from oracles import LinearClassifier, Recorder, random_images
from outcomes import outcomes

# So that a batch is full from the first.
ALONE = dataclasses.replace(dfa.Racos(), archive=False)


class Machine:
    """A run's turns on a machine where a turn takes what a function of the number of threads says.

    Attributes:
        chosen: The number of every turn.
        seconds: Work and waiting, of all turns.
    """

    def __init__(self, choice: ThreadChoice) -> None:
        self.chosen: list[int] = []
        self.seconds = {"propose": 0.0, "wait": 0.0, "score": 0.0, "update": 0.0}
        self._choice = choice
        self._rows = 0
        self._number = choice.after_turn(self.seconds, 0)

    @property
    def total(self) -> float:
        return sum(self.seconds.values())

    def run(self, turns, work, wait=lambda number: 0.0):
        for _ in range(turns):
            self.chosen.append(self._number)
            self.seconds["propose"] += 0.75 * work(self._number)
            self.seconds["update"] += 0.25 * work(self._number)
            self.seconds["wait"] += wait(self._number)
            self._rows += 256
            self._number = self._choice.after_turn(self.seconds, self._rows)
        return self


def shared(number):
    return 1.0 / number


def test_a_number_that_is_given_stays():
    assert set(Machine(ThreadChoice(3, 8)).run(3_000, shared).chosen) == {3}


def test_it_begins_with_one_and_takes_as_many_as_pay():
    machine = Machine(ThreadChoice(None, 6)).run(200, shared)
    assert machine.chosen[:10] == [1] * 10
    assert set(machine.chosen) == {1, 2, 4, 6}
    assert machine.chosen[-20:] == [6] * 20
    for best in (2, 4):
        machine = Machine(ThreadChoice(None, 6)).run(3_000, lambda number, best=best: 1.0 / min(number, best))
        assert machine.chosen.count(best) > 0.9 * 3_000


def test_it_tries_no_more_than_the_machine_has_or_than_memory_can_feed():
    assert set(Machine(ThreadChoice(None, 1)).run(500, shared).chosen) == {1}
    assert max(Machine(ThreadChoice(None, 1_000)).run(2_000, shared).chosen) == MOST_THREADS
    assert max(Machine(ThreadChoice(None)).run(2_000, shared).chosen) <= min(psutil.cpu_count(), MOST_THREADS)


@pytest.mark.parametrize("slower", [1.05, 1.3, 2.0, 5.0])
def test_where_more_threads_are_slower_trials_cost_little(slower):
    def work(number):
        return 1.0 if number == 1 else slower

    for turns in (100, 5_000):
        machine = Machine(ThreadChoice(None, 2)).run(turns, work)
        assert 2 in machine.chosen
        assert machine.total <= 1.06 * turns
    assert machine.total <= 1.035 * 5_000


@pytest.mark.parametrize("seed", range(5))
def test_cores_that_others_use_cost_little_though_turns_take_by_chance_what_they_take(seed):
    rng = np.random.default_rng(seed)

    def work(number):
        # One turn in four meets another process; more threads meet more of them, and wait for the last.
        return (1.0 if number == 1 else 0.8) + 3.0 * (rng.random(number) < 0.25).any()

    alone = sum(work(1) for _ in range(3_000))
    assert Machine(ThreadChoice(None, 2)).run(3_000, work).total < 1.05 * alone


def test_what_more_threads_take_from_an_oracle_on_the_same_cores_counts():
    machine = Machine(ThreadChoice(None, 2)).run(2_000, shared, lambda number: 0.4 if number == 1 else 1.0)
    assert machine.chosen.count(1) > 0.95 * 2_000


def test_where_the_oracle_is_waited_for_anyway_nothing_is_tried():
    machine = Machine(ThreadChoice(None, 4)).run(1_000, shared, lambda number: 0.6)
    assert set(machine.chosen) == {1}


def test_it_goes_back_to_one_when_the_oracle_becomes_slow():
    machine = Machine(ThreadChoice(None, 4)).run(300, shared)
    assert machine.chosen[-1] == 4
    machine.run(300, shared, lambda number: 5.0)
    assert machine.chosen[-100:] == [1] * 100


def test_it_goes_back_when_others_come_to_use_the_cores():
    machine = Machine(ThreadChoice(None, 4)).run(300, lambda number: 1.0 / min(number, 2))
    assert machine.chosen[-1] == 2
    machine.run(600, lambda number: 2.0 if number > 1 else 1.0)
    assert machine.chosen[-100:].count(1) > 80


def test_what_a_run_took_before_it_was_taken_up_again_counts_for_nothing():
    fresh = Machine(ThreadChoice(None, 4)).run(300, shared)
    choice = ThreadChoice(None, 4)
    resumed = Machine.__new__(Machine)
    resumed.chosen, resumed._choice, resumed._rows = [], choice, 10**6
    resumed.seconds = {"propose": 5.0, "wait": 1e6, "score": 0.0, "update": 5.0}
    resumed._number = choice.after_turn(resumed.seconds, resumed._rows)
    assert resumed.run(300, shared).chosen == fresh.chosen


@pytest.fixture
def large():
    """Images that the core uses its threads for, and a classifier."""
    shape = (151, 149, 3)
    return random_images(24, shape), LinearClassifier(shape)


def test_a_run_whose_threads_change_from_turn_to_turn_finds_the_same(monkeypatch, large):
    images, classifier = large

    def run(threads):
        oracle = Recorder(classifier)
        result = dfa.run(oracle, images, epsilon=8, max_queries=40, optimizer=ALONE, threads=threads)
        return outcomes(result), oracle.batches

    by_one, asked_by_one = run(1)
    numbers = itertools.cycle([7, 1, 2])
    monkeypatch.setattr(ThreadChoice, "after_turn", lambda *_: next(numbers))
    by_itself, asked_by_itself = run(None)
    assert by_itself == by_one
    assert all(map(np.array_equal, asked_by_itself, asked_by_one))


@pytest.mark.skipif(not _core.build_info()["openmp"], reason="the core was built without OpenMP")
def test_the_core_takes_the_threads_that_were_chosen(monkeypatch, large):
    images, classifier = large
    monkeypatch.setattr(ThreadChoice, "after_turn", lambda *_: 7)
    new = []

    def count():
        before = {thread.id for thread in psutil.Process().threads()}
        dfa.run(classifier, images, epsilon=8, max_queries=40, optimizer=ALONE)
        new.append({thread.id for thread in psutil.Process().threads()} - before)

    # A thread of its own has a pool of its own.
    thread = threading.Thread(target=count)
    thread.start()
    thread.join()
    assert len(new[0]) >= 6


def test_a_run_keeps_the_number_that_it_was_given(monkeypatch, large):
    images, classifier = large
    numbers = []
    monkeypatch.setattr(Window, "use_threads", lambda _, number: numbers.append(number))
    dfa.run(classifier, images, epsilon=8, max_queries=40, optimizer=ALONE, threads=3)
    assert set(numbers) == {3}


def test_a_record_of_the_settings_names_no_number_where_none_was_given():
    result = dfa.run(LinearClassifier((6, 6, 3)), random_images(2, (6, 6, 3)), max_queries=15)
    assert result.config["threads"] is None
