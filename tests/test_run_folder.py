"""The folder of a run: whose it is, what it must hold, and what a full or read-only disk costs."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

import dfa
from dfa.runs import door
from dfa.runs import journal as journal_module
from dfa.runs.journal import digest_of_row
from dfa.runs.store import Checkpoint
from oracles import Recorder
from small_problem import CLASSIFIER, IMAGES
from stored_runs import INTERVAL, SETTINGS, assert_same, attack, cut_short, run_whole


@pytest.fixture(scope="module")
def whole():
    return run_whole()


def test_two_runs_in_one_folder_at_once_are_refused(tmp_path, whole):
    refused = []

    def second(images):
        if not refused:
            with pytest.raises(dfa.StoreError, match="must belong to one process at a time") as caught:
                attack(CLASSIFIER, tmp_path)
            refused.append(caught)
            # Neither may another process, not even to replace it.
            code = (
                "import sys, dfa, numpy\n"
                "try:\n"
                "    dfa.run(lambda x: None, numpy.zeros((1, 2, 2, 1), 'uint8'), store=sys.argv[1], overwrite=True)\n"
                "except dfa.StoreError as error:\n"
                "    print(error)"
            )
            done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
            assert "must belong to one process at a time, and another one is at it" in done.stdout
        return CLASSIFIER(images)

    assert_same(attack(second, tmp_path), whole[0])
    assert refused


def alter_checkpoint(folder, change):
    """Let `change` alter the rows of a checkpoint, by name, in the journal."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        rows = change(dict(journal.execute("SELECT name, value FROM checkpoint")))
        journal.execute("DELETE FROM checkpoint")
        journal.executemany("INSERT INTO checkpoint VALUES (?, ?)", rows.items())


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("document", b'{"gate"', b'"gate"'),
        ("document", b'"rows_sent": 1', b'"rows_sent": 3'),
        ("digest", b"", b"x"),
        ("places", b"", b"x"),
    ],
)
def test_a_checkpoint_that_is_damaged_is_told_of_as_any_other(tmp_path, name, before, after):
    cut_short(tmp_path, 50)

    def damage(rows):
        assert before in rows[name]
        return {**rows, name: rows[name].replace(before, after, 1)}

    alter_checkpoint(tmp_path, damage)
    with pytest.raises(dfa.StoreError, match=r"journal of the run in .* cannot be read: .*damaged.*start a new run"):
        attack(CLASSIFIER, tmp_path)


@pytest.mark.parametrize("lost", ["digest", "document", "places"])
def test_a_checkpoint_that_lacks_a_part_is_told_of(tmp_path, lost):
    cut_short(tmp_path, 50)
    alter_checkpoint(tmp_path, lambda rows: {name: value for name, value in rows.items() if name != lost})
    with pytest.raises(dfa.StoreError, match=r"of the run in .* cannot be read: .*damaged.*start a new run"):
        attack(CLASSIFIER, tmp_path)


def test_a_checkpoint_that_means_nothing_is_told_of_as_any_other(tmp_path):
    cut_short(tmp_path, 50)
    alter_checkpoint(tmp_path, lambda rows: Checkpoint({}).rows())
    with pytest.raises(dfa.StoreError, match=r"checkpoint of the run in .* cannot be read: 'gate'; .*start a new run"):
        attack(CLASSIFIER, tmp_path)


def test_a_function_of_dfa_is_known_by_its_name_wherever_it_lies(tmp_path):
    cut_short(tmp_path, 30)
    optimizer = json.loads((tmp_path / "run.json").read_text())["config"]["optimizer"]
    assert optimizer["objective"]["targeted"] == "dfa.log_odds_degree"


