"""An interrupt gives back what was paid for, at whatever moment it comes."""

from __future__ import annotations

import _thread
import collections
import signal
import sys
import threading
import time

import numpy as np
import pytest

import dfa
from dfa import _core
from dfa.engine import feed, jury, ledger, loop, oracle_thread, scoring, stopwatch, window
from oracles import LazyImages, Recorder, Until
from partial_runs import NUM_CALLS, assert_keeps_what_is_finished, attack
from small_problem import CLASSES, CLASSIFIER, IMAGES


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


def interrupt(images):
    raise KeyboardInterrupt


def interrupt_the_main_thread(images):
    assert threading.current_thread() is not threading.main_thread()
    return after_the_interrupt(_thread.interrupt_main, images)


def send_a_signal(images):
    main = threading.main_thread().ident
    assert main is not None
    # To that thread, as from a keyboard, which wakes it from waiting; `interrupt_main` does not.
    return after_the_interrupt(lambda: signal.pthread_kill(main, signal.SIGINT), images)


def after_the_interrupt(act, images):
    # Before it, the main thread comes to wait for the answer; after it, it is interrupted while still waiting.
    time.sleep(0.02)
    act()
    time.sleep(0.05)
    return CLASSIFIER(images)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("how", [interrupt, interrupt_the_main_thread, send_a_signal])
@pytest.mark.parametrize("num_calls", [0, 1, NUM_CALLS // 3, NUM_CALLS // 2, NUM_CALLS - 1])
def test_an_interrupt_gives_back_what_is_finished(whole, how, num_calls):
    once = iter([how])
    oracle = Recorder(Until(num_calls, CLASSIFIER, lambda images: next(once, CLASSIFIER)(images)))
    # Not a bare `except Exception`, and no other KeyboardInterrupt, which would end the tests as well.
    with pytest.raises(KeyboardInterrupt, match="what was finished is in the `result` of this error") as caught:
        attack(oracle)
    # The call under way cannot be broken off, but its end is waited for: nobody would count what came after.
    assert not oracle.is_busy
    assert isinstance(caught.value, dfa.Interrupted)
    assert not isinstance(caught.value, Exception)
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    unfinished = [record for record in result.records if record.status is dfa.Status.UNFINISHED]
    assert unfinished
    assert all("interrupted" in record.reason for record in unfinished)
    assert result.success.any() == (num_calls >= NUM_CALLS // 3)


def test_an_interrupt_while_an_image_is_read_keeps_every_image_that_was_found(whole):
    # A lazily read set is where an interrupt most likely falls when the oracle is fast.
    for num_reads in (1, 5, 20, 24, 30, 40, 60):
        reads = 0

        class Interrupting(LazyImages):
            def __getitem__(self, index):
                nonlocal reads
                reads += 1
                if reads == num_reads:  # noqa: B023
                    raise KeyboardInterrupt
                return super().__getitem__(index)

        oracle = Recorder(CLASSIFIER)
        try:
            result = attack(oracle, Interrupting(IMAGES))
        except dfa.Interrupted as error:
            result = error.result
        except KeyboardInterrupt:
            # Before the loop, when the first image is looked at, there is nothing to lose.
            assert oracle.num_images == 0
            continue
        assert_keeps_what_is_finished(result, oracle, whole)
        # Whatever the oracle was asked and found adversarial is there, but for what was still under way.
        lost = [
            index
            for index, record in enumerate(result.records)
            if record.queries_sent and record.queries_sent >= whole.records[index].queries_sent and not record.found
            if whole.records[index].found
            if not any((image == whole.images[index]).all() for image in oracle.batches[-1])
        ]
        assert lost == []


class InterruptAt:
    """Raises KeyboardInterrupt when the main thread reaches a line of a module for the n-th time."""

    def __init__(self, module, line, nth):
        self.reached = collections.Counter()
        self._file = module.__file__
        self._at = (line, nth)

    def __enter__(self):
        self._before = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_):
        sys.settrace(self._before)

    def _enter(self, frame, event, argument):
        return self._step if frame.f_code.co_filename == self._file else None

    def _step(self, frame, event, argument):
        if event == "line":
            line = frame.f_lineno
            self.reached[line] += 1
            if (line, self.reached[line]) == self._at:
                raise KeyboardInterrupt
        return self._step


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize(
    "module",
    [loop, feed, window, jury, ledger, oracle_thread, scoring, stopwatch],
    ids=lambda module: module.__name__.rpartition(".")[2],
)
def test_an_interrupt_at_any_line_of_the_loop_loses_nothing(module):
    # Of as many classes as there are images, so that the objective can tell which image it is asked about.
    images = IMAGES[np.unique(CLASSES, return_index=True)[1]][:6]
    classes = CLASSIFIER.classes(images).tolist()
    assert len(set(classes)) == 6

    def run(oracle, hits):
        def degree(scores, goals):
            degrees = dfa.objectives.LOG.untargeted(scores, goals)
            hits.append({classes.index(goal) for goal in goals[degrees == 0.0]})
            return degrees

        return dfa.run(oracle, images, epsilon=14, objective=degree, max_queries=7, batch_size=3, threads=1)

    with InterruptAt(module, 0, 0) as lines:
        whole = run(CLASSIFIER, [])
    assert 2 <= whole.success.sum() < 6
    moments = {(line, nth) for line, times in lines.reached.items() for nth in ((times + 1) // 2, times)}
    failures = []
    for moment in sorted(moments):
        oracle, hits = Recorder(CLASSIFIER), []
        try:
            with InterruptAt(module, *moment):
                run(oracle, hits)
        except dfa.Interrupted as error:
            problem = what_is_wrong(error.result, whole, oracle, set().union(*hits[:-1]))
        except KeyboardInterrupt:
            problem = "a bare KeyboardInterrupt" if oracle.num_images else ""
        except Exception as error:
            problem = repr(error)
        else:
            problem = "not interrupted"
        if problem:
            failures.append((*moment, problem))
    assert failures == []


def what_is_wrong(result, whole, oracle, known):
    """Return what a partial result lacks; `known` are the images of whose hit the loop had been told."""
    if len(result.records) != 6:
        return "a record is missing"
    if oracle.num_images != result.profile.clean + result.profile.verification + result.queries_sent.sum():
        return "queries are not counted"
    for record, expected in zip(result.records, whole.records, strict=True):
        image = result.images[record.index]
        if (image is not None) != (record.found and record.reason != "not verified"):
            return "an image without a record, or a record without an image"
        if record.index in known and not record.found:
            return "a hit is lost"
        if record.found and (record.queries != expected.queries or record.trace != expected.trace):
            return "wrong queries at the hit"
        if record.status is not dfa.Status.UNFINISHED and record.status is not expected.status:
            return "a wrong status"
    return ""


def test_an_interrupt_while_a_place_is_freed_loses_no_image_that_was_found(whole, monkeypatch):
    dismiss = _core.Places.dismiss
    hits = []

    def dismiss_and_interrupt(places, place):
        hits.append(places.hit(place) is not None)
        dismiss(places, place)
        if hits[-1] and sum(hits) == 3:
            raise KeyboardInterrupt

    oracle = Recorder(CLASSIFIER)
    monkeypatch.setattr(_core.Places, "dismiss", dismiss_and_interrupt)
    with pytest.raises(dfa.Interrupted) as caught:
        attack(oracle)
    result = caught.value.result
    assert_keeps_what_is_finished(result, oracle, whole)
    assert sum(record.found for record in result.records) >= 3
