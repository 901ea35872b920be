"""What a tracker of experiments is told of a run: figures, settings, pictures, a report."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dfa.checks import is_number, require_integer
from dfa.errors import InvalidInputError
from dfa.originals import Form
from dfa.results.result import Result
from dfa.runs.folder import plain
from dfa.types import Image
from dfa.views.gallery import amplification
from dfa.views.pictures import amplified_difference
from dfa.views.report import write_report


def figures(result: Result) -> dict[str, float]:
    """Return the numbers of a run's summary by name; none that is over an empty set, which is no number."""
    summary = result.summary()
    found = {each.name: getattr(summary, each.name) for each in dataclasses.fields(summary)}
    found["TSR_of_files"] = summary.TSR_of_files
    found |= {f"distance_{name}": size for name, size in summary.distances.items()}
    return {name: float(value) for name, value in found.items() if is_number(value) and math.isfinite(value)}


def settings(result: Result) -> dict[str, Any]:
    """Return a run's settings, nested, in what JSON can hold."""
    return {name: plain(value) for name, value in result.config.items()}


def flat(nested: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    """Return nested settings under names such as `optimizer.archive`; lists are kept."""
    found: dict[str, Any] = {}
    for name, value in nested.items():
        found |= flat(value, f"{before}{name}.") if isinstance(value, Mapping) else {f"{before}{name}": value}
    return found


def strips(result: Result, most: int) -> Iterator[tuple[int, str, Image]]:
    """Yield images that fell, the first ones: index, caption, and original, adversarial image, difference in a row.

    Nothing of a run whose originals are no grey or RGB images, or cannot be had.

    Raises:
        InvalidInputError: `most` is no integer of 0 or more.
    """
    fallen = [record for record in result.records if record.verified][: require_integer("pictures", most, 0)]
    for record in fallen if result.originals is not None else ():
        assert result.originals is not None
        original, changed = np.asarray(result.originals[record.index]), result.images[record.index]
        if changed is None or Form.IMAGES.why_not(changed) or changed.shape[2] not in (1, 3):
            continue
        factor = amplification(result, [record.index])
        before, after = result.class_name(record.class_before), result.class_name(record.class_after)
        caption = f"image {record.index}: {before} -> {after}, {record.queries:,} queries; difference {factor} times"
        strip = np.concatenate([original, changed, amplified_difference(original, changed, factor)], axis=1)
        yield record.index, caption, strip


def report_of(folder: str | Path, result: Result, to: Path) -> Path:
    """Write the report of a run's folder into another folder, and return its path.

    Raises:
        InvalidInputError: The folder holds another run.
        StoreError: It holds none.
        MissingDependencyError: jinja2 or matplotlib is not installed.
    """
    kept, given = (
        [(record.id, record.status, record.queries_sent) for record in each.records]
        for each in (Result.load(folder), result)
    )
    if kept != given:
        raise InvalidInputError(f"report must be the folder of the run that is logged, and {folder} holds another")
    return write_report(folder, to / "report.html")
