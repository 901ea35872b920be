"""Where cells are kept: one JSON."""

from __future__ import annotations

import argparse
from pathlib import Path

from comparison.attacks import Outcome
from comparison.cells import Cell, Key
from comparison.rows import rows_of
from comparison.settings import SETTINGS
from harness.results import read_results, write_results


def read_cells(path: Path) -> dict[Key, Cell]:
    """Return the cells of a JSON by key; none where there is no such file."""
    cells = [
        Cell(
            Key(entry["setting"], entry["attack"], entry["seed"]),
            entry["parameters"],
            entry["date"],
            Outcome(*(entry[name] for name in Outcome._fields)),
        )
        for entry in read_results(path, [])
    ]
    return {cell.key: cell for cell in cells}


def write_cell(path: Path, arguments: argparse.Namespace, cell: Cell) -> None:
    """Add a cell to the JSON, in place of the one it repeats."""
    # Read anew: another process may have added cells of its own meanwhile.
    cells = read_cells(path)
    cells[cell.key] = cell
    tables = {setting: rows_of(cells.values(), setting) for setting in SETTINGS}
    summary = {setting: [row.as_dict() for row in rows] for setting, rows in tables.items() if rows}
    entries = [
        {**each.key._asdict(), "parameters": each.parameters, "date": each.date, **each.outcome._asdict()}
        for each in cells.values()
    ]
    write_results(path, arguments, entries, summary=summary)
