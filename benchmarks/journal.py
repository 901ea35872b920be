"""What a run folder costs: a stored run against the same run in memory, and where the difference goes.

Both attack the same images with the same seed, so they send the same queries, in turns. A stored run also asks about
every file once it has ended, as `Result.save` does; that is left out of the comparison, and timed apart.
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

import common
import dfa
from dfa.results import Result
from dfa.store import Store


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
    oracle = dfa.as_oracle(common.load_model(data, case.model))
    images = common.load_images(data, case.images).images[: arguments.images or case.number]
    settings = {"max_queries": arguments.max_queries, "batch_size": case.batch_size, "progress": False}
    settings |= case.settings

    def in_memory() -> tuple[Result, float]:
        started = time.process_time()
        return dfa.run(oracle, images, **settings), time.process_time() - started

    in_memory()
    rows = []
    for _ in range(arguments.repeats):
        bare, bare_cpu = in_memory()
        with (
            tempfile.TemporaryDirectory() as folder,
            timed(Store, "read", "finished", "sending", "cover") as journal,
            timed(Result, "save_run") as saving,
        ):
            started = time.process_time()
            stored = dfa.run(oracle, images, store=dfa.Storage(Path(folder) / "run"), **settings)
            stored_cpu = time.process_time() - started
        assert stored.queries.tolist() == bare.queries.tolist()
        rows.append(
            {
                "queries": int(bare.queries_sent.sum()),
                "found": int(bare.success.sum()),
                "in_memory": bare.profile.wall,
                "stored": stored.profile.wall,
                "journal": journal["read"] + journal["sending"] + journal["cover"],
                "files": journal["finished"],
                "checking_files": saving["save_run"],
                "in_memory_cpu": bare_cpu,
                "stored_cpu": stored_cpu,
            }
        )
    middle = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    ratios = {
        "stored_over_in_memory": float(np.median([row["stored"] / row["in_memory"] for row in rows])),
        "journal_share": float(np.median([row["journal"] / row["stored"] for row in rows])),
        "files_share": float(np.median([row["files"] / row["stored"] for row in rows])),
    }
    return {"median": middle, "ratios": ratios, "repeats": rows}


def main() -> None:
    """Run the benchmark."""
    parser = common.make_parser("journal", __doc__.partition("\n")[0] if __doc__ else None, repeats=5)
    parser.add_argument("--only", nargs="+", choices=CASES, default=list(CASES), help="cases to measure")
    parser.add_argument("--images", type=int, help="images to attack instead of the case's own number")
    parser.add_argument("--max-queries", type=int, default=2_000, help="budget per image")
    arguments = parser.parse_args()
    results = {name: measure(CASES[name], arguments.data, arguments) for name in arguments.only}
    common.print_table(
        ["case", "queries", "in memory", "stored", "ratio", "journal", "image files"],
        [
            [
                name,
                f"{each['median']['queries']:,.0f}",
                f"{each['median']['in_memory']:.2f} s",
                f"{each['median']['stored']:.2f} s",
                f"{each['ratios']['stored_over_in_memory']:.3f}",
                f"{100 * each['ratios']['journal_share']:.2f} %",
                f"{100 * each['ratios']['files_share']:.2f} %",
            ]
            for name, each in results.items()
        ],
    )
    common.write_report(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
