"""Run folders that somebody, or a disk, has changed: small ones, and what may become of them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from dfa.runs.journal import digest_of_row
from dfa.runs.store import Checkpoint

VALUES = [
    None,
    True,
    False,
    0,
    -1,
    1,
    7,
    255,
    256,
    10**9,
    2**63,
    10**30,
    0.5,
    -1.5,
    1e308,
    "",
    "x",
    "1",
    "../../outside/private",
    "images/000001.png",
    "x" * 5_000,
    [],
    [0],
    [1, 2, 3],
    [[[[0]]]],
    ["a", None],
    list(range(2_000)),
    {},
    {"a": 1},
    {"kind": "Pixels", "number": "a"},
    {"kind": "Tiled", "base": [1], "factor": 0},
    {"kind": "Frame", "width": 0},
    {"kind": "Patch", "size": "a"},
    {"kind": "TinyRectangles", "size": [1, 2, 3], "number": 2},
    {"kind": "Custom", "form": "arrays"},
    {"needed": 3, "of": 5},
]


class Folder:
    """A run folder that is changed and put back.

    Attributes:
        path: Where it lies.
    """

    def __init__(self, path):
        self.path = path
        self._kept = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}

    def put_back(self):
        for each in sorted(self.path.rglob("*"), reverse=True):
            if each.is_dir() and not each.is_symlink():
                if each.name not in ("images", "originals"):
                    each.rmdir()
            elif self._kept.get(each) is None or not is_plain(each):
                each.unlink()
        for file, content in self._kept.items():
            file.parent.mkdir(exist_ok=True)
            if not file.exists() or file.read_bytes() != content:
                file.write_bytes(content)


def places_in(value, where=()):
    """Yield the path to everything in a JSON value."""
    yield where
    if isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places_in(each, (*where, name))


def change_json(rng, document):
    """Return a JSON value of which one part is another, or gone, or doubled."""
    places = list(places_in(document))
    *where, name = rng.choice(places[1:]) if len(places) > 1 else ("", "")
    if len(places) == 1:
        return rng.choice(VALUES)
    document = json.loads(json.dumps(document))
    part = document
    for each in where:
        part = part[each]
    what = rng.randrange(8)
    if what == 0:
        del part[name]
    elif what == 1 and isinstance(part, list):
        part.append(part[name])
    elif what == 2:
        for _ in range(rng.choice([3, 40, 500])):
            part[name] = [part[name]]
    elif what == 3:
        *other, last = rng.choice(places[1:])
        with contextlib.suppress(LookupError, TypeError):
            found = document
            for each in (*other, last):
                found = found[each]
            part[name] = json.loads(json.dumps(found))
    elif what == 4 and isinstance(part[name], int | float):
        part[name] += rng.choice([-1, 1, 2**40, 0.25])
    else:
        part[name] = rng.choice(VALUES)
    return document


def change_bytes(rng, content):
    """Return bytes of which some are others, gone, or new."""
    content = bytearray(content)
    what = rng.randrange(5)
    place = rng.randrange(len(content)) if content else 0
    if what == 0:
        return bytes(content[:place])
    if what == 1:
        content[place:place] = rng.randbytes(rng.choice([1, 16, 5_000]))
    elif what == 2:
        content[place : place + rng.choice([1, 8, 600])] = bytes(rng.choice([1, 8, 600]))
    else:
        for _ in range(rng.choice([1, 1, 8])):
            place = rng.randrange(min(len(content), rng.choice([40, 200, 10**9]))) if content else 0
            content[place : place + 1] = rng.randbytes(1)
    return bytes(content)


def is_plain(path):
    """Tell whether a file may be read and written here: none of others, none that an earlier change made sparse."""
    return path.is_file() and not path.is_symlink() and path.stat().st_nlink == 1 and path.stat().st_size < 2**26


def opened(folder):
    """Return a journal for a change: it may be endless by an earlier one, and need not reach the disk."""
    journal = sqlite3.connect(folder / "journal.sqlite", timeout=0)
    steps = iter(range(100))
    journal.set_progress_handler(lambda: next(steps, None) is None, 10_000)
    journal.execute("PRAGMA synchronous = OFF")
    return journal


def change_document(rng, folder):
    name = rng.choice([each for each in ("run.json", "results.json") if is_plain(folder / each)] or ["run.json"])
    if not is_plain(folder / name):
        return
    text = (folder / name).read_bytes()
    if rng.random() < 0.15:
        (folder / name).write_bytes(change_bytes(rng, text))
    else:
        (folder / name).write_text(json.dumps(change_json(rng, json.loads(text))))


def change_rows(rng, folder):
    """Change what a journal's rows say, with digests that say that all is well, mostly."""
    if not is_plain(folder / "journal.sqlite"):
        return
    with closing(opened(folder)) as journal, journal:
        what = rng.randrange(6)
        if what < 2:
            rows = journal.execute("SELECT place, record, digest FROM records").fetchall()
            if rows:
                place, record, digest = rng.choice(rows)
                record = json.dumps(change_json(rng, json.loads(record)))
                if rng.random() < 0.9:
                    digest = digest_of_row(place, record.encode())
                journal.execute("UPDATE records SET record = ?, digest = ? WHERE place = ?", (record, digest, place))
        elif what == 2:
            rows = dict(journal.execute("SELECT name, value FROM checkpoint"))
            if rows:
                checkpoint = Checkpoint.of(rows)
                document, blobs = checkpoint.document, dict(checkpoint.blobs)
                if rng.random() < 0.7:
                    document = change_json(rng, document)
                else:
                    name = rng.choice(sorted(blobs))
                    blobs[name] = change_bytes(rng, blobs[name])
                journal.execute("DELETE FROM checkpoint")
                rows = Checkpoint(document, blobs).rows()
                journal.executemany("INSERT INTO checkpoint VALUES (?, ?)", rows.items())
        elif what == 3:
            rows = journal.execute("SELECT place, form, image, original FROM pictures").fetchall()
            if rows:
                place, form, image, original = rng.choice(rows)
                if rng.random() < 0.5:
                    form = json.dumps(change_json(rng, json.loads(form)))
                else:
                    image = change_bytes(rng, image)
                digest = digest_of_row(place, form.encode(), image, original)
                journal.execute(
                    "INSERT OR REPLACE INTO pictures VALUES (?, ?, ?, ?, ?)", (place, form, image, original, digest)
                )
        else:
            table, column = rng.choice(
                [
                    ("records", "place"),
                    ("records", "record"),
                    ("inputs", "place"),
                    ("inputs", "digest"),
                    ("sent", "images"),
                    ("sent", "purpose"),
                    ("about", "value"),
                    ("checkpoint", "value"),
                    ("checkpoint", "name"),
                    ("pictures", "image"),
                    ("pictures", "form"),
                ]
            )
            value = rng.choice([-1, 10**12, 2**62, 0.5, "x", b"x", "", 3, rng.randbytes(16)])
            with contextlib.suppress(sqlite3.Error):
                journal.execute(
                    f"UPDATE {table} SET {column} = ? WHERE rowid % 3 = 0"
                    if table in ("records", "inputs", "pictures")
                    else f"UPDATE {table} SET {column} = ?",
                    (value,),
                )


