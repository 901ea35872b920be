"""Where cells are kept: in a folder, a table and a JSON for each setting.

`SETTING.csv` has a line per attack and seed: when the cell was finished, its figures, and per image the query that was
the first success, in the order of the images; an empty field is a failure. `SETTING.json` says what each of these cells
is: its parameters, and beside them the versions, machine and arguments of the process that wrote last.

Each file is written whole, the table first. A cell counts where both files have it with one date, so that a process
that ends between the two leaves one that is measured again, and never figures under another cell's parameters.
"""

from __future__ import annotations

import argparse
import csv
import io
from collections.abc import Iterator
from pathlib import Path

from comparison.attacks import Outcome
from comparison.cells import Cell, Key
from comparison.rows import rows_of
from harness.results import read_results, write_results, write_whole

_FIGURES = ("sent", "wall", "oracle", "calls", "unconfirmed")
_HEAD = ["attack", "seed", "date", *_FIGURES]


def read_cells(folder: Path, setting: str) -> dict[Key, Cell]:
    """Return the cells of a setting by key, none where there are no files of it.

    Raises:
        SystemExit: A file is none of those that `write_cell` writes, or the table is missing.
    """
    path = _json_of(folder, setting)
    if (entries := read_results(path, None)) is None:
        return {}
    try:
        cells = [(Key(setting, each["attack"], each["seed"]), each["parameters"], each["date"]) for each in entries]
    except (KeyError, TypeError) as error:
        raise SystemExit(f"{path} does not say what its cells are: {error!r}") from error
    outcomes = _read_table(_table_of(folder, setting))
    return {
        key: Cell(key, parameters, date, outcomes[key.attack, key.seed, date])
        for key, parameters, date in cells
        if (key.attack, key.seed, date) in outcomes
    }


def write_cell(folder: Path, arguments: argparse.Namespace, cell: Cell) -> None:
    """Add a cell to its setting's files, in place of the one it repeats."""
    # Read anew: another process may have added cells of its own meanwhile.
    cells = read_cells(folder, cell.key.setting) | {cell.key: cell}
    write_cells(folder, arguments, [cells[key] for key in sorted(cells)])


def write_cells(folder: Path, arguments: argparse.Namespace, cells: list[Cell]) -> None:
    """Write the files of a setting.

    Args:
        folder: Of the files.
        arguments: The benchmark's arguments.
        cells: All of one setting.
    """
    setting = cells[0].key.setting
    width = max(len(cell.outcome.queries) for cell in cells)
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow([*_HEAD, *range(width)])
    for cell in cells:
        figures = (getattr(cell.outcome, name) for name in _FIGURES)
        table.writerow([cell.key.attack, cell.key.seed, cell.date, *figures, *cell.outcome.queries])
    entries = [
        {"attack": cell.key.attack, "seed": cell.key.seed, "date": cell.date, "parameters": cell.parameters}
        for cell in cells
    ]
    summary = [row.as_dict() for row in rows_of(cells, setting)]
    write_whole(_table_of(folder, setting), text.getvalue())
    write_results(_json_of(folder, setting), arguments, entries, setting=setting, summary=summary)


def _table_of(folder: Path, setting: str) -> Path:
    return folder / f"{setting}.csv"


def _json_of(folder: Path, setting: str) -> Path:
    return folder / f"{setting}.json"


def _read_table(path: Path) -> dict[tuple[str, int, str], Outcome]:
    """Return the figures of a table by attack, seed and date."""
    if not path.is_file():
        raise SystemExit(f"{path} is not there, which holds the figures of the cells that {path.stem}.json names")
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            return dict(_outcomes(csv.reader(lines)))
    except (ValueError, csv.Error) as error:
        raise SystemExit(f"{path} is no table of cells: {error}") from error


def _outcomes(rows: Iterator[list[str]]) -> Iterator[tuple[tuple[str, int, str], Outcome]]:
    head = next(rows, [])
    if head != [*_HEAD, *(str(place) for place in range(len(head) - len(_HEAD)))]:
        raise ValueError("its first line is not that of one")
    for row in rows:
        if not len(_HEAD) < len(row) <= len(head):
            raise ValueError(f"a line of {len(row)} fields under {len(head)} names")
        attack, seed, date, sent, wall, oracle, calls, unconfirmed, *queries = row
        hits = [int(query) if query else None for query in queries]
        outcome = Outcome(hits, int(sent), float(wall), float(oracle), int(calls), int(unconfirmed))
        yield (attack, int(seed), date), outcome
