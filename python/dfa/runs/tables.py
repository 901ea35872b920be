"""Whether what a folder tells of its records, in other places than the records, is so: summary, counts and table."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Container, Iterator, Mapping
from typing import Any, Final

from dfa.errors import InvalidInputError
from dfa.results.class_names import class_name, name_columns
from dfa.results.record import read_record
from dfa.results.summary import name_of_prior, summarise
from dfa.runs import door
from dfa.runs.folder import RECORDS, plain, read_document
from dfa.runs.saved_run import SavedRun, fresh_answers, is_refuted

_MOST_TABLE: Final = 2**28
_FREE_TEXT: Final = ("source", "reason", "png_problem")
"""Columns that a spreadsheet might take for a formula, and that may be marked as text for it."""


def table_contradictions(run: SavedRun) -> Iterator[str]:
    """Yield, in words, what the folder of a run that has ended tells otherwise than its records do.

    A records.csv that is missing tells nothing.
    """
    rows = [run.rows[index] for index in sorted(run.rows)]
    document = read_document(run.folder)
    try:
        summary = plain(
            summarise(
                map(read_record, rows),
                max_queries=run.config.get("max_queries"),
                wall=run.profile.get("wall", 0.0),
                calls=run.profile.get("batches", 0),
                refuted=[row["index"] for row in rows if is_refuted(row)],
                fresh={row["index"]: answers for row in rows if (answers := fresh_answers(row)).number},
                prior=name_of_prior(run.config),
            )
        )
    except (InvalidInputError, TypeError, ValueError) as error:
        yield f"no summary can be made of the records: {error}"
    else:
        # Words about settings, which are made anew whenever a result is read.
        told = document.get("summary")
        if isinstance(told, dict) and isinstance(summary, dict):
            summary["setting"] = told.get("setting", "")
        yield from _differences("the summary", summary, told)
    yield from _differences("what saving saw", _saved(rows), document.get("saved"))
    yield from _table_differences(run, rows)


def _saved(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what saving says it saw, as the records have it."""
    seen = [row.get("png_verified") for row in rows if row.get("file")]
    attacked = sum(row["status"] in ("success", "failure") for row in rows)
    verified = sum(row["verified"] for row in rows if row.get("file") and row.get("png_verified") is True)
    return {
        "written": len(seen),
        "verified": sum(each is True for each in seen),
        "refuted": sum(each is False for each in seen),
        "unchecked": sum(each is None for each in seen),
        "TSR": None if None in seen or not attacked else verified / attacked,
    }


def _differences(where: str, expected: Any, found: Any) -> Iterator[str]:
    if not isinstance(found, Mapping):
        yield f"{where} must be there, and is not"
        return
    for name, value in expected.items():
        if not _is_same(value, found.get(name)):
            yield f"{where} has {name} as {found.get(name)!r}, and by the records it is {value!r}"


def _is_same(expected: Any, found: Any) -> bool:
    if isinstance(expected, Mapping):
        is_alike = isinstance(found, Mapping) and found.keys() == expected.keys()
        return is_alike and all(_is_same(value, found[name]) for name, value in expected.items())
    if isinstance(expected, list):
        is_alike = isinstance(found, list) and len(found) == len(expected)
        return is_alike and all(map(_is_same, expected, found))
    if isinstance(expected, float) and type(found) in (int, float):
        # Another release of NumPy may round otherwise.
        return math.isclose(expected, found, rel_tol=1e-9)
    return type(found) is type(expected) and bool(found == expected)


def _table_differences(run: SavedRun, rows: list[dict[str, Any]]) -> Iterator[str]:
    """Yield in what records.csv tells otherwise than the records, the first cell of each row."""
    try:
        text = door.read_file(run.folder, RECORDS, most=_MOST_TABLE).decode()
        reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
        cells = list(reader)
        columns = reader.fieldnames or []
    except FileNotFoundError:
        return
    except (OSError, ValueError, csv.Error) as error:
        yield f"{RECORDS} cannot be read: {error}"
        return
    missing = [name for name in ("index", "status", "verified", "class_before", "class_after") if name not in columns]
    if missing or len(set(columns)) < len(columns):
        yield f"{RECORDS} must have each column once, and lacks {', '.join(missing) or 'nothing else'}"
        return
    if len(cells) != len(rows):
        yield f"{RECORDS} must have a row for each of {len(rows)} records, and has {len(cells)}"
        return
    of_classes = name_columns(run.config)
    for record, given in zip(rows, cells, strict=True):
        row = record | {column: class_name(record[name], run.config) for column, name in of_classes.items()}
        wrong = [name or "cell" for name in given if not _is_told(name, row, given[name], of_classes)]
        if wrong:
            yield f"{RECORDS} has another {wrong[0]} of image {row['index']} than its record"


def _is_told(name: str | None, row: Mapping[str, Any], cell: object, of_classes: Container[str]) -> bool:
    """Tell whether a cell of the table is what the record has under the name of its column.

    Args:
        name: Of the column.
        row: The record, with the names of its classes.
        cell: Its text.
        of_classes: The columns of class names, which are free text as those of `_FREE_TEXT` are.
    """
    if name is None:
        return False
    value = row.get(name)
    if name not in row:
        value = (row.get("distances") or {}).get(name.removeprefix("distance_"))
    expected = "" if value is None else str(value)
    return cell == expected or ((name in _FREE_TEXT or name in of_classes) and cell == f"'{expected}")
