"""Text of others (paths, class names, errors of a user's code) as it may go to a terminal."""

from __future__ import annotations


def printable(text: object) -> str:
    """Return a text with everything that a terminal would obey, or an encoding would refuse, as an escape.

    What may be printed stays as it is, spaces and line ends included: a path may be copied from there.
    """
    return "".join(
        each if each.isprintable() or each in "\n\t" else each.encode("unicode_escape").decode("ascii")
        for each in str(text)
    )
