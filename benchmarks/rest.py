"""What it costs to end an image where nothing moves: `give_up_after`, with the same seeds without it.

A search that was given up might have found something later. How often is what this measures: both runs have the same
images, seeds and budget, and what one breaks and the other does not is counted. (Since images learn from one another,
one that ends earlier may change what a later one is told, so either may break what the other does not.)
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import dfa
from comparison.settings import SETTINGS
from harness.arguments import make_parser, matching, not_negative, positive
from harness.printing import percent, print_table
from harness.promises import Ball
from harness.results import read_results, write_results
from harness.settings import Subject, load_setting

_EPSILONS = {
    name: setting.promise.epsilon
    for name, setting in SETTINGS.items()
    if isinstance(setting.promise, Ball) and not setting.shows_labels
}
_SETTINGS = {name: SETTINGS[name] for name in _EPSILONS}
_HEADERS = (
    "",
    "seed",
    "given up after",
    "broken",
    "lost",
    "won",
    "at rest",
    "sent per image",
    "mean, failures at budget",
)


def measure(name: str, subject: Subject, seed: int, give_up_after: int | None, arguments: argparse.Namespace) -> Any:
    """Run one row."""
    setting = _SETTINGS[name]
    epsilon = arguments.epsilon or _EPSILONS[name]
    result = dfa.run(
        subject.model,
        subject.images,
        subject.labels,
        targets=subject.targets,
        epsilon=epsilon,
        max_queries=arguments.budget,
        give_up_after=give_up_after,
        batch_size=setting.batch_size,
        seed=seed,
    )
    summary = result.summary()
    return {
        "setting": name,
        "epsilon": epsilon,
        "skipped": arguments.skip,
        "images": summary.attacked,
        "budget": arguments.budget,
        "seed": seed,
        "give_up_after": give_up_after,
        "SR": summary.SR,
        "TSR": summary.TSR,
        "at_rest": summary.at_rest,
        "queries_mean_with_failures": summary.queries_mean_with_failures,
        "sent_per_image": summary.queries_sent / summary.attacked,
        "queries": [record.queries if record.verified else None for record in result.records],
        "sent": result.queries_sent,
    }


def print_rows(rows: list[dict[str, Any]]) -> None:
    """Print all rows, each run that may give up beside the one with its seed that may not."""
    cells = []
    for row in rows:
        whole = next(
            each
            for each in rows
            if each["give_up_after"] is None
            and all(each[name] == row[name] for name in ("setting", "epsilon", "skipped", "images", "budget", "seed"))
        )
        pairs = list(zip(whole["queries"], row["queries"], strict=True))
        cells.append(
            [
                f"{row['setting']}, epsilon {row['epsilon']}",
                row["seed"],
                "never" if row["give_up_after"] is None else f"{row['give_up_after']:,}",
                percent(row["TSR"]),
                sum(before is not None and after is None for before, after in pairs),
                sum(before is None and after is not None for before, after in pairs),
                row["at_rest"],
                f"{row['sent_per_image']:,.0f}",
                f"{row['queries_mean_with_failures']:,.0f}",
            ]
        )
    print_table(_HEADERS, cells)


def main() -> None:
    """Run the chosen rows beside those that the file holds, writing each down when it is finished."""
    parser = make_parser("rest", __doc__)
    parser.add_argument(
        "--only", nargs="+", default=["mnist-robust-eps76"], metavar="SETTING", help="patterns of names"
    )
    parser.add_argument("--epsilon", type=positive, help="grey levels, instead of the setting's own")
    parser.add_argument("--after", type=positive, nargs="+", default=[1000], help="numbers of queries to give up after")
    parser.add_argument("--seeds", type=not_negative, nargs="+", default=[0, 1, 2])
    parser.add_argument("--images", type=positive, help="per setting, instead of each setting's own number")
    parser.add_argument("--skip", type=not_negative, default=0, help="leave out so many images before those")
    parser.add_argument("--budget", type=positive, default=10_000, help="queries per image")
    arguments = parser.parse_args()
    path: Path = arguments.out
    rows: list[dict[str, Any]] = read_results(path, [])
    for name in matching(arguments.only, _SETTINGS):
        subject = load_setting(_SETTINGS[name], arguments.data, arguments.images, skip=arguments.skip)
        for seed in arguments.seeds:
            for after in (None, *arguments.after):
                print(f"{name}, seed {seed}, given up after {after} ...", file=sys.stderr, flush=True)
                rows.append(measure(name, subject, seed, after, arguments))
                write_results(path, arguments, rows)
    print_rows(rows)


if __name__ == "__main__":
    main()
