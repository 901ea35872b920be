"""A run that asks a service: no answer is asked for twice, counts are those of any run, and it can be replayed."""

from __future__ import annotations

import hashlib
import json
import sqlite3

import numpy as np
import pytest

import dfa
from dfa.oracle.services.names import ClassTable
from dfa.runs.kept_answers import KeptAnswers, Sent
from oracles import LinearClassifier, random_images
from outcomes import outcomes
from services import Service

SHAPE = (6, 6, 3)
IMAGES = random_images(20, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
SETTINGS = {"epsilon": 6, "max_queries": 100, "batch_size": 16, "progress": False}

RUNS = {
    "default": {},
    "targeted": {"targets": dfa.rank(3), "epsilon": 12},
    "independent": {"optimizer": dfa.Racos(archive=False)},
    "repeated": {"confirmations": 3},
    "labels": {"epsilon": 16},
}


def service(name="default", **settings):
    oracle = Service(CLASSIFIER, **settings)
    if name == "labels":
        oracle = Service(lambda images: CLASSIFIER(images).argmax(axis=1), returns="label", num_classes=10, **settings)
    return oracle


def attack(oracle, name="default", images=IMAGES, **settings):
    return dfa.run(oracle, images, **{**SETTINGS, **RUNS[name], **settings})


class Several(Service):
    """Takes as many images as there are in a call, one at a time."""

    def scores(self, images):
        return np.concatenate([super(Several, self).scores(images[row : row + 1]) for row in range(len(images))])


def rows_in(folder, table="answers"):
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        return journal.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]


FAILURES = [*(("default", fails_at) for fails_at in (1, 40, 333)), ("targeted", 200), ("repeated", 150), ("labels", 99)]


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize(("name", "fails_at"), FAILURES)
def test_what_was_answered_before_a_service_failed_is_not_asked_for_again(tmp_path, name, fails_at):
    expected = attack(service(name, calls_at_once=1, seconds=0.0), name)
    first = service(name, fails_at=fails_at)
    with pytest.raises(dfa.OracleError, match="the line is dead"):
        attack(first, name, store=tmp_path / "run")
    second = service(name)
    found = attack(second, name, store=tmp_path / "run", resume=True)
    assert outcomes(found) == outcomes(expected)
    profile = found.profile
    for count in ("rows_sent", "clean", "verification"):
        assert getattr(profile, count) == getattr(expected.profile, count)
    # Nothing that was answered is asked for again: both saw what one sees that does not fail.
    whole = service(name)
    attack(whole, name, store=tmp_path / "whole")
    assert first.seen + second.seen == whole.seen
    # What had been sent and not been answered when the first failed.
    assert profile.resent == first.answers - sum(first.seen.values())
    # The books of the first are the beginning of the second's.
    assert profile.service.use.requests == second.books.use.requests > first.books.use.requests


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("name", RUNS)
def test_a_record_is_the_run_again_without_the_service(tmp_path, name):
    expected = attack(service(name), name, store=tmp_path / "run")
    replayed = attack(dfa.ReplayOracle(tmp_path / "run"), name)
    assert outcomes(replayed) == outcomes(expected)
    assert replayed.config == expected.config
    again = attack(dfa.ReplayOracle(tmp_path / "run"), name, store=tmp_path / "again")
    assert outcomes(again) == outcomes(expected)
    assert not again.refuted


def test_a_record_that_was_taken_up_again_is_replayed_all_the_same(tmp_path):
    with pytest.raises(dfa.OracleError):
        attack(service(fails_at=300), store=tmp_path / "run")
    expected = attack(service(), store=tmp_path / "run", resume=True)
    assert outcomes(attack(dfa.ReplayOracle(tmp_path / "run"))) == outcomes(expected)


