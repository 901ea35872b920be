"""Text of others (paths, class names, errors of a user's code) as it may go to a terminal."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 240
"""Characters of a value that a line has room for."""


def printable(text: object) -> str:
    """Return a text with everything that a terminal would obey, or an encoding would refuse, as an escape.

    What may be printed stays as it is, spaces and line ends included: a path may be copied from there.
    """
    return _escaped(text, "\n\t")


def one_line(value: object) -> str:
    """Return a value as it may stand in a line that somebody decides by: no line of its own, and none pushed away.

    Line ends and tabs are escapes, the middle of a long value is left out, and one that could look like the rest of the
    line is in quotes.
    """
    text = _escaped(value, "")
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - 2 * half:,} characters ... {text[-half:]}"
    return repr(text) if "  " in text or " (" in text or text != text.strip() else text


def _escaped(text: object, kept: str) -> str:
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode("ascii")
        for each in str(text)
    )
