"""Two thousand run folders that somebody, or a disk, has changed: each is read, or refused, in no time."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import pytest

import dfa
from dfa.runs import backlog as backlog_module
from mutations import Folder, mutate
from oracles import Recorder, Until, raising
from small_problem import CLASSIFIER, IMAGES

SECONDS = 5.0
SMALL = IMAGES[:6]
SETTINGS = {"epsilon": 8, "max_queries": 40, "batch_size": 4, "progress": False, "threads": 1}


def attack(oracle, folder, **more):
    return dfa.run(oracle, SMALL, store=dfa.Storage(folder, interval=16, **more), **SETTINGS)


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Where the runs lie: in memory where there is such a folder, since no disk is to be waited for."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path_factory.mktemp("mutations")
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def templates(base):
    """A run that has ended, one that was cut short, and one as a kill leaves it, its images in the journal."""
    outside = base / "outside"
    outside.mkdir()
    counted = Recorder(CLASSIFIER)
    attack(counted, base / "finished")
    shutil.copy(next((base / "finished" / "images").iterdir()), outside / "000001.png")
    (outside / "private").write_text("mine")
    num_calls = len(counted.batches) // 2
    with pytest.raises(dfa.OracleError):
        attack(Until(num_calls, CLASSIFIER, raising(OSError("off"))), base / "short")
    calls = 0

    def copies(images):
        nonlocal calls
        calls += 1
        if calls == num_calls:
            time.sleep(0.1)  # so that the other thread comes to wait, and writes nothing meanwhile
            shutil.copytree(base / "going", base / "killed")
        return CLASSIFIER(images)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backlog_module, "_SHARE", -1.0)
        attack(copies, base / "going")
    shutil.rmtree(base / "going")
    return [Folder(base / name) for name in ("finished", "short", "killed")]


def look(folder):
    result = dfa.Result.load(folder)
    for index in result.images.held():
        for images in (result.images, result.originals):
            with contextlib.suppress(dfa.StoreError):
                images[index]
    str(result.summary())


def verify(folder):
    str(dfa.verify(folder, CLASSIFIER))


def report(folder):
    from dfa.views.report import write_report

    write_report(folder, folder / "report.html", gallery=3)


def resume(folder):
    with warnings.catch_warnings():
        # An image that was changed is refuted, and that is told.
        warnings.simplefilter("ignore", dfa.RefutedFilesWarning)
        attack(CLASSIFIER, folder, resume=True)


def state_of(folder):
    return sorted((path.name, path.stat().st_mtime_ns, path.read_bytes()) for path in folder.iterdir())


def try_all(templates, seeds, acts, allowed):
    """Change folders, and let each act have a look; return what went wrong."""
    problems = []
    outcomes = dict.fromkeys(("read", "refused"), 0)
    for seed in seeds:
        folder = templates[seed % len(templates)]
        outside = folder.path.parent / "outside"
        before = state_of(outside)
        mutate(random.Random(seed), folder.path)
        for act in acts:
            started = time.monotonic()
            try:
                act(folder.path)
                outcomes["read"] += 1
            except allowed:
                outcomes["refused"] += 1
            except Exception:
                problems.append(f"seed {seed}, {act.__name__}:\n{traceback.format_exc()}")
            if time.monotonic() - started > SECONDS:
                problems.append(f"seed {seed}, {act.__name__}: {time.monotonic() - started:.1f} s")
        if state_of(outside) != before:
            problems.append(f"seed {seed}: something outside changed")
        folder.put_back()
    assert min(outcomes.values()) > 0, outcomes
    return problems


@pytest.mark.parametrize("part", [0, 1, *(pytest.param(each, marks=pytest.mark.weekly) for each in (2, 3))])
def test_a_folder_that_was_changed_is_read_or_refused(templates, part, mutated):
    seeds = range(part * mutated // 4, (part + 1) * mutated // 4)
    problems = try_all(templates, seeds, [look, verify, resume], dfa.StoreError)
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems[:3])


def test_a_report_on_a_folder_that_was_changed_is_written_or_refused(templates):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    problems = try_all(templates, range(30), [report], dfa.StoreError)
    assert not problems, f"{len(problems)} problems\n" + "\n".join(problems[:3])