def test_what_a_record_has_not_is_told(tmp_path):
    attack(service(), store=tmp_path / "run", max_queries=20)
    with pytest.raises(dfa.OracleError, match=r"has no answer about row 0 of a batch; replay it with the images"):
        attack(dfa.ReplayOracle(tmp_path / "run"), max_queries=40)
    attack(CLASSIFIER, store=tmp_path / "plain", max_queries=20)
    with pytest.raises(dfa.StoreError, match="this one keeps none: only runs of services do"):
        dfa.ReplayOracle(tmp_path / "plain")


def test_equal_images_are_asked_for_once_and_count_as_often_as_they_are_there(tmp_path):
    images = IMAGES.copy()
    images[10:20] = images[:10]
    expected = attack(service(calls_at_once=1, seconds=0.0), images=images)
    oracle = service(calls_at_once=8, seconds=3e-3)
    found = attack(oracle, images=images, store=tmp_path / "run")
    assert outcomes(found) == outcomes(expected)
    asked = found.profile.service
    assert asked.coalesced > 0
    assert asked.from_record + asked.coalesced >= 10
    logical = found.profile.rows_sent + found.profile.clean + found.profile.verification + found.profile.files
    assert asked.asked == logical
    assert oracle.answers == asked.use.requests == logical - asked.from_record - asked.coalesced
    assert found.profile.resent == 0
    # What confirms is sent, whatever is known of the image.
    assert found.profile.verification == found.success.sum()


def test_equal_images_of_one_request_go_out_once(tmp_path):
    class Fours(Several):
        def __init__(self, *arguments, **settings):
            super().__init__(*arguments, **settings)
            self.rows_per_call = 4

    images = IMAGES[[0, 0, 1, 0, 2, 2, 2, 3, 4, 5, 6, 7]]
    expected = attack(service(calls_at_once=1, seconds=0.0), images=images)
    oracle = Fours(CLASSIFIER, calls_at_once=1)
    found = attack(oracle, images=images, store=tmp_path / "run")
    assert outcomes(found) == outcomes(expected)
    clean = {IMAGES[row].tobytes() for row in range(8)}
    times = [oracle.seen[hashlib.sha256(image).hexdigest()] for image in clean]
    assert times == [1] * 8
    assert (
        found.profile.service.asked
        == found.profile.service.from_record + found.profile.service.coalesced + oracle.answers
    )
    assert found.profile.resent == 0
    assert outcomes(attack(dfa.ReplayOracle(tmp_path / "run"), images=images)) == outcomes(expected)


