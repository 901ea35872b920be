"""What the oracle's classes are called: names stand for ids in labels and targets, and ids are shown by their names."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.checks import as_length, as_text
from dfa.errors import InvalidInputError

ClassNames: TypeAlias = Sequence[str] | None
"""One name per class, in the oracle's order; None where classes are known by their ids alone."""


def parse_class_names(class_names: Any) -> tuple[str, ...] | None:
    """Return checked names. Two classes may have the same, as ImageNet's do.

    Raises:
        InvalidInputError: They are no strings, or fewer than two.
    """
    if class_names is None:
        return None
    is_row = not isinstance(class_names, str | bytes | dict | set | frozenset) and as_length(class_names) is not None
    names = list(class_names) if is_row else []
    if len(names) < 2 or not all(isinstance(each, str) for each in names):
        shown = f"{class_names!r:.60}"
        raise InvalidInputError(
            f"class_names must be None or a list of strings, one per class in the oracle's order, got {shown}"
        )
    return tuple(map(as_text, names))


def check_class_names(class_names: ClassNames, num_classes: int, own: ClassNames = None) -> None:
    """Check names once the oracle has told its number of classes.

    Args:
        class_names: The names.
        num_classes: K.
        own: The names that the images brought, or None.

    Raises:
        InvalidInputError: There are more or fewer names.
    """
    if class_names is not None and len(class_names) != num_classes:
        hint = (
            "; these came with the images, whose labels are of other classes than the oracle's: pass the oracle's "
            "class_names, or leave labels and names out with dfa.data.as_images(images).without_labels()"
        )
        raise InvalidInputError(
            f"class_names must be one per class, {num_classes} for this oracle, got {len(class_names)}"
            f"{hint if own is not None and list(own) == list(class_names) else ''}"
        )


def class_id(name: str, class_names: ClassNames) -> int:
    """Return the class that a word stands for: a name, or an id in digits.

    Raises:
        InvalidInputError: It stands for none, or for several.
    """
    word = name.strip()
    number = int(word) if word.isdecimal() and len(word) < 19 else None
    if class_names is None:
        if number is None:
            raise InvalidInputError(f"a class must be an id, got {name!r:.60}; names need class_names")
        return number
    found = [place for place, each in enumerate(class_names) if each == as_text(word)]
    if number is not None and found != [number]:
        if found and number < len(class_names):
            raise InvalidInputError(f"{word!r} is an id, and the name of class {found[0]} too; give ids for labels")
        found = found or [number]
    if len(found) != 1:
        close = difflib.get_close_matches(word, class_names, 1) if not found else []
        hint = f"; did you mean {close[0]!r}?" if close else ""
        several = f"stands for classes {', '.join(map(str, found))}" if found else "is none of class_names"
        raise InvalidInputError(f"a class must be one of class_names, or an id, and {word!r:.60} {several}{hint}")
    return found[0]


def ids_of(given: NDArray[Any], class_names: ClassNames) -> NDArray[Any]:
    """Return an array with class ids in place of names; any other array, and names without `class_names`, as it is.

    Raises:
        InvalidInputError: As of `class_id`.
    """
    is_text = given.dtype.kind == "U" or (
        given.dtype.kind == "O" and given.size > 0 and all(isinstance(each, str) for each in given.flat)
    )
    if class_names is None or not is_text:
        return given
    known: dict[str, int] = {}
    for word in map(str, given.flat):
        if word not in known:
            known[word] = class_id(word, class_names)
    return np.array([known[str(word)] for word in given.flat], dtype=np.int64).reshape(given.shape)
