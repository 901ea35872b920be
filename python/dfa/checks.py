"""Arguments that many entry points take, checked in one way and refused in the same words."""

from __future__ import annotations

import os
from enum import Enum
from pathlib import Path
from typing import Any, Final, TypeGuard, TypeVar

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError

E = TypeVar("E", bound=Enum)

MOST: Final = 2**31 - 1
"""The largest number that the core takes."""


def is_integer(value: object) -> TypeGuard[int]:
    """Tell whether `value` is a number of things: an integer, NumPy's included, and no bool."""
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def require_integer(name: str, value: object, least: int, most: int | None = None) -> int:
    """Return an argument that must be an integer of a range.

    Raises:
        InvalidInputError: It is not.
    """
    if not is_integer(value) or value < least or (most is not None and value > most):
        bounds = f"of at least {least}" if most is None else f"in {least}..{most}"
        raise InvalidInputError(f"{name} must be an integer {bounds}, got {value!r}")
    return int(value)


def require_count(name: str, value: object, least: int, most: int = MOST) -> int:
    """Return an argument that must be an integer that the core can hold.

    Raises:
        InvalidInputError: It is not.
    """
    # Apart, since an end that nobody comes near says nothing to those who are below the other.
    require_integer(name, value, least)
    return require_integer(name, value, least, most)


def is_number(value: object) -> TypeGuard[float]:
    """Tell whether `value` is an integer or a float, NumPy's included, and no bool."""
    return is_integer(value) or isinstance(value, float | np.floating)


def require_flag(name: str, value: object) -> bool:
    """Return an argument that must be True or False.

    Raises:
        InvalidInputError: It is neither; a word such as "no" would count as True.
    """
    if not isinstance(value, bool | np.bool_):
        raise InvalidInputError(f"{name} must be True or False, got {value!r}")
    return bool(value)


def require_path(name: str, value: object) -> Path:
    """Return an argument that must be a path.

    Raises:
        InvalidInputError: It is none.
    """
    if not isinstance(value, str | os.PathLike):
        raise InvalidInputError(f"{name} must be a path, got {value!r}")
    return Path(value)


def counted(number: int, noun: str) -> str:
    """Return a number of things in words, such as 1 file, 2,000 files."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def counted_queries(number: int) -> str:
    """Return a number of queries in words, such as 1 query, 2,000 queries."""
    return f"{number:,} {'query' if number == 1 else 'queries'}"


def as_text(name: str | os.PathLike[str]) -> str:
    """Return a name that can be written as UTF-8, whatever bytes it has on disk."""
    return os.fspath(name).encode("utf-8", "backslashreplace").decode()


def printable(text: object, kept: str = "\n\t") -> str:
    """Return a text of others with everything that would be obeyed, or that an encoding would refuse, as an escape.

    That is what a terminal obeys, and marks that turn the direction of what is written after them. What may be printed
    stays as it is, spaces included: a path may be copied from there.

    Args:
        text: Anything.
        kept: Characters that stay as well; "" makes it one line that may stand in XML and JSON too.
    """
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii")
        for each in str(text)
    )


def as_length(values: Any) -> int | None:
    """Return how many items a value holds, None where it is no collection."""
    try:
        return len(values)
    except TypeError:
        return None


def one_of(kinds: type[E], value: Any, name: str) -> E:
    """Return the member of an enumeration that `value` is, or names.

    Raises:
        InvalidInputError: It names none; the message calls the argument `name`.
    """
    try:
        return kinds(value)
    except ValueError:
        raise InvalidInputError(
            f"{name} must be one of {', '.join(repr(each.value) for each in kinds)}, got {value!r}"
        ) from None


def refuse_masked(name: str, values: object) -> None:
    """Refuse an argument that has masked values, which NumPy would take as what lies under the mask.

    Raises:
        InvalidInputError: It has some.
    """
    if np.ma.is_masked(values):
        raise InvalidInputError(
            f"{name} must have no masked values, which say nothing; pass an array without a mask, such as "
            "values.filled(0) where 0 is what they stand for"
        )


def as_array(name: str, values: Any) -> NDArray[Any]:
    """Return an argument as an array; one of objects where NumPy cannot make a table of it (a ragged list, say).

    Raises:
        InvalidInputError: It has masked values.
    """
    refuse_masked(name, values)
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(0, dtype=object)
