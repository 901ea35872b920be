"""An audit in a few figures: the paper's rates with their intervals, as a table and as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dfa.errors import InvalidInputError, MissingDependencyError
from dfa.extras import how_to_install
from dfa.results.rates import Interval

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class AuditSummary:
    """One rounding and one codec in a few figures, with the paper's names for the paper's figures.

    A figure over an empty set is nan. Intervals are Wilson's at 95 %; that of GAP is over the vector successes, of
    which it is the share that was lost.

    Attributes:
        rounding: The rounding.
        codec: The codec.
        attacked: N_a: originals that the oracle classifies as labelled (and not as the target already).
        vectors: N_v: of these, adversarial as vectors.
        images: Of these, adversarial when rounded.
        files: N_i: of the N_v, adversarial after the codec.
        gained: Adversarial after the codec and not as a vector; in no rate.
        SR: N_v / N_a.
        TSR: N_i / N_a.
        GAP: (SR - TSR) / SR.
        SR_interval: Of SR.
        TSR_interval: Of TSR.
        GAP_interval: Of GAP.
        linf_vector: Largest distance of any attacked image before rounding, grey levels.
        linf_image: Largest distance after rounding.
        linf_file: Largest distance after the codec.
        budget_broken: Images whose budget rounding alone broke; None without an epsilon.

    Source: paper, section 3.2.1.
    """

    rounding: str
    codec: str
    attacked: int
    vectors: int
    images: int
    files: int
    gained: int
    SR: float
    TSR: float
    GAP: float
    SR_interval: Interval
    TSR_interval: Interval
    GAP_interval: Interval
    linf_vector: float
    linf_image: float
    linf_file: float
    budget_broken: int | None


def table(summaries: list[AuditSummary]) -> str:
    """Return summaries as text, one line each, rates with their intervals."""
    headers = ["rounding", "codec", "N_a", "SR", "TSR", "GAP", "L-inf before", "after", "budget broken"]
    rows = [
        [
            each.rounding,
            each.codec,
            f"{each.attacked:,}",
            *(_percent(getattr(each, rate), getattr(each, f"{rate}_interval")) for rate in ("SR", "TSR", "GAP")),
            f"{each.linf_vector:.2f}",
            f"{each.linf_file:.0f}",
            "-" if each.budget_broken is None else f"{each.budget_broken:,}",
        ]
        for each in summaries
    ]
    widths = [max(len(row[column]) for row in [headers, *rows]) for column in range(len(headers))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in [headers, *rows]
    )


def bars(summaries: Mapping[str, AuditSummary], path: str | Path | None = None) -> Figure:
    """Draw SR, TSR and GAP of named summaries as groups of bars, as in the paper's Figure 2.

    Args:
        summaries: What to draw, under the name that stands below its bars.
        path: Where to save the picture too, in the format of its suffix.

    Raises:
        InvalidInputError: There is nothing to draw.
        MissingDependencyError: matplotlib is not installed.
    """
    if not summaries:
        raise InvalidInputError("bars needs at least one summary, got none")
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(
            f"a picture needs matplotlib; install it with: {how_to_install('plots')}"
        ) from error
    # Not pyplot: that keeps every figure, and picks a window system, for the whole process.
    figure = Figure(figsize=(max(4.0, 1.1 * len(summaries) + 1.5), 3.6), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(summaries))
    for offset, (rate, colour) in enumerate((("SR", "#9aa5b1"), ("TSR", "#2f6fab"), ("GAP", "#be1e2d"))):
        values = np.array([getattr(each, rate) for each in summaries.values()])
        ends = np.array([getattr(each, f"{rate}_interval") for each in summaries.values()])
        lengths = np.abs(ends - values[:, None]).T
        axes.bar(
            places + 0.27 * (offset - 1),
            100 * np.nan_to_num(values),
            width=0.25,
            color=colour,
            label=rate,
            yerr=100 * np.nan_to_num(lengths),
            error_kw={"elinewidth": 0.8, "ecolor": "#555555"},
        )
    axes.set_xticks(places, list(summaries), fontsize=8)
    axes.set_ylim(0, 105)
    axes.set_ylabel("%")
    axes.legend(ncols=3, frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1.0))
    axes.spines[["top", "right"]].set_visible(False)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _percent(rate: float, interval: Interval) -> str:
    if math.isnan(rate):
        return "-"
    return f"{100 * rate:.1f} % [{100 * interval[0]:.0f}, {100 * interval[1]:.0f}]"
