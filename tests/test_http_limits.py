"""Rates are kept wherever a second begins, and used up to a twentieth."""

from __future__ import annotations

import itertools
import pickle
import sqlite3

import pytest

from dfa.errors import InvalidInputError
from dfa.oracle.services import limits
from dfa.oracle.services.limits import Limits, Rate, parse_rate


class Clock:
    """Moves on while somebody sleeps, and a little further at times."""

    def __init__(self, late=(0.0,)):
        self.moment = 1000.0
        self._late = itertools.cycle(late)

    def now(self):
        return self.moment

    def sleep(self, seconds):
        assert seconds > 0
        self.moment += seconds + next(self._late)


@pytest.fixture
def clock(monkeypatch):
    return use(monkeypatch, Clock())


def use(monkeypatch, clock):
    monkeypatch.setattr(limits._Memory, "now", staticmethod(clock.now))
    monkeypatch.setattr(limits._File, "now", staticmethod(clock.now))
    return clock


def sent(kept, clock, number):
    """When so many requests go out that want to go out at once."""
    moments = []
    for _ in range(number):
        kept.wait(clock.sleep)
        moments.append(clock.moment)
    return moments


def shortest(moments, number):
    """The shortest time from a request to the one so many later."""
    return min(later - sooner for sooner, later in zip(moments, moments[number:], strict=False))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("20/s", (20, 1)),
        (" 100 / min ", (100, 60)),
        ("1000/h", (1000, 3600)),
        ("5000/day", (5000, 86400)),
        ("1/second", (1, 1)),
    ],
)
def test_a_rate_is_read(text, rate):
    assert parse_rate(text) == Rate(*rate)


@pytest.mark.parametrize(
    "text", ["20", "20/m", "0/s", "-1/s", "1.5/s", "/s", "20/s/s", "20 per second", 20, None, "20/S"]
)
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(InvalidInputError, match="rate must be a number of requests per s, min, h or day"):
        Limits([text])


def test_a_rate_is_a_text_or_several():
    with pytest.raises(InvalidInputError, match="a text such as '20/s', or a list"):
        Limits(20)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 20, 500])
def test_a_service_that_counts_the_last_second_sees_no_request_too_many_and_few_too_little(clock, number):
    moments = sent(Limits(f"{number}/s"), clock, 5 * number + 1)
    assert shortest(moments, number) >= 1.0249
    assert moments[-1] - moments[0] <= 5 / 0.95
    assert shortest(moments, 1) >= 1 / number


@pytest.mark.parametrize("late", [(0.0, 0.004, 0.001), (0.0, 0.03), (0.03, *[0.0] * 40), (0.2, *[0.0] * 40)])
def test_requests_that_go_out_late_do_not_crowd_the_next_second(monkeypatch, late):
    clock = use(monkeypatch, Clock(late))
    assert shortest(sent(Limits("20/s"), clock, 200), 20) >= 1.0249


def test_lateness_is_made_up_for(monkeypatch):
    clock = use(monkeypatch, Clock((0.02, *[0.0] * 40)))
    moments = sent(Limits("200/s"), clock, 1001)
    assert 1000 / (moments[-1] - moments[0]) >= 0.95 * 200


def test_a_pause_is_made_up_for_a_little(clock):
    kept = Limits("20/s")
    sent(kept, clock, 10)
    clock.moment += 10
    moments = sent(kept, clock, 60)
    assert shortest(moments, 20) >= 1.0249
    assert moments[4] - moments[0] >= 1.5 / 20


def test_what_a_day_allows_may_go_out_at_once(clock):
    moments = sent(Limits("5/day"), clock, 11)
    assert moments[:5] == [1000.0] * 5
    assert 86400 <= moments[5] - moments[4] <= 86400 * 1.01
    assert shortest(moments, 5) >= 86400


def test_of_several_rates_all_are_kept(clock):
    moments = sent(Limits(["10/s", "30/h"]), clock, 65)
    assert shortest(moments, 10) >= 1
    assert shortest(moments, 30) >= 3600
    assert moments[29] - moments[0] < 4


