"""Arguments that many entry points take, checked in one way and refused in the same words."""

from __future__ import annotations

from enum import Enum
from typing import Any, TypeGuard, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.errors import InvalidInputError

E = TypeVar("E", bound=Enum)


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


def as_array(values: ArrayLike) -> NDArray[Any]:
    """Return an array; one of objects where NumPy cannot make a table of them (a ragged list, say)."""
    try:
        return np.asarray(values)
    except ValueError:
        return np.empty(0, dtype=object)
