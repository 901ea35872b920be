"""The command `dfa`: `dfa --help` says what it can do. Needs the extra `cli`; says so where that is missing."""

from __future__ import annotations

import importlib
import io
import os
import sys
from collections.abc import Sequence

import dfa
from dfa.checks import printable
from dfa.extras import how_to_install


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit status.

    Args:
        arguments: Words after `dfa`; None for those of this process.

    Returns:
        0 done; 1 attacks above `--fail-above`, a share below `--fail-below`, or a verification that does not hold; 2 a
        wrong word; 3 the oracle failed; 4 a folder could not be read or written; 5 nothing is judged; 6 worse than
        `--baseline`; 70 a fault of dfa; 130 interrupted.
    """
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        # While the command was still being loaded, or told how it ended.
        print("dfa: interrupted", file=sys.stderr)
        return 130


def _run(arguments: Sequence[str] | None) -> int:
    try:
        importlib.import_module("click")
        importlib.import_module("rich")
    except ImportError as error:
        return _run_without_extra(sys.argv[1:] if arguments is None else arguments, error)
    # TensorFlow's start-up notes would come between the lines of a report.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from dfa.cli.commands.app import invoke

    if arguments is not None:
        return invoke(list(arguments))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A file name that the terminal's encoding lacks is no reason to fail.
        sys.stdout.reconfigure(errors="backslashreplace")
    return invoke(sys.argv[1:])


def _run_without_extra(arguments: Sequence[str], error: ImportError) -> int:
    """Say what can be said without the extra: what dfa is, and how the command line is installed."""
    hint = f"the command line is installed with: {how_to_install('cli')}"
    if "--version" in arguments:
        print(printable(dfa.__version__))
        return 0
    if {"-h", "--help"} & set(arguments):
        print(printable(f"{(dfa.__doc__ or '').partition('>>>')[0].strip()}\n\nFrom Python: dfa.run; {hint}"))
        return 0
    print(printable(f"dfa: {error}; {hint}"), file=sys.stderr)
    return 2
