"""What the journal costs: a run kept in its folder against the same run in memory, saved when it has ended.

Both attack the same images with the same seed, so they send the same queries and write the same image files, in turns.
"attack" is the ratio of the times from the first query until everything found is confirmed, and safe on disk in the
stored run; "whole" that of everything, with image files written, read back and asked about. "journal" and "files" are
the shares of the stored run's time spent in each.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import dfa
from dfa.runs.backlog import Backlog
from dfa.runs.store import Store
from harness.arguments import make_parser
from harness.inputs import load_images, load_model
from harness.printing import print_table
from harness.results import write_results


class Case(NamedTuple):
    """One attack.

    Attributes:
        model: File of the model.
        images: File of the images.
        number: Images to attack.
        batch_size: Images per call of the oracle.
        settings: Of `dfa.run`.
    """

    model: str
    images: str
    number: int
    batch_size: int
    settings: dict[str, Any]


CASES = {
    "lenet1-default": Case("lenet1.keras", "mnist_test2000.npz", 1000, 256, {"epsilon": 64}),
    "lenet1-paper": Case(
        "lenet1.keras", "mnist_test2000.npz", 200, 256, {"epsilon": 64, "optimizer": dfa.Racos.paper()}
    ),
    "mobilenet160-default": Case(
        "mobilenet_v1_160.keras", "imagenet100_160.npz", 100, 64, {"epsilon": 10, "targets": dfa.rank(11)}
    ),
}


@contextmanager
def timed(owner: type, *names: str) -> Iterator[dict[str, float]]:
    """Add up the seconds spent in methods of a class, by name, while the context lasts."""
    seconds = dict.fromkeys(names, 0.0)
    originals = {name: getattr(owner, name) for name in names}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **more: Any) -> Any:
            started = time.perf_counter()
            try:
                return originals[name](*arguments, **more)
            finally:
                seconds[name] += time.perf_counter() - started

        return call

    for name in names:
        setattr(owner, name, wrapped(name))
    try:
        yield seconds
    finally:
        for name, method in originals.items():
            setattr(owner, name, method)


def measure(case: Case, data: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the times of one case, stored and not, in turns."""
    oracle = dfa.as_oracle(load_model(data, case.model))
    images = load_images(data, case.images).images[: arguments.images or case.number]
    settings = {"max_queries": arguments.max_queries, "batch_size": case.batch_size, "progress": False}
    settings |= case.settings

    dfa.run(oracle, images, **settings)
    rows = []
    for _ in range(arguments.repeats):
        with tempfile.TemporaryDirectory() as folder:
            started, cpu = time.perf_counter(), time.process_time()
            bare = dfa.run(oracle, images, **settings)
            bare.save(Path(folder) / "run")
            saved, saved_cpu = time.perf_counter() - started, time.process_time() - cpu
        with (
            tempfile.TemporaryDirectory() as folder,
            timed(Store, "note_read", "finished", "sending", "cover", "flush", "end") as store,
            timed(Backlog, "_write_next") as backlog,
        ):
            started, cpu = time.perf_counter(), time.process_time()
            stored = dfa.run(oracle, images, store=dfa.Storage(Path(folder) / "run"), **settings)
            kept, kept_cpu = time.perf_counter() - started, time.process_time() - cpu
        assert stored.queries.tolist() == bare.queries.tolist()
        files = backlog["_write_next"]
        rows.append(
            {
                "queries": int(bare.queries_sent.sum()),
                "found": int(bare.success.sum()),
                "in_memory": bare.profile.wall,
                "saved": saved,
                "stored": kept,
                "stored_attack": stored.profile.wall,
                "journal": sum(store.values()) - files,
                "files": files,
                "saved_cpu": saved_cpu,
                "stored_cpu": kept_cpu,
            }
        )
    middle = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    ratios = {
        "attack": float(np.median([row["stored_attack"] / row["in_memory"] for row in rows])),
        "stored_over_saved": float(np.median([row["stored"] / row["saved"] for row in rows])),
        "stored_over_saved_cpu": float(np.median([row["stored_cpu"] / row["saved_cpu"] for row in rows])),
        "journal_share": float(np.median([row["journal"] / row["stored"] for row in rows])),
        "files_share": float(np.median([row["files"] / row["stored"] for row in rows])),
    }
    return {"median": middle, "ratios": ratios, "repeats": rows}


def main() -> None:
    """Run the benchmark."""
    parser = make_parser("journal", __doc__, repeats=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="cases to measure")
    parser.add_argument("--images", type=int, help="images to attack instead of the case's own number")
    parser.add_argument("--max-queries", type=int, default=2_000, help="budget per image")
    arguments = parser.parse_args()
    results = {name: measure(CASES[name], arguments.data, arguments) for name in arguments.only}
    print_table(
        ["case", "queries", "found", "in memory", "attack", "saved", "stored", "whole", "(cpu)", "journal", "files"],
        [
            [
                name,
                f"{each['median']['queries']:,.0f}",
                f"{each['median']['found']:,.0f}",
                f"{each['median']['in_memory']:.2f} s",
                f"{each['ratios']['attack']:.3f}",
                f"{each['median']['saved']:.2f} s",
                f"{each['median']['stored']:.2f} s",
                f"{each['ratios']['stored_over_saved']:.3f}",
                f"{each['ratios']['stored_over_saved_cpu']:.3f}",
                f"{100 * each['ratios']['journal_share']:.2f} %",
                f"{100 * each['ratios']['files_share']:.2f} %",
            ]
            for name, each in results.items()
        ],
    )
    write_results(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
