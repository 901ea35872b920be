"""Rows that are measured a few images at a time, so that they can be cut and go on.

What is measured of a part is kept in a file of its own. A row whose time is over ends with the parts that it has; those
are the first images, whichever they are, and the one that was under attack is left out, so that long attacks count a
little less often than short ones. Run again, the row goes on with the next part.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from harness.results import write_whole
from systems.context import Context, Result, Subject, seed_everything
from systems.published import RATES, counts_of
from systems.rows import is_out_of_time

WANTED = 20
"""Images of a row that is measured in parts; fewer are told."""

Attack = Callable[[Context, Subject], Result]


def in_parts(key: str, which: str, run: Attack, size: int | None = 1) -> Callable[[Context], Result]:
    """Return a row's function that measures a few images at a time.

    Args:
        key: Of the row, for its files.
        which: Name of the subject in the context.
        run: From a context and a subject with the part's images to what was measured of them.
        size: Images of a part; None: all of them.
    """

    def of(context: Context) -> Result:
        subject: Subject = getattr(context, which)
        number, found = len(subject.images), list[Result]()
        step = number if size is None else size
        for first in range(0, number, step):
            chosen = slice(first, first + step)
            part = replace(subject, images=subject.images[chosen], labels=subject.labels[chosen])
            path = None if context.folder is None else context.folder / key / f"{first}-{first + len(part.images)}.json"
            try:
                found.append(_kept(path, context, part, run))
            except BaseException as error:
                if not found or not is_out_of_time(error):
                    raise
                break
        return joined(found)

    return of


def joined(parts: Sequence[Result]) -> Result:
    """Return what a row reports of all its parts, one at least."""
    readings = {"": parts, "at_any_distance": [part | part.get("at_any_distance", {}) for part in parts]}
    rates = {name: _rates(reading) for name, reading in readings.items()}
    counts = [counts_of(part)["SR"][0] for part in parts]
    # What failed took its time too, where an attack counts that; one that does not has no time of failures.
    seconds = [part["ATC"] * max(count, 1) for part, count in zip(parts, counts, strict=True)]
    spent = [each for each in seconds if not math.isnan(each)]
    images, successes = sum(part["images"] for part in parts), sum(counts)
    queries = [part["queries"] * count for part, count in zip(parts, counts, strict=True) if count and part["queries"]]
    told = "" if images >= WANTED else f"; {images} of {WANTED} images"
    return {
        "images": images,
        **rates[""],
        "ATC": sum(spent) / max(successes, 1) if spent else math.nan,
        "queries": sum(queries) / successes if queries else None,
        "at_any_distance": rates["at_any_distance"],
        "mended": _mended(parts),
        "note": f"{parts[0]['note']}{told}",
    }


def _mended(parts: Sequence[Result]) -> Result:
    """Return the sums of what `dfa.repair` made of each part; empty where nothing was lost."""
    counts = [mended for part in parts if (mended := part.get("mended"))]
    if not counts:
        return {}
    pairs = {name: [sum(each[name][side] for each in counts) for side in (0, 1)] for name in ("linf", "l2")}
    return {name: sum(each[name] for each in counts) for name in ("lost", "repaired", "queries")} | pairs


def _rates(parts: Sequence[Result]) -> dict[str, float]:
    counts = [counts_of(part) for part in parts]
    sums = {rate: [sum(count[rate][place] for count in counts) for place in (0, 1)] for rate in RATES}
    return {rate: part / whole if whole else math.nan for rate, (part, whole) in sums.items()}


def _kept(path: Path | None, context: Context, part: Subject, run: Attack) -> Result:
    """Return what was measured of a part, now or before."""
    if path is not None and (kept := _read(path, len(part.images))) is not None:
        return kept
    seed_everything()
    result = run(context, part)
    if path is not None:
        fields = ("images", *RATES, "ATC", "queries", "at_any_distance", "mended", "note")
        write_whole(path, json.dumps({name: result[name] for name in fields if name in result}))
    return result


def _read(path: Path, images: int) -> Result | None:
    """Return what a file holds of a part of so many images, or None where it is not there, cut or something else."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    is_part = isinstance(kept, dict) and {"ATC", "queries", "note", *RATES} <= kept.keys()
    return kept if is_part and kept.get("images") == images else None
