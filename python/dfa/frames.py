"""Records as a table of pandas, which is an optional package."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

from dfa.errors import MissingDependencyError

if TYPE_CHECKING:
    import pandas as pd


def frame_of(record_type: type[Any], records: Iterable[Any], types: Mapping[str, str]) -> pd.DataFrame:
    """Return one row per record, its columns the fields; enumerations by their values.

    Args:
        record_type: A dataclass.
        records: Instances of it.
        types: The pandas type of each annotation.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(
            "to_pandas needs pandas; install it with: pip install 'dfa-attack[pandas]'"
        ) from error
    records = list(records)
    columns = {}
    for entry in dataclasses.fields(record_type):
        values = [getattr(record, entry.name) for record in records]
        values = [value.value if isinstance(value, Enum) else value for value in values]
        # Annotations are strings here (PEP 563), which makes them a fine key.
        columns[entry.name] = pd.Series(values, dtype=types[str(entry.type)])
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame
