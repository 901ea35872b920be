"""What each worker did: counted, kept, read back, and shown."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from types import SimpleNamespace

import pytest

import dfa
import worker_models
from dfa.engine import stopwatch as stopwatch_module
from dfa.engine.stopwatch import Stopwatch
from dfa.oracle.workers.slots import WorkerShare
from dfa.results.profile import Profile, read_profile
from dfa.views.report import write_report
from oracles import random_images
from sample_results import make_result

IMAGES = random_images(24, worker_models.SHAPE)
SHARES = [WorkerShare("worker 0 (cuda:0)", 1234, 100, 3.0, 1.0, 2), WorkerShare("worker 1", 0, 0, 0.0, 0.0, 0)]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with two workers and its folder."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    oracle = dfa.factory(worker_models.make, seconds=0.002)
    settings = {"epsilon": 6, "max_queries": 100, "batch_size": 16, "progress": False}
    return dfa.run(oracle, IMAGES, workers=2, store=folder, **settings), folder


def test_a_run_tells_what_each_worker_did(run):
    profile = run[0].profile
    assert [share.name for share in profile.workers] == ["worker 0", "worker 1"]
    # The files are asked about when the run is over.
    assert sum(share.rows for share in profile.workers) == profile.rows_sent + profile.clean + profile.verification
    for share in profile.workers:
        assert 0 < share.calls <= share.rows
        assert share.busy >= 0.002 * share.calls / 2
        assert share.lost == 0
    alone = dfa.run(worker_models.classify, IMAGES[:2], epsilon=6, max_queries=20, progress=False)
    assert alone.profile.workers == []


def test_it_is_kept_and_read_back(run):
    found, folder = run
    assert dfa.Result.load(folder).profile.workers == found.profile.workers
    assert "workers" not in found.profile.as_dict()


def test_what_is_read_back_is_held_to_its_type():
    document = json.loads(json.dumps({**Profile(wall=2.0).as_dict(), **Profile(wall=2.0, workers=SHARES).save()}))
    document = {name: 0.0 if value != value else value for name, value in document.items()}
    assert read_profile(document).workers == SHARES
    older = {name: value for name, value in document.items() if name != "workers"}
    assert read_profile(older).workers == []
    for name, value in (("rows", -1), ("rows", 0.5), ("busy", -0.5), ("name", 3), ("lost", True), ("idle", None)):
        damaged = {**document, "workers": [document["workers"][0], {**document["workers"][1], name: value}]}
        with pytest.raises(ValueError, match=rf"workers\.1\.{name} must be .*{value}"):
            read_profile(damaged)
    with pytest.raises(ValueError, match="workers must be a list"):
        read_profile({**document, "workers": {}})


def test_a_report_shows_it(tmp_path):
    pytest.importorskip("jinja2")
    pytest.importorskip("matplotlib")
    for name, workers in (("with", SHARES), ("without", [])):
        result = make_result()
        result.profile = dataclasses.replace(result.profile, workers=workers)
        result.save(tmp_path / name)
    html = write_report(tmp_path / "with").read_text(encoding="utf-8")
    rows = [re.findall("<t[hd]>(.*?)</t[hd]>", row) for row in re.findall("<tr>(.*?)</tr>", html)]
    assert ["worker", "images", "images per second", "images per call", "busy", "lost"] in rows
    assert ["worker 0 (cuda:0)", "1,234", "308", "12.3", "75.0 %", "2"] in rows
    assert ["worker 1", "0", "-", "-", "-", "0"] in rows
    assert "<h3>Workers</h3>" not in write_report(tmp_path / "without").read_text(encoding="utf-8")


def test_a_trace_has_a_line_for_each_worker(run, tmp_path):
    spans = run[0].profile.spans.entries
    assert {thread for _, thread, _, _ in spans} == {"dfa", "worker 0", "worker 1"}
    for worker in ("worker 0", "worker 1"):
        own = sorted((start, start + seconds) for _, thread, start, seconds in spans if thread == worker)
        assert len(own) == next(share.calls for share in run[0].profile.workers if share.name == worker)
        assert all(end <= start + 1e-9 for (_, end), (start, _) in itertools.pairwise(own))


def test_a_call_that_waits_behind_another_begins_after_it(monkeypatch):
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(stopwatch_module, "time", SimpleNamespace(perf_counter=lambda: clock.now))
    watch = Stopwatch()
    with watch.oracle_at_work("attack", lambda: "worker 0"):
        clock.now += 1
        with watch.oracle_at_work("clean", lambda: "worker 0"), watch.oracle_at_work("clean", lambda: "worker 1"):
            clock.now += 2
    assert watch.spans.entries == [
        ("clean", "worker 1", 1.0, 2.0),
        ("clean", "worker 0", 1.0, 2.0),
        ("attack", "worker 0", 3.0, 0.0),
    ]
