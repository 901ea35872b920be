"""Charts of runs, drawn by matplotlib without its global state. Knows numbers, not records or files."""

from __future__ import annotations

import contextlib
import importlib
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import MissingDependencyError
from dfa.extras import imported

Figure = Any
"""A `matplotlib.figure.Figure`; matplotlib may be absent."""

PALETTE: Final = ("#1f6fc4", "#c8591b", "#16876b", "#8b4fb3", "#a8801a", "#b8406e")
"""Colours of up to six runs on a light ground, told apart with every common colour vision."""

_INK: Final = "#2b2f36"
_FAINT: Final = "#8a9099"
_GRID: Final = "#dde1e6"
_ON_COLOUR: Final = "#fefefe"
_CSS: Final = {
    _ON_COLOUR: "var(--on)",
    _INK: "var(--ink)",
    _FAINT: "var(--faint)",
    _GRID: "var(--line)",
    **{colour: f"var(--s{number})" for number, colour in enumerate(PALETTE, 1)},
}

_MOST_STEPS: Final = 800
_MOST_CLASSES: Final = 20
_LONGEST_NAME: Final = 24


@dataclass(frozen=True)
class Series:
    """The successes of a run, as far as a chart needs them.

    Attributes:
        name: Of the run.
        costs: What each success took (queries, or seconds), ascending: float64.
        attacked: Images attacked, the successes among them.
        most: The largest cost that a failure had to bear, where the curve ends.
    """

    name: str
    costs: NDArray[np.float64]
    attacked: int
    most: float


@contextlib.contextmanager
def _own_looks() -> Iterator[None]:
    """Draw as matplotlib does by default, whatever a matplotlibrc says: one may lie in the folder that one is in.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    matplotlib = _matplotlib()
    # Setting a backend would load it.
    looks = {name: value for name, value in matplotlib.rcParamsDefault.items() if name != "backend"}
    with matplotlib.rc_context({**looks, "text.usetex": False}):
        yield


@_own_looks()
def success_chart(series: Sequence[Series], *, unit: str, width: float = 5.2, height: float = 3.1) -> Figure:
    """Return the share of the attacked images that had fallen, over what it took (logarithmic).

    Args:
        series: One curve each.
        unit: What costs are, for the axis.
        width: Inches.
        height: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, height)
    lines = []
    for place, each in enumerate(series):
        x, y = _steps(each)
        lines += axes.step(x, y, where="post", color=PALETTE[place % len(PALETTE)], linewidth=2)
    _make_logarithmic(axes)
    axes.set_ylim(0, 1.02)
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")
    axes.set_xlabel(unit)
    axes.set_ylabel("attacked images that fell")
    if len(series) > 1:
        # Texts are set afterwards: a label that begins with an underscore would be left out, and dollars be a formula.
        legend = axes.legend(lines, map(str, range(len(lines))), frameon=False, loc="lower right", labelcolor=_INK)
        for text, each in zip(legend.get_texts(), series, strict=True):
            text.set_parse_math(False)
            text.set_text(_short(each.name))
    return figure


@_own_looks()
def class_chart(
    queries: Mapping[int, NDArray[np.float64]], name: Callable[[int], str] = str, *, width: float = 5.2
) -> Figure:
    """Return the quartiles of the queries of the successes of each class, hardest first.

    Args:
        queries: Queries of the successes, by class of the original; classes beyond the hardest 20 are left out.
        name: Tells what a class is called.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    hardest = sorted(queries, key=lambda number: (-float(np.median(queries[number])), number))[:_MOST_CLASSES]
    figure, axes = _new(width, 0.9 + 0.24 * max(3, len(hardest)))
    for row, number in enumerate(hardest):
        low, middle, high = np.quantile(queries[number], [0.25, 0.5, 0.75])
        axes.plot([low, high], [row, row], color=PALETTE[0], linewidth=4, solid_capstyle="round", alpha=0.45)
        axes.plot([middle], [row], "o", color=PALETTE[0], markersize=6)
    _make_logarithmic(axes)
    # A name is text, and no formula, whatever dollars it has.
    words = [f"{_short(name(number))}  (n = {len(queries[number])})" for number in hardest]
    axes.set_yticks(range(len(hardest)), words, parse_math=False)
    axes.set_ylim(len(hardest) - 0.5, -0.5)
    axes.set_xlabel("queries: median, and the middle half")
    axes.set_ylabel("class of the original")
    return figure


def _short(name: str) -> str:
    """Return what of a name a chart has room for."""
    plain = _printable(name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}\u2026"


def _printable(name: str) -> str:
    """Return a name in characters that an SVG may hold."""
    return "".join(each if each.isprintable() else " " for each in name)


@_own_looks()
def time_chart(parts: Mapping[str, float], *, width: float = 5.2) -> Figure:
    """Return one bar of where the time went.

    Args:
        parts: Seconds by name; they add up to the whole.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, 1.15)
    whole = sum(parts.values()) or 1.0
    left = 0.0
    for place, (name, seconds) in enumerate(parts.items()):
        share = seconds / whole
        axes.barh(0, share, left=left, height=0.6, color=PALETTE[place % len(PALETTE)])
        if share > 0.08:
            axes.text(left + share / 2, 0, f"{name} {100 * share:.0f} %", ha="center", va="center", color=_ON_COLOUR)
        left += share
    axes.set_xlim(0, 1)
    axes.set_axis_off()
    return figure


