"""Classes by their names, where a run was given `class_names` or knew them from its model or its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

CLASSES: Final = ("label", "target", "class_before", "class_after")
"""The fields of a record that are class ids."""


def class_name(number: int | None, config: Mapping[str, Any]) -> str:
    """Return what a class is called: its name where the settings of its run have one, else its id; "" for None."""
    if number is None:
        return ""
    names = config.get("class_names")
    if isinstance(names, list | tuple) and isinstance(number, int) and 0 <= number < len(names):
        return str(names[number])
    return str(number)


def name_columns(config: Mapping[str, Any]) -> dict[str, str]:
    """Return the columns of tables that hold class names, each with its field of a record; none where none are known.

    Args:
        config: The settings of the run.
    """
    is_known = isinstance(config.get("class_names"), list | tuple)
    return {f"{field}_name": field for field in CLASSES} if is_known else {}
