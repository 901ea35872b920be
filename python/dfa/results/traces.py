"""The improvements of a search, held in few bytes: a run may have a million of them, and each many improvements."""

from __future__ import annotations

import struct
from typing import Any, Final, TypeAlias

Trace: TypeAlias = tuple[tuple[int, float], ...]
"""(queries, degree) at each improvement."""

_PAIR: Final = struct.Struct("=qd")
_NAME: Final = "_trace"


class PackedTrace:
    """A field of a frozen dataclass that is given a `Trace` and gives it back, and holds its bytes meanwhile.

    What these cannot hold exactly, degrees of which JSON knew nothing among others, it holds as it was given.
    """

    def __get__(self, owner: object, kind: type | None = None) -> Trace:
        """Return the trace; of the class, the default."""
        packed = () if owner is None else getattr(owner, _NAME)
        return tuple(_PAIR.iter_unpack(packed)) if isinstance(packed, bytes) else packed

    def __set__(self, owner: object, trace: Trace) -> None:
        """Hold a trace."""
        object.__setattr__(owner, _NAME, _packed(trace))


def _packed(trace: Any) -> Any:
    is_plain = isinstance(trace, tuple) and all(
        # A degree that is no number is equal to itself as an object alone.
        type(pair) is tuple and list(map(type, pair)) == [int, float] and pair[1] == pair[1]
        for pair in trace
    )
    if not is_plain or not trace:
        return trace
    try:
        return b"".join(_PAIR.pack(*pair) for pair in trace)
    except struct.error:  # beyond 64 bits
        return trace
