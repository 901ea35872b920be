"""Runs of a service over HTTP that fails, is slow, or loses whoever asks: the result is that of one that does not."""

from __future__ import annotations

import random
import signal
import sys
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import pytest

import dfa
import http_servers
from dfa.results.profile import Drift
from dfa.runs.journal import reading
from dfa.runs.kept_answers import KeptAnswers, _rows_of
from dfa.runs.saved_run import holds_run
from dfa.views.report import write_report
from oracles import random_images
from outcomes import outcomes, timeless
from zygote import Zygote

SHAPE = (6, 6, 3)
IMAGES = random_images(12, SHAPE)
SETTINGS = {"epsilon": 10, "max_queries": 60, "progress": False}


def oracle_of(service, **settings):
    # Their ids are fixed, so that records do not depend on which name comes first.
    told = {"classes": http_servers.NAMES, "k": 5, "concurrency": 6, "retries": 20, "watch_every": None}
    return dfa.HttpOracle(service.url, parse=http_servers.parse, **{**told, **settings})


def attack(service, name="default", images=IMAGES, storage=None, **settings):
    chosen = {**SETTINGS, **({"targets": dfa.rank(3)} if name == "targeted" else {})}
    return dfa.run(oracle_of(service, **settings), images, store=storage, **chosen)


def counts(profile):
    return profile.rows_sent, profile.clean, profile.verification, profile.service.asked


def in_record(folder):
    """What a run's record has, and how often."""
    with reading(Path(folder)) as journal:
        return Counter(sent for _, sent, _ in _rows_of(journal))


def every_17th(number):
    """503 on every 17th request, and resets and cut replies now and then."""
    if number % 17 == 0:
        return http_servers.status(503, Retry_After="0")
    return {5: http_servers.reset, 11: http_servers.cut, 14: http_servers.says(b"{oops")}.get(number % 23)


@pytest.mark.parametrize("name", ["default", pytest.param("targeted", marks=pytest.mark.weekly)])
def test_a_service_that_fails_now_and_then_costs_no_answer_and_changes_nothing(tmp_path, name):
    with http_servers.served() as service:
        expected = attack(service, name, storage=tmp_path / "whole")
    assert expected.success.sum() > 3
    with http_servers.served() as service:
        service.fault = every_17th
        found = attack(service, name, storage=tmp_path / "run")
        assert outcomes(found) == outcomes(expected)
        assert counts(found.profile) == counts(expected.profile)
        use = found.profile.service.use
        assert (use.requests, use.images) == (service.requests, service.images)
        assert use.answered == use.billed_low == service.answered < use.billed_high < service.requests
        assert use.rejected == sum(1 for number in range(1, service.requests + 1) if number % 17 == 0)
        assert use.retries == use.requests - use.answered
        assert found.profile.resent == 0
    assert in_record(tmp_path / "run") == in_record(tmp_path / "whole")


def test_when_retries_end_all_is_kept_and_the_run_goes_on_from_there(tmp_path):
    with http_servers.served() as service:
        expected = attack(service, storage=tmp_path / "whole")
    with http_servers.served() as service:
        service.fault = lambda number: http_servers.status(503, Retry_After="0") if number > 150 else None
        with pytest.raises(dfa.OracleError, match="503"):
            attack(service, storage=tmp_path / "run", retries=1)
        kept = in_record(tmp_path / "run")
        assert sum(kept.values()) == service.answered == 150
        service.fault = lambda number: None
        found = attack(service, storage=dfa.Storage(tmp_path / "run", resume=True), retries=1)
        assert outcomes(found) == outcomes(expected)
        assert found.profile.service.use.requests == service.requests
        assert in_record(tmp_path / "run") == in_record(tmp_path / "whole")
        assert service.answered == sum(in_record(tmp_path / "run").values())


def test_a_ceiling_of_cost_ends_a_run_before_it_is_passed_and_a_higher_one_goes_on(tmp_path):
    with http_servers.served() as service:
        with pytest.raises(dfa.OracleError, match=r"no more than max_cost=0\.25"):
            attack(service, storage=tmp_path / "run", price="0.0025", max_cost="0.25")
        assert service.requests == 100
        assert dfa.Result.load(tmp_path / "run").profile.service.use.cost_high == 0.25


def test_a_service_that_shows_what_is_above_a_threshold_is_attacked(tmp_path):
    def above(reply):
        return [(each["name"], each["confidence"]) for each in reply["labels"] if each["confidence"] > 0.1]

    with http_servers.served() as service:
        oracle = dfa.HttpOracle(service.url, parse=above, classes=http_servers.NAMES, k=5, concurrency=4)
        result = dfa.run(oracle, IMAGES, **SETTINGS)
        assert result.success.sum() > 3
        alone = dfa.HttpOracle(service.url, parse=above, classes=http_servers.NAMES, k=5, concurrency=1)
        assert outcomes(dfa.run(alone, IMAGES, **SETTINGS)) == outcomes(result)


def test_names_that_are_not_known_before_get_ids_that_a_resumed_run_keeps(tmp_path):
    with http_servers.served() as service:
        settings = {"classes": None, "num_classes": 20}
        service.fault = lambda number: http_servers.status(503, Retry_After="0") if number > 100 else None
        with pytest.raises(dfa.OracleError):
            attack(service, storage=tmp_path / "run", retries=0, **settings)
        service.fault = lambda number: None
        oracle = oracle_of(service, retries=0, **settings)
        found = dfa.run(oracle, IMAGES, store=tmp_path / "run", resume=True, **SETTINGS)
        names = oracle.known_names
        expected = attack(service)
        assert dfa.verify(tmp_path / "run", oracle_of(service, **settings)).holds
    assert sorted(names) == sorted(http_servers.NAMES)
    for record, other in zip(found.records, expected.records, strict=True):
        assert names[record.class_before] == http_servers.NAMES[other.class_before]
        assert (record.status, record.queries) == (other.status, other.queries)


