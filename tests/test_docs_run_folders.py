"""The page on run folders tells of every file, key, table and column that a run leaves, and of no other."""

from __future__ import annotations

import csv
import json
import re
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import dfa

PAGE = (Path(__file__).parents[1] / "docs" / "reference" / "run-folders.md").read_text(encoding="utf-8")


def brightness(images: np.ndarray) -> np.ndarray:
    bright = images.mean(axis=(1, 2, 3)) / 255
    return np.stack([1 - bright, bright], axis=1)


def told(title: str, column: int = 0) -> list[str]:
    """Return what stands in code in a column of the table below a title."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0] if title else PAGE.split("\n## ")[0]
    rows = [line.split("|")[1 + column] for line in section.splitlines() if line.startswith("| ")]
    return [name for row in rows[1:] for name in re.findall(r"`([^`]+)`", row)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    images = np.full((3, 4, 4, 1), [[[[120]]], [[[121]]], [[[122]]]], dtype=np.uint8)
    epsilon = np.full((3, 4, 4, 1), 10)
    dfa.run(brightness, images, epsilon=epsilon, store=tmp_path / "run", class_names=["dark", "bright"], progress=False)
    return tmp_path / "run"


@pytest.mark.parametrize("name", ["run.json", "results.json"])
def test_every_key_of_a_document_is_told_of(folder: Path, name: str) -> None:
    assert set(told(name)) == set(json.loads((folder / name).read_text(encoding="utf-8")))


def test_every_table_of_the_journal_is_told_of(folder: Path) -> None:
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        tables = [name for (name,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        columns = [row[1] for table in told("journal.sqlite") for row in journal.execute(f"PRAGMA table_info({table})")]
    assert sorted(told("journal.sqlite")) == sorted(tables)
    assert told("journal.sqlite", 1) == columns


def test_every_column_of_the_table_is_told_of(folder: Path) -> None:
    with (folder / "records.csv").open(encoding="utf-8", newline="") as file:
        columns = next(csv.reader(file))
    fields = set(dfa.Record.__dataclass_fields__) - {"distances", "trace"}
    others = {name for name in columns if name not in fields and not name.endswith("_name")}
    assert {"label_name", *fields} <= set(columns)
    assert others == {"file", "png_verified", "png_problem", "png_agreeing", "png_answers"}
    assert others | {"distance_NAME", "label_name"} <= set(told("records.csv"))


def test_every_file_is_told_of(folder: Path) -> None:
    files = {re.sub(r"\d{6}", "000017", path.relative_to(folder).as_posix()) for path in folder.rglob("*.*")}
    assert set(told("")) == files


def test_the_space_reports_under_the_name_that_is_told(tmp_path: Path) -> None:
    images = np.full((1, 4, 4, 1), 127, dtype=np.uint8)
    images[0, 0, 0] = 100
    dfa.run(brightness, images, space=dfa.Pixels(1), progress=False).save(tmp_path / "saved")
    assert "distance_pixels" in (tmp_path / "saved" / "records.csv").read_text(encoding="utf-8").splitlines()[0]
