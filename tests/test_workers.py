"""Workers on this machine: one run, the same bits, whoever is asked and whoever is lost."""

from __future__ import annotations

import multiprocessing
import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

import dfa
import worker_models
from oracles import LinearClassifier, random_images
from outcomes import outcomes
from worker_models import Killer, rows_in

IMAGES = random_images(48, worker_models.SHAPE)
IMAGES[7] = IMAGES[3]
SETTINGS = {"epsilon": 6, "max_queries": 200, "batch_size": 16, "progress": False}
RUNS = {
    "default": {},
    "targeted": {"targets": dfa.rank(3), "epsilon": 12},
    "paper": {"optimizer": dfa.Racos.paper()},
    "paper, targeted": {"optimizer": dfa.Racos.paper(targeted=True), "targets": dfa.rank(2), "epsilon": 12},
}


def attack(oracle, workers=None, **settings):
    return dfa.run(oracle, IMAGES, workers=workers, **{**SETTINGS, **settings})


def seen(profile):
    return profile.rows_sent + profile.clean + profile.verification + profile.files + profile.resent


@pytest.fixture(scope="module")
def expected():
    found = {name: attack(worker_models.classify, **settings) for name, settings in RUNS.items()}
    assert all(result.success.sum() > 0 for result in found.values())
    return found


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize(
    ("number", "name"), [(1, "default"), (2, "default"), (3, "default"), (7, "default"), *((2, name) for name in RUNS)]
)
def test_what_is_found_is_the_same_for_any_number_of_workers(expected, tmp_path, number, name):
    log = tmp_path / "log"
    found = attack(dfa.factory(worker_models.make, str(log)), number, **RUNS[name])
    assert outcomes(found) == outcomes(expected[name])
    profile = found.profile
    for count in ("rows_sent", "clean", "verification", "resent"):
        assert getattr(profile, count) == getattr(expected[name].profile, count)
    assert rows_in(log) == seen(profile)
    shares = found.oracle.shares()
    assert len(shares) == number
    assert sum(share.rows for share in shares) == seen(profile)
    assert found.config["workers"]["number"] == number


def test_a_path_and_a_function_need_no_factory(expected):
    assert outcomes(attack(worker_models.classify, 2)) == outcomes(expected["default"])
    with pytest.raises(dfa.InvalidInputError, match=r"worker 0: .*nowhere"):
        attack(Path("nowhere.onnx"), 1)


def test_a_factory_makes_its_model_here_where_there_are_no_workers(expected, tmp_path):
    found = attack(dfa.factory(worker_models.make, str(tmp_path / "log"), seconds=0.0))
    assert outcomes(found) == outcomes(expected["default"])
    assert "workers" not in found.config


def test_each_worker_is_given_its_device():
    found = attack(dfa.factory(worker_models.make_on), ["one", "two"])
    assert found.config["workers"]["devices"] == ["one", "two"]
    assert [share.name for share in found.oracle.shares()] == ["worker 0 (one)", "worker 1 (two)"]
    with pytest.raises(dfa.InvalidInputError, match="given its own device, 'one', so make must take device="):
        attack(dfa.factory(worker_models.make), ["one"])


def test_workers_that_answer_otherwise_are_refused_or_recorded():
    oracle = dfa.factory(worker_models.make_on)
    with pytest.raises(dfa.InvalidInputError, match=r"worker 1 \(other\) answers otherwise than worker 0 \(one\)"):
        attack(oracle, ["one", "other"])
    found = attack(oracle, dfa.LocalWorkers(["one", "other"], mixed=True))
    assert found.config["workers"]["mixed"]
    assert found.success.any()


def test_a_randomised_model_is_no_reason_to_refuse_a_worker():
    assert attack(dfa.factory(worker_models.make_random), 2, confirmations=3).success.any()


@pytest.mark.parametrize(
    ("oracle", "workers", "message"),
    [
        (worker_models.classify, 0, "workers must be a number of 1..1024, a list of devices .*got 0"),
        (worker_models.classify, [], r"got \[\]"),
        (worker_models.classify, "cuda:0", "got 'cuda:0'"),
        (LinearClassifier(), 2, r"pass dfa.factory\(make_model, \.\.\.\).*got LinearClassifier"),
        (dfa.factory(lambda: None), 2, "pickle says.*no lambda"),
    ],
)
def test_what_cannot_be_is_refused_before_a_worker_is_started(oracle, workers, message):
    with pytest.raises(dfa.InvalidInputError, match=message):
        attack(oracle, workers)
    assert multiprocessing.active_children() == []


def test_what_a_factory_needs_is_a_function():
    with pytest.raises(dfa.InvalidInputError, match="a function that makes a model, got int"):
        dfa.factory(3)


