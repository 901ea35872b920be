"""Text of others (paths, class names, errors of a user's code) as it may go to a terminal."""

from __future__ import annotations

from typing import Final

_LONGEST: Final = 240
"""Characters of a value that a line has room for."""


def one_line(value: object) -> str:
    """Return a value as it may stand in a line that somebody decides by: no line of its own, and none pushed away.

    The middle of a long value is left out. One that could look like another line, or like the rest of its own, is
    written as Python would, in quotes.
    """
    text = str(value)
    if len(text) > _LONGEST:
        half = _LONGEST // 2
        text = f"{text[:half]} ... {len(text) - 2 * half:,} characters ... {text[-half:]}"
    is_plain = text.isprintable() and text == text.strip() and "  " not in text and " (" not in text
    # Spaces could fill a line of the terminal up.
    return text if is_plain else repr(text).replace("  ", r"\x20 ")
