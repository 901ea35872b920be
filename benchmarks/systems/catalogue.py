"""Every row of the tables."""

from __future__ import annotations

from systems.repairs import REPAIRS
from systems.rows import Row
from systems.table_4 import TABLE_4
from systems.tables_6_to_10 import table_10, tables_6_to_9

ROWS: list[Row] = [*TABLE_4, *tables_6_to_9(), *table_10(), *REPAIRS]
"""Every row, in the order of the tables."""
