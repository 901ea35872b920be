"""Search spaces from words: the ball of an epsilon, the other spaces of dfa, and the user's own."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from dfa.cli.sources.objects import load_object
from dfa.data.arrays import load_array
from dfa.errors import InvalidInputError
from dfa.space import LinfBall, Space, core_spaces


def parse_epsilon(word: str) -> int | NDArray[Any]:
    """Return epsilon: grey levels, or an array of them from a .npy file.

    Raises:
        InvalidInputError: It is neither.
    """
    if word.endswith(".npy"):
        return load_array(Path(word), "epsilon")
    try:
        return int(word)
    except ValueError:
        pass
    number, _, divisor = word.partition("/")
    try:
        share = float(number) / float(divisor or 1)
    except (ValueError, ZeroDivisionError):
        share = 0.0
    hint = (
        f"; did you mean {max(1, round(share * 255))}, for {max(1, round(share * 255))}/255?" if 0 < share < 1 else ""
    )
    raise InvalidInputError(f"epsilon must be grey levels, 1..255, or a .npy file of them, got {word!r}{hint}")


def parse_space(word: str | None, epsilon: str | None) -> Space:
    """Return the search space that words name.

    Args:
        word: None for the ball; or a kind of `dfa.space` with the fields that differ from their defaults, such as
            `pixels`, `rectangle:height=32,width=16` or `tiny_rectangles:number=20,size=2x3`; or `module:attribute` for
            a `dfa.Space`.
        epsilon: As of `parse_epsilon`, of the ball and of `tiled`, which lies in one; None for 10.

    Raises:
        InvalidInputError: They name none, or an epsilon for a space that has none. What values a field may have is
            told where the space meets the images.
    """
    ball = LinfBall() if epsilon is None else LinfBall(parse_epsilon(epsilon))
    if word is None:
        return ball
    _, _, rest = word.partition(":")
    kinds = core_spaces()
    kind = kinds.get(_kind_in(word))
    has_ball = kind is not None and any(each.name == "base" for each in dataclasses.fields(kind))
    if epsilon is not None and not has_ball:
        raise InvalidInputError(f"epsilon is of the ball around an image, and the space {word!r} is none; leave it out")
    if kind is None:
        if ":" not in word:
            raise InvalidInputError(
                f"the space must be one of {', '.join(kinds)}, with its fields as in rectangle:height=32,"
                f"width=16, or module:attribute for a dfa.Space, got {word!r}"
            )
        space = load_object(word)
        if not isinstance(space, Space):
            raise InvalidInputError(f"{word!r} must be a dfa.Space, got {type(space).__name__}")
        return space
    given: dict[str, Any] = {"base": ball} if has_ball else {}
    fields = [each.name for each in dataclasses.fields(kind) if each.name != "base"]
    for part in rest.split(",") if rest else ():
        field_name, _, value = part.partition("=")
        sides = value.lower().split("x")
        if field_name not in fields or not 1 <= len(sides) <= 2 or not all(side.isdecimal() for side in sides):
            raise InvalidInputError(
                f"a space's field must be NAME=INTEGER, and {kind.kind()} has {', '.join(fields)}; got {part!r}"
            )
        given[field_name] = int(value) if len(sides) == 1 else (int(sides[0]), int(sides[1]))
    return kind(**given)


def is_object(word: str) -> bool:
    """Tell whether a space is named by `module:attribute`, and so is code to be loaded."""
    return _kind_in(word) not in core_spaces()


def _kind_in(word: str) -> str:
    return word.partition(":")[0].replace("-", "_")
