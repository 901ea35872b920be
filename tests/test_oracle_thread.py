"""The oracle's thread: whatever is sent is written down before, and nothing is sent once it is closed."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import CancelledError
from types import SimpleNamespace

import numpy as np
import pytest

from dfa.engine.oracle_thread import OracleThread
from dfa.engine.recall import usable_rows
from dfa.engine.stopwatch import Stopwatch
from dfa.errors import OracleError, PartialAnswer, StoreError
from dfa.oracle import as_oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.oracle.parts import Part
from oracles import Recorder, brightness, random_images

IMAGES = random_images(5)
INDICES = np.arange(5)


def thread_of(ask, sending=None, *, batch_size=4):
    gate = Gate(as_oracle(ask), num_images=5, max_queries=100)
    store = None if sending is None else SimpleNamespace(sending=sending, record=None)
    return OracleThread(gate, Stopwatch(), store, batch_size=batch_size, in_callers_thread=False)


def test_what_waits_is_not_sent_once_the_thread_is_closed():
    began, waiting_is_cancelled = threading.Event(), threading.Event()

    def under_way(images):
        began.set()
        assert waiting_is_cancelled.wait(timeout=10)
        return brightness(images)

    oracle = Recorder(under_way)
    thread = thread_of(oracle)
    first, second = (thread.send([IMAGES], INDICES) for _ in range(2))
    second.future.add_done_callback(lambda _: waiting_is_cancelled.set())
    assert began.wait(timeout=10)
    thread.close()
    assert second.future.cancelled()
    assert len(first.future.result()) == 1
    assert len(oracle.batches) == 1


def test_what_waits_beside_the_call_under_way_is_not_sent_once_the_thread_is_closed():
    began, waiting_is_cancelled = threading.Event(), threading.Event()

    def under_way(images):
        began.set()
        assert waiting_is_cancelled.wait(timeout=10)
        return brightness(images)

    oracle = Recorder(under_way)
    counted = Counter()
    thread = thread_of(oracle, lambda purpose, number: counted.update({purpose: number}))
    both = thread.send([IMAGES, IMAGES], INDICES)
    thread.send([IMAGES], INDICES).future.add_done_callback(lambda _: waiting_is_cancelled.set())
    assert counted == {"attack": 15}
    assert began.wait(timeout=10)
    thread.close()
    with pytest.raises(CancelledError):
        thread.answers(both)
    assert len(oracle.batches) == 1
    thread.take_back()
    assert counted == {"attack": 5}


def test_what_waits_behind_a_call_that_failed_is_not_sent():
    may_fail = threading.Event()

    def fails(images):
        assert may_fail.wait(timeout=10)
        raise OSError("off")

    oracle = Recorder(fails)
    thread = thread_of(oracle)
    first, second = (thread.send([IMAGES], INDICES) for _ in range(2))
    may_fail.set()
    # Whichever is looked at first says why.
    for flight in (second, first):
        with pytest.raises(OracleError, match="OSError: off"):
            thread.answers(flight)
    assert len(oracle.batches) == 1
    thread.close()


def test_everything_is_written_down_before_it_is_sent():
    log = []

    def sending(purpose, number):
        # So that a batch sent beforehand would have come first.
        time.sleep(0.01)
        log.append((purpose, number))

    def ask(images):
        log.append(len(images))
        return brightness(images)

    thread = thread_of(ask, sending)
    thread.send([IMAGES[:3], IMAGES[:3]], INDICES[:3]).future.result()
    thread.ask(IMAGES, INDICES, Purpose.CLEAN)
    thread.ask_repeatedly(IMAGES[:2], INDICES[:2], Purpose.VERIFICATION, times=3)
    thread.close()
    assert log == [("attack", 6), 3, 3, ("clean", 5), 5, *[("verification", 2), 2] * 3]


def test_calls_for_attack_queries_are_kept_by_when_they_were_sent():
    gate = Gate(as_oracle(brightness), num_images=5, max_queries=100)
    stopwatch = Stopwatch()
    thread = OracleThread(gate, stopwatch, None, batch_size=4, in_callers_thread=False)
    thread.send([IMAGES[:3], IMAGES[:3]], INDICES[:3])
    thread.ask(IMAGES, INDICES, Purpose.CLEAN)
    thread.close()
    assert sum(stopwatch.calls_over_time.calls) == 2
    assert sum(stopwatch.calls_over_time.rows) == 6


def test_what_cannot_be_written_down_is_not_sent():
    def full(purpose, number):
        if purpose == "attack":
            raise StoreError("no room")

    oracle = Recorder(brightness)
    thread = thread_of(oracle, full)
    with pytest.raises(StoreError, match="no room"):
        thread.send([IMAGES], INDICES)
    # Behind whatever was sent.
    thread.ask(IMAGES[:1], INDICES[:1], Purpose.CLEAN)
    thread.close()
    assert [len(batch) for batch in oracle.batches] == [1]


def test_repeated_answers_are_by_image_whatever_the_batches():
    numbers = iter(range(100))

    def counts(images):
        return np.array([[1 - (n := next(numbers)) / 100, n / 100] for _ in images])

    thread = thread_of(counts, batch_size=4)
    answers = thread.ask_repeatedly(IMAGES[:3], INDICES[:3], Purpose.CLEAN, times=3)
    thread.close()
    # Each image's answers come from calls of their own: an oracle may draw once per call.
    np.testing.assert_allclose(answers[:, :, 1], np.arange(9).reshape(3, 3).T / 100)


def test_what_was_known_of_a_batch_that_waited_behind_a_failure_stays_known():
    may_fail = threading.Event()

    def fails(images):
        assert may_fail.wait(timeout=10)
        raise PartialAnswer([1], brightness(images[1:2]), OSError("off"))

    class Kept:
        def take(self, sent):
            return (Part(np.array([2]), (np.array([[0.25, 0.75]]),)), [7]) if sent[0].place == 1 else (None, [])

    counted = Counter()
    thread = thread_of(fails, lambda purpose, number: counted.update({purpose: number}))
    thread.take_up(Kept())
    flights = [thread.send([IMAGES[rows]], INDICES[rows]) for rows in (slice(0, 3), slice(1, 4))]
    assert counted == {"attack": 3 + 2}
    may_fail.set()
    for flight in flights:
        with pytest.raises(OracleError):
            thread.answers(flight)
    thread.close()
    for _ in range(2):
        thread.take_back()
        assert counted == {"attack": 3}
    (first, answer), (second, known) = usable_rows(thread.open, Gate(as_oracle(fails), num_images=5, max_queries=0))
    assert (first.place, second.place) == (1, 3)
    np.testing.assert_array_equal(answer[0], brightness(IMAGES[1:2])[0])
    np.testing.assert_array_equal(known[0], [0.25, 0.75])
    assert thread.settled == {}
