"""A run folder that somebody sent: nothing outside it is read, written or removed, whatever lies in it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
import zlib
from contextlib import closing
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.runs import door
from oracles import LinearClassifier, random_images
from small_problem import CLASSIFIER, IMAGES
from stored_runs import SETTINGS, attack


@pytest.fixture(params=["finished", "unfinished"])
def run(request, tmp_path):
    return Path(shutil.copytree(request.getfixturevalue(request.param), tmp_path / "run"))


@pytest.fixture
def outside(tmp_path):
    """Somebody's pictures, numbered like a run's."""
    folder = tmp_path / "outside"
    folder.mkdir()
    for index in range(len(IMAGES)):
        PIL.Image.fromarray(IMAGES[index]).save(folder / f"{index:06d}.png")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


ACTS = {
    "resume": lambda folder: attack(CLASSIFIER, folder),
    "overwrite": lambda folder: dfa.run(CLASSIFIER, IMAGES[:3], store=folder, overwrite=True, **SETTINGS),
    "save": lambda folder: dfa.run(CLASSIFIER, IMAGES[:3], **SETTINGS).save(folder, overwrite=True),
    "verify": lambda folder: dfa.verify(folder, CLASSIFIER),
    "load": lambda folder: list(dfa.Result.load(folder).images),
}


@pytest.mark.parametrize("act", ["resume", "overwrite", "save"])
@pytest.mark.parametrize("place", ["images", "originals"])
def test_a_linked_folder_of_images_is_neither_written_nor_cleared(unfinished, tmp_path, outside, place, act):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    shutil.rmtree(run / place)
    (run / place).symlink_to(outside, target_is_directory=True)
    before = contents(outside)
    with pytest.raises(dfa.StoreError, match=rf"{place} must be a folder, and is a symbolic link"):
        ACTS[act](run)
    assert contents(outside) == before


def test_a_linked_folder_of_images_is_not_read(run, outside):
    index = dfa.Result.load(run).images.held()[0]
    shutil.rmtree(run / "images")
    (run / "images").symlink_to(outside, target_is_directory=True)
    with pytest.raises(dfa.StoreError, match="is a symbolic link"):
        dfa.Result.load(run).images[index]
    try:
        findings = dfa.verify(run, CLASSIFIER).findings
    except dfa.StoreError:
        return
    assert any("is a symbolic link" in each.problem for each in findings)


@pytest.mark.parametrize(
    "name", ["images/{}", "originals/{}", "results.json", "run.json", "epsilon.npy", "records.csv"]
)
def test_a_linked_file_is_neither_written_nor_read(finished, tmp_path, name):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    index = dfa.Result.load(run).images.held()[0]
    name = name.format(f"{index:06d}.png")
    target = tmp_path / "private"
    if (run / name).exists():
        (run / name).rename(target)
    else:
        np.save(tmp_path / "private.npy", np.full((), 255, dtype=np.uint8))
        (tmp_path / "private.npy").rename(target)
    (run / name).symlink_to(target)
    before = target.read_bytes()
    with pytest.raises(dfa.StoreError, match="is a symbolic link"):
        door.read_file(run, name, most=10**9)
    for act in ("overwrite", "save"):
        with pytest.raises(dfa.StoreError, match="is a symbolic link"):
            ACTS[act](run)
        assert target.read_bytes() == before


@pytest.mark.parametrize("name", ["journal.sqlite", "journal.sqlite-wal", "journal.lock"])
def test_a_linked_database_is_not_opened(unfinished, tmp_path, name):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    (run / "results.json").unlink()
    target = tmp_path / "private"
    if (run / name).exists():
        (run / name).rename(target)
    target.touch()
    (run / name).symlink_to(target)
    before = target.read_bytes()
    acts = ["resume", "overwrite"] if name == "journal.lock" else ["resume", "overwrite", "verify", "load"]
    for act in acts:
        with pytest.raises(dfa.StoreError, match=rf"{name} must be a regular file, and is a symbolic link"):
            ACTS[act](run)
    assert target.read_bytes() == before


def test_a_link_under_the_name_of_a_temporary_file_is_not_written_through(tmp_path):
    target = tmp_path / "private"
    target.write_text("mine")
    folder = tmp_path / "run"
    (folder / "images").mkdir(parents=True)
    (folder / "images" / f".000003.png.{os.getpid()}.tmp").symlink_to(target)
    door.write_file(folder, "images/000003.png", b"content")
    assert target.read_text() == "mine"
    assert (folder / "images" / "000003.png").read_bytes() == b"content"


def test_a_link_in_place_of_a_platforms_open_folders_is_found_too(tmp_path, monkeypatch):
    monkeypatch.setattr(door, "_HAS_DIR_FD", False)
    monkeypatch.setattr(door, "_FLAGS", 0)
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "a").write_text("mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "images").symlink_to(tmp_path / "outside")
    (tmp_path / "run" / "b").symlink_to(tmp_path / "outside" / "a")
    for name in ("images/a", "b"):
        for act in (
            lambda name=name: door.read_file(tmp_path / "run", name, most=100),
            lambda name=name: door.write_file(tmp_path / "run", name, b""),
            lambda name=name: door.remove_files(tmp_path / "run", [name]),
        ):
            with pytest.raises(dfa.StoreError, match="is a symbolic link"):
                act()
    assert (tmp_path / "outside" / "a").read_text() == "mine"
    door.write_file(tmp_path / "run", "originals/a", b"x", is_synced=True)
    assert door.read_file(tmp_path / "run", "originals/a", most=1) == b"x"
    assert door.names_in(tmp_path / "run", "originals") == ["a"]


def test_the_run_folder_itself_may_be_a_link(finished, tmp_path):
    (tmp_path / "latest").symlink_to(finished)
    assert dfa.verify(tmp_path / "latest", CLASSIFIER).holds


def change_records(run, change):
    """Let `change` alter the records of a run."""
    document = json.loads((run / "results.json").read_text())
    document["records"] = [change(row) for row in document["records"]]
    (run / "results.json").write_text(json.dumps(document))


@pytest.mark.parametrize(
    "name",
    [
        "{outside}/000001.png",
        "../outside/000001.png",
        "images/../../outside/000001.png",
        "images/000099.png",
        "images/1",
    ],
)
def test_a_record_names_no_file_but_its_own(run, outside, tmp_path, name):
    index = dfa.Result.load(run).images.held()[0]
    (tmp_path / "originals").mkdir()
    shutil.copy(outside / "000001.png", tmp_path / "originals")
    file = name.format(outside=outside)
    change_records(run, lambda row: {**row, "file": file} if row["index"] == index else row)
    for act in ("load", "verify"):
        with pytest.raises(dfa.StoreError, match=rf"the file of image {index} must be images/{index:06d}\.png, got"):
            ACTS[act](run)


def test_a_report_shows_no_picture_from_elsewhere(run, outside, tmp_path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    from dfa.views.report import write_report

    index = dfa.Result.load(run).images.held()[0]
    change_records(run, lambda row: {**row, "file": f"../outside/{1:06d}.png"} if row["index"] == index else row)
    with pytest.raises(dfa.StoreError, match=f"the file of image {index} must be"):
        write_report(run, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: [*rows, rows[0]],
        lambda rows: [{**rows[0], "index": -1}, *rows[1:]],
        lambda rows: [{**rows[0], "index": 1}, *rows[1:]],
        lambda rows: [*rows[:-1], {**rows[-1], "index": 10**12}],
        lambda rows: rows[1:],
        lambda rows: rows[:-1],
    ],
    ids=["doubled", "negative", "twice", "beyond", "first", "last"],
)
def test_records_are_one_per_image(finished, tmp_path, change):
    run = Path(shutil.copytree(finished, tmp_path / "run"))
    document = json.loads((run / "results.json").read_text())
    document["records"] = change(document["records"])
    (run / "results.json").write_text(json.dumps(document))
    for act in ("load", "verify"):
        with pytest.raises(dfa.StoreError, match="must be as it was saved, and is not"):
            ACTS[act](run)


@pytest.mark.parametrize("act", ["overwrite", "save"])
def test_only_what_a_run_names_is_removed(run, act):
    """Numbered files are as little ours as any others: whoever keeps them there is told to move them."""
    held = dfa.Result.load(run).images.held()
    index = next(index for index in range(len(IMAGES)) if index not in held)
    mine = run / "images" / f"{index:06d}.png"
    mine.write_bytes(b"mine")
    with pytest.raises(dfa.StoreError, match=rf"and holds images/{index:06d}\.png; move it away"):
        ACTS[act](run)
    assert mine.read_bytes() == b"mine"
    assert dfa.Result.load(run).images.held() == held
    mine.rename(run / "mine.png")
    ACTS[act](run)
    assert (run / "mine.png").read_bytes() == b"mine"
    assert dfa.verify(run, CLASSIFIER).holds


def test_a_resumed_run_removes_no_file_that_it_did_not_write(unfinished, tmp_path):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    mine = run / "images" / "000900.png"
    mine.write_bytes(b"mine")
    half = run / "images" / ".000001.png.4711.tmp"
    half.write_bytes(b"half")
    attack(CLASSIFIER, run)
    assert mine.read_bytes() == b"mine"
    assert not half.exists()


def test_a_partial_result_leaves_nothing_when_its_run_goes_on(unfinished, tmp_path):
    """What was found and not confirmed was a file of the partial result, and is none of the run."""
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    document = json.loads((run / "results.json").read_text())
    row = next(row for row in document["records"] if row["status"] == "unfinished")
    row |= {"found": True, "file": f"images/{row['index']:06d}.png"}
    shutil.copy(next((run / "images").iterdir()), run / row["file"])
    (run / "results.json").write_text(json.dumps(document))
    before = {row["file"] for row in document["records"] if row["file"] and not row["verified"]}
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        kept = {json.loads(record)["file"] for (record,) in journal.execute("SELECT record FROM records")}
    assert before - kept
    seen = []

    def looks(images):
        seen.append({f"images/{path.name}" for path in (run / "images").iterdir()})
        return CLASSIFIER(images)

    attack(looks, run)
    # The first question is whether the oracle is the same.
    assert not seen[1] & (before - kept)
    assert dfa.verify(run, CLASSIFIER).holds


def test_a_save_that_was_cut_off_names_what_it_had_written(tmp_path, monkeypatch):
    result = dfa.run(CLASSIFIER, IMAGES, **SETTINGS)

    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("dfa.runs.saving.write_records", interrupt)
        with pytest.raises(KeyboardInterrupt):
            result.save(tmp_path)
    assert list((tmp_path / "images").iterdir())
    dfa.run(CLASSIFIER, IMAGES[:1], **SETTINGS).save(tmp_path, overwrite=True)
    assert len(list((tmp_path / "images").iterdir())) <= 1


def test_an_array_of_other_channels_is_named_by_its_form(tmp_path):
    shape = (5, 4, 2)
    classifier = LinearClassifier(shape)
    dfa.run(classifier, random_images(6, shape), progress=False, epsilon=20, max_queries=300, store=tmp_path)
    change_records(tmp_path, lambda row: {**row, "file": row["file"] and row["file"].replace("npy", "png")})
    with pytest.raises(dfa.StoreError, match=r"must be images/\d+\.npy, got"):
        dfa.Result.load(tmp_path)


def with_journal(run, *statements):
    """Return a run whose journal is what these statements make of it."""
    (run / "results.json").unlink(missing_ok=True)
    with closing(sqlite3.connect(run / "journal.sqlite", isolation_level=None)) as journal:
        for statement in statements:
            journal.executescript(statement)
    return run


ENDLESS = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT"


@pytest.mark.parametrize(
    "statements",
    [
        ["DROP TABLE records", f"CREATE VIEW records AS {ENDLESS} i AS place, '' AS record, x'00' AS digest FROM n"],
        ["DROP TABLE about", f"CREATE VIEW about AS {ENDLESS} i AS name, i AS value FROM n"],
        ["CREATE TRIGGER t AFTER INSERT ON sent BEGIN DELETE FROM records; END"],
        ["CREATE INDEX i ON records (record)"],
        ["CREATE TABLE other (x)"],
        ["DROP TABLE sent", "CREATE TABLE sent (purpose, images)"],
        ["DROP TABLE pictures"],
    ],
    ids=["view", "endless", "trigger", "index", "table", "column", "missing"],
)
def test_a_journal_of_other_tables_is_refused_before_any_query(unfinished, tmp_path, statements):
    run = with_journal(Path(shutil.copytree(unfinished, tmp_path / "run")), *statements)
    for act in ("load", "verify", "resume", "overwrite"):
        with pytest.raises(dfa.StoreError, match="its tables are not those of a journal of this version"):
            ACTS[act](run)


def test_a_journal_whose_pages_lead_to_one_another_is_refused(unfinished, tmp_path):
    """All tables share one tree of pages, which would be read again and again."""
    run = with_journal(
        Path(shutil.copytree(unfinished, tmp_path / "run")),
        "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = "
        "(SELECT rootpage FROM sqlite_master WHERE name = 'records') WHERE name = 'pictures'",
    )
    for act in ("load", "verify", "resume"):
        with pytest.raises(dfa.StoreError, match=r"it is damaged: .*2nd reference to page"):
            ACTS[act](run)


def test_a_journal_names_no_file_elsewhere_for_sqlite_to_remove(unfinished, tmp_path):
    """A rollback journal may name another one, which SQLite removes when it has rolled back: any file at all."""
    run = with_journal(Path(shutil.copytree(unfinished, tmp_path / "run")), "PRAGMA journal_mode = DELETE")
    victim = tmp_path / "private"
    victim.write_text("mine, and no journal")
    with closing(sqlite3.connect(run / "journal.sqlite", isolation_level=None)) as journal:
        journal.executescript("PRAGMA cache_size = 1; BEGIN EXCLUSIVE; CREATE TABLE filler (x)")
        for _ in range(200):
            journal.execute("INSERT INTO filler VALUES (zeroblob(3000))")
        for name in ("journal.sqlite", "journal.sqlite-journal"):
            shutil.copy(run / name, tmp_path / name)
    name = str(victim).encode()
    content = (tmp_path / "journal.sqlite-journal").read_bytes()
    content += bytes(-len(content) % 512) + (2**30 // 4096 + 1).to_bytes(4, "big") + name
    content += len(name).to_bytes(4, "big") + sum(name).to_bytes(4, "big") + bytes.fromhex("d9d505f920a163d7")
    shutil.copy(tmp_path / "journal.sqlite", run)
    (run / "journal.sqlite-journal").write_bytes(content)
    for act in ("load", "verify", "resume", "overwrite"):
        with pytest.raises(dfa.StoreError, match="names a file elsewhere, which no run does"):
            ACTS[act](run)
    assert victim.exists()
    # This is what it is about.
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        journal.execute("SELECT 1 FROM about").fetchall()
    assert not victim.exists()


@pytest.mark.parametrize("name", ["images/{}", "originals/{}", "results.json", "run.json", "journal.sqlite"])
def test_a_fifo_is_refused_and_not_waited_for(unfinished, tmp_path, name):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    index = dfa.Result.load(run).images.held()[0]
    name = name.format(f"{index:06d}.png")
    if name == "journal.sqlite":
        (run / "results.json").unlink()
    (run / name).unlink()
    os.mkfifo(run / name)
    act = {"run.json": ACTS["resume"]}.get(name, ACTS["load"])
    if name.startswith("originals"):
        act = lambda run: dfa.Result.load(run).originals[index]  # noqa: E731
    with pytest.raises(dfa.StoreError, match="must be a regular file, and is a FIFO"):
        act(run)
    if "/" in name:
        verification = dfa.verify(run, CLASSIFIER)
        assert [each.index for each in verification.findings if "is a FIFO" in each.problem] == [index]


def test_an_image_that_is_far_larger_than_the_runs_is_not_decoded(unfinished, tmp_path, monkeypatch):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    index = dfa.Result.load(run).images.held()[0]
    path = run / "images" / f"{index:06d}.png"
    content = path.read_bytes()
    header = b"IHDR" + (12_000).to_bytes(4, "big") * 2 + content[24:29]
    path.write_bytes(content[:12] + header + zlib.crc32(header).to_bytes(4, "big") + content[33:])

    def decode(*_, **__):
        raise AssertionError("pixels were decoded")

    monkeypatch.setattr(PIL.Image, "open", decode)
    with pytest.raises(dfa.StoreError, match=r"must have the run's shape \(6, 6, 3\), and has \(12000, 12000, 3\)"):
        dfa.Result.load(run).images[index]


def test_an_array_whose_header_promises_terabytes_is_refused(tmp_path):
    shape = (5, 4, 2)
    classifier = LinearClassifier(shape)
    result = dfa.run(classifier, random_images(6, shape), progress=False, epsilon=20, max_queries=300)
    result.save(tmp_path)
    index = result.images.held()[0]
    path = tmp_path / "images" / f"{index:06d}.npy"
    for claimed, problem in (
        ((10**6, 10**6, 3), "must have the run's shape"),
        (shape, r"takes 40 bytes, and there are 0"),
    ):
        with path.open("wb") as file:
            np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": claimed})
        with pytest.raises(dfa.StoreError, match=problem):
            dfa.Result.load(tmp_path).images[index]
    np.save(path, np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(dfa.StoreError, match="must hold integers or floats, and holds object"):
        dfa.Result.load(tmp_path).images[index]


@pytest.mark.parametrize("number", [10**9, 2**70, -1, 0.5, True, "24", None])
def test_a_number_of_images_that_no_folder_holds_is_refused_at_once(unfinished, tmp_path, number):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    (run / "results.json").unlink()
    document = json.loads((run / "run.json").read_text())
    document["config"]["num_images"] = number
    (run / "run.json").write_text(json.dumps(document))
    expected = "at most 1,048,576 images to be read before it has ended" if number == 10**9 else r"num_images"
    for act in ("load", "verify"):
        with pytest.raises(dfa.StoreError, match=expected):
            ACTS[act](run)


@pytest.mark.parametrize("name", ["run.json", "results.json"])
@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("[" * 100_000, "nested too deeply"),
        ('{"a": ' * 500 + "1" + "}" * 500, "nested no deeper|another file"),
        ('{"format": NaN}', "NaN is no number of JSON"),
        ('{"a": ' + "9" * 10_000 + "}", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        ("null", "must be an object"),
    ],
    ids=["deep", "nested", "nan", "digits", "bytes", "null"],
)
def test_json_that_is_none_of_ours_is_refused(unfinished, tmp_path, name, content, problem):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    if name == "run.json":
        (run / "results.json").unlink()
    (run / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    for act in ("load", "verify"):
        with pytest.raises(dfa.StoreError, match=problem):
            ACTS[act](run)


def test_a_file_that_is_larger_than_any_of_its_kind_is_not_read(unfinished, tmp_path):
    run = Path(shutil.copytree(unfinished, tmp_path / "run"))
    (run / "results.json").unlink()
    with (run / "run.json").open("r+b") as file:
        file.truncate(2**26)
    size = len((run / "run.json").read_bytes())
    for most in (size, size - 1):
        with (
            contextlib.nullcontext()
            if most == size
            else pytest.raises(dfa.StoreError, match=r"must hold no more than 67,108,863 bytes, and holds 67,108,864")
        ):
            door.read_file(run, "run.json", most=most)
