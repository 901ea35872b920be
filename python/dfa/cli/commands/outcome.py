"""How a command ends: its exit status, and the one JSON document of `--json`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from dfa.runs.folder import plain

DONE: Final = 0
ABOVE: Final = 1
USAGE: Final = 2
ORACLE: Final = 3
FOLDER: Final = 4
FAULT: Final = 70
INTERRUPTED: Final = 130
UNREAD: Final = 141
"""Nobody reads what is printed; as of other programs in a pipe."""

EXIT_STATUS: Final = """\b
Exit status: 0 done, 1 attacks above --fail-above (or a verification that does
not hold), 2 a wrong word, 3 the oracle failed, 4 a folder could not be read or
written, 70 a fault of dfa, 130 interrupted."""
"""What the help of a command says of them."""


def print_json(document: Mapping[str, object]) -> None:
    """Print the document of a command, numbers of NumPy and dataclasses of dfa as plain ones."""
    print(json.dumps(plain(document), indent=2, allow_nan=False))
