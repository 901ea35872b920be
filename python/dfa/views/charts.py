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

from dfa.checks import printable
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

_WIDTH: Final = 4.4
"""Inches, at which words are as large as the page's own on a phone."""

_MOST_STEPS: Final = 800
_LEAST: Final = 0.7
"""Where bars of queries begin on their logarithmic axis, so that one query is seen."""

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


@dataclass(frozen=True)
class Band:
    """A share at each size from 0 on, and how far it may be from that of all images.

    Attributes:
        name: Of what it is.
        share: float64, (n,), 0..1; nan where there is nothing to share.
        low: float64, (n,), the lower end of its interval.
        high: Likewise, the upper end.
    """

    name: str
    share: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


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
def success_chart(series: Sequence[Series], *, unit: str, width: float = _WIDTH, height: float = 2.9) -> Figure:
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
    _name_shares(axes, unit, "attacked images that fell")
    _name_lines(axes, lines, [each.name for each in series], "lower right")
    return figure


@_own_looks()
def band_chart(
    bands: Sequence[Band], *, x: str, y: str, title: str = "", width: float = _WIDTH, height: float = 2.9
) -> Figure:
    """Return shares over sizes, each with its interval as a band.

    Args:
        bands: One curve each.
        x: What sizes are, for the axis.
        y: What shares are of, likewise.
        title: Above it, or nothing.
        width: Inches.
        height: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, height)
    axes.set_title(title)
    lines = []
    for place, each in enumerate(bands):
        colour, sizes = PALETTE[place % len(PALETTE)], np.arange(len(each.share))
        axes.fill_between(sizes, each.low, each.high, step="post", color=colour, alpha=0.15, linewidth=0)
        lines += axes.step(sizes, each.share, where="post", color=colour, linewidth=2)
    axes.set_xlim(0, max(len(each.share) - 1 for each in bands))
    _name_shares(axes, x, y)
    _name_lines(axes, lines, [each.name for each in bands], "upper right")
    return figure


@_own_looks()
def images_chart(
    queries: Sequence[int], fell: Sequence[bool], names: Sequence[str], *, width: float = _WIDTH
) -> Figure:
    """Return one bar for each image, as long as it took queries: filled where it fell, hollow where it did not.

    Args:
        queries: Of each image, 1 or more.
        fell: Whether each did.
        names: What each is called.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, 0.8 + 0.2 * max(3, len(queries)))
    rows = range(len(queries))
    for row, number, is_fallen in zip(rows, queries, fell, strict=True):
        colour = PALETTE[0] if is_fallen else "none"
        axes.barh(row, number - _LEAST, left=_LEAST, height=0.62, color=colour, edgecolor=PALETTE[0], linewidth=1)
        axes.text(1.08 * number, row, f"{number:,}", va="center", fontsize=8, color=_INK)
    _make_logarithmic(axes)
    axes.set_yticks(rows, [_short(name) for name in names], parse_math=False)
    axes.set_ylim(len(queries) - 0.4, -0.6)
    axes.set_xlim(_LEAST, 3.2 * max([10, *queries]))
    _label_below(figure, "queries; hollow: not broken by them")
    axes.grid(visible=False, axis="y")
    return figure


