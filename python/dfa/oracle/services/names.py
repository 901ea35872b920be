"""Classes that a service tells by their names, and the ids that stand for them here."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol

from dfa.checks import is_integer
from dfa.errors import InvalidInputError, OracleError


class NamesKeeper(Protocol):
    """Where the names of classes are kept from one process to the next."""

    def load(self) -> Sequence[str]:
        """Return the names in the order of their ids, 0 first."""

    def add(self, number: int, name: str) -> None:
        """Keep one more."""


class ClassTable:
    """Gives each name of a class an id, the same for as long as the table is kept.

    Where the names are given, no others are known. Where they are not, ids are given in the order in which names come,
    which is another one in every run whose requests are answered in another order. All methods may be called from many
    threads.
    """

    def __init__(self, names: Sequence[str] | None, num_classes: int | None, keeper: NamesKeeper | None = None) -> None:
        """Begin with the names that are given, or with those that a keeper has.

        Args:
            names: Of all classes, in the order of their ids; None: they come with the answers.
            num_classes: How many there are at most; the number of names by default.
            keeper: Where the table is kept, as of `keep_with`.

        Raises:
            InvalidInputError: The names are no distinct strings, or not so many as there are classes.
        """
        self._is_given = names is not None
        self._num_classes = num_classes
        if names is not None:
            given = None if isinstance(names, str) else list(names)
            if given is None or not all(isinstance(name, str) for name in given):
                raise InvalidInputError("classes must be the names of all classes, a list of str in the order of ids")
            if len(set(given)) < len(given):
                twice = next(name for name in given if given.count(name) > 1)
                raise InvalidInputError(f"classes must be distinct names, got {twice!r} more than once")
            if num_classes not in (None, len(given)):
                raise InvalidInputError(f"classes has {len(given)} names, and num_classes={num_classes}")
            self._num_classes = len(given)
        self._ids = {name: number for number, name in enumerate(names or ())}
        self._keeper: NamesKeeper | None = None
        self._lock = threading.Lock()
        if keeper is not None:
            self.keep_with(keeper)

    @property
    def num_classes(self) -> int | None:
        """How many classes there are at most, where that was said."""
        return self._num_classes

    @property
    def is_given(self) -> bool:
        """Whether the names were said before the first answer."""
        return self._is_given

    @property
    def is_complete(self) -> bool:
        """Whether no further name can come."""
        with self._lock:
            return self._is_given or len(self._ids) == self._num_classes

    @property
    def names(self) -> tuple[str, ...]:
        """The names that are known, in the order of their ids."""
        with self._lock:
            return tuple(self._ids)

    def id_of(self, label: Any) -> int:
        """Return the id of a class: of its name, or itself where it is one.

        Raises:
            OracleError: It is neither, or a name that is not of this table and cannot become so.
        """
        # An id is there to stay, so it can be looked up beside a thread that adds another.
        number = self._ids.get(label) if isinstance(label, str) else None
        if number is not None:
            return number
        if is_integer(label) and label >= 0:
            return int(label)
        if not isinstance(label, str):
            raise OracleError(f"a label must be the name of a class, or its id from 0 on, got {shortened(label)}")
        if self._is_given:
            raise OracleError(
                f"the label {shortened(label)} is none of the {len(self._ids)} names of classes=; pass all names that "
                "the service knows, written as it writes them"
            )
        with self._lock:
            return self._ids[label] if label in self._ids else self._added(label)

    def keep_with(self, keeper: NamesKeeper | None) -> None:
        """Go on from the table that a keeper has, and keep it there; with None, in memory alone.

        Raises:
            InvalidInputError: The keeper has other ids for the same names.
        """
        with self._lock:
            if keeper is None:
                self._keeper = None
                return
            kept, known = list(keeper.load()), list(self._ids)
            if self._num_classes is not None and len(kept) > self._num_classes:
                raise InvalidInputError(
                    f"the run knows {len(kept):,} classes by name, more than the num_classes={self._num_classes} that "
                    "are said; pass as many as before"
                )
            both = min(len(kept), len(known))
            if kept[:both] != known[:both] or (self._is_given and len(kept) > len(known)):
                raise InvalidInputError(
                    "the run has other ids for the names of its classes than this oracle; "
                    + ("pass the classes= of before" if self._is_given else "resume it with an oracle that is new")
                )
            for number, name in enumerate(known[len(kept) :], len(kept)):
                keeper.add(number, name)
            for name in kept[len(known) :]:
                self._ids[name] = len(self._ids)
            self._keeper = keeper

    def __getstate__(self) -> dict[str, Any]:
        """Return what may go to another process."""
        return {name: value for name, value in self.__dict__.items() if name not in ("_lock", "_keeper")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on without a keeper."""
        self.__dict__.update(state)
        self._keeper = None
        self._lock = threading.Lock()

    def _added(self, label: str) -> int:
        number = len(self._ids)
        if self._num_classes is not None and number >= self._num_classes:
            raise OracleError(
                f"the label {shortened(label)} is one name more than the num_classes={self._num_classes} of before; "
                "pass the number of all classes that the service knows"
            )
        # Kept before it is used: what has an id in an answer has it in the table.
        if self._keeper is not None:
            self._keeper.add(number, label)
        self._ids[label] = number
        return number


def shortened(value: object) -> str:
    """Return what a message shows of a value."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
