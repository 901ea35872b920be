"""What names a fitted estimator: a digest of its state, the same in every process."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from types import MethodType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_OF_NO_ACCOUNT: Final = frozenset(
    {"n_jobs", "verbose", "random_state", "_random_state", "cv_results_", "refit_time_", "_sklearn_version"}
)
"""Attributes that change no answer of what is fitted, or hold times."""


class _NamelessError(Exception):
    """Something has no content that names it."""


def digest_of(estimator: Any) -> str | None:
    """Return the SHA-256 of an estimator's settings and of what it has learnt; None where a part has no such content.

    The bytes of its pickle would not do: they tell how arrays lie in memory, which storing and loading changes.
    """
    digest = hashlib.sha256()
    try:
        _add(digest, estimator, ())
    except _NamelessError:
        return None
    return digest.hexdigest()


def _add(digest: Any, value: Any, holders: tuple[int, ...]) -> None:
    """Add a value and all that it holds.

    Args:
        digest: Of hashlib.
        value: Anything.
        holders: The ids of the values that hold this one.

    Raises:
        _NamelessError: It holds itself, or something that only its address tells from others, such as a lambda.
    """
    if id(value) in holders:
        raise _NamelessError
    inside = (*holders, id(value))
    if isinstance(value, np.generic) and value.dtype.kind != "V":
        value = value.item()
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | np.dtype):
        digest.update(f"{type(value).__name__} {value!r};".encode())
    elif isinstance(value, np.ndarray):
        _add_array(digest, value, inside)
    elif isinstance(value, np.random.RandomState | np.random.Generator | np.random.BitGenerator):
        digest.update(b"generator;")
    elif isinstance(value, Mapping):
        kept = [key for key in sorted(value, key=repr) if not (isinstance(key, str) and key in _OF_NO_ACCOUNT)]
        _add(digest, [[key, value[key]] for key in kept], inside)
    elif isinstance(value, list | tuple):
        digest.update(f"{type(value).__name__} {len(value)};".encode())
        for each in value:
            _add(digest, each, inside)
    elif isinstance(value, set | frozenset):
        _add(digest, ["set", *sorted(value, key=repr)], inside)
    elif hasattr(value, "__qualname__") and not isinstance(value, MethodType):
        digest.update(f"named {_address(value)};".encode())
    else:
        digest.update(b"made;")
        _add(digest, _reduced(value), inside)


def _add_array(digest: Any, array: NDArray[Any], inside: tuple[int, ...]) -> None:
    digest.update(f"array {array.shape};".encode())
    if isinstance(array, np.ma.MaskedArray):
        _add(digest, [array.filled(), np.ma.getmaskarray(array)], inside)
    elif array.dtype.names is not None:
        # Field by field: what lies between them is whatever was in memory.
        _add(digest, [[name, np.ascontiguousarray(array[name])] for name in array.dtype.names], inside)
    elif array.dtype.hasobject:
        _add(digest, list(array.flat), inside)
    else:
        digest.update(array.dtype.str.encode() + array.tobytes())


def _address(value: Any) -> str:
    """Return where a class or a function is found.

    Raises:
        _NamelessError: It was made inside a function or without a name, so another may have the same.
    """
    name = str(value.__qualname__)
    if "<" in name:
        raise _NamelessError
    return f"{getattr(value, '__module__', None)}.{name}"


def _reduced(value: Any) -> list[Any]:
    """Return what pickle would make an object of.

    Raises:
        _NamelessError: It can make it of nothing.
    """
    try:
        parts = value.__reduce_ex__(4)
    except Exception as error:  # objects raise what they like
        raise _NamelessError from error
    if isinstance(parts, str):
        return [type(value), parts]
    return [part if place < 3 or part is None else list(part) for place, part in enumerate(parts)]
