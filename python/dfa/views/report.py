"""One self-contained HTML page about a run, or about several side by side.

Nothing in it comes from elsewhere when it is looked at: styles and script are part of it, charts are inline SVG,
thumbnails are data. Without scripts everything shows; with them the table can be sorted and filtered. Printed, it
leaves out what a reader turns over.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias

from dfa.checks import as_text, printable, require_count, require_path
from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.results.rates import percent
from dfa.results.result import Result
from dfa.runs.folder import write_text
from dfa.runs.saved_run import holds_run, read_run_json
from dfa.views.charts import PALETTE
from dfa.views.comparison import compare
from dfa.views.run_view import RunView
from dfa.views.tables import WORKER_COLUMNS
from dfa.views.verdict import span

DEFAULT_GALLERY: Final = 240
"""Images that the gallery of a run shows, unless told otherwise."""

Run: TypeAlias = str | os.PathLike[str] | Result
"""A result, or the folder of one."""


def write_report(
    runs: Run | Sequence[Run] | Mapping[str, Run], out: str | Path | None = None, *, gallery: int = DEFAULT_GALLERY
) -> Path:
    """Write a page about a run, or one that compares several, and return its path.

    It is one HTML file that loads nothing from anywhere, to be opened, sent or printed. `dfa report` does the same.

    Args:
        runs: A result, or a folder that `store=` or `Result.save` wrote, also of a run that has not ended; several of
            them; or several by the names that they shall have on the page.
        out: The HTML file; None for `report.html` in the folder of one run, and for `comparison.html` beside the first
            of several folders.
        gallery: Images to show of each run; of more, every n-th by queries is shown.

    Raises:
        StoreError: A folder holds no run, or the page cannot be written.
        MissingDependencyError: jinja2 or matplotlib is not installed.
        InvalidInputError: No run, or more than there are colours; what is no run; no `out` where no folder tells one;
            or `gallery` is no number of images.

    Examples:
        `dfa.write_report({"plain": result, "trained to withstand": other}, "comparison.html")`
    """
    require_count("gallery", gallery, 0)
    named = _named(runs)
    if not 1 <= len(named) <= len(PALETTE):
        raise InvalidInputError(f"a report is about 1 to {len(PALETTE)} runs, got {len(named)}")
    target = require_path("out", out) if out is not None else _default([run for _, run in named])
    template = _environment().get_template("report.html")
    views = [_view(run, name, f"run-{place}", gallery) for place, (name, run) in enumerate(named, 1)]
    page = template.render(
        title=" · ".join(view.name for view in views),
        views=views,
        comparison=compare(views) if len(views) > 1 else None,
        worker_columns=WORKER_COLUMNS,
    )
    write_text(target, page)
    return target


def _named(runs: Run | Sequence[Run] | Mapping[str, Run]) -> list[tuple[str, Run]]:
    """Return runs with what to call each: a folder's name, or its whole path where two have the same."""
    if isinstance(runs, Mapping):
        return [(as_text(str(name)), _checked(run)) for name, run in runs.items()]
    several = runs if isinstance(runs, Iterable) and not isinstance(runs, str | os.PathLike | Result) else [runs]
    each = [_checked(run) for run in several]
    names = ["" if isinstance(run, Result) else Path(run).resolve().name for run in each]
    numbered = [f"run {place}" if len(each) > 1 else "this run" for place in range(1, len(each) + 1)]
    return [
        (number if isinstance(run, Result) else as_text(name if names.count(name) == 1 else run), run)
        for number, name, run in zip(numbered, names, each, strict=True)
    ]


def _checked(run: Any) -> Run:
    if not isinstance(run, str | os.PathLike | Result):
        raise InvalidInputError(f"runs must be results, or the folders of runs, got {run!r:.80}; pass one or several")
    return run


def _default(runs: Sequence[Run]) -> Path:
    first = runs[0]
    if isinstance(first, Result):
        raise InvalidInputError("out must be the file to write where the first run is no folder, got None")
    return Path(first) / "report.html" if len(runs) == 1 else Path(first).parent / "comparison.html"


def _view(run: Run, name: str, key: str, pictures: int) -> RunView:
    if isinstance(run, Result):
        return RunView.of(run, name, key, pictures=pictures, folder=None, about=None)
    folder = Path(run)
    result = Result.load(folder)
    about = read_run_json(folder) if holds_run(folder) else None
    return RunView.of(result, name, key, pictures=pictures, folder=folder, about=about)


def _environment() -> Any:
    jinja2 = imported("jinja2", "a report needs Jinja2", "report")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("dfa.views", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
        finalize=_as_shown,
    )
    environment.filters |= {
        "percent": percent,
        "span": span,
        "tied": lambda words: words.replace(" %", "\N{NO-BREAK SPACE}%"),
        "count": lambda number: "-" if _is_unknown(number) else f"{number:,.0f}",
        "queries": _queries,
        "number": lambda number: "-" if _is_unknown(number) else f"{number:,.4g}",
        "seconds": _seconds,
    }
    return environment


def _as_shown(value: object) -> object:
    """Return a text as the page may show it; what is markup already, and what is no text, stays as it is."""
    return printable(value, kept="\n\t\N{NO-BREAK SPACE}") if type(value) is str else value


def _queries(number: float | None) -> str:
    """Return a mean of queries with as many digits as say something."""
    if number is None or number != number:
        return "-"
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:,.1f}"


def _seconds(number: float) -> str:
    """Return a time with as many digits as say something."""
    return "-" if _is_unknown(number) else f"{number:,.0f} s" if number >= 100 else f"{number:.3g} s"


def _is_unknown(number: float | None) -> bool:
    return number is None or number != number
