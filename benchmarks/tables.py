"""The paper's Table 4 (what rounding leaves of each tool) and Tables 6 to 10, measured again with today's tools.

Small models stand in for the paper's: LeNet-1 on MNIST, which is its own, and ResNet-20 on CIFAR-10 for ImageNet's. The
paper's figures stand beside ours, under the name of the model they are of. No row is dropped: a system that cannot run
has its reason instead. Every row is a JSON file of its own as soon as it is finished, and a row that has one is not
run again (`--again` does), so a run may be stopped at any time.

`--witnesses FOLDER` holds what verifiers found, by the name of the system in small letters: `deeppoly.npz` with
`vectors`, float (n, 28, 28, 1) in 0..1, and `indices`, int (n,), into the MNIST images of LeNet-1.

In Tables 6 to 9 only what lies within epsilon counts, as a vector and as a file: 64 grey levels on MNIST, 10 on
CIFAR-10.
"""

from __future__ import annotations

import argparse
import json
import math
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from common import make_parser, print_table, write_report
from systems.context import Context
from systems.rows import ROWS, CannotRunError, Row

_TABLES = ("4", "6", "7", "8", "9", "10", "repair")


class _OutOfTimeError(Exception):
    """A row took longer than it may."""


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """End what runs inside after some seconds, where the system has such alarms."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise _OutOfTimeError

    if not hasattr(signal, "setitimer"):
        yield
        return
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def measure(row: Row, context: Context, seconds: float) -> dict[str, Any]:
    """Run a row, and return what was measured or why it was not."""
    torch.manual_seed(0)
    started = time.perf_counter()
    result: dict[str, Any] = {"table": row.table, "system": row.system, "model": row.model, "remark": row.remark}
    result |= {"paper": dict(row.paper), "reason": ""}
    try:
        with _limited(seconds):
            result |= row.run(context)
    except CannotRunError as error:
        result["reason"] = str(error)
    except _OutOfTimeError:
        result["reason"] = f"stopped after {seconds:,.0f} s; give it more with --row-seconds"
    except Exception as error:  # a library's, which is a result too
        result["reason"] = f"failed: {type(error).__name__}: {error}"
    result["seconds"] = time.perf_counter() - started
    return result


def difference(result: dict[str, Any]) -> str:
    """Return a sentence if a rate differs from the paper's by more than 10 points."""
    if result["reason"] or not result["paper"]:
        return ""
    far = [
        f"{rate} {100 * result[rate]:.0f} % against {100 * result['paper'][rate]:.0f} %"
        for rate in ("SR", "TSR", "GAP")
        if result["paper"].get(rate) is not None
        and result.get(rate) is not None
        and abs(result[rate] - result["paper"][rate]) > 0.1
    ]
    if not far:
        return ""
    why = result["remark"] or (
        f"The paper's figures are of {result['paper']['model']}, ours of {result['model']} with {result['note']}."
    )
    return f"{', '.join(far)}. {why}"


def print_rows(results: list[dict[str, Any]]) -> None:
    """Print tables, each row beside the paper's figures, then the sentences."""
    for table in _TABLES:
        chosen = [result for result in results if result["table"] == table]
        if not chosen:
            continue
        print(f"\nTable {table}" if table != "repair" else "\nRepair", flush=True)
        headers = [
            "system",
            "model",
            "images",
            "SR",
            "TSR",
            "GAP",
            "ATC (s)",
            "queries",
            "paper: SR",
            "TSR",
            "GAP",
            "queries",
        ]
        print_table(headers, [_cells(result) for result in chosen])
        for result in chosen:
            name = f"{result['system']} ({result['model']})"
            if result["reason"]:
                print(f"- {name}: not measured: {result['reason']}")
            elif sentence := difference(result):
                print(f"- {name}: {sentence}")
        for result in chosen:
            for stages, found in result.get("repair", {}).items():
                print(
                    f"- {result['system']} ({result['model']}), {stages}: {_percent(found['closed'])} of the GAP "
                    f"closed, {found['repaired']} of {found['repaired'] + found['failed']}, mean queries "
                    f"{_number(found['queries_mean'])}, median {_number(found['queries_median'])}"
                )


def _cells(result: dict[str, Any]) -> list[str]:
    paper = result["paper"]
    ours = ["-"] * 6
    if not result["reason"]:
        ours = [
            str(result["images"]),
            *(_percent(result[rate]) for rate in ("SR", "TSR", "GAP")),
            _number(result["ATC"]),
            _number(result["queries"]),
        ]
    theirs = [_percent(paper.get(rate)) for rate in ("SR", "TSR", "GAP")]
    return [result["system"], result["model"], *ours, *theirs, _number(paper.get("queries"))]


def _percent(rate: float | None) -> str:
    return "-" if rate is None or math.isnan(rate) else f"{100 * rate:.1f} %"


def _number(value: float | None) -> str:
    return "-" if value is None or math.isnan(value) else f"{value:,.3g}" if value < 100 else f"{value:,.0f}"


def main() -> None:
    """Run the chosen rows that have not been run, and print all that are there."""
    parser = make_parser("tables", (__doc__ or "").splitlines()[0])
    parser.set_defaults(out=Path("runs") / "benchmarks" / "tables")
    parser.add_argument("--tables", nargs="+", choices=_TABLES, default=list(_TABLES), help="tables to run")
    parser.add_argument("--only", nargs="+", default=[], help="rows whose name holds one of these")
    parser.add_argument("--lenet-images", type=int, default=100, help="most images of MNIST")
    parser.add_argument("--resnet-images", type=int, default=50, help="most images of CIFAR-10")
    parser.add_argument("--row-seconds", type=float, default=300, help="limit of each row")
    parser.add_argument("--witnesses", type=Path, help="folder of witness files of verifiers")
    parser.add_argument("--again", action="store_true", help="run finished rows again")
    parser.add_argument("--print", action="store_true", help="run nothing")
    arguments: argparse.Namespace = parser.parse_args()
    torch.set_num_threads(1)
    context = Context(arguments.data, arguments.lenet_images, arguments.resnet_images, arguments.witnesses)
    context.folder = arguments.out / "vectors"
    results = []
    for row in ROWS:
        path = arguments.out / f"{row.key}.json"
        is_chosen = row.table in arguments.tables and (
            not arguments.only or any(each.lower() in row.key for each in arguments.only)
        )
        if is_chosen and not arguments.print and (arguments.again or not path.is_file()):
            print(f"{row.key} ...", file=sys.stderr, flush=True)
            write_report(path, arguments, measure(row, context, arguments.row_seconds))
        if path.is_file():
            results.append(_with_nan(json.loads(path.read_text())["results"]))
        elif row.table in arguments.tables:
            results.append(
                {
                    "table": row.table,
                    "system": row.system,
                    "model": row.model,
                    "paper": dict(row.paper),
                    "remark": row.remark,
                    "reason": "not run yet",
                }
            )
    print_rows(results)


def _with_nan(result: dict[str, Any]) -> dict[str, Any]:
    """Return a result with the rates that JSON could not hold put back."""
    return result | {rate: math.nan for rate in ("SR", "TSR", "GAP", "ATC") if rate in result and result[rate] is None}


if __name__ == "__main__":
    main()
