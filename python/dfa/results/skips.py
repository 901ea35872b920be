"""What is said of a run that skipped most of its images: it says little, and often the labels are at fault."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from dfa.results.record import Record, Status

_SHOWN: Final = 3
"""Examples of a label and an answer; of fewer nothing is guessed."""


def tell_skips(records: Sequence[Record], cure: str, names: Sequence[str] | None = None) -> str:
    """Return what to tell of a run that skipped more than half of its images; nothing of any other.

    Args:
        records: Of all images of the run.
        cure: What the user may change where labels are wrong.
        names: What the images are called; None for their places.
    """
    skipped = [record for record in records if record.status is Status.SKIPPED]
    if 2 * len(skipped) <= len(records):
        return ""
    parts = [f"{len(skipped):,} of {len(records):,} images were skipped"]
    wrong = [record for record in skipped if record.label is not None and record.label != record.class_before]
    if len(wrong) < len(skipped):
        parts.append(f"{len(skipped) - len(wrong):,} are of the target class already")
    if not wrong:
        return "; ".join(parts)
    examples = [
        f"{f'image {each.index}' if names is None else names[each.index]} has the label {each.label} and the answer "
        f"{each.class_before}"
        for each in wrong[:_SHOWN]
    ]
    parts.append(f"{len(wrong):,} are not what their labels say: {', '.join(examples)}")
    for step, word in ((1, "plus"), (-1, "minus")):
        number = sum(each.class_before == (each.label or 0) + step for each in wrong)
        if len(wrong) >= _SHOWN and 2 * number > len(wrong):
            parts.append(f"most answers are the label {word} 1, so the ids seem to be off by one")
    parts.append(f"look at {cure}")
    return "; ".join(parts)