RUN = """
import dfa
import test_service_runs

def run(folder, url):
    class At:
        pass
    At.url = url
    test_service_runs.attack(At, storage=dfa.Storage(folder, resume=True, interval=4 * 256))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_no_answer_that_had_arrived_is_asked_for_again_after_a_kill(tmp_path, killed):
    with http_servers.served() as service, closing(Zygote(RUN)) as zygote:
        expected = attack(service, storage=tmp_path / "whole")
        whole = in_record(tmp_path / "whole")
        began = time.monotonic()
        assert zygote.run(str(tmp_path / "first"), service.url) == 0
        seconds = time.monotonic() - began
        chance = random.Random(0)
        number = kills = 0
        while kills < max(1, killed // 10):
            number += 1
            folder = tmp_path / f"run{number}"
            service.requests = 0
            while (status := zygote.run(str(folder), service.url, seconds=chance.uniform(0.1, 0.5) * seconds)) != 0:
                assert status == -signal.SIGKILL
                kills += 1
                if holds_run(folder):
                    # Whatever has arrived is there once.
                    assert in_record(folder) <= whole
            result = dfa.Result.load(folder)
            assert timeless(result.records) == timeless(expected.records)
            assert in_record(folder) == whole
            # The service saw what the record has, and what was under way when the process was killed.
            use = result.profile.service.use
            assert sum(whole.values()) <= service.requests <= use.requests


def test_the_rows_of_a_record_are_read_one_by_one(tmp_path):
    with http_servers.served() as service:
        attack(service, storage=tmp_path / "run")
    kept = KeptAnswers(is_record=True)
    with reading(tmp_path / "run") as journal:
        kept.take_up(journal)
        for number, sent, answer in _rows_of(journal):
            (again,) = _rows_of(journal, number)
            assert again[:2] == (number, sent)
            assert all(one.tobytes() == other.tobytes() for one, other in zip(again[2], answer, strict=True))


def test_how_a_service_is_asked_may_change_when_a_run_goes_on(tmp_path):
    with http_servers.served() as service:
        expected = attack(service, storage=tmp_path / "whole")
        with pytest.raises(dfa.OracleError, match="max_cost"):
            attack(service, storage=tmp_path / "run", price="0.01", max_cost="1")
        found = attack(
            service,
            storage=dfa.Storage(tmp_path / "run", resume=True),
            **{"price": "0.01", "max_cost": "100", "concurrency": 3, "rate": "900/s", "retries": 2, "timeout": 9},
        )
        assert outcomes(found) == outcomes(expected)
        assert found.profile.service.use.cost_low == pytest.approx(0.01 * sum(in_record(tmp_path / "run").values()))


def test_one_oracle_serves_several_runs_and_what_comes_after_them(tmp_path):
    with http_servers.served() as service:
        oracle = oracle_of(service)
        first = dfa.run(oracle, IMAGES, store=tmp_path / "first", **SETTINGS)
        assert first.profile.service.use.requests == service.requests
        assert dfa.verify(tmp_path / "first", oracle).holds
        first.save(tmp_path / "saved")
        second, before = dfa.run(oracle, IMAGES[:3], **SETTINGS), service.requests
        assert second.profile.service.use.requests == second.profile.service.asked
        third = dfa.run(oracle, IMAGES[:3], store=tmp_path / "third", **SETTINGS)
        assert third.profile.service.use.requests == service.requests - before
        assert first.profile.service == dfa.Result.load(tmp_path / "first").profile.service


def test_a_record_does_not_verify_itself(tmp_path):
    with http_servers.served() as service:
        attack(service, storage=tmp_path / "run")
    with pytest.raises(
        dfa.InvalidInputError, match="must be asked of the model itself, and a record of answers is none"
    ):
        dfa.verify(tmp_path / "run", dfa.ReplayOracle(tmp_path / "run"))


def test_labels_need_the_ids_of_classes_that_are_known_before():
    with http_servers.served() as service:
        for more in ({"labels": [0] * len(IMAGES)}, {"targets": 3}):
            oracle = oracle_of(service, classes=None, num_classes=20)
            with pytest.raises(dfa.InvalidInputError, match=r"numbers its classes as their names come.*pass classes="):
                dfa.run(oracle, IMAGES, **more, **SETTINGS)
        oracle = oracle_of(service, classes=None, num_classes=20)
        assert dfa.run(oracle, IMAGES[:2], targets=dfa.rank(2), **SETTINGS).success.any()


def test_a_report_tells_what_a_service_took_and_that_it_changed(tmp_path):
    with http_servers.served() as service:
        result = attack(service, storage=tmp_path / "run", price="0.01", currency="EUR")
    result.profile.service.drifts.append(Drift(40, 3, "image 3 was of class 1, and is of class 2", (3, 4)))
    result.save(tmp_path / "saved")
    page = write_report(tmp_path / "saved", tmp_path / "report.html").read_text(encoding="utf-8")
    assert "The service" in page
    assert f"{result.profile.service.use.requests:,}, with" in page
    assert "EUR" in page
    assert "From 40 attack queries on the service answered otherwise than before" in page
