"""What a run was to do, in words: where it searched, and what it aimed at."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dfa.search.goals import Rank

_MOST: Final = 60
"""Characters of a value that somebody else may have written."""


def setting_words(config: Mapping[str, Any]) -> str:
    """Return space and goal of a run, such as "L-infinity, epsilon 8, untargeted", of whatever its config says of them.

    Args:
        config: `Result.config`, also one read from a file. Empty where it tells neither epsilon nor space.
    """
    where = _space_words(config)
    return f"{where}, {goal_words(config.get('targets'))}" if where else ""


def goal_words(targets: Any) -> str:
    """Return what an attack aimed at: "untargeted", "targeted at the 4th likeliest class", or "targeted"."""
    if targets is None:
        return "untargeted"
    rank = targets.j if isinstance(targets, Rank) else targets.get("j") if isinstance(targets, Mapping) else None
    if isinstance(rank, int):
        return f"targeted at the {_ordinal(rank)} likeliest class"
    return "targeted"


def _space_words(config: Mapping[str, Any]) -> str:
    space, epsilon = config.get("space"), config.get("epsilon")
    if isinstance(space, Mapping):
        fields = [f"{short_words(name)} {short_words(value)}" for name, value in space.items() if name != "kind"]
        return ", ".join([short_words(space.get("kind")), *fields])
    if epsilon is None:
        return ""
    return f"L-infinity, epsilon {short_words(epsilon)}"


def short_words(value: Any) -> str:
    """Return a value in a few words: of several numbers from which to which."""
    if isinstance(value, list | tuple | np.ndarray):
        array = np.asarray(value, dtype=object).reshape(-1)
        numbers = [each for each in array.tolist() if isinstance(each, int | float)]
        if not numbers or len(numbers) < len(array):
            return "given per image"
        low, high = min(numbers), max(numbers)
        return str(low) if low == high else f"{low} to {high}"
    if isinstance(value, Mapping):
        return "given per image"
    return "".join(letter if letter.isprintable() else "?" for letter in " ".join(str(value).split())[:_MOST])


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
