"""How full an attack's batches are, and what that costs: on a simulated device, and where the oracle costs nothing.

A device takes 2 ms a call and 20 us a row, and leaves the processor to others meanwhile. What answers on it is a linear
model of the pixels, exact in whatever batch a row comes, so that runs are the same to the bit; or LeNet-1, which a
processor answers for in less time than that. Utilisation is the time
that the attack queries would take in full batches over the wall time of the run; "of all" counts clean predictions and
confirmations, too, which also take the device's time. "at best" is what that would be, had the device never been idle:
it depends on nothing but how full the batches were. "late" is what the calls took over what they should have taken:
where it is above 1, the machine was busy with other things, and utilisation is lower for it.

* tiny: random images of 8x8 in batches of 1,024, at most 30 queries each, on a model that costs next to nothing: the
  time per query should not grow with the number of images.
* free: an oracle that costs nothing, beside what the core alone takes for as many rows in full batches (`core.py`;
  candidates of an image from the 31st on there, from the first on here).
* square: Square Attack as torchattacks and ART have it, on the same torch model (`fullness/squares.py`).

Every run is in a process of its own. `--beside FOLDER` runs each case with another build of dfa, too, in turns: a
folder that holds a package `dfa` as pip installs it (`pip install --target FOLDER ...`). "other's" columns are how many
times as much that build takes. Figures are medians, ratios medians of the ratios of one turn. Where the machine is
shared, trust those of processor time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from fullness.cases import CASES, Case
from fullness.turns import Turn, middle, take_turns, times
from harness.arguments import make_parser
from harness.printing import percent, print_table
from harness.results import write_results

Column = tuple[str, str, Callable[[float], str]]
"""Its head, its figure, and how that is written."""

_COUNT: Callable[[float], str] = "{:,.0f}".format
_TIMES: Callable[[float], str] = "{:.2f}".format
_MICROSECONDS: Callable[[float], str] = lambda seconds: f"{1e6 * seconds:.2f}"  # noqa: E731
_RUN: list[Column] = [
    ("images", "images", _COUNT),
    ("TSR", "TSR", percent),
    ("queries", "queries", _COUNT),
    ("calls", "calls", _COUNT),
    ("rows per call", "rows_per_call", "{:,.1f}".format),
    ("queries/s", "queries_per_second", _COUNT),
    ("wall (s)", "wall", _TIMES),
    ("processors", "processors", _TIMES),
]
_PER_QUERY: list[Column] = [
    ("us/query", "cost", _MICROSECONDS),
    ("processors' us", "processor_cost", _MICROSECONDS),
]
_COLUMNS: Mapping[str, list[Column]] = {
    "device": [
        *_RUN,
        ("utilisation", "utilisation", "{:.3f}".format),
        ("of all", "utilisation_of_all", "{:.3f}".format),
        ("at best", "at_best", "{:.3f}".format),
        ("late", "lateness", "{:.3f}".format),
    ],
    "tiny": [*_RUN, *_PER_QUERY],
    "free": [
        *_RUN,
        *_PER_QUERY,
        ("core", "core", _MICROSECONDS),
        ("x core", "times_core", _TIMES),
        ("x core processors", "times_core_processors", _TIMES),
    ],
    "square": [
        *_RUN,
        ("its TSR", "rival_TSR", percent),
        ("its wall", "rival_wall", _TIMES),
        ("its x wall", "times_wall", _TIMES),
        ("its x processors", "times_processors", _TIMES),
        ("its x images sent", "times_rows", _TIMES),
    ],
}


def cells(case: Case, turns: list[Turn], *, is_compared: bool) -> list[str]:
    """Return a row of the table of the case's kind."""
    figures = [write(middle(turns, figure)) for _, figure, write in _COLUMNS[case.kind]]
    others = (
        [_TIMES(times(turns, figure)) for figure in ("cost", "processors", "queries", "calls")] if is_compared else []
    )
    return [case.name, *figures, *others]


def growth(results: Sequence[tuple[Case, list[Turn]]]) -> list[list[str]]:
    """Return what a query takes in each case, over what it takes in the first: a row of the table each."""
    first = results[0][1]
    return [
        [case.name, *(_TIMES(middle(turns, figure) / middle(first, figure)) for figure in ("cost", "processor_cost"))]
        for case, turns in results
    ]


def main() -> None:
    """Measure every case and print the tables."""
    parser = make_parser("devices", __doc__, repeats=3)
    parser.add_argument("--only", nargs="+", default=[""], help="cases whose names contain one of these")
    parser.add_argument("--beside", type=Path, help="folder that holds another build's package dfa, to be held against")
    arguments = parser.parse_args()
    is_compared = arguments.beside is not None
    results: list[tuple[Case, list[Turn]]] = []
    for case in CASES:
        if any(part in case.name for part in arguments.only):
            print(f"{case.name} ...", file=sys.stderr, flush=True)
            turns = take_turns(case.name, arguments.data, repeats=arguments.repeats, beside=arguments.beside)
            results.append((case, turns))
    print(__doc__)
    for kind, columns in _COLUMNS.items():
        of_kind = [result for result in results if result[0].kind == kind]
        if of_kind:
            others = [f"other's {name}" for name in ("time", "processors", "queries", "calls")] if is_compared else []
            print_table(
                [kind, *(head for head, _, _ in columns), *others],
                (cells(*result, is_compared=is_compared) for result in of_kind),
            )
            print()
        if kind == "tiny" and len(of_kind) > 1:
            print_table(["a query's time, over the first's", "wall", "processors"], growth(of_kind))
            print()
    documents = [{"case": case.name, "kind": case.kind, "turns": turns} for case, turns in results]
    write_results(arguments.out, arguments, documents)


if __name__ == "__main__":
    main()
