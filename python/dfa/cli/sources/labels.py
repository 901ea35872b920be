"""Labels and targets from words: tables, arrays, ranks, classes."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dfa.cli.sources.arrays import load_array
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.search.goals import Rank, rank


def read_labels(word: str, names: Sequence[str], *, column: str = "label") -> NDArray[np.int64]:
    """Return one class id per image, from a table or an array.

    Args:
        word: A .csv file with a header, whose column `label` is looked up by the column `file` (or `index`), or
            taken in order where there is neither; or a .npy or .npz file (`labels`).
        names: The images, as `ImageSource` names them.
        column: The column to read.

    Returns:
        int64, (N,).

    Raises:
        InvalidInputError: A label is missing, stands twice, or is no integer.
    """
    path = Path(word)
    if path.suffix in (".npy", ".npz"):
        return np.asarray(load_array(path, f"{column}s"))
    with opened(path) as file, io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as text:
        rows = list(csv.DictReader(text, skipinitialspace=True))
    if not rows or column not in rows[0]:
        raise InvalidInputError(
            f"{word!r} must be a table with a header and a column {column!r}, such as\nfile,{column}\ncat.jpg,281"
        )
    key = next((name for name in ("file", "index") if name in rows[0]), None)
    if key is None:
        if len(rows) != len(names):
            raise InvalidInputError(
                f"{word!r} must have one row for each of the {len(names)} images, or a column 'file', and has "
                f"{len(rows)} rows"
            )
        return np.array([_integer(row[column], word, place) for place, row in enumerate(rows)], dtype=np.int64)
    found: dict[str, int] = {}
    for place, row in enumerate(rows):
        # A table may be about a folder, and name its files with the folder.
        if row[key] is None:
            raise InvalidInputError(
                f"{word!r} must have a column {key!r} in every row, and row {place + 1} is too short"
            )
        name = Path(row[key]).name if key == "file" else row[key].strip()
        if found.setdefault(name, label := _integer(row[column], word, place)) != label:
            raise InvalidInputError(f"{word!r} gives {name} twice, as {found[name]} and as {label}")
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidInputError(f"{word!r} must label every image, and lacks {len(missing)}, the first {missing[0]!r}")
    return np.array([found[name] for name in names], dtype=np.int64)


def parse_target(word: str | None, names: Sequence[str]) -> Rank | int | NDArray[np.int64] | None:
    """Return the targets that a word names: `rank:11`, `class:7`, or a table with a column `target`.

    Raises:
        InvalidInputError: It names none.
    """
    if word is None:
        return None
    kind, _, number = word.partition(":")
    if kind in ("rank", "class") and number.isdecimal():
        return rank(int(number)) if kind == "rank" else int(number)
    if Path(word).suffix in (".csv", ".npy", ".npz"):
        return read_labels(word, names, column="target")
    raise InvalidInputError(f"the target must be rank:J, class:ID or a .csv file with a column 'target', got {word!r}")


def _integer(text: str | None, word: str, place: int) -> int:
    try:
        number = int(text or "")
    except ValueError:
        number = -1
    if not 0 <= number < 2**63:
        raise InvalidInputError(f"{word!r} must hold class ids, and row {place + 1} holds {text!r:.60}")
    return number
