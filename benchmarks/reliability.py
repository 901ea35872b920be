"""What a run and the core survive, at length: kills at random moments, changed run folders, hostile calls.

The tests do the same, fewer times. A kill is a SIGKILL of a process that attacks; the run goes on in the next one, and
must end with the bits of the run that nobody killed. A changed folder must be read or refused, within seconds, and
nothing outside it may change. A call of the core must end in a result or in an exception; `make fuzz` does that under
the sanitizers.
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from harness.arguments import make_parser
from harness.printing import print_table, verdict
from harness.results import write_results

_TESTS = Path(__file__).parents[1] / "tests"
_CHECKS = {
    "kills": ("test_kills.py", "killed"),
    "folders": ("test_hostile_mutations.py", "mutated"),
    "calls": ("test_core_fuzz.py", "fuzzed"),
}


def main() -> None:
    """Make the checks, and say how they ended."""
    parser = make_parser("reliability", __doc__)
    parser.add_argument("--kills", type=int, default=200, help="SIGKILLs at random moments")
    parser.add_argument("--folders", type=int, default=2_000, help="run folders that are changed")
    parser.add_argument("--calls", type=int, default=20_000, help="calls of the core, and damaged states")
    arguments = parser.parse_args()
    rows = []
    for name, (file, option) in _CHECKS.items():
        number = getattr(arguments, name)
        started = time.perf_counter()
        # Its own words, if it fails, go to the terminal.
        ended = subprocess.run(
            [
                sys.executable,
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                str(_TESTS / file),
                f"--{option}={number}",
            ],
            check=False,
        )
        rows.append((name, number, time.perf_counter() - started, ended.returncode == 0))
    print_table(
        ("what", "number", "seconds", "bar"),
        [(name, f"{number:,}", f"{seconds:.0f}", verdict(holds)) for name, number, seconds, holds in rows],
    )
    results = [
        {"what": name, "number": number, "seconds": seconds, "holds": holds} for name, number, seconds, holds in rows
    ]
    write_results(arguments.out, arguments, results)
    if not all(holds for *_, holds in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
