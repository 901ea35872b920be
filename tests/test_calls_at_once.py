"""An oracle that takes several calls at once is asked so, and what is found does not depend on it."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import dfa
from dfa.errors import WorkerLost
from oracles import LinearClassifier, random_images
from outcomes import outcomes
from several_calls import SeveralCalls

SHAPE = (6, 6, 3)
IMAGES = random_images(60, SHAPE)
IMAGES[7] = IMAGES[3]
CLASSIFIER = LinearClassifier(SHAPE)
SETTINGS = {"epsilon": 6, "max_queries": 300, "batch_size": 16, "progress": False}

RUNS = {
    "default": {},
    "targeted": {"targets": dfa.rank(3), "epsilon": 12},
    "paper": {"optimizer": dfa.Racos.paper()},
    "paper, targeted": {"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(2), "epsilon": 12},
    "a window at a time": {"optimizer": dfa.Racos.sequential()},
    "pixels": {"space": dfa.Pixels(3)},
    "given up": {"epsilon": 2, "give_up_after": 60},
    "repeated": {"confirmations": 3},
}


def attack(oracle, **settings):
    chosen = {**SETTINGS, **settings}
    if "space" in chosen:
        del chosen["epsilon"]
    return dfa.run(oracle, IMAGES, **chosen)


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize("name", RUNS)
def test_what_is_found_does_not_depend_on_how_many_calls_are_made_at_once(name):
    expected = attack(SeveralCalls(CLASSIFIER, 1, seconds=0.0), **RUNS[name])
    assert expected.success.sum() > 0
    for calls_at_once in (2, 3, 7):
        oracle = SeveralCalls(CLASSIFIER, calls_at_once, seed=calls_at_once)
        found = attack(oracle, **RUNS[name])
        assert outcomes(found) == outcomes(expected)
        assert 1 < oracle.most <= calls_at_once
        for count in ("rows_sent", "clean", "verification", "resent"):
            assert getattr(found.profile, count) == getattr(expected.profile, count)
        assert oracle.rows == found.profile.rows_sent + found.profile.clean + found.profile.verification


@pytest.mark.parametrize("settings", [{}, {"targets": 4}], ids=["rays", "walks"])
def test_by_labels_alone_nothing_depends_on_it_either(settings):
    settings = {**settings, "epsilon": 16, "max_queries": 400}
    expected = attack(dfa.label_only(SeveralCalls(CLASSIFIER, 1, seconds=0.0), num_classes=10), **settings)
    oracle = SeveralCalls(CLASSIFIER, 3)
    found = attack(dfa.label_only(oracle, num_classes=10), **settings)
    assert outcomes(found) == outcomes(expected)
    assert 1 < oracle.most <= 3


def test_what_is_ready_is_dealt_out_among_the_idle():
    sizes = []

    def classify(images):
        sizes.append(len(images))
        return CLASSIFIER(images)

    attack(SeveralCalls(classify, 4), optimizer=dfa.Racos(archive=False), batch_size=256)
    assert max(sizes[8:]) <= 256 // 2  # beside clean predictions, which fill batches


class Dying(SeveralCalls):
    """Loses the workers of some of its calls, after they were given their images."""

    def __init__(self, lost, **settings):
        super().__init__(CLASSIFIER, 3, **settings)
        self.calls = 0
        self.rows_lost = 0
        self._lost = lost

    def scores(self, images):
        with self._lock:
            self.calls += 1
            is_lost = self._lost(self.calls)
        answer = super().scores(images)
        if is_lost:
            with self._lock:
                self.rows_lost += len(images)
            raise WorkerLost("it fell over")
        return answer


@pytest.mark.parametrize("is_kept", [False, True])
def test_what_a_lost_worker_had_is_sent_again_and_counted(tmp_path, is_kept):
    expected = attack(SeveralCalls(CLASSIFIER, 1, seconds=0.0))
    oracle = Dying(lambda call: call % 5 == 1)
    found = attack(oracle, store=tmp_path / "run" if is_kept else None)
    assert outcomes(found) == outcomes(expected)
    assert oracle.rows_lost > 30
    profile = found.profile
    assert profile.rows_sent == expected.profile.rows_sent
    assert oracle.rows == profile.rows_sent + profile.clean + profile.verification + profile.files + profile.resent
    if not is_kept:  # else questions about files may be lost as well
        assert profile.resent == oracle.rows_lost


def test_three_workers_lost_over_one_batch_end_the_run_with_what_was_found(tmp_path):
    oracle = Dying(lambda call: call > 200)
    with pytest.raises(dfa.OracleError, match=r"3 workers were lost over one batch of .*it fell over") as caught:
        attack(oracle, store=tmp_path / "run")
    assert caught.value.result.success.any()
    found = attack(SeveralCalls(CLASSIFIER, 2), store=dfa.Storage(tmp_path / "run", resume=True))
    assert outcomes(found) == outcomes(attack(SeveralCalls(CLASSIFIER, 1, seconds=0.0)))


class Failing:
    """A classifier that is off at some of its calls.

    Attributes:
        calls: So far.
        rows_lost: Images of those at which it was off.
    """

    def __init__(self, is_off):
        self.calls = self.rows_lost = 0
        self._is_off = is_off
        self._lock = threading.Lock()

    def __call__(self, images):
        with self._lock:
            self.calls += 1
            is_off = self._is_off(self.calls)
            self.rows_lost += len(images) if is_off else 0
        if is_off:
            raise OSError("off")
        return CLASSIFIER(images)


@pytest.mark.weekly_but(5)
@pytest.mark.parametrize("ends_at", [3, 9, 20, 41, 60])
@pytest.mark.parametrize("name", ["default", "paper", "targeted"])
def test_a_run_that_is_cut_short_goes_on_with_another_number(tmp_path, name, ends_at):
    classify = Failing(lambda call: call > ends_at)
    expected = attack(SeveralCalls(CLASSIFIER, 1, seconds=0.0), **RUNS[name])
    # A checkpoint before every batch, with all the batches under way.
    storage = dfa.Storage(tmp_path / "run", resume=True, interval=176)
    with pytest.raises(dfa.OracleError):
        attack(SeveralCalls(classify, 5), store=storage, **RUNS[name])
    classify.calls = ends_at - 3
    with pytest.raises(dfa.OracleError):
        attack(SeveralCalls(classify, 1), store=storage, **RUNS[name])
    found = attack(SeveralCalls(CLASSIFIER, 4), store=storage, **RUNS[name])
    assert outcomes(found) == outcomes(expected)
    for count in ("rows_sent", "clean", "verification"):
        assert getattr(found.profile, count) == getattr(expected.profile, count)


@pytest.mark.parametrize("ends_at", [12, 30, 55])
def test_what_was_answered_beside_a_call_that_failed_is_not_asked_again(tmp_path, ends_at):
    classify = Failing(lambda call: call == ends_at)
    storage = dfa.Storage(tmp_path / "run", resume=True)
    first, second = SeveralCalls(classify, 5, seconds=5e-3), SeveralCalls(CLASSIFIER, 5)
    with pytest.raises(dfa.OracleError):
        attack(first, store=storage)
    profile = attack(second, store=storage).profile
    wanted = profile.rows_sent + profile.clean + profile.verification + profile.files
    # A few originals are asked about again, to see that it is the same oracle.
    assert first.rows + second.rows == wanted + classify.rows_lost + 8
    assert profile.resent == classify.rows_lost + 8


def test_the_core_tells_batches_in_any_order_in_which_rows_of_a_place_keep_theirs():
    core = dfa._core
    optimizer = dfa.Racos(samples=4, positives=1, archive=False, improvements=0.0)
    batch = core.Batch(optimizer.configure(4, (2, 2, 1)), (2, 2, 1), 7, 1)
    places = core.Places(batch, None, 4, 7, 100, None)
    base = np.full((2, 2, 1), 99, np.uint8)
    for place in range(4):
        slot = batch.add(base, place, np.uint8(5))
        places.admit(place, slot, place, 0, np.inf)
    buffer = np.empty((7, 2, 2, 1), np.uint8)
    sizes = [len(places.propose(buffer)[0]), len(places.propose(buffer, 3)[0]), len(places.propose(buffer, 5)[0])]
    assert sizes == [7, 3, 5]  # five candidates each: 5 + 2, 3, 5
    assert [places.may_be_told(at) for at in range(4)] == [True, False, True, False]
    with pytest.raises(RuntimeError, match="batch 1 of 3 under way may not be told yet"):
        places.tell(np.ones(3), 0.0, 0.0, 1)
    places.tell(np.ones(5), 0.0, 0.0, 2)
    places.tell(np.ones(7), 0.0, 0.0)
    assert places.may_be_told(0)
    places.tell(np.ones(3), 0.0, 0.0)
    assert [places.spent(place) for place in range(4)] == [5, 5, 5, 0]
    with pytest.raises(ValueError, match="most"):
        places.propose(buffer, 8)
