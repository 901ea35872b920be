"""The files of the comparison of queries: what is written is read back, and nothing else is taken for it."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

import pytest

from comparison import files
from comparison.attacks import ATTACKS, Outcome
from comparison.cells import Cell, Key
from comparison.files import read_cells, write_cell
from comparison.settings import SETTINGS
from harness.results import read_results, write_whole

SETTING = "lenet1-eps64"
RESULTS = Path(__file__).parents[1] / "benchmarks" / "results"
ARGUMENTS = argparse.Namespace(images=3)


def cell(attack="dfa", seed=0, hits=(5, None, 7), *, budget=1_000, date="2026-11-26T01:02:03+00:00", setting=SETTING):
    parameters = {"images": len(hits), "rank": None, "budget": budget, "configuration": "a, b"}
    return Cell(Key(setting, attack, seed), parameters, date, Outcome(list(hits), 20, 2.1, 1 / 3, 4, 1))


def written(folder, *cells):
    for each in cells:
        write_cell(folder, ARGUMENTS, each)
    return read_cells(folder, SETTING)


def test_what_was_written_is_read_back(tmp_path):
    # Of different lengths, with failures at either end, and an attack of several seeds.
    cells = [
        cell("square-0.1-margin", 1, [None, 2, 10_000]),
        cell("dfa", 2, [1, None]),
        cell("dfa", 10, [None]),
        cell("dfa", 0, [3, 4, None]),
    ]
    assert written(tmp_path, *cells) == {each.key: each for each in cells}


def test_a_table_has_a_line_per_attack_and_seed_in_their_order(tmp_path):
    written(tmp_path, cell("square-0.1-margin", 0, [9]), cell("dfa", 10), cell("dfa", 2))
    assert (tmp_path / f"{SETTING}.csv").read_text().splitlines() == [
        "attack,seed,date,sent,wall,oracle,calls,unconfirmed,0,1,2",
        "dfa,2,2026-11-26T01:02:03+00:00,20,2.1,0.3333333333333333,4,1,5,,7",
        "dfa,10,2026-11-26T01:02:03+00:00,20,2.1,0.3333333333333333,4,1,5,,7",
        "square-0.1-margin,0,2026-11-26T01:02:03+00:00,20,2.1,0.3333333333333333,4,1,9",
    ]


def test_the_json_beside_a_table_says_what_the_cells_are_and_who_measured(tmp_path):
    written(tmp_path, cell(), cell("square-0.1-margin", 0, [10, 10, 10]))
    document = json.loads((tmp_path / f"{SETTING}.json").read_text())
    assert document["setting"] == SETTING
    assert document["results"][0] == {
        "attack": "dfa",
        "seed": 0,
        "date": "2026-11-26T01:02:03+00:00",
        "parameters": cell().parameters,
    }
    assert {row["attack"]: row["mean"] for row in document["summary"]} == {"square-0.1-margin": 10, "dfa": 1_012 / 3}
    assert document["arguments"] == {"images": 3}
    assert set(document["versions"]) >= {"dfa", "numpy", "python"}
    assert {"date", "build", "machine", "command"} <= set(document)


def test_a_cell_takes_the_place_of_the_one_it_repeats_and_of_no_other(tmp_path):
    others = [cell("dfa", 1, [8, 8, 8]), cell("nes", 0, [None, None, 2]), cell("dfa", 0, [3], setting="resnet20-eps8")]
    again = cell("dfa", 0, [1, 1, 1], budget=50, date="2026-11-27T00:00:00+00:00")
    held = written(tmp_path, cell(), *others, again)
    assert held == {each.key: each for each in (others[0], others[1], again)}
    assert read_cells(tmp_path, "resnet20-eps8") == {others[2].key: others[2]}


def test_a_setting_without_files_has_no_cells(tmp_path):
    assert read_cells(tmp_path / "none", SETTING) == {}


@pytest.mark.parametrize("is_new", [False, True])
def test_figures_are_never_taken_for_those_of_other_parameters(tmp_path, monkeypatch, is_new):
    held = written(tmp_path, cell(), cell("nes"))
    later = cell("square-0.1-margin" if is_new else "dfa", 0, [1, 1, 1], budget=50, date="2026-11-27T00:00:00+00:00")

    def ended(*arguments, **more):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(files, "write_results", ended)
        with pytest.raises(KeyboardInterrupt):
            write_cell(tmp_path, ARGUMENTS, later)
    # Between its two files: the table has the new cell, the JSON does not.
    del held[Key(SETTING, "nes", 0)]
    assert read_cells(tmp_path, SETTING) == {cell("nes").key: cell("nes")} | (held if is_new else {})
    assert written(tmp_path, later)[later.key] == later


def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    write_whole(path, "old\n")

    def full(self, text, **more):
        with self.open("w") as file:
            file.write(text[:1])
        raise OSError("no space left")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space left"):
        write_whole(path, "new\n")
    assert path.read_text() == "old\n"


HEAD = "attack,seed,date,sent,wall,oracle,calls,unconfirmed,0"


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ("", "its first line"),
        ("name,price\nbread,3\n", "its first line"),
        (HEAD.replace(",0", ",1") + "\n", "its first line"),
        (f"{HEAD}\ndfa,0,today,1,1.0,1.0,1,0,5,6\n", "a line of 10 fields under 9 names"),
        (f"{HEAD}\ndfa,0,today,1,1.0,1.0,1,0\n", "a line of 8 fields under 9 names"),
        (f"{HEAD}\ndfa,0,today,1,1.0,1.0,1,0,often\n", "invalid literal"),
        pytest.param("a" * 200_000, "field larger than", id="a long line"),
        (f"{HEAD}\ndfa,first,today,1,1.0,1.0,1,0,5\n", "invalid literal"),
    ],
)
def test_a_table_that_is_none_is_refused(tmp_path, table, reason):
    written(tmp_path, cell())
    (tmp_path / f"{SETTING}.csv").write_text(table)
    with pytest.raises(SystemExit, match=rf"lenet1-eps64\.csv is no table of cells: .*{reason}"):
        read_cells(tmp_path, SETTING)


def test_a_table_that_is_missing_is_told(tmp_path):
    written(tmp_path, cell())
    (tmp_path / f"{SETTING}.csv").unlink()
    with pytest.raises(SystemExit, match=r"lenet1-eps64\.csv is not there, .* that lenet1-eps64\.json names"):
        read_cells(tmp_path, SETTING)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"results"'])
def test_a_json_that_is_none_of_a_benchmark_is_refused(tmp_path, text):
    path = tmp_path / f"{SETTING}.json"
    path.write_text(text)
    with pytest.raises(SystemExit, match=r"lenet1-eps64\.json holds no results of a benchmark"):
        read_results(path, [])


@pytest.mark.parametrize("results", [5, [5], ["dfa"], [{}], [{"attack": "dfa", "seed": 0, "date": "today"}]])
def test_a_json_that_names_no_cells_is_refused(tmp_path, results):
    written(tmp_path, cell())
    (tmp_path / f"{SETTING}.json").write_text(json.dumps({"results": results}))
    with pytest.raises(SystemExit, match=r"lenet1-eps64\.json does not say what its cells are"):
        read_cells(tmp_path, SETTING)


def test_nothing_is_written_over_a_file_that_is_none(tmp_path):
    (tmp_path / f"{SETTING}.json").write_text("notes")
    with pytest.raises(SystemExit, match="holds no results"):
        write_cell(tmp_path, ARGUMENTS, replace(cell(), date="today"))
    assert (tmp_path / f"{SETTING}.json").read_text() == "notes"
    assert not (tmp_path / f"{SETTING}.csv").exists()


@pytest.mark.parametrize("name", ["queries", "queries-held-out", "queries-reporting"])
def test_the_figures_in_the_repository_are_all_read(name):
    tables = sorted((RESULTS / name).glob("*.csv"))
    assert {table.stem for table in tables} <= set(SETTINGS)
    assert tables
    for table in tables:
        cells = read_cells(RESULTS / name, table.stem)
        assert len(cells) == len(table.read_text().splitlines()) - 1
        assert len(cells) == len(read_results(table.with_suffix(".json"), []))
        for each in cells.values():
            assert len(each.outcome.queries) == each.parameters["images"]
            assert max(hit or 0 for hit in each.outcome.queries) <= each.parameters["budget"]


@pytest.mark.parametrize("name", ["queries", "queries-held-out", "queries-reporting"])
def test_the_rivals_in_the_repository_are_those_of_today(name):
    # A function under another name would have every cell of it measured again. dfa's default may change, and so may the
    # version of the toolbox.
    cells = [each for setting in SETTINGS for each in read_cells(RESULTS / name, setting).values()]
    rivals = [each for each in cells if not each.key.attack.startswith(("dfa", "art-", "hop-"))]
    assert rivals
    for each in rivals:
        setting = SETTINGS[each.key.setting]
        told = {"model": setting.model, "images_file": setting.images, "rank": setting.rank}
        told |= setting.promise.describe()
        told["configuration"] = ATTACKS[each.key.attack].configuration(setting)
        assert told.items() <= each.parameters.items()
