"""What lies in a run folder, and is not what it seems: hard links, files that claim to be large, damaged ones."""

from __future__ import annotations

import csv
import json
import os
import shutil
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dfa
from dfa.results.parsing import load_json
from dfa.runs import door, journal
from dfa.runs.saved_run import read_run_json
from oracles import LinearClassifier, random_images
from small_problem import CLASSIFIER, IMAGES
from stored_runs import SETTINGS, attack


@pytest.fixture
def run(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def begun(unfinished, tmp_path):
    return Path(shutil.copytree(unfinished, tmp_path / "run"))


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", ["run.json", "journal.sqlite", "journal.sqlite-wal", "journal.lock"])
def test_a_hard_link_is_no_file_of_a_run(begun, tmp_path, name):
    """An archive may hold links to files that lie beside the folder it is unpacked to: the user's own runs."""
    (begun / "results.json").unlink()
    (begun / name).touch()
    os.link(begun / name, tmp_path / "mine")
    before = (tmp_path / "mine").read_bytes()
    acts = {"resume": lambda: attack(CLASSIFIER, begun)}
    if name != "journal.lock":
        acts |= {"load": lambda: dfa.Result.load(begun), "verify": lambda: dfa.verify(begun, CLASSIFIER)}
    for act in acts.values():
        with pytest.raises(dfa.StoreError, match=rf"{name} must be a file of its own, and is a hard link.*cp -r"):
            act()
    assert (tmp_path / "mine").read_bytes() == before


@pytest.mark.parametrize("place", ["images", "originals"])
def test_a_hard_link_is_no_image_of_a_run(run, tmp_path, place):
    index = dfa.Result.load(run).images.held()[0]
    os.link(run / place / f"{index:06d}.png", tmp_path / "private.png")
    loaded = dfa.Result.load(run)
    with pytest.raises(dfa.StoreError, match="is a hard link, one of 2 names"):
        _ = (loaded.images if place == "images" else loaded.originals)[index]
    assert [each.index for each in dfa.verify(run, CLASSIFIER).findings if "hard link" in each.problem] == [index]
    before = contents(run)
    with pytest.raises(dfa.StoreError, match="is a hard link"):
        dfa.run(CLASSIFIER, IMAGES, store=run, overwrite=True, **SETTINGS)
    assert contents(run).items() >= before.items()
    copied = shutil.copytree(run, tmp_path / "copy")
    assert dfa.verify(copied, CLASSIFIER).holds


def test_no_file_is_written_over_a_hard_link(tmp_path):
    (tmp_path / "mine").write_bytes(b"mine")
    (tmp_path / "run").mkdir()
    os.link(tmp_path / "mine", tmp_path / "run" / "records.csv")
    with pytest.raises(dfa.StoreError, match="is a hard link"):
        door.write_file(tmp_path / "run", "records.csv", b"other")


def test_what_is_exchanged_before_it_is_opened_is_seen_once_it_is_open(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"mine")
    os.link(tmp_path / "x", tmp_path / "y")
    monkeypatch.setattr(door, "_refuse_others", lambda *_: None)
    with pytest.raises(dfa.StoreError, match="is a hard link"):
        door.read_file(tmp_path, "x", most=9)


def test_no_more_is_reserved_than_a_file_holds(tmp_path):
    (tmp_path / "x").write_bytes(b"few")
    assert door.read_file(tmp_path, "x", most=2**62) == b"few"


@pytest.mark.skipif(not hasattr(os.stat_result, "st_blocks"), reason="no number of blocks is known here")
def test_a_file_that_claims_to_be_large_is_refused_by_its_size_on_the_disk(tmp_path):
    for size in (2**40, 2**27):
        with (tmp_path / "x").open("wb") as file:
            file.write(b"few")
            file.truncate(size)
        for act in (
            lambda: door.read_file(tmp_path, "x", most=2**62),
            lambda: door.require_regular(tmp_path, ["x"]),
        ):
            with pytest.raises(dfa.StoreError, match=r"x must hold what it claims, and is a sparse file"):
                act()
    (tmp_path / "x").write_bytes(os.urandom(2**20) * 65)
    assert len(door.read_file(tmp_path, "x", most=2**62)) == 65 * 2**20


def test_a_file_whose_name_is_no_number_of_ours_is_a_finding(run):
    shutil.copy(next((run / "images").iterdir()), run / "images" / "\N{SUPERSCRIPT TWO}.png")
    assert [each.index for each in dfa.verify(run, CLASSIFIER).findings] == [-1]


def test_a_folder_may_be_the_current_one(tmp_path, monkeypatch):
    for name in ("run", "saved"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "run")
    result = dfa.run(CLASSIFIER, IMAGES, store=".", **SETTINGS)
    assert dfa.verify(".", CLASSIFIER).holds
    monkeypatch.chdir(tmp_path / "saved")
    result.save(".")
    assert dfa.verify(".", CLASSIFIER).holds


def test_a_result_that_cannot_be_read_whole_is_not_saved_over_itself(run):
    result = dfa.Result.load(run)
    index = result.images.held()[2]
    (run / "images" / f"{index:06d}.png").unlink()
    before = contents(run)
    with pytest.raises(dfa.StoreError, match=f"{index:06d}.png is missing"):
        result.save(run, overwrite=True)
    assert contents(run) == before
    assert dfa.Result.load(run).records == result.records


LARGE = (64, 64, 3)


def test_an_epsilon_of_many_values_is_saved_with_a_loaded_result(tmp_path):
    images = random_images(6, LARGE)
    classifier = LinearClassifier(LARGE)
    epsilon = np.full(images.shape, 30)
    settings = {"max_queries": 100, "progress": False}
    dfa.run(classifier, images, store=tmp_path / "run", epsilon=epsilon, **settings)
    for folder in ("elsewhere", "run"):
        dfa.Result.load(tmp_path / "run").save(tmp_path / folder, overwrite=True)
        np.testing.assert_array_equal(np.load(tmp_path / folder / "epsilon.npy"), epsilon)
        assert dfa.verify(tmp_path / folder, classifier).holds
    np.save(tmp_path / "run" / "epsilon.npy", np.full(images.shape, 31, np.uint8))
    before = contents(tmp_path / "run")
    with pytest.raises(dfa.StoreError, match=r"is not the epsilon whose digest is on record; put it back"):
        dfa.Result.load(tmp_path / "run").save(tmp_path / "run", overwrite=True)
    assert contents(tmp_path / "run") == before


@pytest.mark.parametrize("dtype", ["S999999999", "O", "0"])
def test_an_epsilon_of_any_dtype_is_a_finding(run, dtype):
    np.save(run / "epsilon.npy", np.full(len(IMAGES), 8, np.uint8))
    for name in ("run.json", "results.json"):
        document = json.loads((run / name).read_text())
        document["config"]["epsilon"] = {"dtype": dtype, "shape": [len(IMAGES)], "sha256": "0"}
        (run / name).write_text(json.dumps(document))
    findings = dfa.verify(run, CLASSIFIER).findings
    assert any("is not the epsilon whose digest is on record" in each.problem for each in findings)


def test_no_result_is_saved_over_a_run_that_is_going_on(finished, tmp_path):
    other = dfa.Result.load(finished)
    refused = []

    def saves(images):
        if not refused:
            with pytest.raises(dfa.StoreError, match="one process at a time") as caught:
                other.save(tmp_path, overwrite=True)
            refused.append(caught)
        return CLASSIFIER(images)

    result = dfa.run(saves, IMAGES, store=tmp_path, **SETTINGS)
    assert refused
    assert dfa.Result.load(tmp_path).records == result.records
    assert dfa.verify(tmp_path, CLASSIFIER).holds
    other.save(tmp_path, overwrite=True)


def endless_journal(path, depth=8):
    """Write a database of a few pages whose list of tables is a tree of pages that lead to one another: 400**8 rows."""

    def inner(child, header):
        cells = [child.to_bytes(4, "big") + bytes([1])] * 400
        body = b"".join(cells)
        start = 4096 - len(body)
        pointers = b"".join((start + 5 * place).to_bytes(2, "big") for place in range(400))
        head = b"\5\0\0" + (400).to_bytes(2, "big") + start.to_bytes(2, "big") + b"\0" + child.to_bytes(4, "big")
        return (header + head + pointers).ljust(start, b"\0") + body

    text = [b"table", b"about", b"about", b"CREATE TABLE IF NOT EXISTS about (name TEXT)"]
    kinds = [13 + 2 * len(each) for each in text]
    row = bytes([6, *kinds[:3], 1, kinds[3]]) + b"".join(text[:3]) + bytes([depth + 1]) + text[3]
    row = bytes([len(row), 1]) + row
    leaf = b"\x0d\0\0\0\1" + (4096 - len(row)).to_bytes(2, "big") + b"\0" + (4096 - len(row)).to_bytes(2, "big")
    header = b"SQLite format 3\0" + (4096).to_bytes(2, "big") + bytes([1, 1, 0, 64, 32, 32])
    numbers = [1, depth + 1, 0, 0, 1, 4, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 3_040_001]
    header += b"".join(number.to_bytes(4, "big") for number in numbers)
    pages = [inner(2, header), *(inner(place + 2, b"") for place in range(1, depth))]
    path.write_bytes(b"".join(pages) + leaf.ljust(4096 - len(row), b"\0") + row)


@pytest.mark.parametrize("act", ["load", "resume"])
def test_a_journal_that_leads_in_circles_is_refused_by_the_clock(begun, monkeypatch, act):
    (begun / "results.json").unlink()
    for path in begun.glob("journal.sqlite*"):
        path.unlink()
    endless_journal(begun / "journal.sqlite")
    monkeypatch.setattr(journal, "_SECONDS", 0.3)
    started = time.monotonic()
    with pytest.raises(dfa.StoreError, match=r"looking at it takes more than 0\.3 seconds"):
        dfa.Result.load(begun) if act == "load" else attack(CLASSIFIER, begun)
    assert time.monotonic() - started < 5


def test_the_pages_of_a_large_journal_need_not_be_checked_in_time(begun, monkeypatch):
    """An honest one may be too large for that; its rows are held to their digests all the same."""
    (begun / "results.json").unlink()
    monkeypatch.setattr(journal, "_STEPS", 1)
    calls = []
    monkeypatch.setattr(journal, "_SECONDS", 0.0)
    monkeypatch.setattr(journal, "time", SimpleNamespace(monotonic=lambda: len(calls.append(0) or calls) > 300))
    with pytest.raises(dfa.StoreError, match="looking at it takes more than"):
        dfa.Result.load(begun)
    calls.clear()
    monkeypatch.setattr(journal, "_MOST_UNCHECKED", 1)
    assert dfa.Result.load(begun).images.held()


def hot_journal(run, rows=40):
    """Leave a run with a rollback journal that nobody rolled back, as a kill does."""
    with closing(sqlite3.connect(run / "journal.sqlite", isolation_level=None)) as opened:
        opened.executescript("PRAGMA journal_mode = DELETE; PRAGMA cache_size = 1; BEGIN EXCLUSIVE")
        opened.execute("UPDATE records SET record = record || ' '")
        opened.executemany("INSERT INTO answers VALUES (NULL, 'a', 'a', 1, 'a', 'a', ?)", [(bytes(5000),)] * rows)
        kept = {name: (run / name).read_bytes() for name in ("journal.sqlite", "journal.sqlite-journal")}
    for name, content in kept.items():
        (run / name).write_bytes(content)


def test_a_copy_is_made_of_a_journal_of_bounded_size(begun, monkeypatch):
    (begun / "results.json").unlink()
    records = dfa.Result.load(begun).records
    hot_journal(begun)
    assert dfa.Result.load(begun).records == records
    monkeypatch.setattr(journal, "_MOST_COPIED", (begun / "journal.sqlite").stat().st_size)
    with pytest.raises(dfa.StoreError, match="too large to be copied first"):
        dfa.Result.load(begun)


@pytest.mark.parametrize("act", ["load", "verify", "resume"])
def test_a_rollback_journal_puts_back_no_more_than_there_was(begun, act):
    (begun / "results.json").unlink()
    hot_journal(begun)
    with (begun / "journal.sqlite-journal").open("ab") as file:
        file.write(bytes(2**16) + bytes((begun / "journal.sqlite").stat().st_size))
    acts = {"load": dfa.Result.load, "verify": lambda run: dfa.verify(run, CLASSIFIER)}
    with pytest.raises(dfa.StoreError, match="is larger than the journal that it would put back"):
        acts.get(act, lambda run: attack(CLASSIFIER, run))(begun)


@pytest.mark.parametrize("each", ["[],", "{},", '"ab",'])
@pytest.mark.parametrize("name", ["results.json", "run.json"])
def test_json_that_would_take_far_more_memory_than_its_text_is_not_parsed(run, monkeypatch, each, name):
    text = (run / name).read_text().rstrip().removesuffix("}")
    (run / name).write_text(f'{text}, "x": [' + each * (2**23 // len(each)) + "0]}")

    def parse(*_, **__):
        raise AssertionError("it was parsed")

    with monkeypatch.context() as patch:
        patch.setattr("dfa.results.parsing.json.loads", parse)
        with pytest.raises(dfa.StoreError, match=r"it holds [\d,]+ lists, objects and strings in [\d,]+ bytes"):
            dfa.Result.load(run) if name == "results.json" else read_run_json(run)


def test_results_of_few_images_hold_few_bytes(run):
    path = run / "results.json"
    text = path.read_text().rstrip().removesuffix("}")
    path.write_text(f'{text}, "x": "{"a" * (2**26 + 2**23)}"}}')
    with pytest.raises(dfa.StoreError, match="bytes for the records that it has"):
        dfa.Result.load(run)
    path.write_text(f'{text}, "x": "{"a" * 2**25}"}}')
    assert dfa.Result.load(run).images.held()


def test_what_dfa_writes_takes_no_more_memory_than_it_may():
    """Long traces, many labels and names, an epsilon of small rows."""
    trace = [[place, 0.5] for place in range(20_000)]
    rows = [{"index": place, "id": place, "trace": trace, "reason": ""} for place in range(10)]
    epsilon = [[[8] for _ in range(64)] for _ in range(1024)]
    inputs = {"labels": list(range(10**5)), "names": [f"{place}.png" for place in range(10**5)]}
    document = {"records": rows, "config": {"epsilon": epsilon}, "inputs": inputs}
    assert load_json(json.dumps(document)) == document


def test_no_list_of_an_optimizer_is_endless():
    with pytest.raises(dfa.InvalidInputError, match="window_halvings must be at most 64 integers, got 1,000,000 of"):
        dfa.Racos(window_halvings=(1,) * 10**6)
    assert len(dfa.Racos(window_halvings=tuple(range(1, 65))).window_halvings) == 64


@pytest.mark.parametrize("place", ["images", "originals"])
@pytest.mark.parametrize("damage", ["missing", "half", "other"])
def test_a_run_that_has_ended_hands_out_no_damaged_image(run, place, damage):
    held = dfa.Result.load(run).images.held()
    path = run / place / f"{held[1]:06d}.png"
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "half":
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))
    else:
        shutil.copy(run / place / f"{held[0]:06d}.png", path)
    with pytest.raises(dfa.StoreError, match=rf"has ended, and image {held[1]} cannot be read back.*overwrite=True"):
        attack(CLASSIFIER, run)
    path.write_bytes(content)
    assert attack(CLASSIFIER, run).images.held() == held


def test_text_that_is_no_character_is_written_escaped(run, tmp_path):
    document = json.loads((run / "results.json").read_text())
    document["records"][0] |= {"source": "\ud800", "reason": "\udce9"}
    (run / "results.json").write_text(json.dumps(document))
    dfa.Result.load(run).save(tmp_path / "saved")
    assert "\\ud800" in (tmp_path / "saved" / "records.csv").read_text()
    assert dfa.Result.load(tmp_path / "saved").records[0].source == "\ud800"


def test_no_cell_of_a_table_is_a_formula(tmp_path):
    names = ["=cmd|'/C calc'!A0", "+1", "-2.5", "@x", "-x", "\t=1", "+1+cmd", "plain", "a=b"]
    result = dfa.run(CLASSIFIER, IMAGES[: len(names)], names=names, store=tmp_path, **SETTINGS)
    with (tmp_path / "records.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = ["'=cmd|'/C calc'!A0", "+1", "-2.5", "'@x", "'-x", "'\t=1", "'+1+cmd", "plain", "a=b"]
    assert [row["source"] for row in rows] == expected
    assert [record.source for record in dfa.Result.load(tmp_path).records] == names
    assert [record.source for record in result.records] == names


@pytest.mark.parametrize("act", ["resume", "overwrite", "save"])
def test_what_killed_processes_left_is_removed_by_whoever_owns_the_folder_next(begun, act):
    left = [".dfa-probe.4711", ".dfa-probe.a8f_x", "..dfa-probe.4711.4711.tmp"]
    left += [f".{name}.4711.tmp" for name in ("run.json", "results.json", "records.csv", "epsilon.npy")]
    mine = [".hidden", ".notes.txt.4711.tmp", "dfa-probe.1", ".run.json.bak"]
    for name in (*left, *mine):
        (begun / name).write_bytes(b"half")
    if act == "save":
        dfa.run(CLASSIFIER, IMAGES[:3], **SETTINGS).save(begun, overwrite=True)
    elif act == "overwrite":
        dfa.run(CLASSIFIER, IMAGES[:3], store=begun, overwrite=True, **SETTINGS)
    else:
        attack(CLASSIFIER, begun)
    names = {path.name for path in begun.iterdir()}
    assert not names & set(left)
    assert names >= set(mine)
