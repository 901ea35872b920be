"""What is said where images, read back from their files and asked about, are not what the run found."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Final

from dfa.checks import counted
from dfa.errors import RefutedFilesWarning
from dfa.results.summary import Summary

_SHOWN: Final = 3


def tell_refuted(refuted: Mapping[int, str], summary: Summary) -> str:
    """Return which files of a result are refuted, and what that makes of its TSR; nothing where none is."""
    if not refuted:
        return ""
    rates = f"{100 * summary.TSR_of_files:.1f} %, not {100 * summary.TSR:.1f} %"
    return (
        f"{counted(len(refuted), 'image')} refuted, read back from the files and asked again ({listed(refuted)}); by "
        f"the files TSR is {rates}"
    )


def listed(refuted: Mapping[int, str]) -> str:
    """Return the first few images that are refuted, and why."""
    words = [f"image {index}: {why}" for index, why in sorted(refuted.items())[:_SHOWN]]
    return "; ".join([*words, *(["..."] if len(refuted) > _SHOWN else [])])


def warn_of_refuted(text: str, result: object) -> None:
    """Warn the caller of a public function; where warnings are errors, this one carries the result."""
    try:
        warnings.warn(text, RefutedFilesWarning, stacklevel=3)
    except RefutedFilesWarning as warning:
        warning.result = result
        raise
