"""Queries that dfa and its rivals need: same oracle, images, integer epsilon and budget, counted in one place.

The images are the first of each set that the model classifies correctly, or with --reporting others that nothing was
chosen on, and success is over all of them. What may become of an image (its values within epsilon, a few pixels, a
patch, a frame), and whether scores or labels alone are shown, is part of the setting. Queries of an image are counted
up to the first success; a failure counts as the whole budget. `rivals/counting.py` says what is
counted; dfa counts for itself, and its count is compared with the images that its oracle saw.

Every cell (a setting, an attack, a seed) is written to the folder when it is finished, and one that the folder holds
with the same parameters is not measured again, so a long run may be cut into many; `comparison/files.py` says what
lies there. All cells of a setting in a folder are of the same images and budget: others need another folder. The
variants of Square Attack compete: per setting, the one with the lowest mean is the best, to which all others are
compared.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from comparison.attacks import ATTACKS
from comparison.cells import Asked, Key, Loaded, asked_of, load, measure, parameters_of, refuse_mixture
from comparison.display import draw, print_tables
from comparison.files import read_cells, write_cell
from comparison.rows import rows_of
from comparison.settings import SETTINGS
from harness.arguments import make_parser, matching, not_negative, positive

_REPORTING = Path("runs") / "benchmarks" / "queries-reporting"


def main() -> None:
    """Run the cells that the folder lacks, or summarise it."""
    parser = make_parser("queries", __doc__, in_folder=True)
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SETTING", help=f"of {', '.join(SETTINGS)}")
    parser.add_argument("--attacks", nargs="+", default=["*"], metavar="ATTACK", help=f"of {', '.join(ATTACKS)}")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--images", type=positive, help="per setting, instead of each setting's own number")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--skip", type=not_negative, default=0, help="leave out so many images before those")
    which.add_argument(
        "--reporting", action="store_true", help=f"each setting's images that nothing was chosen on, into {_REPORTING}"
    )
    parser.add_argument("--budget", type=positive, help="queries per image, instead of each setting's own")
    parser.add_argument("--within", type=positive, help="summarise what the first so many queries found")
    parser.add_argument("--redo", action="store_true", help="measure again what the folder already holds")
    parser.add_argument("--summarise", action="store_true", help="only print the tables and draw, from the folder")
    arguments = parser.parse_args()
    if arguments.reporting and arguments.out is parser.get_default("out"):
        arguments.out = _REPORTING
    settings, attacks = matching(arguments.only, SETTINGS), matching(arguments.attacks, ATTACKS)
    if not arguments.summarise:
        _refuse_others(settings, attacks)
        for setting in settings:
            _refuse_mixed(arguments, setting)
        for setting in settings:
            loaded: Loaded | None = None
            for seed in arguments.seeds:
                for attack in attacks:
                    if not ATTACKS[attack].takes(SETTINGS[setting]):
                        continue
                    key = Key(setting, attack, seed)
                    held = read_cells(arguments.out, setting).get(key)
                    wanted = parameters_of(SETTINGS[setting], ATTACKS[attack], arguments)
                    if held is not None and held.parameters == wanted and not arguments.redo:
                        continue
                    loaded = loaded or load(SETTINGS[setting], arguments)
                    print(f"{setting}, {attack}, seed {seed} ...", file=sys.stderr, flush=True)
                    write_cell(arguments.out, arguments, measure(loaded, key, arguments))
    summarise(arguments.out, arguments.within)


def _refuse_others(settings: Sequence[str], attacks: Sequence[str]) -> None:
    """Refuse attacks of which none is for one of the settings."""
    if any(ATTACKS[attack].takes(SETTINGS[setting]) for setting in settings for attack in attacks):
        return
    for_these = [name for name, each in ATTACKS.items() if any(each.takes(SETTINGS[setting]) for setting in settings)]
    raise SystemExit(
        f"{', '.join(settings)} must be attacked by one of {', '.join(for_these)}; {', '.join(attacks)} does not run "
        "there. Name others with --attacks, or another setting with --only"
    )


def _refuse_mixed(arguments: argparse.Namespace, setting: str) -> None:
    """Refuse to measure a setting beside cells of other images or another budget."""
    held = [Asked.of(cell.parameters) for cell in read_cells(arguments.out, setting).values()]
    refuse_mixture(arguments.out, setting, [*held, asked_of(SETTINGS[setting], arguments)])


def summarise(folder: Path, within: int | None = None) -> None:
    """Print the tables and draw the pictures of a folder, into it; of so many queries an image, no pictures."""
    cells = {setting: read_cells(folder, setting).values() for setting in SETTINGS}
    for setting, held in cells.items():
        refuse_mixture(folder, setting, (Asked.of(cell.parameters) for cell in held))
    tables = {setting: rows_of(held, setting, within) for setting, held in cells.items()}
    if not any(tables.values()):
        raise SystemExit(f"{folder} holds no results yet; run without --summarise first")
    print_tables(tables)
    if within is None:
        draw(tables, folder)


if __name__ == "__main__":
    main()
