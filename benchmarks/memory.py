"""Peak memory of a run over many images that are made when they are read, with an oracle that costs nothing.

Each setting runs in a process of its own, which imports no framework. Reported is the peak of its resident memory,
less the peak right after the imports. The oracle's answer depends on the bytes of the image, so that most images are
adversarial after some tens of queries: the adversarial images found, which outweigh everything else, are part of what
is measured.

With `--many N` it is runs over N images of 8x8x1 instead, and over a tenth of them, kept in a folder and not: what
every image takes beside its pixels, above all its record.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import dfa
from harness.arguments import make_parser, positive
from harness.printing import print_table, verdict
from harness.results import write_results
from harness.synthetic import NoiseImages, one_in_sixteen

_SETTINGS = {"paper": dfa.Racos.paper(coordinates=600), "default": dfa.Racos()}
_BAR = 1e9
_MANY = ["many", "many-kept"]
_BAR_OF_MANY = 1.5e9


def peak_bytes() -> int:
    """Return the peak of this process's resident memory."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Unlike ru_maxrss, this does not remember the process that started this one.
        lines = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(lines[0].split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def run_here(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run one setting in this process and return its figures."""
    imported = peak_bytes()
    started = time.perf_counter()
    is_many = arguments.setting in _MANY
    shape = (8, 8, 1) if is_many else (arguments.side, arguments.side, 3)
    with tempfile.TemporaryDirectory() as folder:
        result = dfa.run(
            one_in_sixteen,
            NoiseImages(arguments.images, shape),
            optimizer=_SETTINGS["default" if is_many else arguments.setting],
            max_queries=arguments.max_queries,
            batch_size=arguments.batch_size,
            progress=False,
            store=Path(folder) / "run" if arguments.setting == "many-kept" else None,
        )
    return {
        "setting": arguments.setting,
        "images": arguments.images,
        "imported": imported,
        "peak": peak_bytes(),
        "above_imports": peak_bytes() - imported,
        "successes": int(result.success.sum()),
        "queries_sent": result.profile.rows_sent,
        "seconds": time.perf_counter() - started,
    }


def run_apart(setting: str, images: int) -> dict[str, Any]:
    """Run one setting in a process of its own and return its figures."""
    command = [sys.executable, *sys.argv, "--setting", setting, "--images", str(images)]
    output: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    return output


def run_many(images: int) -> list[dict[str, Any]]:
    """Run over so many small images, and over a tenth of them, kept in a folder and not, and print the table."""
    results = []
    for setting in _MANY:
        few, many = (run_apart(setting, number) for number in (max(1, images // 10), images))
        many["bytes_per_image"] = (many["peak"] - few["peak"]) / max(1, images - few["images"])
        results += [few, many]
    print_table(
        ["peak memory, MB", "images", "peak", "bytes an image", "successes", "queries", "seconds"],
        (
            [
                r["setting"],
                f"{r['images']:,}",
                f"{r['peak'] / 1e6:,.0f}",
                f"{r['bytes_per_image']:,.0f}" if "bytes_per_image" in r else "",
                f"{r['successes']:,}",
                f"{r['queries_sent']:,}",
                f"{r['seconds']:.0f}",
            ]
            for r in results
        ),
    )
    for result in (r for r in results if "bytes_per_image" in r):
        at_a_million = result["peak"] + result["bytes_per_image"] * (10**6 - images)
        what = "a million images" if images == 10**6 else f"a million images, extrapolated from {images:,}"
        is_met = at_a_million < _BAR_OF_MANY
        print(f"bar: {result['setting']}: {what}: below 1.5 GB: {at_a_million / 1e9:.2f} GB, {verdict(is_met)}")
    return results


def main() -> None:
    """Run every setting in a process of its own and print the table."""
    parser = make_parser("memory", __doc__)
    parser.add_argument("--images", type=int, default=10_000, help="images of the run")
    parser.add_argument("--side", type=int, default=224, help="height and width of an image")
    parser.add_argument("--max-queries", type=int, default=100, help="budget per image")
    parser.add_argument("--batch-size", type=int, default=256, help="rows of the oracle's batch")
    parser.add_argument("--many", type=positive, help="images of 8x8x1, instead of --images of --side")
    parser.add_argument("--setting", choices=[*_SETTINGS, *_MANY], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.setting is not None:
        print(json.dumps(run_here(arguments)))
        return
    print(__doc__)
    if arguments.many is not None:
        write_results(arguments.out, arguments, run_many(arguments.many))
        return
    results = [run_apart(setting, arguments.images) for setting in _SETTINGS]
    print(f"{arguments.images:,} images of {arguments.side}x{arguments.side}x3, batch {arguments.batch_size}")
    print_table(
        ["peak memory, MB", "after imports", "peak", "difference", "successes", "queries", "seconds"],
        (
            [
                r["setting"],
                *(f"{r[figure] / 1e6:,.0f}" for figure in ("imported", "peak", "above_imports")),
                f"{r['successes']:,}",
                f"{r['queries_sent']:,}",
                f"{r['seconds']:.0f}",
            ]
            for r in results
        ),
    )
    for result in results:
        is_met = result["above_imports"] < _BAR
        print(f"bar: {result['setting']}: below 1 GB: {result['above_imports'] / 1e9:.2f} GB, {verdict(is_met)}")
    write_results(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
