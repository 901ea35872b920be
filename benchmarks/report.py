"""How long it takes to open a run folder of many images, and to make its report.

The images are noise, made when they are read, and the oracle costs nothing; most images fall within some tens of
queries. Each figure is from a process of its own, without its imports.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import dfa
from harness.arguments import make_parser
from harness.printing import print_table, verdict
from harness.results import write_results
from harness.synthetic import NoiseImages, one_in_sixteen

_SECONDS = 20.0
_BYTES = 30e6
_OPENING = 1.0


def seconds_of(program: str) -> float:
    """Return what a program prints: its own seconds, of the part that is measured."""
    output = subprocess.run([sys.executable, "-c", program], check=True, stdout=subprocess.PIPE, text=True).stdout
    return float(output.split()[-1])


def main() -> None:
    """Make a run, open it, report on it, and print the figures."""
    parser = make_parser("report", __doc__)
    parser.add_argument("--images", type=int, default=10_000, help="images of the run")
    parser.add_argument("--side", type=int, default=64, help="height and width of an image")
    parser.add_argument("--repeats", type=int, default=3, help="of opening and of the report; medians count")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder, page = Path(temporary, "run"), Path(temporary, "report.html")
        started = time.perf_counter()
        shape = (arguments.side, arguments.side, 3)
        result = dfa.run(
            one_in_sixteen, NoiseImages(arguments.images, shape), max_queries=100, store=folder, progress=False
        )
        made = time.perf_counter() - started
        clock = "import time, dfa; from dfa.views.report import write_report; t = time.perf_counter(); "
        end = "; print(time.perf_counter() - t)"
        opening = sorted(seconds_of(f"{clock}dfa.Result.load({str(folder)!r}){end}") for _ in range(arguments.repeats))
        report = sorted(
            seconds_of(f"{clock}write_report([{str(folder)!r}], {str(page)!r}){end}") for _ in range(arguments.repeats)
        )
        figures = {
            "images": arguments.images,
            "side": arguments.side,
            "successes": int(result.success.sum()),
            "seconds_of_the_run": made,
            "opening": opening,
            "report": report,
            "bytes": page.stat().st_size,
        }
    print(__doc__)
    middle = arguments.repeats // 2
    print_table(
        [f"{arguments.images:,} images of {arguments.side}x{arguments.side}x3", "measured", "bar", ""],
        [
            ["opening the run, s", f"{opening[middle]:.2f}", f"{_OPENING:g}", verdict(opening[middle] < _OPENING)],
            ["report, s", f"{report[middle]:.1f}", f"{_SECONDS:g}", verdict(report[middle] < _SECONDS)],
            ["report, MB", f"{figures['bytes'] / 1e6:.1f}", f"{_BYTES / 1e6:g}", verdict(figures["bytes"] < _BYTES)],
        ],
    )
    write_results(arguments.out, arguments, figures)


if __name__ == "__main__":
    main()