def test_a_checkpoint_that_the_core_refuses_is_told_of_as_any_other(tmp_path):
    cut_short(tmp_path, 30)

    def of_another_version(rows):
        checkpoint = Checkpoint.of(rows)
        state = checkpoint.blobs["places"]
        other = state[:4] + (99).to_bytes(4, "little") + state[8:]
        return Checkpoint(checkpoint.document, {**checkpoint.blobs, "places": other}).rows()

    alter_checkpoint(tmp_path, of_another_version)
    message = "checkpoint of the run in .* cannot be read: saved state has version 99.*start a new run"
    with pytest.raises(dfa.StoreError, match=message):
        attack(CLASSIFIER, tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 5}, "must hold a run of version 6 of the layout, got version 5; use the dfa that began it"),
        ({"format": "mine"}, "is another file"),
    ],
)
def test_a_folder_of_another_version_is_told_of(tmp_path, change, message):
    cut_short(tmp_path, 30)
    shutil.copy(tmp_path / "results.json", tmp_path / "kept")
    (tmp_path / "results.json").unlink()
    document = json.loads((tmp_path / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps({**document, **change}))
    for act in (lambda: attack(CLASSIFIER, tmp_path), lambda: dfa.Result.load(tmp_path)):
        with pytest.raises(dfa.StoreError, match=message):
            act()


def test_a_damaged_journal_is_told_of(tmp_path):
    cut_short(tmp_path, 30)
    (tmp_path / "results.json").unlink()
    for path in tmp_path.glob("journal.sqlite*"):
        path.unlink()
    with pytest.raises(dfa.StoreError, match=r"its journal\.sqlite is missing"):
        dfa.Result.load(tmp_path)
    (tmp_path / "journal.sqlite").write_bytes(b"x" * 5000)
    with pytest.raises(dfa.StoreError, match="must be the journal of a run, and cannot be read"):
        dfa.Result.load(tmp_path)
    with pytest.raises(dfa.StoreError, match="journal"):
        attack(CLASSIFIER, tmp_path)


def test_a_journal_whose_damage_is_no_text_is_told_of(tmp_path):
    cut_short(tmp_path, 30)
    (tmp_path / "results.json").unlink()
    path = tmp_path / "journal.sqlite"
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    # SQLite quotes it in its message, which Python then cannot read.
    path.write_bytes(path.read_bytes().replace(b"CREATE TABLE about", b"CREATE TABLE\xcfabout"))
    for act in (lambda: attack(CLASSIFIER, tmp_path), lambda: dfa.Result.load(tmp_path)):
        with pytest.raises(dfa.StoreError, match="must be the journal of a run, and cannot be read"):
            act()


def replace_in_records(folder, before, after, *, is_signed=True):
    """Change the records of a journal, and unless by accident their digests."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        rows = journal.execute("SELECT * FROM records").fetchall()
        assert any(before in record for _, record, _ in rows)
        for place, record, digest in rows:
            changed = record.replace(before, after)
            digest = digest_of_row(place, changed.encode()) if is_signed else digest
            journal.execute("UPDATE records SET record = ?, digest = ? WHERE place = ?", (changed, digest, place))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"trace": ', '"tracf": '),
        ('"trace": [', '"trace": 3, "other": ['),
        ('"success"', '"succesr"'),
        ('"verified": true', '"verified": false'),
    ],
)
def test_a_damaged_record_is_told_of(tmp_path, before, after):
    cut_short(tmp_path, 150)
    (tmp_path / "results.json").unlink()
    replace_in_records(tmp_path, before, after)
    expected = (
        r"the record of image \d+ of the run in .* cannot be read: .*start a new|must be as it was (written|saved)"
    )
    for act in (lambda: attack(CLASSIFIER, tmp_path), lambda: dfa.Result.load(tmp_path)):
        with pytest.raises(dfa.StoreError, match=expected):
            act()


def test_a_record_that_is_another_is_told_of(tmp_path):
    """Though it is one: a byte that flipped may leave a number."""
    cut_short(tmp_path, 150)
    (tmp_path / "results.json").unlink()
    replace_in_records(tmp_path, '"queries": 1', '"queries": 2', is_signed=False)
    for act in (lambda: attack(CLASSIFIER, tmp_path), lambda: dfa.Result.load(tmp_path)):
        with pytest.raises(dfa.StoreError, match=r"record of image \d+ is damaged: its digest does not match"):
            act()


def test_a_record_that_is_no_json_is_told_of(tmp_path):
    cut_short(tmp_path, 150)
    (tmp_path / "results.json").unlink()
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal, journal:
        assert journal.execute("UPDATE records SET record = '{' || record").rowcount > 0
    for act in (lambda: dfa.Result.load(tmp_path), lambda: dfa.verify(tmp_path, CLASSIFIER)):
        with pytest.raises(dfa.StoreError, match="must be as it was written, and is not"):
            act()


def test_words_that_contradict_each_other_are_refused(tmp_path):
    with pytest.raises(dfa.InvalidInputError, match="either resumed or overwritten"):
        dfa.run(CLASSIFIER, IMAGES, store=tmp_path, resume=True, overwrite=True)
    with pytest.raises(dfa.InvalidInputError, match="needs the folder of the run"):
        dfa.run(CLASSIFIER, IMAGES, resume=True)
    with pytest.raises(dfa.InvalidInputError, match="at least four batches"):
        dfa.run(CLASSIFIER, IMAGES, store=dfa.Storage(tmp_path, interval=1023))


def test_a_run_that_was_cut_short_is_not_begun_anew_by_accident(tmp_path):
    cut_short(tmp_path, 30)
    with pytest.raises(dfa.StoreError, match=r"must not hold a saved result"):
        attack(CLASSIFIER, tmp_path, resume=False)
    (tmp_path / "results.json").unlink()
    with pytest.raises(dfa.StoreError, match=r"holds one that has not ended; resume it \(resume=True\)"):
        attack(CLASSIFIER, tmp_path, resume=False)
    dfa.run(CLASSIFIER, IMAGES[:2], store=tmp_path, overwrite=True, **SETTINGS)
    assert len(dfa.Result.load(tmp_path).records) == 2
    assert len(list((tmp_path / "images").iterdir())) <= 2


def test_a_result_saved_over_a_run_leaves_nothing_of_it(tmp_path, whole):
    cut_short(tmp_path, 30)
    whole[0].save(tmp_path, overwrite=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "images",
        "journal.lock",
        "originals",
        "records.csv",
        "results.json",
    ]
    assert_same(dfa.Result.load(tmp_path), whole[0])


def test_a_journal_that_cannot_grow_ends_the_run_and_loses_nothing(tmp_path, monkeypatch, whole):
    open_journal = journal_module.open_journal

    def small(folder):
        journal = open_journal(folder)
        journal.execute("PRAGMA max_page_count = 14")
        return journal

    oracle = Recorder(CLASSIFIER)
    with monkeypatch.context() as patch:
        patch.setattr(journal_module, "open_journal", small)
        with pytest.raises(
            dfa.StoreError, match=r"journal\.sqlite: database or disk is full; make room.*resume"
        ) as full:
            attack(oracle, tmp_path)
    assert full.value.result.success.any()
    assert str(full.value).count("make room") == 1
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, whole[0])
    assert result.profile.resent <= INTERVAL + 8


def test_an_image_that_cannot_be_written_ends_the_run_and_loses_nothing(tmp_path, monkeypatch, whole):
    fill = door._fill
    written = []

    def fill_up(path, descriptor, content, is_synced):
        if Path(path).parent.name == "images":
            written.append(path)
            if len(written) > 4:
                fill(path, descriptor, content[:10], is_synced)
                raise OSError(28, "No space left on device")
        return fill(path, descriptor, content, is_synced)

    with monkeypatch.context() as patch:
        patch.setattr(door, "_fill", fill_up)
        with pytest.raises(dfa.StoreError, match=r"cannot write .*No space left"):
            attack(CLASSIFIER, tmp_path)
    assert sorted((tmp_path / "images").glob(".*")) == []
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_a_read_only_folder_is_refused_before_any_query(tmp_path, monkeypatch):
    oracle = Recorder(CLASSIFIER)

    def refuse(*_):
        raise PermissionError(13, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(door, "_fill", refuse)
        with pytest.raises(dfa.StoreError, match=r"cannot write .*Read-only file system"):
            attack(oracle, tmp_path, resume=False)
    assert oracle.num_images == 0
