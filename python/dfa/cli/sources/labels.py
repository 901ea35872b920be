"""Labels and targets from words: tables, arrays, ranks, classes."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath

import numpy as np
from numpy.typing import NDArray

from dfa.cli.sources.arrays import load_array
from dfa.errors import InvalidInputError
from dfa.files import opened
from dfa.search.class_names import ClassNames, class_id, ids_of
from dfa.search.goals import Rank, rank


def read_labels(
    word: str, names: Sequence[str], *, column: str = "label", class_names: ClassNames = None
) -> NDArray[np.int64]:
    """Return one class id per image, from a table or an array.

    Args:
        word: A .csv file with a header, whose column `label` is looked up by the column `file` (or `index`), or
            taken in order where there is neither; or a .npy or .npz file (`labels`). A file stands there by its place
            in the folder, or by its name alone where no other image has that name.
        names: The images, as `ImageSource` names them.
        column: The column to read.
        class_names: Names that may stand for ids, or None.

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
    return np.array(_in_order(found, names, word, is_by_file=key == "file"), dtype=np.int64)


def _in_order(found: Mapping[str, int], names: Sequence[str], word: str, *, is_by_file: bool) -> list[int]:
    """Return the label of each image, by its place in the folder, or else by its file's name alone."""
    if all(name in found for name in names):
        return [found[name] for name in names]
    if is_by_file:
        # A table may be about a folder, and name its files with the folder.
        by_name: dict[str, int] = {}
        for name, label in found.items():
            if by_name.setdefault(PurePath(name).name, label) != label:
                raise InvalidInputError(
                    f"{word!r} gives {PurePath(name).name} twice, as {by_name[PurePath(name).name]} and as {label}"
                )
        files = [PurePath(name).name for name in names]
        several = next((file for file, number in Counter(files).items() if number > 1), None)
        if several is not None:
            raise InvalidInputError(
                f"{word!r} must name files as they lie in the folder, such as {names[files.index(several)]}, since "
                f"several images are called {several}"
            )
        names, found = files, by_name
    missing = [name for name in names if name not in found]
    if missing:
        raise InvalidInputError(f"{word!r} must label every image, and lacks {len(missing)}, the first {missing[0]!r}")
    return [found[name] for name in names]


def parse_target(
    word: str | None, names: Sequence[str], class_names: ClassNames = None
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
        return read_labels(word, names, column="target", class_names=class_names)
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
            f"{word!r} must hold class ids, and row {place + 1} holds {text!r:.60}: {error}"
        ) from None
