"""Records as a table of pandas, which is an optional package."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Any

from dfa.errors import MissingDependencyError
from dfa.extras import how_to_install

if TYPE_CHECKING:
    import pandas as pd


def frame_of(
    record_type: type[Any],
    records: Iterable[Any],
    types: Mapping[str, str],
    *,
    texts: Mapping[str, Sequence[str | None]] | None = None,
) -> pd.DataFrame:
    """Return one row per record, its columns the fields, enumerations by their values, and others of text.

    Args:
        record_type: A dataclass.
        records: Instances of it.
        types: The pandas type of each annotation; fields of others are left out.
        texts: The values of further columns, by their names.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingDependencyError(f"to_pandas needs pandas; install it with: {how_to_install('pandas')}") from error
    records = list(records)
    columns = {}
    for entry in dataclasses.fields(record_type):
        # Annotations are strings here (PEP 563), which makes them a fine key.
        kind = types.get(str(entry.type))
        if kind is None:
            continue
        values = [getattr(record, entry.name) for record in records]
        values = [value.value if isinstance(value, Enum) else value for value in values]
        has_fractions = any(isinstance(value, float) and not value.is_integer() for value in values)
        # What is a whole number of images may be none of other inputs.
        columns[entry.name] = pd.Series(values, dtype="float64" if kind == "Int64" and has_fractions else kind)
    columns |= {name: pd.Series(list(values), dtype="object") for name, values in (texts or {}).items()}
    frame: pd.DataFrame = pd.DataFrame(columns)
    return frame
