"""Adversarial images become files at once, or wait in the journal where files are too slow."""

from __future__ import annotations

import math
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dfa
from dfa.runs import backlog as backlog_module
from dfa.runs import documents, door
from dfa.runs.backlog import Backlog
from dfa.runs.journal import Picture, make_journal
from dfa.runs.saved_run import read_run
from oracles import LinearClassifier
from small_problem import CLASSIFIER, IMAGES, SHAPE
from stored_runs import assert_same, attack, cut_short, run_whole


@pytest.fixture(scope="module")
def whole():
    return run_whole()


@pytest.fixture
def killed(tmp_path, monkeypatch, whole):
    """A folder as a kill leaves it, whose images had no time to become files."""
    folder, left = tmp_path / "run", tmp_path / "left"
    num_calls = 0

    def oracle(images):
        nonlocal num_calls
        num_calls += 1
        if num_calls == len(whole[1].batches):
            # So that the other thread comes to wait, and writes nothing meanwhile.
            time.sleep(0.1)
            shutil.copytree(folder, left)
        return CLASSIFIER(images)

    with monkeypatch.context() as patch:
        patch.setattr(backlog_module, "_SHARE", -1.0)
        assert_same(attack(oracle, folder), whole[0])
    assert len(list((folder / "images").iterdir())) == whole[0].success.sum()
    return left


def num_pictures(folder):
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return journal.execute("SELECT COUNT(*) FROM pictures").fetchone()[0]


def test_a_finished_image_lies_in_the_folder_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "_SHARE", math.inf)
    seen = []

    def oracle(images):
        seen.append(len(list((tmp_path / "images").glob("*.png"))) if (tmp_path / "images").exists() else 0)
        return CLASSIFIER(images)

    result = attack(oracle, tmp_path)
    assert seen[-20] > 3
    assert len(list((tmp_path / "originals").glob("*.png"))) == result.success.sum()


def test_an_image_that_is_not_a_file_yet_is_read_from_the_journal(killed, whole):
    assert not (killed / "images").exists()
    read = dfa.Result.load(killed)
    found = np.flatnonzero(read.success)
    assert len(found) == num_pictures(killed) > 3
    for index in found:
        np.testing.assert_array_equal(read.images[index], whole[0].images[index])
        np.testing.assert_array_equal(read.originals[index], IMAGES[index])
    verification = dfa.verify(killed, CLASSIFIER)
    assert verification.holds
    assert verification.images == verification.checked["epsilon"] == len(found)
    assert f"{len(found)} images lie in the journal" in str(verification)
    # What lies there is asked about like a file.
    assert not dfa.verify(killed, LinearClassifier(SHAPE, seed=2)).holds


@pytest.mark.parametrize("share", [-1.0, math.inf])
def test_an_image_in_the_journal_becomes_a_file_when_the_run_goes_on(killed, monkeypatch, whole, share):
    monkeypatch.setattr(backlog_module, "_SHARE", share)
    names = {f"{index:06d}.png" for index in np.flatnonzero(dfa.Result.load(killed).success)}
    seen = []

    def looks(images):
        seen.append(
            {path.name for path in killed.glob("images/*.png")} & {path.name for path in killed.glob("or*/*.png")}
        )
        return CLASSIFIER(images)

    assert_same(attack(looks, killed), whole[0])
    # Written before anything else is sent, but for the question whether the oracle is the same; or at the end.
    assert (names <= seen[3]) == (share > 0)
    assert not seen[1] or share > 0
    assert {path.name for path in (killed / "images").iterdir()} == {
        f"{index:06d}.png" for index in whole[0].images.held()
    }
    assert num_pictures(killed) == 0
    assert dfa.verify(killed, CLASSIFIER).holds


def test_an_image_that_became_a_file_lies_in_the_journal_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(backlog_module, "_SHARE", -1.0)
    cut_short(tmp_path, 200)
    assert dfa.Result.load(tmp_path).success.sum() > 3
    assert num_pictures(tmp_path) == 0


def test_no_image_is_there_without_its_original(tmp_path, monkeypatch):
    fill = door._fill
    originals = []

    def fill_up(path, descriptor, content, is_synced):
        if Path(path).parent.name == "originals":
            originals.append(path)
            if len(originals) > 2:
                raise OSError(28, "No space left on device")
        return fill(path, descriptor, content, is_synced)

    monkeypatch.setattr(backlog_module, "_SHARE", math.inf)
    monkeypatch.setattr(door, "_fill", fill_up)
    with pytest.raises(dfa.StoreError, match=r"cannot write .*No space left"):
        attack(CLASSIFIER, tmp_path)
    names = [{path.name for path in (tmp_path / folder).glob("[0-9]*")} for folder in ("images", "originals")]
    assert names[0] == names[1] != set()


def test_a_run_that_is_read_while_it_goes_on_is_read_at_one_moment(killed, monkeypatch):
    """Between a record and its image, the image becomes a file and leaves the journal."""
    places = set(read_run(killed).pictures)
    check = documents.check_record

    def meanwhile(*words):
        with closing(sqlite3.connect(killed / "journal.sqlite")) as journal, journal:
            journal.execute("DELETE FROM pictures")
        return check(*words)

    (killed / "results.json").unlink(missing_ok=True)
    monkeypatch.setattr(documents, "check_record", meanwhile)
    assert set(read_run(killed).pictures) == places != set()
    assert num_pictures(killed) == 0


@pytest.fixture
def journal(tmp_path):
    with closing(make_journal(tmp_path)) as opened:
        yield opened


def transact(backlog, journal):
    with journal:
        backlog.put_down()
    backlog.put_down_is_over()


def files(folder):
    return sorted(path.stem for path in (folder / "images").glob("[0-9]*"))


def test_files_take_their_share_of_the_time_and_no_more(tmp_path, journal, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    write = backlog_module.write_image

    def write_slowly(*words, **more):
        clock.now += 0.5
        return write(*words, **more)

    monkeypatch.setattr(backlog_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(backlog_module, "write_image", write_slowly)
    backlog = Backlog(tmp_path, journal)
    clock.now += 100
    for place in range(5):
        backlog.add(place, Picture(IMAGES[place], IMAGES[place + 1]))
    # A fiftieth of 100 seconds, and then the file that passes it; each image is two of them.
    transact(backlog, journal)
    backlog.write_while_cheap()
    assert files(tmp_path) == ["000000", "000001", "000002"]
    assert not backlog.all_written()
    transact(backlog, journal)
    backlog.write_while_cheap()
    assert len(files(tmp_path)) == 3
    assert not backlog.all_written()
    clock.now += 100
    backlog.write_while_cheap()
    assert len(files(tmp_path)) == 5
    # They are in the journal until they are known to lie on the disk.
    transact(backlog, journal)
    assert num_pictures(tmp_path) == 5
    backlog.write_all()
    assert backlog.all_written()
    transact(backlog, journal)
    assert num_pictures(tmp_path) == 0


def test_an_image_that_waits_twice_is_no_matter(tmp_path, journal):
    """An interrupt right behind a transaction leaves it so."""
    backlog = Backlog(tmp_path, journal)
    backlog.add(3, Picture(IMAGES[3], IMAGES[4]))
    transact(backlog, journal)
    backlog.write_all()
    backlog.take_up([3])
    assert not backlog.all_written()
    transact(backlog, journal)
    assert backlog.get(3) is None
    backlog.write_all()
    assert backlog.all_written()
    assert files(tmp_path) == ["000003"]
