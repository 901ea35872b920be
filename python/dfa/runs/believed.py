"""What `verify` takes from a folder since nothing else tells it, in plain words."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

from dfa.runs.saved_run import SavedRun
from dfa.search.confirmation import Confirmation
from dfa.space.constraints import WITHOUT_PROMISE

_LONGEST: Final = 120


def believed(run: SavedRun, *, has_originals: bool, has_epsilon: bool, has_confirmations: bool) -> dict[str, str]:
    """Return what is believed of a run, by name.

    Args:
        run: The run.
        has_originals: The originals were given.
        has_epsilon: Epsilon was given.
        has_confirmations: How many answers must agree was given.
    """
    config = run.config
    told = dict(_of_settings(config, has_epsilon=has_epsilon, has_confirmations=has_confirmations))
    statuses = Counter(row["status"] for row in run.rows.values())
    if not has_originals:
        told["originals"] = "the copies in the folder"
        if statuses["skipped"]:
            told["skipped"] = f"that {statuses['skipped']:,} images were rightly skipped; pass the originals"
    if any(row["label"] is not None for row in run.rows.values()):
        told["labels"] = "as on record"
    if statuses["error"]:
        told["errors"] = f"that {statuses['error']:,} images could not be attacked"
    told["costs"] = "queries, times and repeated answers, as on record"
    return told


def _of_settings(config: Mapping[str, Any], *, has_epsilon: bool, has_confirmations: bool) -> Iterator[tuple[str, str]]:
    space, targets = config.get("space"), config.get("targets")
    if not has_epsilon and space is None:
        yield "epsilon", f"{_short(config.get('epsilon'))} grey levels"
    if space is not None:
        plain = {name: value for name, value in space.items() if not isinstance(value, list | dict) or len(value) < 9}
        promise = ", which promises nothing that images show" if space.get("kind") in WITHOUT_PROMISE else ""
        yield "space", f"{_short(plain)}{promise}"
    if targets is None:
        yield "targets", "none, so that any class counts but the original's"
    elif isinstance(targets, dict) and "sha256" in targets:
        yield "targets", "those of the records, since the settings keep but a digest"
    else:
        yield "targets", _short(targets)
    if not has_confirmations:
        rule = Confirmation.parse(config.get("confirmations", 1))
        yield "confirmations", f"{rule.needed:,} of {rule.of:,} answers must agree"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."
