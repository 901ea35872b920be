"""Measures a case once, and prints its figures as a line of JSON: `python -m fullness.one_run CASE DATA [FOLDER]`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import dfa
from fullness.cases import CASES


def main() -> None:
    """Measure and print.

    Raises:
        SystemExit: The package `dfa` is not that of the folder.
    """
    name, data, *folders = sys.argv[1:]
    package = Path(dfa.__file__)
    if not all(package.is_relative_to(folder) for folder in folders):
        raise SystemExit(f"{folders[0]} must hold the package dfa, and that of {package.parent} was found")
    (case,) = (case for case in CASES if case.name == name)
    print(json.dumps(case.measure(Path(data))))


if __name__ == "__main__":
    main()
