"""The paper's Table 4 (what rounding leaves of each tool) and Tables 6 to 10, measured again with today's tools.

Small models stand in for the paper's: LeNet-1 on MNIST, which is its own, and for ImageNet's ResNet-20 on CIFAR-10, and
in Tables 6 to 10 also MobileNetV2-224 (ResNet50) and SqueezeNet 1.1 (InceptionV3) on ImageNet pictures. The paper's
figures stand beside ours, under the name of the model they are of. No row is dropped: a system that cannot run has its
reason instead. Every row is a JSON file of its own as soon as it is finished, and a row that has one is not run again
(`--again` does), so a run may be stopped at any time. The rows on ImageNet take one image after another, and end with
those that they have when `--row-seconds` are over ("8 of 20 images"); they go on whenever the tables are run again.

`--witnesses FOLDER` holds what the authors' verifiers found, by the name of the system in small letters: `deeppoly.npz`
with `vectors`, float (n, 28, 28, 1) in 0..1, and `indices`, int (n,), into the MNIST images of LeNet-1. Where such a
file is, it is audited in place of what our small version of the system finds.

In Tables 6 to 9 only what lies within epsilon counts, as a vector and as a file: 64 grey levels on MNIST, 10 on
CIFAR-10 and ImageNet; beside it stands what counts at any distance, which is how the paper had attacks that minimise
L2. Every rate has its 95 % interval (Wilson's, in per cent). What is printed is Markdown: the tables, a sentence for
every row that has no figures or others than the paper's, what `dfa.repair` makes of the vectors that rounding lost, its
queries and distances (in grey levels) being means over the repaired, and whether the bars are met.
`benchmarks/TABLES.md` is that of the rows in `benchmarks/results/tables`.

`--check FILE` compares the rows of the folder with such a print, and ends with status 1 where two rates are farther
apart than chance explains.
"""

from __future__ import annotations

import argparse
import math
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from dfa.results.rates import wilson
from harness.arguments import make_parser, positive
from harness.printing import percent
from harness.results import read_results, write_results
from systems.catalogue import ROWS
from systems.context import Context
from systems.measuring import is_better, is_unfinished, load_libraries, measure, told
from systems.parts import WANTED
from systems.published import RATES, counts_of, disagreements, read_printed, shown
from systems.rows import key_of

_TABLES = ("4", "6", "7", "8", "9", "10", "repair")
_HEAD = (
    "# The paper's tables, measured again",
    "",
    "Printed by `python benchmarks/tables.py --print --out benchmarks/results/tables`; what it measures and how is "
    "said at the top of that file. ATC is the seconds of the whole row over its successes (of dfa, the mean seconds of "
    "a success), queries are means over successes. Rates stand with their 95 % intervals; those of DeepGo's points, "
    "all of one image, and of DeepConcolic's tests, several of an image, are too narrow. Times are of a shared, busy "
    "machine. A row that is not run yet runs with `python benchmarks/tables.py`.",
)


def difference(result: dict[str, Any]) -> str:
    """Return a sentence if a rate differs from the paper's by more than 10 points."""
    if result["reason"] or not (far := _far(result)):
        return ""
    ours = _as_the_paper_counts(result)
    rates = (
        f"{rate} {percent(ours[rate], digits=0)} against {percent(result['paper'][rate], digits=0)}" for rate in far
    )
    reading = "" if ours is result else "At any distance, as the paper counts it: "
    others = result["paper"]["model"]
    models = "Why is not known" if others == result["model"] else f"The paper's figures are of {others}"
    return f"{reading}{', '.join(rates)}. {result['remark'] or models + '.'} Ours: {result['note']}."


def _far(result: dict[str, Any]) -> list[str]:
    """Return the rates that differ from the paper's by more than 10 points, or that only one of the two has."""
    ours = _as_the_paper_counts(result)
    return [
        rate
        for rate in RATES
        if result["paper"].get(rate) is not None
        and not abs(ours[rate] - result["paper"][rate]) <= 0.1
        and not (math.isnan(ours[rate]) and result["paper"][rate] == 0)
    ]


def _as_the_paper_counts(result: dict[str, Any]) -> dict[str, Any]:
    """Return a row's rates in the reading that the paper has: at any distance for what it gave an L2 distance."""
    return _anywhere(result) if result["system"] in ("DBA", "ZOO") and result["table"] in ("8", "9") else result


