"""How a command ends: its exit status, and the one JSON document of `--json`."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Final

from dfa import files
from dfa.runs.folder import plain

DONE: Final = 0
ABOVE: Final = 1
USAGE: Final = 2
ORACLE: Final = 3
FOLDER: Final = 4
MISSING: Final = 5
WORSE: Final = 6
FAULT: Final = 70
INTERRUPTED: Final = 130
UNREAD: Final = files.UNREAD
"""Nobody reads what is printed; as of other programs in a pipe."""

LIKELY_CAUSES: Final = (
    "--preprocess, or --mean and --std (does the model take 0..255?), --size and --channels, --labels, and "
    "--class-offset of a .tflite file"
)
"""Where to look if a model gets most images wrong, the likeliest first."""

_MOST_MISSING: Final = 0.5

EXIT_STATUS: Final = """\b
Exit status: 0 done, 1 attacks above --fail-above, a share below --fail-below
(or a verification or replay that does not hold), 2 a wrong word, 3 the oracle
failed, 4 a folder could not be read or written, 5 not judged (--allow-missing: most images missing, or one
in error), 6 worse than --baseline, 70 a fault of dfa, 130 interrupted."""
"""What the help of a command says of them."""


def judge(
    total: int,
    attacked: int,
    rates: Iterable[float],
    fail_above: float | None,
    allow_missing: float | None,
    *,
    errors: int = 0,
    is_held: bool = False,
) -> int:
    """Return the exit status of a run.

    Args:
        total: Its images.
        attacked: Those whose attack ended, the others were errors or skipped.
        rates: Its TSR, one or several.
        fail_above: The highest that is no failure, or None.
        allow_missing: The share of images that may be missing, 0..1. None: half of them, and where there is a rate to
            hold against, no errors.
        errors: How many of the others were errors.
        is_held: Whether it is held against anything else.
    """
    is_judged = is_held or fail_above is not None
    most = _MOST_MISSING if allow_missing is None else allow_missing
    if (total - attacked) > most * total or (is_judged and not attacked):
        return MISSING
    if is_judged and allow_missing is None and errors:
        return MISSING
    return ABOVE if fail_above is not None and any(fail_above < rate for rate in rates) else DONE


def tell_missing(total: int, attacked: int) -> str:
    """Return what to say where `judge` finds too many images missing."""
    share = math.ceil(100 * (total - attacked) / total) / 100
    way_on = f"; --allow-missing {share} lets that pass" if attacked else ""
    return f"{total - attacked:,} of {total:,} images were not attacked, so the run is not judged{way_on}"


def print_json(document: Mapping[str, object]) -> None:
    """Print the document of a command, numbers of NumPy and dataclasses of dfa as plain ones."""
    print(json.dumps(plain(document), indent=2, allow_nan=False))
