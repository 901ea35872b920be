"""Whether an oracle is asked as that of a run was: with the same normalisation, of the same kind of answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from dfa.oracle.base import Oracle
from dfa.runs.folder import plain
from dfa.runs.saved_run import what_differs

_DECLARED: Final = (
    "returns",
    "mean",
    "std",
    "value_range",
    "layout",
    "transform",
    "preprocess",
    "autocast",
    "class_offset",
    "num_classes",
    "num_shown",
)
"""What users say of a model, of all that an oracle tells of itself."""


def asked_otherwise(recorded: Mapping[str, Any] | None, oracle: Oracle) -> tuple[str, ...]:
    """Return, in words, what is declared of an oracle otherwise than of a run's; nothing of one of another kind.

    Args:
        recorded: What the run's oracle told of itself, as its folder has it.
        oracle: The one that is asked now.
    """
    if recorded is None or recorded.get("kind") != oracle.kind:
        return ()
    now = json.loads(json.dumps(plain(oracle.describe())))
    told = [{name: each.get(name) for name in _DECLARED} for each in (recorded, now)]
    return tuple(what_differs(*told))
