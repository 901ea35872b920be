"""A run in SARIF 2.1.0, which code scanning shows: one rule, and a result for each image that broke."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.results.setting import setting_words
from dfa.verdicts.words import budget_words, named, shown, told_ending

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_RULE: Final = "broken-image"


def sarif(
    result: Result,
    *,
    files: Sequence[str | os.PathLike[str]],
    folder: str | os.PathLike[str],
    verdict: str,
    fell: Collection[int] = (),
) -> dict[str, Any]:
    """Return a run as a SARIF document, for JSON.

    Args:
        result: Of the run.
        files: Of each image the file that it is in.
        folder: That paths are relative to, where they lie in it.
        verdict: The verdict in words.
        fell: Places of the images that were not broken in the baseline, and are; these results are errors, the others
            warnings.

    Source:
        OASIS, Static Analysis Results Interchange Format (SARIF) 2.1.0; messages by its section 3.11.5, where a brace
        stands for itself if it is written twice.
    """
    version = str((result.config.get("versions") or {}).get("dfa", ""))
    broken = [record for record in result.records if record.status is Status.SUCCESS]
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "dfa", **({"version": version} if version else {}), "rules": [_rule(result)]}
                },
                "results": [
                    _result(result, record, _uri(files[record.index], folder), record.index in fell)
                    for record in broken
                ],
                "columnKind": "unicodeCodePoints",
                "properties": {"verdict": shown(verdict), "images": len(result.records), "broken": len(broken)},
            }
        ],
    }


def _rule(result: Result) -> dict[str, Any]:
    attack = f"{setting_words(result.config)}; at most {budget_words(result.config)} for an image".removeprefix("; ")
    told = f"A small change that was found by asking the model alone makes its answer another one. Attack: {attack}."
    return {
        "id": _RULE,
        "name": "BrokenImage",
        "shortDescription": {"text": "An image that an attack broke"},
        "fullDescription": {"text": _message(told)},
        "help": {"text": _message(f"{told} An image without a result was not broken by so many, and may be by more.")},
        "defaultConfiguration": {"level": "warning"},
    }


def _result(result: Result, record: Record, uri: str, is_new: bool) -> dict[str, Any]:
    new = "not broken in the baseline, and now " if is_new else ""
    location = {"artifactLocation": {"uri": uri}, "region": {"startLine": 1}}
    return {
        "ruleId": _RULE,
        "ruleIndex": 0,
        "level": "error" if is_new else "warning",
        "message": {"text": _message(f"{named(record)}: {new}{told_ending(result, record)}")},
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"dfaImage/v1": f"{record.id:08x}"},
        "properties": {
            "queries": record.queries,
            "classBefore": shown(result.class_name(record.class_before)),
            "classAfter": shown(result.class_name(record.class_after)),
            "linf": record.linf,
        },
    }


def _message(text: str) -> str:
    """Return a text as a message in which nothing is a placeholder, and no word of others a link."""
    return text.replace("[", "\\[").replace("]", "\\]").replace("{", "{{").replace("}", "}}")


def _uri(file: str | os.PathLike[str], folder: str | os.PathLike[str]) -> str:
    """Return a path as a URI: relative where it lies in a folder, whatever bytes its name has."""
    path, base = Path(os.path.abspath(file)), Path(os.path.abspath(folder))
    if not path.is_relative_to(base):
        return path.as_uri()
    return quote(os.fsencode(path.relative_to(base).as_posix()), safe="/")
