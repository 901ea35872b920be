"""One case at a time in a process of its own, with this build of dfa or another, in turns."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

BENCHMARKS = Path(__file__).parents[1]

NOW, BESIDE = "now", "beside"

Turn = dict[str, dict[str, float]]
"""The figures of a case, by build."""


def take_turns(name: str, data: Path, *, repeats: int, beside: Path | None = None) -> list[Turn]:
    """Measure a case.

    Args:
        name: Of the case.
        data: Folder of images and models.
        repeats: Turns.
        beside: The folder that holds another installed `dfa`; each begins every other turn.
    """
    builds: list[tuple[str, Path | None]] = [(NOW, None)] if beside is None else [(NOW, None), (BESIDE, beside)]
    turns = []
    for number in range(repeats):
        order = builds if number % 2 == 0 else builds[::-1]
        turns.append({build: run_one(name, data, folder) for build, folder in order})
    return turns


def run_one(name: str, data: Path, folder: Path | None) -> dict[str, float]:
    """Measure a case once, in a process of its own.

    Args:
        name: Of the case.
        data: Folder of images and models.
        folder: Where that process finds `dfa`; None for the `dfa` of this one.

    Raises:
        SystemExit: The process failed; it says why.
    """
    own = [] if folder is None else [str(folder.resolve())]
    paths = [*own, str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "fullness.one_run", name, str(data.resolve()), *own]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{name}: the run failed with exit status {done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def middle(turns: Sequence[Turn], figure: str, build: str = NOW) -> float:
    """Return the median of a figure over the turns."""
    return median(turn[build][figure] for turn in turns)


def times(turns: Sequence[Turn], figure: str) -> float:
    """Return how many times as much of a figure the other build took: the median of each turn's ratio."""
    return median(turn[BESIDE][figure] / turn[NOW][figure] for turn in turns)