@_own_looks()
def class_chart(
    counts: Mapping[int, tuple[int, int]], name: Callable[[int], str] = str, *, width: float = _WIDTH
) -> Figure:
    """Return the share of each class that fell, the weakest first.

    Args:
        counts: How many fell and how many were attacked, by class of the original; classes beyond the weakest 20 are
            left out.
        name: Tells what a class is called.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    share = {number: fell / attacked for number, (fell, attacked) in counts.items()}
    weakest = sorted(counts, key=lambda number: (-share[number], -counts[number][1], number))[:_MOST_CLASSES]
    figure, axes = _new(width, 0.8 + 0.24 * max(3, len(weakest)))
    axes.barh(range(len(weakest)), [1.0] * len(weakest), height=0.62, color=_GRID)
    axes.barh(range(len(weakest)), [share[number] for number in weakest], height=0.62, color=PALETTE[0])
    # A name is text, and no formula, whatever dollars it has.
    words = [f"{_short(name(number))}  {counts[number][0]:,} of {counts[number][1]:,}" for number in weakest]
    axes.set_yticks(range(len(weakest)), words, parse_math=False)
    axes.set_ylim(len(weakest) - 0.4, -0.6)
    _make_shares(axes.xaxis)
    axes.set_xlim(0, 1)
    _label_below(figure, "attacked images of the class that fell")
    axes.grid(visible=False)
    return figure


@_own_looks()
def rates_chart(rates: Sequence[tuple[str, float, tuple[float, float]]], *, width: float = _WIDTH) -> Figure:
    """Return the share that fell in each of several runs, with its interval.

    Args:
        rates: Name, share and interval of each run; nan where none was attacked.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, 0.8 + 0.34 * max(2, len(rates)))
    for row, (_, rate, (low, high)) in enumerate(rates):
        colour = PALETTE[row % len(PALETTE)]
        axes.plot([low, high], [row, row], color=colour, linewidth=4, solid_capstyle="round", alpha=0.45)
        axes.plot([rate], [row], "o", color=colour, markersize=7)
    axes.set_yticks(range(len(rates)), [_short(name) for name, _, _ in rates], parse_math=False)
    axes.set_ylim(len(rates) - 0.4, -0.6)
    _make_shares(axes.xaxis)
    axes.set_xlim(0, 1)
    _label_below(figure, "attacked images that fell, and the 95 % interval")
    return figure


def _short(name: str) -> str:
    """Return what of a name a chart has room for."""
    plain = _printable(name)
    return plain if len(plain) <= _LONGEST_NAME else f"{plain[: _LONGEST_NAME - 1]}\u2026"


def _printable(name: str) -> str:
    """Return a name in characters that an SVG may hold."""
    return "".join(each if each.isprintable() else " " for each in name)


@_own_looks()
def time_chart(parts: Mapping[str, float], *, width: float = _WIDTH) -> Figure:
    """Return one bar of where the time went.

    Args:
        parts: Seconds by name; they add up to the whole.
        width: Inches.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    figure, axes = _new(width, 1.25)
    whole = sum(parts.values()) or 1.0
    left = 0.0
    bars = []
    names = []
    for place, (name, seconds) in enumerate(parts.items()):
        share = seconds / whole
        bars.append(axes.barh(0, share, left=left, height=0.6, color=PALETTE[place % len(PALETTE)]))
        names.append(f"{name} {100 * share:.0f} %")
        left += share
    figure.legend(bars, names, loc="outside lower center", ncols=3, frameon=False, labelcolor=_INK, fontsize=9)
    axes.set_xlim(0, 1)
    axes.set_axis_off()
    return figure


@_own_looks()
def calls_chart(seconds: float, rows: NDArray[np.float64], most: float, *, width: float = _WIDTH) -> Figure:
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
    label = printable(title).replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;")
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


def _name_shares(axes: Any, x: str, y: str) -> None:
    """Let the vertical axis show shares, and say what they are of, and over what."""
    axes.set_ylim(0, 1.02)
    _make_shares(axes.yaxis)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def _name_lines(axes: Any, lines: Sequence[Any], names: Sequence[str], place: str) -> None:
    """Say which line is which, where there are several."""
    if len(lines) > 1:
        # Texts are set afterwards: a label that begins with an underscore would be left out, and dollars be a formula.
        legend = axes.legend(lines, map(str, range(len(lines))), frameon=False, loc=place, labelcolor=_INK)
        for text, name in zip(legend.get_texts(), names, strict=True):
            text.set_parse_math(False)
            text.set_text(_short(name))


def _label_below(figure: Figure, words: str) -> None:
    """Label the x axis in the middle of the figure: beside long names the axis itself may be shorter than its label."""
    figure.supxlabel(words, fontsize=10, color=_INK)


def _make_shares(axis: Any) -> None:
    axis.set_major_formatter(lambda value, _: f"{100 * value:.0f} %")


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
