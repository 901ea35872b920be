"""Labels and targets from words: tables, arrays, ranks, classes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.data.arrays import load_array
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.search.class_names import ClassNames, class_id, ids_of
from dfa.search.goals import Rank, rank

_NAMED: Final = 5


def read_labels(
    word: str,
    names: Sequence[str],
    *,
    column: str = "label",
    class_names: ClassNames = None,
    notes: list[str] | None = None,
) -> NDArray[np.int64]:
    """Return one class id per image, from a table or an array.

    Args:
        word: A .csv file with a header, whose column `label` is looked up by the column `file` (or `index`), or
            taken in order where there is neither; or a .npy or .npz file (`labels`). A file stands there by its place
            in the folder, with more folders before that or not, or by its name alone where no other image has that
            name.
        names: The images, as `ImageSource` names them.
        column: The column to read.
        class_names: Names that may stand for ids, or None.
        notes: Where to add what is to be told of rows that are of no image.

    Returns:
        int64, (N,).

    Raises:
        InvalidInputError: A label is missing, stands twice, or is no class; or a file's name fits several images.
    """
    path = Path(word)
    if path.suffix in (".npy", ".npz"):
        return ids_of(load_array(path, f"{column}s"), class_names)
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text, skipinitialspace=True))
    if not rows or column not in rows[0]:
        seen = f"has the columns {', '.join(map(repr, rows[0]))}" if rows else "has no rows"
        semicolons = "; it has semicolons where commas are needed" if rows and ";" in "".join(map(str, rows[0])) else ""
        raise InvalidInputError(
            f"{word!r} must be a table with a header and a column {column!r}, and {seen:.200}{semicolons}; such as\n"
            f"file,{column}\ncat.jpg,281"
        )
    key = next((name for name in ("file", "index") if name in rows[0]), None)
    if key is None:
        if len(rows) != len(names):
            raise InvalidInputError(
                f"{word!r} must have one row for each of the {len(names)} images, or a column 'file', and has "
                f"{len(rows)} rows"
            )
        return np.array(
            [_class(row[column], word, place, class_names) for place, row in enumerate(rows)], dtype=np.int64
        )
    found: dict[str, int] = {}
    for place, row in enumerate(rows):
        if row[key] is None:
            raise InvalidInputError(
                f"{word!r} must have a column {key!r} in every row, and row {place + 1} is too short"
            )
        name = row[key].strip()
        if found.setdefault(name, label := _class(row[column], word, place, class_names)) != label:
            raise InvalidInputError(f"{word!r} gives {name} twice, as {found[name]} and as {label}")
    places = _in_order(found, names, word, column, is_by_file=key == "file")
    if notes is not None and (unused := [name for name in found if name not in set(places)]):
        shown = f"{', '.join(unused[:_NAMED])}{', ...' if len(unused) > _NAMED else ''}"
        notes.append(f"{word}: {counted(len(unused), 'row')} of no image ({shown})")
    return np.array([found[place] for place in places], dtype=np.int64)


def _in_order(found: Mapping[str, int], names: Sequence[str], word: str, column: str, *, is_by_file: bool) -> list[str]:
    """Return the row of each image: by its place in the folder, the end of a longer path, or its file's name alone."""
    if all(name in found for name in names):
        return list(names)
    if is_by_file:
        rows = _by_end(found, {len(PurePath(name).parts) for name in names}, word)
        if any(name not in rows for name in names):
            rows |= _by_end(found, {1}, word)
            names = _files_alone(names, word)
    else:
        rows = {name: name for name in found}
    missing = [name for name in names if name not in rows]
    if missing:
        raise InvalidInputError(
            f"{word!r} must give every image a {column}, and lacks {len(missing)}, the first {missing[0]!r}; it names "
            f"{', '.join(list(found)[:3])}"
        )
    return [rows[name] for name in names]


def _by_end(found: Mapping[str, int], lengths: Iterable[int], word: str) -> dict[str, str]:
    """Return the row that each path of so many parts stands for: a table may name files with the folders above."""
    rows: dict[str, str] = {}
    for length in lengths:
        for name, label in found.items():
            end = PurePath(*PurePath(name).parts[-length:]).as_posix()
            if found[rows.setdefault(end, name)] != label:
                raise InvalidInputError(f"{word!r} gives {end} twice, as {found[rows[end]]} and as {label}")
    return rows


def _files_alone(names: Sequence[str], word: str) -> list[str]:
    files = [PurePath(name).name for name in names]
    several = next((file for file, number in Counter(files).items() if number > 1), None)
    if several is not None:
        raise InvalidInputError(
            f"{word!r} must name files as they lie in the folder, such as {names[files.index(several)]}, since "
            f"several images are called {several}"
        )
    return files


def parse_target(
    word: str | None, names: Sequence[str], class_names: ClassNames = None, notes: list[str] | None = None
) -> Rank | int | NDArray[np.int64] | None:
    """Return the targets that a word names: `rank:11`, `class:7`, `class:cat`, or a table with a column `target`.

    Raises:
        InvalidInputError: It names none.
    """
    if word is None:
        return None
    kind, _, number = word.partition(":")
    if kind == "rank" and number.isdecimal():
        return rank(int(number))
    if kind == "class" and (class_names is not None or number.isdecimal()):
        return class_id(number, class_names)
    if Path(word).suffix in (".csv", ".npy", ".npz"):
        return read_labels(word, names, column="target", class_names=class_names, notes=notes)
    raise InvalidInputError(f"the target must be rank:J, class:ID or a .csv file with a column 'target', got {word!r}")


def read_class_names(word: str | None) -> list[str] | None:
    """Return the names of a text file, one a line in the order of the oracle's classes; None without a file.

    Raises:
        InvalidInputError: The file cannot be read, or has an empty line.
    """
    if word is None:
        return None
    with opened(word) as file:
        names = [each.strip() for each in file.read().decode("utf-8-sig").rstrip().splitlines()]
    if "" in names or not names:
        raise InvalidInputError(
            f"{word!r} must hold a class name in every line, and line {names.index('') + 1 if names else 1} is empty"
        )
    return names


def _class(text: str | None, word: str, place: int, class_names: ClassNames) -> int:
    try:
        return class_id(text or "", class_names)
    except InvalidInputError as error:
        raise InvalidInputError(
            f"{word!r} must hold class ids, and row {place + 1} holds {text!r:.60}: {_why_no_id(text) or error}"
        ) from None


def _why_no_id(text: str | None) -> str:
    """Return what is wrong with a number that is no id, or nothing of other words."""
    try:
        number = float(text or "")
    except ValueError:
        return ""
    if number != number or number in (float("inf"), -float("inf")):
        return ""
    if number < 0:
        return "ids are 0 or more"
    return f"ids are integers; write {int(number)}" if number == int(number) and "." in str(text) else ""
