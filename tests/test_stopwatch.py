"""The clock of a run: parts of the main thread's time, spans of both threads, and no time between two processes."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest

from dfa.engine import stopwatch as stopwatch_module
from dfa.engine.stopwatch import Stopwatch


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until a test puts it forward."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(stopwatch_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    return clock


def test_every_part_adds_up_and_has_its_spans_however_it_ends(clock):
    watch = Stopwatch()
    clock.now += 1
    for part, seconds in (("propose", 2.0), ("score", 3.0), ("propose", 4.0)):
        with watch.timing(part):
            clock.now += seconds

    def fail():
        with watch.timing("wait"):
            clock.now += 5
            raise OSError("off")

    with pytest.raises(OSError, match="off"):
        fail()
    with watch.oracle_at_work("attack"):
        clock.now += 6
    assert watch.seconds == {"prior": 0.0, "propose": 6.0, "wait": 5.0, "score": 3.0, "update": 0.0}
    assert watch.spans.entries == [
        ("propose", "dfa", 1.0, 2.0),
        ("score", "dfa", 3.0, 3.0),
        ("propose", "dfa", 6.0, 4.0),
        ("wait", "dfa", 10.0, 5.0),
        ("attack", "oracle", 15.0, 6.0),
    ]
    assert watch.wall() == 21.0


def test_calls_are_kept_by_the_clock_of_the_run_over_a_resumption(clock):
    watch = Stopwatch()
    clock.now += 3
    watch.note_call(8)
    saved = json.loads(json.dumps(watch.save()))
    clock.now += 10_000
    resumed = Stopwatch()
    resumed.load(saved)
    clock.now += 1
    resumed.note_call(2)
    over_time = resumed.calls_over_time
    assert {place * over_time.seconds: rows for place, rows in enumerate(over_time.rows) if rows} == {3.0: 8, 4.0: 2}


def test_an_answer_shares_the_time_since_the_one_before(clock):
    watch = Stopwatch()
    shares = []
    for seconds in (5.0, 2.0, 0.0):
        clock.now += seconds
        shares.append(watch.lap())
    assert shares == [5.0, 2.0, 0.0]


def test_the_time_between_a_kill_and_its_resumption_is_nobodys(clock):
    watch = Stopwatch()
    with watch.timing("score"):
        clock.now += 7
    saved = json.loads(json.dumps(watch.save()))
    clock.now += 10_000
    resumed = Stopwatch()
    # While it reads the images again, and asks whether the oracle is the same.
    clock.now += 30
    resumed.load(saved)
    clock.now += 2
    assert resumed.wall() == 9.0
    assert resumed.lap() == 2.0
    with resumed.timing("score"):
        clock.now += 1
    assert resumed.seconds == {"prior": 0.0, "propose": 0.0, "wait": 0.0, "score": 8.0, "update": 0.0}