def test_a_record_that_somebody_has_changed_is_refused_in_words(tmp_path):
    attack(service(), store=tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "journal.sqlite") as journal:
        row = journal.execute("SELECT purpose, place, digest FROM answers WHERE purpose = 'clean' LIMIT 1").fetchone()
        sent = Sent(*row)
        journal.execute("DELETE FROM answers WHERE purpose = 'clean' AND place = ?", (sent.place,))
        # Two arrays of an oracle that answers with one; the seal fits.
        KeptAnswers(is_record=True).add(journal, sent, (np.zeros(10), np.zeros(10)))
    with pytest.raises(dfa.DfaError, match=r"must be of 1 array, and one that was kept is of 2|do not fit together"):
        attack(dfa.ReplayOracle(tmp_path / "run"))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("books", {"requests": -5}, "must be amounts by name"),
        ("books", {"cost_high": "-1000"}, "must be amounts by name"),
        ("books", {"cost_high": "sNaN"}, "must be amounts by name"),
        ("class 000000001", {"name": "eel"}, "must tell the names of classes"),
        ("class 000000000", {"name": 3}, "must tell the names of classes"),
    ],
)
def test_books_and_names_that_somebody_has_changed_are_refused(tmp_path, name, value, told):
    with pytest.raises(dfa.OracleError, match="the line is dead"):
        attack(named(fails_at=100), store=tmp_path / "run")
    with sqlite3.connect(tmp_path / "run" / "journal.sqlite") as journal:
        journal.execute("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, json.dumps(value)))
    with pytest.raises(dfa.StoreError, match=told):
        attack(named(), store=tmp_path / "run", resume=True)


def named(**settings):
    """A service that keeps the names of its classes as `HttpOracle` does."""
    oracle = service(**settings)
    table = ClassTable(None, 20)
    keep = oracle.keep_with

    def keep_with(books, names):
        keep(books, names)
        table.keep_with(names)

    oracle.keep_with = keep_with
    return oracle


def test_without_a_folder_nothing_is_kept_and_all_is_sent():
    oracle = service()
    profile = attack(oracle).profile
    assert (profile.service.from_record, profile.service.coalesced) == (0, 0)
    assert oracle.answers == profile.rows_sent + profile.clean + profile.verification == profile.service.asked


def test_other_oracles_keep_no_record(tmp_path):
    result = attack(CLASSIFIER, store=tmp_path / "run")
    assert rows_in(tmp_path / "run") == 0
    assert result.profile.service is None
    attack(service(), store=tmp_path / "service")
    assert rows_in(tmp_path / "service") > 0


def test_a_run_of_a_service_that_failed_at_once_leaves_what_was_paid_for(tmp_path):
    with pytest.raises(dfa.OracleError):
        attack(service(fails_at=0), store=tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with pytest.raises(dfa.OracleError):
        attack(service(fails_at=1, calls_at_once=2), store=tmp_path / "one")
    assert rows_in(tmp_path / "one") == 1


def test_what_a_service_took_is_read_back(tmp_path):
    saved = attack(service(), store=tmp_path / "run")
    assert dfa.Result.load(tmp_path / "run").profile.service == saved.profile.service


class Drifting(Service):
    """Has another model after so many answers."""

    changes_at = 150

    def scores(self, images):
        answer = np.asarray(super().scores(images))
        return answer[:, ::-1] if self.answers > self.changes_at else answer


def drifting(**settings):
    return Drifting(CLASSIFIER, watch_every=20, calls_at_once=2, **settings)


def test_a_service_that_changes_ends_the_run_and_what_was_found_is_kept(tmp_path):
    oracle = drifting()
    with pytest.raises(dfa.DriftError, match=r"no longer answers as it did.*image \d+ was of class") as ended:
        attack(oracle, store=tmp_path / "run", epsilon=2)
    assert ended.value.result is not None
    assert Drifting.changes_at < oracle.answers < Drifting.changes_at + 60
    assert ended.value.result.profile.watch >= 1
    # It is not forgotten, whatever the service says now.
    same = Service(CLASSIFIER, watch_every=20, calls_at_once=1)
    with pytest.raises(dfa.DriftError, match="no longer answers as it did"):
        attack(same, store=tmp_path / "run", resume=True, epsilon=2)
    other = drifting()
    other.on_drift, other.answers = "mark", 1000
    found = attack(other, store=tmp_path / "run", resume=True, epsilon=2)
    assert found.profile.service.drifts[:1] == ended.value.result.profile.service.drifts != []


def test_a_service_that_changes_may_be_marked(tmp_path):
    oracle = drifting()
    oracle.on_drift = "mark"
    profile = attack(oracle, store=tmp_path / "run", epsilon=2).profile
    first = profile.service.drifts[0]
    assert first.sent < Drifting.changes_at + 60
    assert 0 < len(first.unsettled) <= len(IMAGES)
    assert profile.watch > len(profile.service.drifts) > 1
    assert dfa.Result.load(tmp_path / "run").profile.service.drifts == profile.service.drifts


def test_a_watch_changes_nothing_in_what_is_found_and_is_no_query(tmp_path):
    expected = attack(service(), store=tmp_path / "plain")
    watched = attack(service(watch_every=10), store=tmp_path / "watched")
    assert outcomes(watched) == outcomes(expected)
    assert watched.profile.watch > 10
    assert watched.profile.service.asked == expected.profile.service.asked + watched.profile.watch
    assert outcomes(attack(dfa.ReplayOracle(tmp_path / "watched"))) == outcomes(expected)


def test_a_resumed_run_asks_a_watched_service_whether_it_is_the_same(tmp_path):
    with pytest.raises(dfa.OracleError):
        attack(service(fails_at=300, watch_every=50), store=tmp_path / "run", epsilon=2)
    other = Service(lambda images: CLASSIFIER(images)[:, ::-1], watch_every=50)
    with pytest.raises(dfa.StoreError, match="the oracle must be the one that the run began with"):
        attack(other, store=tmp_path / "run", resume=True, epsilon=2)


def test_a_run_that_has_ended_asks_a_service_nothing_when_it_is_resumed(tmp_path):
    expected = attack(service(), store=tmp_path / "run")
    oracle = service()
    assert outcomes(attack(oracle, store=tmp_path / "run", resume=True)) == outcomes(expected)
    assert oracle.answers == 0


@pytest.mark.parametrize("wrapped", [lambda each: each, lambda each: dfa.top_1(each, num_classes=10)])
def test_a_run_that_is_interrupted_hangs_up(wrapped):
    def interrupt(record):
        raise KeyboardInterrupt

    oracle = service()
    ended = []
    oracle.hang_up = lambda: ended.append(oracle.answers)
    with pytest.raises(dfa.Interrupted):
        attack(wrapped(oracle), progress=interrupt)
    assert len(ended) == 1


@pytest.mark.parametrize(
    "wrapped", [lambda each: dfa.top_k(each, 3, num_classes=10), lambda each: dfa.Pipeline([], each)]
)
def test_whatever_stands_before_a_service_its_answers_are_kept(tmp_path, wrapped):
    oracle = Several(CLASSIFIER)
    result = attack(wrapped(oracle), store=tmp_path / "run")
    assert rows_in(tmp_path / "run") == oracle.answers == result.profile.service.use.requests > 100
    replayed = attack(dfa.ReplayOracle(tmp_path / "run"))
    assert outcomes(replayed) == outcomes(result)


@pytest.mark.parametrize("concurrency", [1, 4])
def test_an_answer_that_cannot_be_used_is_asked_for_again_when_the_run_goes_on(tmp_path, concurrency):
    expected = attack(service())

    class Wrong(Service):
        was_wrong = False

        def scores(self, images):
            answer = super().scores(images)
            if self.answers < 120 or self.was_wrong:
                return answer
            self.was_wrong = True
            return np.full_like(answer, np.nan)

    with pytest.raises(dfa.OracleError, match="nan"):
        attack(Wrong(CLASSIFIER, calls_at_once=concurrency), store=tmp_path / "run")
    oracle = service()
    assert outcomes(attack(oracle, store=tmp_path / "run", resume=True)) == outcomes(expected)
    assert oracle.answers < len(IMAGES) * 100


def test_what_a_run_marked_is_kept_when_it_goes_on(tmp_path):
    oracle = drifting(fails_at=400)
    oracle.on_drift = "mark"
    with pytest.raises(dfa.OracleError, match="the line is dead") as ended:
        attack(oracle, store=tmp_path / "run", epsilon=2)
    before = ended.value.result.profile.service.drifts
    assert before
    other = drifting()
    other.on_drift, other.answers = "mark", 1000
    found = attack(other, store=tmp_path / "run", resume=True, epsilon=2)
    assert found.profile.service.drifts[: len(before)] == before


def test_one_odd_answer_of_a_randomised_service_is_no_drift(tmp_path):
    class Odd(Service):
        odd = 0

        def scores(self, images):
            answer = super().scores(images)
            known = images.tobytes() in {image[None].tobytes() for image in IMAGES}
            self.odd += known and self.answers > 200
            return answer[:, ::-1] if known and self.odd == 1 else answer

    oracle = Odd(CLASSIFIER, watch_every=15, calls_at_once=1)
    result = attack(oracle, "repeated", store=tmp_path / "run", epsilon=2)
    assert oracle.odd > 2
    assert result.profile.service.drifts == []