@_own_looks()
def calls_chart(seconds: float, rows: NDArray[np.float64], most: float, *, width: float = 5.2) -> Figure:
    """Return how many images each call carried, over the time of the run.

    Args:
        seconds: Length of each part of the run.
        rows: Mean images per call of the parts, float64, (n,); nan, which leaves a gap, where nothing was sent.
        most: What a call could carry, drawn as a line.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, 2.2)
    axes.axhline(most, color=_FAINT, linewidth=1, linestyle="--")
    axes.stairs(rows, seconds * np.arange(len(rows) + 1), color=PALETTE[0], linewidth=2, baseline=None)
    axes.set_xlim(0, seconds * len(rows))
    axes.set_ylim(0, 1.05 * most)
    axes.set_xlabel("seconds of the run")
    axes.set_ylabel("images per call")
    return figure


def to_svg(figure: Figure, title: str, key: str) -> str:
    """Return a chart as SVG to be put into a page, its colours left to the page's style sheet.

    Args:
        figure: The chart.
        title: What it shows, for those who do not see it.
        key: What its ids begin with, so that those of two charts of a page do not clash: letters, digits and hyphens.
    """
    matplotlib = _matplotlib()
    buffer = io.StringIO()
    # Text stays text, so it has the page's font; ids are the chart's own, so that two charts do not clash.
    with _own_looks(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    for colour, variable in _CSS.items():
        svg = svg.replace(colour, variable)
    svg = re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{key}-", svg)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", svg)
    label = title.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
    root, _, rest = svg.partition(">")
    root = re.sub(r' (width|height)="[\d.]+pt"', "", root)
    return f'{root} role="img" aria-label="{label}">{rest}'


def _new(width: float, height: float) -> tuple[Figure, Any]:
    """Return a figure and its axes, in this project's looks."""
    _matplotlib()
    base: Any = importlib.import_module("matplotlib.figure").Figure

    class Chart(base):  # type: ignore[misc]
        def _repr_svg_(self) -> str:
            """Show in a notebook, whatever its matplotlib backend."""
            buffer = io.StringIO()
            with _own_looks():
                self.savefig(buffer, format="svg")
            return buffer.getvalue()

    figure = Chart(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(_FAINT)
    axes.tick_params(which="both", colors=_INK, labelsize=9)
    axes.xaxis.label.set_color(_INK)
    axes.yaxis.label.set_color(_INK)
    axes.patch.set_alpha(0)
    return figure, axes


def _make_logarithmic(axes: Any) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _steps(series: Series) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the corners of a curve, thinned to what can be seen."""
    number = len(series.costs)
    places = np.unique(np.linspace(0, number - 1, min(number, _MOST_STEPS)).astype(int)) if number else np.empty(0, int)
    least = float(series.costs[0]) if number else 1.0
    x = np.concatenate([[least], series.costs[places], [max(series.most, float(series.costs[-1]) if number else 1.0)]])
    y = np.concatenate([[0.0], (places + 1) / max(1, series.attacked), [number / max(1, series.attacked)]])
    return x, y


def _matplotlib() -> Any:
    try:
        return imported("matplotlib", "charts need matplotlib", "report")
    except MissingDependencyError:
        raise
    except Exception as error:  # it reads a matplotlibrc where one is as soon as it is imported, and may choke on it
        raise MissingDependencyError(
            f"charts need matplotlib, which cannot be imported: {type(error).__name__}: {error}; is there a "
            "matplotlibrc in the current folder?"
        ) from error
