"""Plain values from a file, held to the types that a dataclass declares, before anybody believes them.

What a file says may be anything. A reader made here takes a value only if it is of its type to the letter: no number
in words, no bool for an integer, nothing that is not finite, nothing too large for the arrays that it will go into.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, NoReturn, TypeAlias

Reader: TypeAlias = Callable[[Any], Any]
"""Takes a plain value and returns what it stands for, or raises a `MisfitError`."""

_DEEPEST: Final = 32

_MOST_MEMORY: Final = 2**24
_BYTES_EACH: Final = 8
"""Bytes that the lists, objects and strings of a text may take in memory: so many, and so many for each of its own.
What dfa writes takes half of that; a list for every three bytes takes 20 times its text."""
_LARGEST: Final = 2**63


class MisfitError(ValueError):
    """A value is not of its type; the message says where it stands and what was expected."""

    def __init__(self, expected: str, value: object, where: str = "") -> None:
        """Keep what was expected and what came, and where."""
        text = repr(value)
        super().__init__(f"{where or 'it'} must be {expected}, got {text if len(text) <= 60 else text[:57] + '...'}")
        self.expected = expected
        self.value = value
        self.where = where

    def below(self, name: object) -> MisfitError:
        """Return the same of a value that lies in a larger one under a name."""
        return MisfitError(self.expected, self.value, f"{name}.{self.where}" if self.where else str(name))


def reader(kind: Any) -> Reader:
    """Return the reader of a type: a dataclass, an enum, a built-in, `Any`, or what `|`, lists and such make of them.

    Of a dataclass, fields with a default may be missing, and what it does not know is left out.
    """
    simple = {Any: _any, bool: _bool, int: _integer, float: _number, str: _text, type(None): _nothing}
    if kind in simple:
        return simple[kind]
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _either([reader(each) for each in parts])
    if origin is typing.Literal:
        return _one_of(parts)
    if origin in (list, tuple, Sequence):
        if origin is tuple and parts[-1] is not Ellipsis:
            return _row([reader(each) for each in parts])
        return _many(reader(parts[0]), tuple if origin is tuple else list)
    if origin in (dict, Mapping):
        return _table(reader(parts[1]))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _member(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _record(kind)
    raise TypeError(f"nothing reads a {kind}")


def fields_reader(fields: Mapping[str, Any]) -> Callable[[Any], dict[str, Any]]:
    """Return what reads an object all of whose named fields must be there, each of its type; others are left out."""
    readers = {name: reader(kind) for name, kind in fields.items()}

    def read(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise MisfitError("an object", value)
        found = {}
        name = ""
        try:
            for name, each in readers.items():
                found[name] = each(value[name])
        except KeyError as error:
            raise MisfitError(f"an object with {name!r}", value) from error
        except MisfitError as error:
            raise error.below(name) from None
        return found

    return read


def load_json(content: str | bytes) -> dict[str, Any]:
    """Return the object that a text is.

    Raises:
        ValueError: It is none, is nested too deeply, would take far more memory than its text, or holds a number that
            JSON does not know.
    """
    lists, quotes = (sum(content.count(each) for each in marks) for marks in _marks(content))
    if 64 * lists + 32 * quotes > _BYTES_EACH * len(content) + _MOST_MEMORY:
        raise ValueError(f"it holds {lists + quotes // 2:,} lists, objects and strings in {len(content):,} bytes")
    try:
        document = json.loads(content, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(document, dict):
        raise MisfitError("an object", document)
    return document


def _any(value: Any, depth: int = 0) -> Any:
    if depth > _DEEPEST:
        raise MisfitError(f"nested no deeper than {_DEEPEST} levels", value)
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            _any(each, depth + 1)
    elif isinstance(value, float):
        _number(value)
    return value


def _bool(value: Any) -> Any:
    if type(value) is not bool:
        raise MisfitError("true or false", value)
    return value


def _integer(value: Any) -> Any:
    if type(value) is not int or not -_LARGEST <= value < _LARGEST:
        raise MisfitError("an integer of 64 bits", value)
    return value


def _number(value: Any) -> Any:
    is_number = type(value) in (int, float)
    if not is_number or not -_LARGEST <= value <= _LARGEST or not math.isfinite(value):
        raise MisfitError("a number within 64 bits", value)
    return value


def _text(value: Any) -> Any:
    if type(value) is not str:
        raise MisfitError("a string", value)
    return value


def _nothing(value: Any) -> Any:
    if value is not None:
        raise MisfitError("null", value)
    return value


def _either(readers: Sequence[Reader]) -> Reader:
    def read(value: Any) -> Any:
        expected = []
        for each in readers:
            try:
                return each(value)
            except MisfitError as error:
                if error.where:
                    raise
                expected.append(error.expected)
        raise MisfitError(" or ".join(expected), value)

    return read


def _one_of(allowed: Sequence[Any]) -> Reader:
    def read(value: Any) -> Any:
        if value not in allowed or type(value) not in map(type, allowed):
            raise MisfitError(f"one of {', '.join(map(repr, allowed))}", value)
        return value

    return read


def _many(each: Reader, kind: type) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list):
            raise MisfitError("a list", value)
        found: list[Any] = []
        try:
            found.extend(map(each, value))
        except MisfitError as error:
            raise error.below(len(found)) from None
        return kind(found)

    return read


def _row(readers: Sequence[Reader]) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, list) or len(value) != len(readers):
            raise MisfitError(f"a list of {len(readers)}", value)
        return tuple(each(entry) for each, entry in zip(readers, value, strict=True))

    return read


def _table(each: Reader) -> Reader:
    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MisfitError("an object", value)
        name = ""
        try:
            found = {}
            for name, entry in value.items():
                found[name] = each(entry)
        except MisfitError as error:
            raise error.below(name) from None
        return found

    return read


def _member(kind: type[Enum]) -> Reader:
    values = [each.value for each in kind]

    def read(value: Any) -> Any:
        if value not in values:
            raise MisfitError(f"one of {', '.join(map(repr, values))}", value)
        return kind(value)

    return read


def _record(kind: Any) -> Reader:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    readers = {each.name: reader(hints[each.name]) for each in fields}
    needed = {
        each.name
        for each in fields
        if each.default is dataclasses.MISSING and each.default_factory is dataclasses.MISSING
    }

    def read(value: Any) -> Any:
        if not isinstance(value, dict):
            raise MisfitError("an object", value)
        missing = sorted(needed - value.keys())
        if missing:
            raise MisfitError(f"an object with {', '.join(map(repr, missing))}", value)
        found = {}
        name = ""
        try:
            for name, each in readers.items():
                if name in value:
                    found[name] = each(value[name])
        except MisfitError as error:
            raise error.below(name) from None
        return kind(**found)

    return read


def _marks(content: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Return what lists and objects begin with, and strings, in text or in bytes."""
    return (("[", "{"), ('"',)) if isinstance(content, str) else ((b"[", b"{"), (b'"',))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
