"""How threads wait for work, which OpenMP is told in the environment when the core is first imported."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import pytest

_IMPORTS = """
import os
before = dict(os.environ)
import dfa
assert dict(os.environ) == before, "the import changed the environment"
print("imported")
"""


def spins(**given: str) -> int:
    """Return how long GNU's OpenMP says its threads spin, in a process that imports dfa with these settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    environment["OMP_DISPLAY_ENV"] = "verbose"
    environment |= given
    run = subprocess.run([sys.executable, "-c", _IMPORTS], env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "imported\n"
    counts = re.findall(r"GOMP_SPINCOUNT = '(\d+)'", run.stderr)
    if not counts:
        pytest.skip("the core has no OpenMP that shows its settings when it is loaded")
    return int(counts[0])


def test_threads_sleep_soon_while_they_wait_and_the_environment_stays_as_it_was():
    """But not at once: torch, which shares this OpenMP, has its next operation for them within microseconds."""
    assert spins() == 3000


def test_what_is_set_is_kept():
    assert spins(OMP_WAIT_POLICY="active") > 1_000_000
    assert spins(OMP_WAIT_POLICY="passive") == 0
    assert spins(GOMP_SPINCOUNT="77") == 77