def _anywhere(result: dict[str, Any]) -> dict[str, Any]:
    """Return a row's images and rates at any distance; those of an attack that never leaves epsilon are the same."""
    found = result.get("at_any_distance", result)
    return {"images": result["images"]} | {rate: math.nan if found[rate] is None else found[rate] for rate in RATES}


_BLACK_BOXES = {
    "DBA", "HopSkipJump", "One-pixel", "ZOO", "Square", "NES-PGD", "Bandits", "SModel+C&W", "SModel+FGSM"
}  # fmt: skip


def bars(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield, for each of the project's bars, whether the rows meet it, and every row that does not."""
    measured_rows = [result for result in results if not result["reason"]]
    ours = [result for result in measured_rows if result["system"].startswith("DFA")]
    waiting = [result for result in results if result["reason"].startswith(("not run", "stopped"))]
    yield _bar("Every row holds figures or the reason why it cannot", len(results), map(_name, waiting))
    lost = [f"{_name(result)}: {percent(result['GAP'])}" for result in ours if result["GAP"] != 0]
    yield _bar("DFA's GAP is 0", len(ours), lost)
    for setting in ("default", "paper's setting"):
        chosen = [result for result in ours if setting in result["system"]]
        beaten = [
            f"{_name(result)}: {percent(result['TSR'])} against {percent(other['TSR'])} of {other['system']}"
            for result in chosen
            for other in measured_rows
            if (other["table"], other["model"]) == (result["table"], result["model"])
            and other["system"].partition(",")[0] in _BLACK_BOXES
            and other["system"].partition(", ")[2] == (result["system"].split(", ")[2:] or [""])[0]
            and other["TSR"] > result["TSR"]
        ]
        yield _bar(f"No black-box row's TSR is above that of DFA, {setting}", len(chosen), beaten)
    rivals = [result for result in measured_rows if result["paper"].get("SR") and result not in ours]
    weak, by_chance = list[str](), list[str]()
    for result in rivals:
        least, counted = 0.9 * result["paper"]["SR"], _as_the_paper_counts(result)
        if counted["SR"] < least and not result["remark"]:
            is_chance = wilson(*counts_of(counted)["SR"])[1] >= least
            told = f"{_name(result)}: {percent(counted['SR'])} against {percent(result['paper']['SR'])}"
            (by_chance if is_chance else weak).append(told)
    rest = f"; under it by no more than chance explains: {'; '.join(by_chance)}" if by_chance else ""
    yield _bar("No rival is under 0.9 of the paper's SR without a reason", len(rivals), weak) + rest
    repairs = [
        (result, float(closed))
        for result in measured_rows
        if "repair" in result and (closed := result["repair"]["default"]["closed"]) is not None
    ]
    repairs += [(result, result["mended"]["repaired"] / result["mended"]["lost"]) for result in _mended(measured_rows)]
    short = [f"{_name(result)}: {percent(closed)}" for result, closed in repairs if not closed >= 0.8]
    yield _bar("`repair` closes at least 80 % of the GAP", len(repairs), short)


def _bar(what: str, number: int, misses: Iterable[str]) -> str:
    found = list(misses)
    verdict = f"MISSED by {len(found)}: {'; '.join(found)}" if found else "met"
    return f"{what} ({number} rows): {verdict if number else 'not measured'}"


def markdown(results: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the lines of the tables, each row beside the paper's figures, of the sentences and of the bars."""
    for table in _TABLES:
        chosen = [result for result in results if result["table"] == table]
        if not chosen:
            continue
        yield from ("", f"## Table {table}" if table != "repair" else "## Repair", "")
        headers = ["system", "model", "images", *RATES]
        headers += ["at any distance: SR", "TSR", "GAP"] if _has_epsilon(table) else []
        headers += ["ATC (s)", "queries", "paper's SR", "TSR", "GAP", "queries"]
        yield from _lines(headers, [_cells(result) for result in chosen])
        yield ""
        for result in chosen:
            if result["reason"]:
                yield f"- {_name(result)}: not measured: {result['reason']}."
            elif sentence := difference(result):
                yield f"- {_name(result)}: {sentence}"
            elif result["note"]:
                yield f"- {_name(result)}: {result['note']}."
        for result in chosen:
            for stages in ("default", "coordinates") if "repair" in result else ():
                found = result["repair"][stages]
                yield (
                    f"- {_name(result)}, {stages}: {percent(found['closed'])} of the GAP closed, {found['repaired']} "
                    f"of {found['repaired'] + found['failed']}, mean queries {_number(found['queries_mean'])}, median "
                    f"{_number(found['queries_median'])}"
                )
    if mended := _mended(results):
        yield from ("", "## What `dfa.repair` makes of what rounding lost", "")
        headers = ["system", "model", "table", "lost", "repaired", "queries each"]
        headers += ["L-infinity of the vectors", "of the images", "L2 of the vectors", "of the images"]
        yield from _lines(headers, [_mended_cells(result) for result in mended])
        yield ""
    yield from ("", "## Bars", "")
    for bar in bars(results):
        yield f"- {bar}"


def _mended(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows whose vectors rounding lost some of, each attack of a model once."""
    found: list[dict[str, Any]] = []
    for result in results:
        if result.get("mended") and not any(_are_the_same(result, each) for each in found):
            found.append(result)
    return found


def _are_the_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether two rows have the same vectors: one row's, or those of one model with equal sums of distances."""
    if "owner" in one and one["owner"] == other.get("owner"):
        return True
    return bool(one["mended"]["repaired"]) and (one["model"], one["mended"]) == (other["model"], other["mended"])


def _mended_cells(result: dict[str, Any]) -> list[str]:
    mended = result["mended"]
    repaired = mended["repaired"]
    means = [mended["queries"], *mended["linf"], *mended["l2"]]
    cells = [_number(each / repaired if repaired else math.nan) for each in means]
    return [result["system"], result["model"], result["table"], str(mended["lost"]), str(repaired), *cells]


def _lines(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    for row in (headers, ["---"] * len(headers), *rows):
        yield f"| {' | '.join(row)} |"


def _has_epsilon(table: str) -> bool:
    return table in ("6", "7", "8", "9", "10")


def _name(result: dict[str, Any]) -> str:
    return f"{result['system']} ({result['model']})"


def _cells(result: dict[str, Any]) -> list[str]:
    paper = result["paper"]
    has_epsilon = _has_epsilon(result["table"])
    ours = ["-"] * (9 if has_epsilon else 6)
    if not result["reason"]:
        readings = [result, _anywhere(result)] if has_epsilon else [result]
        ours = [
            str(result["images"]),
            *(shown(*counts_of(reading)[rate]) for reading in readings for rate in RATES),
            _number(result["ATC"] if result["SR"] else None),
            _number(result["queries"]),
        ]
    theirs = [percent(paper.get(rate)) for rate in RATES]
    return [result["system"], result["model"], *ours, *theirs, _number(paper.get("queries"))]


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    """Run the chosen rows that have not been run, and print all that are there."""
    parser = make_parser("tables", __doc__, in_folder=True)
    parser.add_argument("--tables", nargs="+", choices=_TABLES, default=list(_TABLES), help="tables to run")
    parser.add_argument("--only", nargs="+", default=[], help="rows whose name holds one of these")
    parser.add_argument("--lenet-images", type=positive, default=100, help="most images of MNIST")
    parser.add_argument("--resnet-images", type=positive, default=50, help="most images of CIFAR-10")
    parser.add_argument("--imagenet-images", type=positive, default=WANTED, help="most images of ImageNet")
    parser.add_argument("--row-seconds", type=positive, default=300, help="limit of each row")
    parser.add_argument("--witnesses", type=Path, help="folder of witness files of verifiers")
    parser.add_argument("--again", action="store_true", help="run finished rows again")
    parser.add_argument("--print", action="store_true", help="run nothing")
    parser.add_argument("--check", type=Path, help="printed file to compare with, such as benchmarks/TABLES.md")
    arguments: argparse.Namespace = parser.parse_args()
    for option, given in (("--check", arguments.check), ("--witnesses", arguments.witnesses)):
        if given is not None and not given.exists():
            parser.error(f"{option}: {given} is not there")
    if not any(row.table in arguments.tables and _is_named(row.key, arguments.only) for row in ROWS):
        parser.error(f"--only: no row has one of {', '.join(arguments.only)}; rows are named as {ROWS[0].key} is")
    torch.set_num_threads(1)
    context = Context(arguments.data, arguments.lenet_images, arguments.resnet_images, arguments.witnesses)
    context.folder, context.num_imagenet = arguments.out / "vectors", arguments.imagenet_images
    context.again = arguments.again
    by_key = {row.key: row for row in ROWS}
    fresh = set()
    if not arguments.print:
        try:
            context.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            parser.error(f"--out: {arguments.out} cannot be written to: {error}")
        load_libraries()
    for row in () if arguments.print else ROWS:
        owner = by_key[row.same_as or row.key]
        path = arguments.out / f"{owner.key}.json"
        is_chosen = row.table in arguments.tables and _is_named(row.key, arguments.only)
        there = _row_of(path) if path.is_file() else None
        is_left = there is None or is_unfinished(there, owner, arguments.row_seconds, arguments.imagenet_images)
        if is_chosen and owner.key not in fresh and (arguments.again or is_left):
            print(f"{owner.key} ...", file=sys.stderr, flush=True)
            if arguments.again:
                shutil.rmtree(context.folder / owner.key, ignore_errors=True)
            result = measure(owner, context, arguments.row_seconds)
            fresh.add(owner.key)
            if (arguments.again and not result["reason"]) or is_better(result, there):
                write_results(path, arguments, result)
            elif there is not None:
                reason = result["reason"] or f"{result['images']} images"
                print(f"{owner.key}: the {there['images']} images before are kept; now: {reason}", file=sys.stderr)
    results = kept(arguments.out, arguments.tables)
    if arguments.only and not arguments.print:
        results = [result for result in results if _is_named(_key(result), arguments.only)]
    if arguments.check is not None:
        raise SystemExit(_compared(results, arguments.check))
    for line in (*_HEAD, *markdown(results)):
        print(line, flush=True)


def kept(folder: Path, tables: Sequence[str] = _TABLES) -> list[dict[str, Any]]:
    """Return all rows that a folder has, and those of some tables that it has not, with that for their reason."""
    results = []
    for row in ROWS:
        path = folder / f"{row.same_as or row.key}.json"
        if path.is_file():
            results.append(_with_nan(_row_of(path)) | told(row) | {"owner": row.same_as or row.key})
        elif row.table in tables:
            results.append(told(row) | {"reason": "not run yet"})
    return results


def _row_of(path: Path) -> dict[str, Any]:
    """Return the row in a file.

    Raises:
        SystemExit: It holds none.
    """
    result = read_results(path, None)
    if not isinstance(result, dict) or not {"table", "system", "model", "reason"} <= result.keys():
        raise SystemExit(f"{path} holds no row of the tables; remove it, and the row is measured anew")
    return result


def _is_named(key: str, names: Sequence[str]) -> bool:
    """Return whether a row's key holds one of some names; any does where there are none."""
    return not names or any(key_of(name, "", "") in key for name in names)


def _key(result: dict[str, Any]) -> str:
    return key_of(result["table"], result["system"], result["model"])


def _compared(results: list[dict[str, Any]], path: Path) -> int:
    """Print where measured rows and a printed file disagree, and return the status to end with.

    It is 1 as well where a row that was printed has no figures now, and where there is nothing to compare.
    """
    printed = read_printed(path.read_text(encoding="utf-8", errors="replace").splitlines())
    both = [result for result in results if (result["table"], result["system"], result["model"]) in printed]
    lost = [result for result in both if result["reason"].startswith(("failed", "stopped"))]
    found = [f"{_name(result)}: {result['reason']}" for result in lost] + list(disagreements(both, printed))
    number = sum(not result["reason"] for result in both)
    if not number:
        found.append(f"nothing to compare: no row has figures both here and in {path}")
    print("\n".join(found) or f"no rate of {number} rows is farther from {path} than chance explains", flush=True)
    return 1 if found else 0


def _with_nan(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the rates that JSON could not hold put back."""
    return result | {rate: math.nan for rate in ("SR", "TSR", "GAP", "ATC") if rate in result and result[rate] is None}


if __name__ == "__main__":
    main()
