"""The paper's Figure 2 drawn anew: what share of each tool's successes rounding takes, beside the paper's figures.

It is made of what `tables.py --print` printed (`benchmarks/TABLES.md`), and runs nothing. The paper drew bars of SR,
TSR and GAP; here each GAP is a point with its 95 % interval, since most rows are of few images.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from matplotlib.figure import Figure

from dfa.results.rates import wilson
from systems.catalogue import ROWS
from systems.published import Key, counts_of, read_printed

_ROOT: Final = Path(__file__).parents[1]
_MODELS: Final = {"LeNet-1": ("C0", "o"), "ResNet-20": ("C1", "s")}
_ANOTHER: Final = ("C2", "^")
_OF_THE_PAPER: Final = "the paper's"


def gaps(printed: Mapping[Key, dict[str, Any]]) -> dict[str, dict[str, tuple[float, float, float]]]:
    """Return the GAP of each tool of Table 4 with its interval, in per cent, by tool and model.

    Args:
        printed: From `read_printed`.

    Returns:
        By tool, in the order of the table, and by model: GAP and the ends of its 95 % interval. The paper's own figure,
        under a name of its own, has no interval. A tool that nobody has a GAP of is left out.
    """
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for row in ROWS:
        if row.table != "4" or row.model == "demo's LeNet-1" or row.system.startswith("DFA"):
            continue
        own = found.setdefault(row.system, {})
        theirs = row.paper.get("GAP")
        if theirs is not None and not math.isnan(theirs):
            own[_OF_THE_PAPER] = (100 * theirs,) * 3
        measured = printed.get(("4", row.system, row.model))
        lost, successes = (0, 0) if measured is None else counts_of(measured)["GAP"]
        if successes:
            low, high = wilson(lost, successes)
            own[row.model] = (100 * lost / successes, 100 * low, 100 * high)
    return {system: own for system, own in found.items() if own}


def draw(found: Mapping[str, Mapping[str, tuple[float, float, float]]], path: Path) -> None:
    """Draw the tools from top to bottom, with a point for each model and a ring for the paper's figure.

    Args:
        found: From `gaps`.
        path: Of the picture.
    """
    figure = Figure(figsize=(8, 0.33 * len(found) + 1.2), layout="constrained")
    axes = figure.subplots()
    named: set[str] = set()
    for place, own in enumerate(found.values()):
        for number, (model, (gap, low, high)) in enumerate(own.items()):
            label = model if model in (_OF_THE_PAPER, *_MODELS) else "another model"
            shown = "_" + label if label in named else label
            named.add(label)
            if model == _OF_THE_PAPER:
                axes.plot(gap, place, "o", mfc="none", mec="black", ms=10, label=shown)
                continue
            colour, marker = _MODELS.get(model, _ANOTHER)
            at = place + 0.16 * (number - 1)
            axes.plot([low, high], [at, at], color=colour, lw=1)
            axes.plot(gap, at, marker, color=colour, ms=5, label=shown)
    axes.set_yticks(range(len(found)), list(found))
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(-3, 103)
    axes.set_xlabel("GAP: share of the successful vectors that are none as 8-bit images, in %")
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="lower right")
    figure.savefig(path, dpi=120)


def main() -> None:
    """Draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--tables", type=Path, default=_ROOT / "benchmarks" / "TABLES.md", help="what tables.py printed"
    )
    parser.add_argument("--out", type=Path, default=_ROOT / "docs" / "_static" / "figure-2.png")
    arguments = parser.parse_args()
    if not arguments.tables.is_file():
        parser.error(f"--tables: {arguments.tables} is not there")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    found = gaps(read_printed(arguments.tables.read_text(encoding="utf-8").splitlines()))
    draw(found, arguments.out)
    print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
