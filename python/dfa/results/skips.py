"""What is said of a run that skipped most of its images: it says little, and often the labels are at fault."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from dfa.errors import MostSkippedWarning
from dfa.results.record import Record, Status

_SHOWN: Final = 3
"""Examples of a label and an answer; of fewer nothing is guessed."""


LIKELY_CAUSES: Final = (
    "preprocess=, mean= and std= of dfa.as_oracle, the images' size and channels, labels=, and class_offset= of "
    "dfa.TfliteOracle"
)
"""Where to look if a model gets most images wrong, the likeliest first."""


class Mislabelled(NamedTuple):
    """An image whose class is not its label."""

    place: int
    label: int
    answer: int


def tell_skipped_records(
    records: Sequence[Record], cure: str, names: Sequence[str] | None = None, own_classes: Sequence[str] | None = None
) -> str:
    """Return what `tell_skips` says of a run's records."""
    skipped = [record for record in records if record.status is Status.SKIPPED]
    wrong = [
        Mislabelled(each.index, each.label, each.class_before)
        for each in skipped
        if each.label is not None and each.class_before is not None and each.label != each.class_before
    ]
    return tell_skips(len(records), len(skipped), wrong, cure, names, own_classes)


def tell_skips(
    number: int,
    skipped: int,
    wrong: Sequence[Mislabelled],
    cure: str,
    names: Sequence[str] | None = None,
    own_classes: Sequence[str] | None = None,
) -> str:
    """Return what to tell where more than half of the images were skipped; else nothing.

    Args:
        number: Of all images.
        skipped: Of those that were skipped.
        wrong: Of these, the images that the model gets wrong; the others are of the target class already.
        cure: What the user may change where labels are wrong.
        names: What the images are called; None for their places.
        own_classes: As of `told_causes`.
    """
    if 2 * skipped <= number:
        return ""
    parts = [f"{skipped:,} of {number:,} images were skipped"]
    if len(wrong) < skipped:
        parts.append(f"{skipped - len(wrong):,} are of the target class already")
    if not wrong:
        return "; ".join(parts)
    examples = [
        f"{f'image {each.place}' if names is None else names[each.place]} has the label {each.label} and the answer "
        f"{each.answer}"
        for each in wrong[:_SHOWN]
    ]
    parts.append(f"{len(wrong):,} are not what their labels say: {', '.join(examples)}")
    return "; ".join([*parts, *told_causes(wrong, own_classes), f"look at {cure}"])


def told_causes(wrong: Sequence[Mislabelled], own_classes: Sequence[str] | None = None) -> Iterator[str]:
    """Yield what the wrong answers point to.

    Args:
        wrong: The images that the model gets wrong.
        own_classes: What the data calls its classes, where the labels are places among these, and nobody has said what
            the model's are called; None elsewhere.
    """
    # Two orders of the same names differ by one for many of them, and by other numbers for the others.
    least = 0.5 if own_classes is None else 0.9
    for step, word in ((1, "plus"), (-1, "minus")):
        stepped = sum(each.answer == each.label + step for each in wrong)
        if len(wrong) >= _SHOWN and stepped > least * len(wrong):
            yield f"most answers are the label {word} 1, so the ids seem to be off by one"
    if own_classes is not None:
        shown = ", ".join([*own_classes[:_SHOWN], "..."][: len(own_classes)])
        yield (
            f"the labels number the classes as the data does ({shown}; folders go by the alphabet), and the model may "
            "number them otherwise: pass class_names=, the model's in its order"
        )


def warn_of_skips(text: str, result: object) -> None:
    """Warn the caller of a public function; where warnings are errors, this one carries what was found."""
    try:
        warnings.warn(text, MostSkippedWarning, stacklevel=3)
    except MostSkippedWarning as warning:
        warning.result = result
        raise