def test_without_a_rate_nobody_waits(clock):
    kept = Limits()
    kept.check()
    assert kept.wait(clock.sleep) == 0
    assert clock.moment == 1000.0


def test_processes_that_share_a_file_keep_the_rate_together(clock, tmp_path):
    shared = [Limits(["20/s", "100/h"], tmp_path / "rates") for _ in range(3)]
    moments = []
    for kept in itertools.islice(itertools.cycle(shared), 120):
        moments += sent(kept, clock, 1)
    assert shortest(moments, 20) >= 1.0249
    assert shortest(moments, 100) >= 3600
    assert moments[99] - moments[0] <= 99 / 20 / 0.95
    # One that comes later knows what was sent.
    assert sent(Limits(["20/s", "100/h"], tmp_path / "rates"), clock, 1)[0] - moments[20] >= 3600


def test_lateness_is_told_to_those_who_share_a_file(monkeypatch, tmp_path):
    clock = use(monkeypatch, Clock((0.03, *[0.0] * 40)))
    first, second = (Limits("20/s", tmp_path / "rates") for _ in range(2))
    moments = []
    for kept in itertools.islice(itertools.cycle([first, first, second]), 100):
        moments += sent(kept, clock, 1)
    assert shortest(moments, 20) >= 1.0249


def test_a_request_that_is_late_counts_from_when_it_went_out_also_where_the_next_one_has_its_moment(clock, tmp_path):
    first, second = (Limits("20/s", tmp_path / "rates") for _ in range(2))
    moment = first._opened().reserve()
    second._opened().reserve()
    clock.moment = moment + 0.04
    first._opened().put_off(0.04)
    assert sent(second, clock, 19)[-1] - (moment + 0.04) >= 1.0249


def test_a_file_goes_with_its_rates(tmp_path):
    Limits("20/s", tmp_path / "rates").check()
    Limits(["20/s"], tmp_path / "rates").check()
    with pytest.raises(InvalidInputError, match=r"processes that keep 20/1s, and this one keeps 30/1s.*another file"):
        Limits("30/s", tmp_path / "rates").check()
    with pytest.raises(InvalidInputError, match="pass rate too"):
        Limits(None, tmp_path / "rates")


def test_a_file_that_cannot_be_shared_is_refused(tmp_path):
    (tmp_path / "text").write_text("nothing of the kind" * 100)
    for place in (tmp_path / "text", tmp_path / "nowhere" / "rates", tmp_path):
        with pytest.raises(InvalidInputError, match="rate_file must be a file that processes can share"):
            Limits("20/s", place).check()


def test_what_ends_a_wait_goes_to_the_caller_and_lets_the_next_one_in(clock):
    kept = Limits("1/h")
    kept.wait(clock.sleep)

    def interrupted(seconds):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        kept.wait(interrupted)
    kept.wait(clock.sleep)


def test_limits_go_to_another_process(clock, tmp_path):
    kept = Limits("1/h", tmp_path / "rates")
    kept.wait(clock.sleep)
    pickle.loads(pickle.dumps(kept)).wait(clock.sleep)
    assert clock.moment >= 1000 + 3600


def test_nobody_waits_for_a_clock_that_was_put_back(tmp_path, clock):
    kept = Limits(["20/s", "1000/min"], tmp_path / "rates")
    sent(kept, clock, 30)
    clock.moment -= 3600
    began = clock.moment
    kept.wait(clock.sleep)
    assert clock.moment - began <= 61.5


@pytest.mark.parametrize("moment", ["'soon'", "x'00'", "9e999", "NULL"])
def test_a_file_that_tells_no_moments_is_refused(tmp_path, clock, moment):
    kept = Limits("2/s", tmp_path / "rates")
    sent(kept, clock, 2)
    with sqlite3.connect(tmp_path / "rates") as base:
        base.execute(f"UPDATE sent SET moment = {moment}, turn = {'turn' if moment == 'NULL' else moment}")
    if moment == "NULL":
        kept.wait(clock.sleep)  # as if nothing had gone out
        return
    with pytest.raises(InvalidInputError, match="must tell when requests went out, and tells"):
        kept.wait(clock.sleep)
