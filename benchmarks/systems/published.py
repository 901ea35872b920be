"""Rows as they were printed, and whether others agree with them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

from dfa.results.rates import percent, wilson

RATES: Final = ("SR", "TSR", "GAP")

_HEADING = re.compile(r"## (?:Table )?(\w+)")
_RATE = re.compile(r"([\d.]+) %")

Key = tuple[str, str, str]


def counts_of(result: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Return, of each rate of a measured row, how many of how many: (0, 0) of a rate of nothing.

    Args:
        result: `images` and the rates, of which a row's JSON holds no counts; `images` are few enough for them to be
            told from the rates, also where these were rounded to a tenth of a per cent.
    """
    images = int(result["images"])
    successes, files = (round(images * result[rate]) for rate in ("SR", "TSR"))
    return {"SR": (successes, images), "TSR": (files, images), "GAP": (successes - files, successes)}


def read_printed(lines: Iterable[str]) -> dict[Key, dict[str, Any]]:
    """Return the measured rows of what `tables.py --print` wrote, by table, system and model.

    Args:
        lines: Of the file. Columns are found by their names, the first of a name, and intervals are not needed.
    """
    rows: dict[Key, dict[str, Any]] = {}
    table = ""
    headers: list[str] = []
    for line in lines:
        if heading := _HEADING.match(line):
            table, headers = heading[1].lower(), []
        if not line.startswith("|"):
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not headers:
            headers = cells
            continue
        # Of two columns of a name the first is kept.
        row = dict(zip(reversed(headers), reversed(cells), strict=True))
        if row.get("images", "-").isdigit():
            rates = {rate: _RATE.match(row[rate]) for rate in ("SR", "TSR")}
            values = {rate: float(found[1]) / 100 for rate, found in rates.items() if found}
            rows[table, row["system"], row["model"]] = {"images": int(row["images"]), **values}
    return rows


def disagreements(fresh: Iterable[dict[str, Any]], printed: dict[Key, dict[str, Any]]) -> Iterator[str]:
    """Yield a sentence for each rate of a measured row that is not what was printed.

    Two rates agree if one of them lies within the other's 95 % interval: a rate of few images is not refuted by one of
    many that it left room for.

    Args:
        fresh: Rows as `tables.py` has them; those with a reason, and those that were not printed, are passed over.
        printed: From `read_printed`.
    """
    for result in fresh:
        before = printed.get((result["table"], result["system"], result["model"]))
        if result["reason"] or before is None:
            continue
        here, there = counts_of(result), counts_of(before)
        for rate in RATES:
            if not _agree(here[rate], there[rate]):
                yield (
                    f"Table {result['table']}, {result['system']} ({result['model']}): {rate} was "
                    f"{shown(*there[rate])} of {there[rate][1]}, and is {shown(*here[rate])} of {here[rate][1]}"
                )


def shown(part: int, whole: int) -> str:
    """Return a rate with its 95 % interval; "-" of nothing."""
    if not whole:
        return "-"
    low, high = wilson(part, whole)
    return f"{percent(part / whole)} ({100 * low:.0f} to {100 * high:.0f})"


def _agree(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Return whether one of two rates lies within the other's interval; a rate of nothing agrees with any."""
    return not (one[1] and other[1]) or _is_in(one, other) or _is_in(other, one)


def _is_in(count: tuple[int, int], other: tuple[int, int]) -> bool:
    low, high = wilson(*other)
    return low <= count[0] / count[1] <= high
