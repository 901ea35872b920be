"""One self-contained HTML page about a run, or about several side by side.

Nothing in it comes from elsewhere when it is looked at: styles and script are part of it, charts are inline SVG,
thumbnails are data. Without scripts everything shows; with them the table can be sorted and filtered.
"""

from __future__ import annotations

import base64
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image as Pillow

from dfa.checks import as_text
from dfa.errors import InvalidInputError, StoreError
from dfa.extras import imported
from dfa.originals import Form
from dfa.results.rates import ratio, wilson
from dfa.results.record import Record, Status
from dfa.results.refuted import listed
from dfa.results.result import Result
from dfa.results.service_words import drift_lines, service_rows
from dfa.results.setting import goal_words
from dfa.results.summary import Summary
from dfa.runs.documents import RunDocument
from dfa.runs.folder import write_text
from dfa.runs.saved_run import holds_run, read_run_json, shape_of
from dfa.space import read_space
from dfa.types import Image
from dfa.views.charts import PALETTE, calls_chart, class_chart, success_chart, time_chart, to_svg
from dfa.views.pictures import amplified_difference
from dfa.views.reproduction import reproduction, shell_word, space_words

DEFAULT_GALLERY: Final = 240
"""Images that the gallery of a run shows, unless told otherwise."""

_PAGE: Final = 24
_THUMBNAIL: Final = 112
_SMALL: Final = 64
"""Images up to this side are shown value by value, larger ones as thumbnails."""

_WORKER_COLUMNS: Final = ("worker", "images", "images per second", "images per call", "busy", "lost")
_GAP: Final = 4
_BUDGETS: Final = (1, 10, 100, 1_000, 10_000)


