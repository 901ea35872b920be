"""Workers on Ray: the same bits as in one process, whichever actor is lost, and nothing left behind."""

from __future__ import annotations

import gc
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import dfa
import worker_models
from oracles import random_images
from outcomes import outcomes
from worker_models import Killer, rows_in

pytest.importorskip("ray", reason="ray is not installed")
# Ray forks where other packages have threads, and leaves files and processes to the collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:os.fork"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

IMAGES = random_images(48, worker_models.SHAPE)
SETTINGS = {"epsilon": 6, "max_queries": 200, "batch_size": 16, "progress": False}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """A cluster that is there already, as a user's is."""
    import ray

    from dfa.oracle.workers.ray import _own_token, _quiet

    with _own_token(), _quiet():
        ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, object_store_memory=100 * 2**20)
        yield
        ray.shutdown()
        gc.collect()


def seen(profile):
    return profile.rows_sent + profile.clean + profile.verification + profile.files + profile.resent


@pytest.mark.parametrize("number", [3, *(pytest.param(each, marks=pytest.mark.weekly) for each in (1, 7))])
def test_what_is_found_is_the_same_for_any_number_of_actors(cluster, tmp_path, number):
    log = tmp_path / "log"
    expected = dfa.run(worker_models.classify, IMAGES, **SETTINGS)
    oracle = dfa.factory(worker_models.make, str(log))
    found = dfa.run(oracle, IMAGES, workers=dfa.RayWorkers(number), **SETTINGS)
    assert outcomes(found) == outcomes(expected)
    assert rows_in(log) == seen(found.profile)
    assert found.profile.resent == 0
    assert found.config["workers"]["kind"] == "ray"


@pytest.mark.weekly
@pytest.mark.parametrize("name", ["targeted", "paper"])
def test_other_settings_are_the_same_too(cluster, name):
    settings = {"targeted": {"targets": dfa.rank(3), "epsilon": 12}, "paper": {"optimizer": dfa.Racos.paper()}}[name]
    expected = dfa.run(worker_models.classify, IMAGES, **{**SETTINGS, **settings})
    workers = dfa.RayWorkers(2, device="here", cpus=0.5)
    found = dfa.run(dfa.factory(worker_models.make_on), IMAGES, workers=workers, **{**SETTINGS, **settings})
    assert outcomes(found) == outcomes(expected)


@pytest.mark.weekly
def test_actors_that_are_killed_cost_what_they_had_and_no_more(cluster, request, tmp_path):
    number = -(-request.config.getoption("--killed") // 10)
    log, images = tmp_path / "log", random_images(60, worker_models.SHAPE)
    settings = {**SETTINGS, "max_queries": 400, "epsilon": 3}
    expected = dfa.run(worker_models.classify, images, **settings)
    killer = Killer(log, number, seed=0)
    killer.start()
    oracle = dfa.factory(worker_models.make, str(log), seconds=0.01)
    found = dfa.run(oracle, images, workers=dfa.RayWorkers(3), store=tmp_path / "run", **settings)
    killer.is_over = True
    killer.join()
    assert outcomes(found) == outcomes(expected)
    assert killer.killed > 1
    assert 0 <= seen(found.profile) - rows_in(log) <= 2 * killer.killed * SETTINGS["batch_size"]
    assert sum(share.lost for share in found.oracle.shares()) > 0


def test_a_cluster_without_room_is_told_of(cluster):
    workers = dfa.RayWorkers(1, gpus=3, patience=1.0)
    with pytest.raises(dfa.OracleError, match=r"no room for it within 1 seconds.*8 CPUs, 0 GPUs"):
        dfa.run(worker_models.classify, IMAGES, workers=workers, **SETTINGS)


def test_errors_of_actors_come_back(cluster):
    with pytest.raises(dfa.OracleError, match=r"worker [01] could not make its model: OSError: no weights"):
        dfa.run(dfa.factory(worker_models.fails), IMAGES, workers=dfa.RayWorkers(2), **SETTINGS)


@pytest.mark.parametrize("settings", [{"number": 0}, {"number": 2, "gpus": -1}, {"number": 1, "patience": "long"}])
def test_what_no_workers_are_is_refused(settings):
    with pytest.raises(dfa.InvalidInputError, match="must be"):
        dfa.RayWorkers(**settings)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import dfa, worker_models
from test_workers_ray import IMAGES, SETTINGS
if __name__ == "__main__":
    for _ in range(2):
        found = dfa.run(dfa.factory(worker_models.make), IMAGES, workers=dfa.RayWorkers(2), **SETTINGS)
    print(int(found.success.sum()))
    try:
        dfa.run(dfa.factory(worker_models.make), IMAGES, workers=dfa.RayWorkers(2, address="127.0.0.1:1"), **SETTINGS)
    except dfa.OracleError as error:
        print(str(error)[:75])
"""


@pytest.mark.weekly
def test_a_cluster_that_is_begun_for_a_run_leaves_nothing_behind(tmp_path):
    home, temporary = tmp_path / "home", Path(f"/tmp/ray-{os.getpid()}")
    home.mkdir()
    temporary.mkdir()
    try:
        script = tmp_path / "script.py"
        script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
        # The folder of its sockets must have a short name.
        environment = {**os.environ, "HOME": str(home), "TMPDIR": str(temporary)}
        ran = subprocess.run(
            [sys.executable, script], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        expected = dfa.run(worker_models.classify, IMAGES, **SETTINGS)
        assert ran.returncode == 0, ran.stderr
        first, second = ran.stdout.splitlines()
        assert first == str(int(expected.success.sum()))
        assert second == "the Ray cluster at '127.0.0.1:1' cannot be had: ConnectionRefusedError: [Er"
        assert ran.stderr == ""
        assert list(home.iterdir()) == []
        assert [path.name for path in temporary.iterdir() if path.name.startswith("dfa-ray")] == []
    finally:
        shutil.rmtree(temporary)


TOGETHER = """
import sys, threading
sys.path.insert(0, {tests!r})
import dfa, worker_models
from test_workers_ray import IMAGES, SETTINGS
def run(number):
    oracle = dfa.factory(worker_models.make, None, 0.005)
    found.append(dfa.run(oracle, IMAGES[:number], workers=dfa.RayWorkers(1), **SETTINGS))
if __name__ == "__main__":
    found = []
    threads = [threading.Thread(target=run, args=(number,)) for number in (2, 48)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    # Its worker stays, for whoever asks again.
    found[-1].save(sys.argv[1])
    run(2)
    print(*sorted(len(each.records) for each in found))
"""


@pytest.mark.weekly
def test_runs_at_the_same_time_share_a_cluster(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(TOGETHER.format(tests=str(Path(__file__).parent)))
    ran = subprocess.run(
        [sys.executable, script, tmp_path / "result"], capture_output=True, text=True, timeout=200, check=False
    )
    assert ran.stdout == "2 2 48\n", ran.stderr
