"""What a loss of power leaves: a run that goes on, though files are gone that had not reached the disk."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import dfa
from dfa.runs import backlog as backlog_module
from dfa.runs import door
from dfa.runs.journal import lock_folder, make_journal
from dfa.runs.saved_run import read_run
from dfa.runs.store import Store
from oracles import LinearClassifier, Recorder, Until, raising, random_images
from outcomes import timeless
from small_problem import CLASSIFIER, IMAGES
from stored_runs import SETTINGS, assert_same, attack, cut_short, run_whole


@pytest.fixture(scope="module")
def whole():
    return run_whole()


def test_a_young_journal_has_its_tables_without_its_log(tmp_path):
    with closing(make_journal(tmp_path)):
        (tmp_path / "left").mkdir()
        shutil.copy(tmp_path / "journal.sqlite", tmp_path / "left")
    with closing(sqlite3.connect(tmp_path / "left" / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM records").fetchone() == (0,)
        assert journal.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_what_says_that_a_run_began_lies_on_the_disk_before_the_first_query(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync

    def remember(descriptor):
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("nothing tells which file a descriptor is of")
    monkeypatch.setattr(os, "fsync", remember)
    oracle = Recorder(lambda images: pytest.fail(str(synced)) if "run" not in synced else CLASSIFIER(images))
    attack(oracle, tmp_path / "run")
    before = synced[: synced.index("run") + 1]
    # The folder, and later, under its temporary name, what says that all the rest is there.
    assert "run" in before
    assert any(name.startswith(".run.json.") for name in synced)
    assert any(name.startswith(".results.json.") for name in synced)


def test_no_image_leaves_the_journal_before_its_file_lies_on_the_disk(tmp_path, monkeypatch, whole):
    events = []
    sync, delete = door.sync_files, backlog_module.Backlog.put_down

    def sync_files(folder, files):
        files = list(files)
        events.extend(("synced", file) for file in files)
        sync(folder, files)

    def put_down(self):
        events.extend(("gone", f"images/{place:06d}.png") for place in self._on_disk)
        delete(self)

    monkeypatch.setattr(door, "sync_files", sync_files)
    monkeypatch.setattr(backlog_module.Backlog, "put_down", put_down)
    monkeypatch.setattr(backlog_module, "_TOGETHER", 5)
    attack(CLASSIFIER, tmp_path)
    gone = [place for place, (what, _) in enumerate(events) if what == "gone"]
    assert len(gone) == whole[0].success.sum()
    for place in gone:
        file = events[place][1]
        assert {("synced", file), ("synced", file.replace("images", "originals"))} <= set(events[:place])


def test_files_and_the_folders_that_name_them_are_synced(tmp_path, monkeypatch):
    door.write_file(tmp_path, "images/a", b"x")
    door.write_file(tmp_path, "originals/a", b"x")
    synced = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append(os.fstat(descriptor).st_ino))
    door.sync_files(tmp_path, ["images/a", "originals/a"])
    names = ("images/a", "images", "originals/a", "originals", ".")
    assert synced == [(tmp_path / name).stat().st_ino for name in names]


def test_many_files_are_waited_for_at_once(tmp_path, monkeypatch):
    names = [f"images/{number}" for number in range(40)]
    for name in names:
        door.write_file(tmp_path, name, b"x")
    calls = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("one"))
    monkeypatch.setattr(os, "sync", lambda: calls.append("all"))
    monkeypatch.setattr(door.sys, "platform", "linux")
    door.sync_files(tmp_path, names)
    assert calls == ["all"]
    monkeypatch.setattr(door.sys, "platform", "darwin")
    door.sync_files(tmp_path, names)
    assert calls == ["all"] + ["one"] * 42


def spoil(path, how):
    if how == "missing":
        path.unlink()
    elif how == "truncated":
        path.write_bytes(path.read_bytes()[:40])
    elif how == "empty":
        path.write_bytes(b"")
    else:
        path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.weekly_but(4)
@pytest.mark.parametrize("how", ["missing", "truncated", "empty", "zeros"])
@pytest.mark.parametrize("place", ["images", "originals"])
def test_an_image_that_is_lost_is_made_again(tmp_path, place, how):
    """Also where the last checkpoint had seen it; then it alone is searched again."""
    alone = {"optimizer": replace(dfa.Racos(), archive=False)}
    whole = dfa.run(CLASSIFIER, IMAGES, **{**SETTINGS, **alone})
    cut_short(tmp_path, 200, **alone)
    kept = [index for index, row in read_run(tmp_path).rows.items() if row["verified"]]
    lost = kept[:2]
    for index in lost:
        spoil(tmp_path / place / f"{index:06d}.png", how)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path, **alone)
    assert_same(result, whole)
    assert_same(dfa.Result.load(tmp_path), whole)
    assert dfa.verify(tmp_path, CLASSIFIER).holds
    # What was paid for the others stays paid.
    assert again.num_images < whole.profile.rows_sent * 0.9


def test_an_image_that_is_lost_before_the_first_checkpoint_is_made_again(tmp_path, whole):
    cut_short(tmp_path, 200, interval=10**5)
    index = next(index for index, row in read_run(tmp_path).rows.items() if row["verified"])
    (tmp_path / "images" / f"{index:06d}.png").unlink()
    assert_same(attack(CLASSIFIER, tmp_path, interval=10**5), whole[0])


def test_a_run_may_be_cut_short_again_while_a_lost_image_is_made_again(tmp_path):
    cut_short(tmp_path, 200)
    index = next(index for index, row in read_run(tmp_path).rows.items() if row["verified"])
    (tmp_path / "images" / f"{index:06d}.png").unlink()
    cut_short(tmp_path, 2)
    cut_short(tmp_path, 20)
    result = attack(CLASSIFIER, tmp_path)
    assert result.records[index].verified
    assert dfa.verify(tmp_path, CLASSIFIER).holds


def test_an_array_that_is_whole_and_another_is_made_again(tmp_path):
    """Blocks that had not reached the disk read as zeros, which no header tells."""
    shape = (5, 4, 2)
    classifier, images = LinearClassifier(shape), random_images(24, shape)
    alone = {"optimizer": replace(dfa.Racos(), archive=False), "epsilon": 20}
    cut_short_with = {"images": images, **alone}
    with pytest.raises(dfa.OracleError):
        attack(Until(40, classifier, raising(OSError("off"))), tmp_path, **cut_short_with)
    index = next(index for index, row in read_run(tmp_path).rows.items() if row["verified"])
    np.save(tmp_path / "images" / f"{index:06d}.npy", np.zeros(shape, dtype=np.uint8))
    attack(classifier, tmp_path, **cut_short_with)
    assert dfa.verify(tmp_path, classifier).holds


def die(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    "when",
    [
        "dfa.runs.store.lock_folder",
        "dfa.runs.store.clear_folder",
        "dfa.runs.store.make_journal",
        "dfa.runs.store.write_json",
    ],
)
def test_a_run_that_died_before_it_began_is_begun_anew(tmp_path, monkeypatch, whole, when, resume):
    with monkeypatch.context() as patch:
        patch.setattr(when, die)
        with pytest.raises(KeyboardInterrupt):
            attack(CLASSIFIER, tmp_path, resume=False)
    assert_same(attack(CLASSIFIER, tmp_path, resume=resume), whole[0])


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize("content", [None, b"", b"whole"])
def test_a_run_that_died_before_it_sent_anything_is_begun_anew(tmp_path, monkeypatch, whole, content, resume):
    with monkeypatch.context() as patch:
        patch.setattr(Store, "sending", die)
        with pytest.raises(KeyboardInterrupt):
            attack(CLASSIFIER, tmp_path, resume=False)
    (tmp_path / "results.json").unlink()
    (tmp_path / "records.csv").unlink()
    if content is None:
        for path in tmp_path.glob("journal.sqlite*"):
            path.unlink()
    elif not content:
        (tmp_path / "run.json").write_bytes(content)
    assert_same(attack(CLASSIFIER, tmp_path, resume=resume), whole[0])


def test_what_was_paid_for_is_never_begun_anew(tmp_path):
    cut_short(tmp_path, 1)
    (tmp_path / "results.json").unlink()
    (tmp_path / "records.csv").unlink()
    assert not read_run(tmp_path).rows
    with pytest.raises(dfa.StoreError, match="holds one that has not ended"):
        attack(CLASSIFIER, tmp_path, resume=False)
    (tmp_path / "journal.sqlite").write_bytes(b"garbage" * 1_000)
    with pytest.raises(dfa.StoreError, match="holds one that has not ended"):
        attack(CLASSIFIER, tmp_path, resume=False)
    (tmp_path / "run.json").write_text(json.dumps({"format": "of another program"}))
    with pytest.raises(dfa.StoreError, match="holds one that has not ended"):
        attack(CLASSIFIER, tmp_path, resume=False)


def test_a_lock_file_with_something_in_it_is_told_of(tmp_path):
    (tmp_path / "journal.lock").write_bytes(b"garbage" * 1_000)
    for resume in (False, True):
        with pytest.raises(dfa.StoreError, match=r"journal\.lock must be empty, and is not; remove it"):
            attack(CLASSIFIER, tmp_path, resume=resume)


def test_a_file_system_without_locks_is_not_another_process(tmp_path, monkeypatch):
    class Refuses(sqlite3.Connection):
        def execute(self, text, *more):
            if text == "BEGIN EXCLUSIVE":
                raise sqlite3.OperationalError("database is locked")
            return super().execute(text, *more)

    connect = sqlite3.connect
    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", lambda *words, **more: connect(*words, **more, factory=Refuses))
        with pytest.raises(dfa.StoreError, match="must lie on a file system that can lock files, and this one cannot"):
            lock_folder(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["journal.lock"]
    with closing(lock_folder(tmp_path)), pytest.raises(dfa.StoreError, match="another one is at it"):
        lock_folder(tmp_path)


def test_a_record_that_was_kept_and_is_whole_stays(tmp_path, whole):
    cut_short(tmp_path, 200)
    kept = {index for index, row in read_run(tmp_path).rows.items() if row["verified"]}
    result = attack(CLASSIFIER, tmp_path)
    assert kept
    assert timeless(result.records) == timeless(whole[0].records)