def write_report(
    folders: Sequence[str | Path] | str | Path, out: str | Path | None = None, *, gallery: int = DEFAULT_GALLERY
) -> Path:
    """Write a page about runs, and return its path.

    Args:
        folders: Run folders, or what `Result.save` wrote; also of runs that have not ended.
        out: The HTML file; None for `report.html` in the folder of one run, and for `comparison.html` beside the first
            of several.
        gallery: Images to show of each run; of more, every n-th by queries is shown.

    Raises:
        StoreError: A folder holds no run, or the page cannot be written.
        MissingDependencyError: jinja2 or matplotlib is not installed.
        InvalidInputError: No folder, or more than there are colours.
    """
    paths = [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
    if not 1 <= len(paths) <= len(PALETTE):
        raise InvalidInputError(f"a report is about 1 to {len(PALETTE)} runs, got {len(paths)}")
    environment = _environment()
    names = _names(paths)
    views = [
        _View.of(path, name, f"run-{place}", gallery)
        for place, (path, name) in enumerate(zip(paths, names, strict=True), 1)
    ]
    page = environment.get_template("report.html").render(
        title=" · ".join(names),
        views=views,
        comparison=_compare(views),
        charts=_overview(views),
        worker_columns=_WORKER_COLUMNS,
    )
    default = paths[0] / "report.html" if len(paths) == 1 else paths[0].parent / "comparison.html"
    target = default if out is None else Path(out)
    write_text(target, page)
    return target


@dataclass(frozen=True)
class _Picture:
    """One entry of the gallery."""

    data: str
    width: int
    height: int
    text: str
    record: Record


@dataclass
class _View:
    """What the page says of one run."""

    name: str
    key: str
    folder: Path
    result: Result
    summary: Summary
    interval: tuple[float, float]
    is_complete: bool
    pages: list[list[_Picture]]
    factor: int
    num_shown: int
    charts: dict[str, str]
    command: str
    about: RunDocument | None

    @classmethod
    def of(cls, folder: Path, name: str, key: str, gallery: int) -> _View:
        result = Result.load(folder)
        summary = result.summary()
        about = read_run_json(folder) if holds_run(folder) else None
        pictures, factor = _pictures(result, gallery)
        return cls(
            name=name,
            key=key,
            folder=folder,
            result=result,
            summary=summary,
            interval=wilson(summary.verified, summary.attacked),
            is_complete=summary.unfinished == 0,
            pages=[pictures[start : start + _PAGE] for start in range(0, len(pictures), _PAGE)],
            factor=factor,
            num_shown=len(pictures),
            charts=_charts(name, key, result),
            command=reproduction(result, about),
            about=about,
        )

    @property
    def refuted(self) -> str:
        """Which files do not hold, and why; empty where all do."""
        return listed(self.result.refuted)

    @property
    def files_interval(self) -> tuple[float, float]:
        """Of `Summary.TSR_of_files`: which images count was decided by answers that did not choose them."""
        return wilson(self.summary.verified - self.summary.refuted, self.summary.attacked)

    @property
    def has_robust_accuracy(self) -> bool:
        return not math.isnan(self.summary.robust_accuracy)

    @property
    def config(self) -> dict[str, Any]:
        return self.result.config

    @property
    def goal(self) -> str:
        """Say what the attack aimed at."""
        return goal_words(self.config.get("targets"))

    @property
    def model(self) -> str:
        oracle = self.config.get("oracle") or {}
        parts = [str(oracle[name]) for name in ("framework", "backend") if oracle.get(name)]
        framework = f" ({' on '.join(parts)})" if parts else ""
        return f"{oracle.get('name', 'the oracle')}{framework}"

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images; empty where the run does not tell."""
        return shape_of(self.config) or ()

    @property
    def verification(self) -> str:
        """Return the command that checks the files."""
        return f"dfa verify {shell_word(str(self.folder))} --model MODEL"

    @property
    def space(self) -> str:
        """Say where the search went."""
        epsilon, space = self.config.get("epsilon"), self.config.get("space")
        if space:
            return str(space["kind"]) if read_space(space) is None else space_words(space)
        return f"epsilon {epsilon if isinstance(epsilon, int | float) else 'per image or coordinate'} grey levels"

    @property
    def within(self) -> list[tuple[str, float]]:
        """Success within round budgets below the run's own."""
        budget = self.summary.max_queries or math.inf
        queries = self.result.queries[self.result.success]
        attacked = max(1, self.summary.attacked)
        return [(f"{most:,}", float((queries <= most).sum()) / attacked) for most in _BUDGETS if most <= budget]

    @property
    def profile(self) -> list[tuple[str, str]]:
        profile = self.result.profile
        totals = profile.totals()
        words = [(name, f"{value:.2f} s") for name, value in totals.items() if isinstance(value, float)]
        words += [(name.replace("_", " "), f"{value:,}") for name, value in totals.items() if isinstance(value, int)]
        return [
            *words,
            ("occupancy", _percent(profile.occupancy)),
            ("rows per call", _rounded(profile.rows_per_call, 1)),
            ("queries per second", _rounded(profile.queries_per_second, 0)),
            ("oracle share", _percent(profile.oracle_share)),
        ]

    @property
    def workers(self) -> list[tuple[str, ...]]:
        """What each worker did, in words: the columns of `_WORKER_COLUMNS`."""
        return [
            (
                share.name,
                f"{share.rows:,}",
                _rounded(ratio(share.rows, share.busy + share.idle), 0),
                _rounded(ratio(share.rows, share.calls), 1),
                _percent(ratio(share.busy, share.busy + share.idle)),
                f"{share.lost:,}",
            )
            for share in self.result.profile.workers
        ]

    @property
    def service(self) -> list[tuple[str, str]]:
        """What was asked of a service, and what it cost; nothing of other oracles."""
        service = self.result.profile.service
        return [] if service is None else service_rows(service)

    @property
    def drifts(self) -> list[str]:
        """What is to be known of a service that changed in the middle of the run."""
        service = self.result.profile.service
        return [] if service is None else drift_lines(service)

    @property
    def settings(self) -> str:
        return json.dumps(
            {**self.config, **({"model": self.about.model} if self.about and self.about.model else {})}, indent=2
        )

    @property
    def has_sources(self) -> bool:
        """Whether the run knows where its images came from."""
        return any(record.source for record in self.result.records)

    @property
    def statuses(self) -> list[str]:
        present = {record.status for record in self.result.records}
        return [status.value for status in Status if status in present]


def _environment() -> Any:
    jinja2 = imported("jinja2", "a report needs Jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dfa.views", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["percent"] = _percent
    environment.filters["count"] = lambda number: "-" if _is_unknown(number) else f"{number:,.0f}"
    environment.filters["queries"] = lambda number: "-" if _is_unknown(number) else f"{number:,.1f}"
    environment.filters["number"] = lambda number: "-" if _is_unknown(number) else f"{number:,.4g}"
    return environment


def _names(paths: Sequence[Path]) -> list[str]:
    """Return what to call each run: its folder's name, or its whole path where two have the same."""
    names = [path.resolve().name for path in paths]
    return [as_text(name if names.count(name) == 1 else path) for name, path in zip(names, paths, strict=True)]


def _charts(name: str, key: str, result: Result) -> dict[str, str]:
    """Return the charts of one run by name, their ids begun with its key; one that would show nothing is left out."""
    charts = {}
    by_class: dict[int, list[int]] = {}
    for record in result.records:
        if record.verified and record.class_before is not None:
            by_class.setdefault(record.class_before, []).append(record.queries)
    if by_class:
        queries = {number: np.array(each, dtype=np.float64) for number, each in by_class.items()}
        charts["classes"] = to_svg(
            class_chart(queries, result.class_name), f"{name}: queries by class", f"{key}-classes"
        )
    profile = result.profile
    if profile.wall:
        names = ("wait", *(["prior"] if profile.prior else []), "propose", "score", "update", "other")
        parts = {part: getattr(profile, part) for part in names}
        charts["time"] = to_svg(
            time_chart({part: max(0.0, each) for part, each in parts.items()}), f"{name}: time split", f"{key}-time"
        )
    if profile.batches:
        over_time = profile.calls_over_time
        calls = np.array(over_time.calls, dtype=np.float64)
        rows = np.divide(over_time.rows, calls, out=np.full_like(calls, np.nan), where=calls > 0)
        most = profile.rows_capacity / profile.batches
        charts["calls"] = to_svg(calls_chart(over_time.seconds, rows, most), f"{name}: images per call", f"{key}-calls")
    return charts


def _overview(views: Sequence[_View]) -> dict[str, str]:
    """Return the curves of all runs."""
    queries = [view.result.curve(view.name) for view in views]
    seconds = [view.result.curve(view.name, of="seconds") for view in views]
    return {
        "queries": to_svg(success_chart(queries, unit="queries"), "success against queries", "queries"),
        "seconds": to_svg(
            success_chart(seconds, unit="seconds of the run's time per image"),
            "success against time per image",
            "seconds",
        ),
    }


def _pictures(result: Result, most: int) -> tuple[list[_Picture], int]:
    """Return the gallery, from few queries to many, and by how much its differences are amplified."""
    assert result.originals is not None
    held = [index for index in result.images.held() if result.records[index].found]
    held.sort(key=lambda index: (result.records[index].queries, index))
    if len(held) > most:
        held = [held[place] for place in np.linspace(0, len(held) - 1, most).astype(int)] if most else []
    largest = max((result.records[index].linf or 1 for index in held), default=1)
    factor = max(1, min(32, 120 // max(1, round(largest))))
    pictures = []
    for index in held:
        try:
            changed, original = result.images[index], result.originals[index]
        except StoreError:
            continue
        if changed is None or changed.shape != original.shape or Form.IMAGES.why_not(changed):
            continue
        pictures.append(_picture(result, index, original, changed, factor))
    return pictures, factor


def _picture(result: Result, index: int, original: Image, changed: Image, factor: int) -> _Picture:
    record = result.records[index]
    difference = amplified_difference(original, changed, factor)
    tiles = [_tile(image) for image in (original, changed, difference)]
    width, height = tiles[0].size
    is_grey = tiles[0].mode == "L"
    strip = Pillow.new(tiles[0].mode, (3 * width + 2 * _GAP, height), 128 if is_grey else (128, 128, 128))
    for place, tile in enumerate(tiles):
        strip.paste(tile, (place * (width + _GAP), 0))
    buffer = io.BytesIO()
    # Small images are kept as they are; of large ones only a thumbnail is shown, which nobody measures.
    is_small = max(original.shape[:2]) <= _SMALL
    if is_small:
        strip.save(buffer, format="png", optimize=True)
    else:
        strip.save(buffer, format="jpeg", quality=80)
    kind = "png" if is_small else "jpeg"
    text = (
        f"image {record.index}: original, class {result.class_name(record.class_before)}; adversarial, class "
        f"{result.class_name(record.class_after)}; difference, {factor} times"
    )
    data = f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
    return _Picture(data, strip.width, strip.height, text, record)


def _tile(image: Image) -> Pillow.Image:
    channels = image.shape[2]
    if channels not in (1, 3):
        # Whatever the channels stand for, the first three (or the only one of two) give an idea.
        image = image[:, :, :3] if channels > 3 else image[:, :, :1]
    tile = Pillow.fromarray(image[:, :, 0] if image.shape[2] == 1 else np.ascontiguousarray(image))
    if max(tile.size) > _SMALL:
        tile.thumbnail((_THUMBNAIL, _THUMBNAIL), Pillow.Resampling.BOX)
    return tile


def _compare(views: Sequence[_View]) -> dict[str, Any] | None:
    """Return what several runs differ in, or None of one run."""
    if len(views) == 1:
        return None
    flat = [dict(_flat("", view.config)) for view in views]
    names = sorted({name for each in flat for name in each})
    values = {name: [json.dumps(each.get(name)) for each in flat] for name in names}
    ids = [sorted(record.id for record in view.result.records) for view in views]
    return {
        "settings": {name: each for name, each in values.items() if len(set(each)) > 1},
        "same_images": all(each == ids[0] for each in ids),
    }


def _flat(where: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for name, each in value.items():
            yield from _flat(f"{where}.{name}" if where else str(name), each)
    else:
        yield where, value


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{100 * rate:.1f} %"


def _rounded(number: float, digits: int) -> str:
    return "-" if math.isnan(number) else f"{number:,.{digits}f}"


def _is_unknown(number: float | None) -> bool:
    return number is None or math.isnan(number)