SCHEMAS = [
    "DROP TABLE records; CREATE VIEW records AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "
    "SELECT i AS place, '' AS record, x'' AS digest FROM n",
    "CREATE TRIGGER t BEFORE INSERT ON about BEGIN DELETE FROM records; END",
    "CREATE INDEX i ON records (record)",
    "DROP TABLE sent",
    "ALTER TABLE pictures ADD COLUMN more",
    "CREATE TABLE IF NOT EXISTS more (x)",
    "PRAGMA user_version = 7; PRAGMA application_id = 7",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET rootpage = 2",
    "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = 'CREATE TABLE about (a, b)' WHERE name = 'about'",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "DELETE FROM checkpoint",
    "DELETE FROM inputs",
    "DELETE FROM about",
]


def change_schema(rng, folder):
    if not is_plain(folder / "journal.sqlite"):
        return
    with closing(opened(folder)) as journal, contextlib.suppress(sqlite3.Error):
        journal.executescript(rng.choice(SCHEMAS))


def change_database(rng, folder):
    path = folder / rng.choice(["journal.sqlite", "journal.sqlite", "journal.sqlite-wal", "journal.lock"])
    if is_plain(path) or not path.exists():
        path.write_bytes(change_bytes(rng, path.read_bytes() if path.exists() else b""))


def change_picture(rng, folder):
    paths = sorted(path for path in folder.glob("*/*.*") if is_plain(path))
    if paths:
        path = rng.choice(paths)
        path.write_bytes(change_bytes(rng, path.read_bytes()))


def put_something_else(rng, folder):
    """Put a link, a FIFO, a folder or nothing in place of a file or a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.name != "journal.sqlite-shm")
    path = rng.choice(paths)
    outside = folder.parent / "outside"
    if path.is_dir():
        shutil.rmtree(path)
        what = rng.randrange(4)
        if what == 0:
            path.symlink_to(outside, target_is_directory=True)
        elif what == 1:
            path.write_bytes(b"")
        elif what == 2:
            os.mkfifo(path)
        return
    path.unlink()
    what = rng.randrange(7)
    if what == 0:
        path.symlink_to(outside / "000001.png")
    elif what == 1:
        path.symlink_to("/dev/zero")
    elif what == 2:
        os.mkfifo(path)
    elif what == 3:
        path.mkdir()
    elif what == 4:
        path.symlink_to(path.name)
    elif what == 5:
        path.hardlink_to(outside / "000001.png")


def make_sparse(rng, folder):
    """Let a file claim to be large."""
    path = rng.choice(sorted(path for path in folder.rglob("*") if is_plain(path)))
    os.truncate(path, rng.choice([2**27, 2**33, 2**40]))


def put_epsilon(rng, folder):
    (folder / "epsilon.npy").write_bytes(
        change_bytes(
            rng,
            b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (6,), }".ljust(127)
            + b"\n"
            + bytes(6),
        )
    )


CHANGES = {
    change_document: 30,
    change_rows: 25,
    change_schema: 8,
    change_database: 12,
    change_picture: 10,
    put_something_else: 12,
    make_sparse: 4,
    put_epsilon: 3,
}


def mutate(rng, folder: Path):
    """Change a run folder in one way or a few."""
    for _ in range(rng.choice([1, 1, 1, 2])):
        (change,) = rng.choices(list(CHANGES), list(CHANGES.values()))
        with contextlib.suppress(OSError, ValueError, sqlite3.Error):  # what the last change left may not take this one
            change(rng, folder)