@pytest.mark.parametrize(
    ("made", "kind", "message"),
    [
        (
            dfa.factory(worker_models.fails),
            dfa.OracleError,
            "worker [01] could not make its model: OSError: no weights",
        ),
        (dfa.factory(worker_models.ends), dfa.WorkerLost, "worker [01]: its process has ended, with status 3"),
        (dfa.factory(int), dfa.InvalidInputError, "worker [01]: as_oracle needs an Oracle.* got int"),
        (dfa.factory(worker_models.fails_later), dfa.OracleError, "failed on a batch of shape .*16 are too many"),
    ],
)
def test_errors_of_workers_come_back(made, kind, message):
    with pytest.raises(kind, match=message):
        attack(made, 2)
    assert multiprocessing.active_children() == []


def test_where_memory_cannot_be_shared_batches_go_through_the_pipe(expected, monkeypatch):
    from dfa.oracle.workers import local

    monkeypatch.setattr(local._Block, "made", lambda size: None)
    assert outcomes(attack(dfa.factory(worker_models.sees_memory), 2)) == outcomes(expected["default"])


def test_a_result_is_saved_and_its_files_are_asked_about_when_the_workers_are_gone(tmp_path):
    found = attack(dfa.factory(worker_models.make), 2)
    assert multiprocessing.active_children() == []
    report = found.save(tmp_path / "result")
    assert report.refuted == {} if isinstance(report.refuted, dict) else not report.refuted
    found.oracle.close()
    assert multiprocessing.active_children() == []


def test_nothing_is_left_in_memory_that_is_shared():
    before = set(Path("/dev/shm").glob("dfa-*")) if Path("/dev/shm").is_dir() else set()
    attack(dfa.factory(worker_models.make), 2)
    after = set(Path("/dev/shm").glob("dfa-*")) if Path("/dev/shm").is_dir() else set()
    assert after <= before


@pytest.mark.parametrize("seed", [0, *(pytest.param(each, marks=pytest.mark.weekly) for each in (1, 2))])
def test_workers_that_are_killed_cost_what_they_had_and_no_more(request, tmp_path, seed):
    number = -(-request.config.getoption("--killed") // 10)
    log, images = tmp_path / "log", random_images(60, worker_models.SHAPE, seed=seed)
    settings = {**SETTINGS, "max_queries": 600, "epsilon": 3}
    expected = dfa.run(worker_models.classify, images, **settings)
    killer, workers = Killer(log, number, seed), 2 + seed % 2
    killer.start()
    oracle = dfa.factory(worker_models.make, str(log), seconds=0.01)
    found = dfa.run(oracle, images, workers=workers, store=tmp_path / "run" if seed else None, **settings)
    killer.is_over = True
    killer.join()
    assert outcomes(found) == outcomes(expected)
    assert killer.killed > 1
    profile = found.profile
    for count in ("rows_sent", "clean", "verification"):
        assert getattr(profile, count) == getattr(expected.profile, count)
    # A worker has two batches: it may be killed before it writes down that it has them.
    unseen = seen(profile) - rows_in(log)
    assert 0 <= unseen <= 2 * killer.killed * SETTINGS["batch_size"]
    assert 0 < profile.resent <= 2 * killer.killed * SETTINGS["batch_size"]
    assert sum(share.lost for share in found.oracle.shares()) > 0


DRIVER = """
import sys
sys.path.insert(0, {tests!r})
import dfa, worker_models
from test_workers import IMAGES, SETTINGS
if __name__ == "__main__":
    oracle = dfa.factory(worker_models.make, {log!r}, seconds=0.01)
    storage = dfa.Storage({folder!r}, resume=True, interval=64)
    dfa.run(oracle, IMAGES, workers=int(sys.argv[1]), store=storage, **{{**SETTINGS, "epsilon": 4}})
"""


def test_a_driver_that_is_killed_leaves_no_worker_and_goes_on_with_any_number(request, tmp_path):
    number = -(-request.config.getoption("--killed") // 10)
    log, folder, script = tmp_path / "log", tmp_path / "run", tmp_path / "driver.py"
    script.write_text(DRIVER.format(tests=str(Path(__file__).parent), log=str(log), folder=str(folder)))
    expected = attack(worker_models.classify, epsilon=4)
    drawn = random.Random(5)
    for _ in range(number):
        driver = subprocess.Popen([sys.executable, script, str(drawn.choice([1, 2, 3]))])
        began = rows_in(log) if log.exists() else 0
        until = began + drawn.randrange(1, 400)
        while driver.poll() is None and (not log.exists() or rows_in(log) < until):
            time.sleep(0.01)
        try:
            workers = psutil.Process(driver.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            workers = []
        driver.kill()
        driver.wait()
        _, alive = psutil.wait_procs(workers, timeout=20)
        assert alive == []
    storage = dfa.Storage(folder, resume=True)
    found = attack(dfa.factory(worker_models.make, str(log)), 2, store=storage, epsilon=4)
    assert outcomes(found) == outcomes(expected)
    for count in ("rows_sent", "clean", "verification"):
        assert getattr(found.profile, count) == getattr(expected.profile, count)
    # Each driver may have written down what its workers were never given: 3 workers, 2 batches each, and clean ones.
    assert 0 <= seen(found.profile) - rows_in(log) <= number * 10 * SETTINGS["batch_size"]
    np.testing.assert_array_equal(found.success, expected.success)
