"""A run that was cut short goes on as if nothing had happened."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import dfa
from dfa.engine.jury import _MOST_TURNS
from dfa.oracle import Oracle
from dfa.oracle.gate import Gate
from dfa.runs import due as due_module
from dfa.runs.saved_run import read_run
from dfa.runs.store import Store
from oracles import LazyImages, Recorder, Slow, Until, raising
from outcomes import timeless
from small_problem import CLASSIFIER, IMAGES, SHAPE
from stored_runs import INTERVAL, SETTINGS, assert_same, attack, cut_short, run_whole


@pytest.fixture(scope="module")
def whole():
    return run_whole()


@pytest.mark.parametrize("num_calls", [0, 1, 3, 10, 30, 60, 100, 140])
def test_a_run_that_failed_goes_on(tmp_path, whole, num_calls):
    expected, oracle = whole
    sent = cut_short(tmp_path, num_calls)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, expected)
    assert_same(dfa.Result.load(tmp_path), expected)
    # Saving asks about every file. A batch is counted before it is sent, also one that the failure then held back.
    # What failed before it was answered leaves no run to go on with, so another one begins.
    sent = sent if num_calls else 0
    twice = sent + again.num_images - int(expected.success.sum()) - oracle.num_images
    assert twice <= result.profile.resent <= twice + 4
    assert result.profile.resent <= INTERVAL + 8
    for name in ("clean", "verification", "rows_sent", "batches", "rows_capacity"):
        assert getattr(result.profile, name) == getattr(expected.profile, name)


@pytest.mark.parametrize("num_calls", [25, 40, 55, 60, 71, 90, 107, 230, 255])
def test_a_resumed_run_asks_in_the_same_batches(tmp_path, whole, num_calls):
    # So that an oracle whose answers depend on the batch gives the same answers.
    cut_short(tmp_path, num_calls)
    again = Recorder(CLASSIFIER)
    attack(again, tmp_path)
    expected = [batch.tobytes() for batch in whole[1].batches]
    # The first question is whether the oracle is the same, and the last ones are about the files.
    resumed = [batch.tobytes() for batch in again.batches[1 : -math.ceil(whole[0].success.sum() / 4)]]
    # What was under way at the checkpoint comes first; what was asked beside it, and answered, is not asked again.
    under_way, rest = resumed[:2], resumed[2:]
    assert rest == expected[-len(rest) :]
    places = [expected.index(batch) for batch in under_way]
    assert max(places[0], len(expected) - len(rest) - 4) <= places[1] < len(expected) - len(rest)


def test_no_batch_of_a_resumed_run_is_larger_than_was_promised(tmp_path):
    """Neither is that of the question whether the oracle is the same, though more images wait than it holds."""
    cut_short(tmp_path, 60)
    again = Recorder(CLASSIFIER)
    attack(again, tmp_path)
    assert max(map(len, again.batches)) == 4


def test_the_oracle_is_prepared_before_it_is_asked_whether_it_is_the_same(tmp_path, whole):
    class Careful(Oracle):
        def __init__(self, ask):
            self._ask = ask
            self._most = 0

        def prepare(self, shape, batch_size):
            self._most = batch_size

        def scores(self, images):
            assert len(images) <= self._most
            return self._ask(images)

    with pytest.raises(dfa.OracleError, match="off"):
        attack(Careful(Until(60, CLASSIFIER, raising(OSError("off")))), tmp_path)
    assert_same(attack(Careful(CLASSIFIER), tmp_path), whole[0])


def test_a_run_may_be_cut_short_again_and_again(tmp_path, whole):
    for num_calls in (20, 10, 5, 40, 1, 0, 30):
        cut_short(tmp_path, num_calls)
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_copies_and_unreadable_images_keep_their_names_and_records(tmp_path):
    images = [*IMAGES[:6], IMAGES[2], *IMAGES[6:16], IMAGES[2], IMAGES[8]]

    def unreadable():
        raise OSError("truncated")

    def lazy():
        return LazyImages(images, {4: unreadable})

    expected = dfa.run(CLASSIFIER, lazy(), **SETTINGS)
    assert len({expected.records[index].id for index in (2, 6, 17)}) == 3
    for num_calls in (5, 25, 45):
        cut_short(tmp_path / str(num_calls), num_calls, images=lazy())
        assert_same(attack(CLASSIFIER, tmp_path / str(num_calls), lazy()), expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(2)},
        {
            "optimizer": dfa.Racos(samples=3, positives=2, values="extremes", region="per_coordinate"),
            "epsilon": np.arange(24) % 9 + 3,
        },
        {"optimizer": dfa.Racos(improvements=3.0)},
        {"give_up_after": 24},
        {"labels": CLASSIFIER.classes(IMAGES) * (np.arange(24) % 3 > 0), "ids": np.arange(24)[::-1]},
        {"epsilon": np.random.default_rng(0).integers(1, 12, SHAPE), "max_queries": 33, "batch_size": 7},
    ],
)
def test_whatever_the_settings_a_run_goes_on(tmp_path, settings):
    expected = dfa.run(CLASSIFIER, IMAGES, **{**SETTINGS, **settings})
    cut_short(tmp_path, 31, **settings)
    assert_same(attack(CLASSIFIER, tmp_path, **settings), expected)


def test_what_was_found_stays_found_though_the_oracle_has_second_thoughts(tmp_path, whole):
    # The first hits after the last checkpoint are done again, and the oracle is not the same for them.
    num_calls = 200
    cut_short(tmp_path, num_calls, interval=10**5)
    kept = read_run(tmp_path).rows
    found = [index for index, row in kept.items() if row["status"] == "success"]
    assert len(found) > 3

    def harder(images):
        scores = CLASSIFIER(images)
        top = scores.argmax(axis=1)
        scores[np.arange(len(images)), top] += 0.02
        return scores / scores.sum(axis=1, keepdims=True)

    result = attack(harder, tmp_path, interval=10**5)
    for index in found:
        assert timeless([result.records[index]]) == timeless([whole[0].records[index]])
        np.testing.assert_array_equal(result.images[index], whole[0].images[index])


def test_a_run_that_has_ended_is_read_back_after_a_few_questions(tmp_path, whole):
    attack(CLASSIFIER, tmp_path)
    oracle = Recorder(CLASSIFIER)
    result = attack(oracle, tmp_path)
    assert [len(batch) for batch in oracle.batches] == [4]
    assert_same(result, whole[0])
    with pytest.raises(dfa.StoreError, match=r"config\.epsilon was 8, and is 9"):
        attack(oracle, tmp_path, epsilon=9)
    assert not (tmp_path / "journal.sqlite-wal").exists()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM checkpoint").fetchone() == (0,)


def test_a_run_that_is_read_back_knows_its_oracle(tmp_path, whole):
    attack(CLASSIFIER, tmp_path / "run")
    report = attack(CLASSIFIER, tmp_path / "run").save(tmp_path / "copy")
    assert report.verified == whole[0].success.sum() > 0


def test_a_run_that_goes_on_shows_what_is_finished(tmp_path, whole):
    cut_short(tmp_path, 200)
    shown = []

    calls = []

    def looks(images):
        calls.append(1)
        # The first question is whether the oracle is the same.
        if len(calls) == 2:
            shown.append(dfa.Result.load(tmp_path))
            shown.append(dfa.verify(tmp_path, CLASSIFIER))
        return CLASSIFIER(images)

    attack(looks, tmp_path)
    result, verification = shown
    assert result.summary().unfinished > 0
    assert result.summary().verified > 0
    assert verification.holds
    assert "were not finished" in str(verification)


@pytest.mark.parametrize("nth", [1, 2, 3])
def test_a_run_cut_short_while_it_confirms_goes_on_in_the_same_batches(tmp_path, monkeypatch, whole, nth):
    """A batch is under way then, and is sent again as it was, before the claims are asked about."""
    confirming = []
    cover = Store.cover

    def die_while_confirming(self, checkpoint, *, under_way):
        cover(self, checkpoint, under_way=under_way)
        jury = checkpoint.document["jury"]
        if under_way and (len(jury["claims"]) >= SETTINGS["batch_size"] or jury["turns"] >= _MOST_TURNS):
            confirming.append(checkpoint.document)
            if len(confirming) == nth:
                raise dfa.StoreError("off")

    with monkeypatch.context() as patch:
        # A checkpoint whenever there may be one.
        patch.setattr(due_module, "_SECONDS", 0.0)
        patch.setattr(due_module, "_TIMES", 0.0)
        patch.setattr(Store, "cover", die_while_confirming)
        with pytest.raises(dfa.StoreError, match="off"):
            attack(CLASSIFIER, tmp_path)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, whole[0])
    expected = [batch.tobytes() for batch in whole[1].batches]
    # The first question is whether the oracle is the same, and the last ones are about the files.
    under_way, *rest = [batch.tobytes() for batch in again.batches[1 : -math.ceil(whole[0].success.sum() / 4)]]
    # What came between, and before the checkpoint, is not asked again.
    assert expected.index(under_way) < len(expected) - len(rest)
    assert rest == expected[-len(rest) :]


def test_whoever_follows_the_run_is_told_of_every_image_once(tmp_path):
    cut_short(tmp_path, 200)
    told = []
    result = attack(CLASSIFIER, tmp_path, progress=told.append)
    assert sorted(record.index for record in told) == list(range(24))
    assert sorted(told, key=lambda record: record.index) == result.records


def test_a_run_that_ends_early_again_gives_back_what_was_kept_before(tmp_path, whole):
    """Also what was settled after the last checkpoint, and is not yet searched again."""
    cut_short(tmp_path, len(whole[1].batches) - 40, interval=10**5)
    kept = {index: row for index, row in read_run(tmp_path).rows.items() if row["status"] != "unfinished"}
    assert len(kept) > 3
    told, searched_again = [], []

    def off(images):
        searched_again.extend(told)
        raise OSError("off")

    with pytest.raises(dfa.OracleError, match="off") as caught:
        attack(Until(200, CLASSIFIER, off), tmp_path, interval=10**5, progress=told.append)
    assert 0 < len(searched_again) < len(kept)
    result = caught.value.result
    assert len(result.records) == 24
    for index in kept:
        assert timeless([result.records[index]]) == timeless([whole[0].records[index]])
    assert result.images.held() == [index for index, row in kept.items() if row["status"] == "success"]
    # Each once, searched again or not.
    assert sorted(record.index for record in told) == sorted(kept)


def test_times_go_on_where_they_were(tmp_path, whole):
    num_calls = len(whole[1].batches) - 20
    with pytest.raises(dfa.OracleError, match="off"):
        attack(Until(num_calls, Slow(0.0015, CLASSIFIER), raising(OSError("off"))), tmp_path)
    profile = attack(CLASSIFIER, tmp_path).profile
    # The clean predictions, the confirmations, and what came after the last checkpoint are no part of it.
    least = 0.0015 * (profile.batches - 20 - INTERVAL)
    assert least > 0.2
    assert profile.oracle > least
    assert profile.wait > least / 2
    assert profile.wall >= profile.oracle
    assert profile.other >= 0
    # Calls that were under way at the checkpoint are sent again, and there were at most two.
    assert profile.batches <= sum(profile.calls_over_time.calls) <= profile.batches + 2
    assert dfa.Result.load(tmp_path).profile.calls_over_time == profile.calls_over_time


def test_a_run_that_would_pass_its_budget_contradicts_itself(tmp_path, monkeypatch):
    cut_short(tmp_path, 30)
    restore = Gate.restore_sent
    monkeypatch.setattr(Gate, "restore_sent", lambda gate, index, number: restore(gate, index, gate.max_queries - 1))
    with pytest.raises(dfa.StoreError, match=r"contradicts itself about what was sent: image .* start a new run"):
        attack(CLASSIFIER, tmp_path)
