"""Whether a run's result holds a bar: the share that is left, against what is asked for and what was before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from dfa.checks import counted
from dfa.engine.first_look import ENOUGH, LUCK
from dfa.results.rates import Interval, chance_of, clopper_pearson, percent, ratio
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.results.setting import setting_words
from dfa.results.skips import LIKELY_CAUSES
from dfa.verdicts.comparison import Comparison, compare
from dfa.verdicts.words import budget_words, named, shown, told_ending, told_share

_SHOWN: Final = 3


class Outcome(Enum):
    """What a verdict says."""

    PASSED = "passed"
    """The bar is held."""
    BELOW = "below"
    """The share that is left is below the bar."""
    WORSE = "worse"
    """It is not, but the model is easier to break than the one of the baseline, beyond chance."""
    NOT_JUDGED = "not judged"
    """The run says too little: images in error, most of them skipped, attacks that the clock ended, or a model that
    seems not to see the images."""


@dataclass(frozen=True)
class Verdict:
    """Whether a run's result holds a bar.

    Attributes:
        outcome: What it says.
        part: Images that are left: with labels, in an untargeted run, those that were right before the attack and not
            broken by it; else those that were attacked and not broken.
        whole: Of so many: with labels, in an untargeted run, all images with a label, wrong ones included; else those
            that were attacked.
        at_least: The share that is asked for, 0..1.
        wrong: Of the images with a label, those that were wrong before any attack.
        broken: Images that the attack broke.
        why: Why nothing is judged; empty elsewhere.
        attack: Space, its bounds and the goal, in words.
        budget: What the attack might spend on an image, in words.
        comparison: With the baseline, the first of the two; None without, and where nothing is judged.
    """

    outcome: Outcome
    part: int
    whole: int
    at_least: float
    wrong: int
    broken: int
    why: str
    attack: str
    budget: str
    comparison: Comparison | None = None

    @property
    def share(self) -> float:
        """The share that is left, which is held against `at_least`; nan of none."""
        return ratio(self.part, self.whole)

    @property
    def interval(self) -> Interval:
        """Clopper and Pearson's 95 % interval of it, the images taken for independent draws; it decides nothing."""
        return clopper_pearson(self.part, self.whole)

    @property
    def passed(self) -> bool:
        """Whether the bar is held."""
        return self.outcome is Outcome.PASSED

    def __str__(self) -> str:
        """Return what is left of how many, and why that is enough or not."""
        attack = f" ({self.attack})" if self.attack else ""
        told = f"{told_share(self.part, self.whole)} not broken by {self.budget}{attack}"
        before = f"; {self.wrong:,} wrong before the attack, {self.broken:,} broken by it" if self.whole else ""
        return f"{self._judged()}: {told}{before}"

    def _judged(self) -> str:
        if self.outcome is Outcome.NOT_JUDGED:
            return f"not judged, since {self.why}"
        if self.outcome is Outcome.BELOW:
            return f"below at_least={self.at_least:g}"
        if self.outcome is Outcome.WORSE:
            return "worse than the baseline"
        return f"at_least={self.at_least:g} holds"


_CURE: Final = f"look at {LIKELY_CAUSES}"


def judge(result: Result, at_least: float, baseline: Result | None = None) -> Verdict:
    """Return whether a result holds a bar, and is no worse than an earlier one beyond chance.

    Args:
        result: Of a run that has ended.
        at_least: 0..1, the share of images that must be left. The share itself is held against it, not an end of its
            interval: on the same images, with the same seed, a model gives the same share again.
        baseline: An earlier result of the same attack on the same images.

    Raises:
        InvalidInputError: The baseline is of other images, labels or another attack.
    """
    summary = result.summary()
    is_of_labels = summary.labelled > 0 and all(record.target is None for record in result.records)
    part = summary.withstood if is_of_labels else summary.attacked - summary.verified
    whole = summary.labelled if is_of_labels else summary.attacked
    why = why_not_judged(result, whole)
    if not why and ratio(part, whole) >= at_least:
        why = why_open(result, lambda broken: ratio(part - broken, whole) < at_least, compares=baseline is not None)
    comparison = None if why or baseline is None else compare(baseline, result)
    if why:
        outcome = Outcome.NOT_JUDGED
    elif ratio(part, whole) < at_least:
        outcome = Outcome.BELOW
    else:
        outcome = Outcome.WORSE if comparison is not None and comparison.is_worse else Outcome.PASSED
    return Verdict(
        outcome=outcome,
        part=part,
        whole=whole,
        at_least=at_least,
        wrong=summary.labelled - summary.right,
        broken=summary.verified,
        why=why,
        attack=setting_words(result.config),
        budget=budget_words(result.config),
        comparison=comparison,
    )


def why_not_judged(result: Result, counted_images: int) -> str:
    """Return why a run says too little to be judged; nothing where it does not.

    Args:
        result: Of the run.
        counted_images: Those that its share is of.
    """
    records = result.records
    lost = [record for record in records if record.status in (Status.ERROR, Status.UNFINISHED)]
    if lost:
        examples = "; ".join(f"{named(each)} {told_ending(result, each)}" for each in lost[:_SHOWN])
        return f"{len(lost):,} of {counted(len(records), 'image')} have no answer ({examples})"
    skipped = [record for record in records if record.status is Status.SKIPPED]
    if 2 * len(skipped) > len(records):
        examples = "; ".join(f"{named(each)} {told_ending(result, each)}" for each in skipped[:_SHOWN])
        return f"{len(skipped):,} of {counted(len(records), 'image')} were not attacked ({examples}); {_CURE}"
    if 2 * counted_images < len(records):
        return (
            f"only {counted_images:,} of {counted(len(records), 'image')} have a label; give labels to all, or to none"
        )
    return why_blind(result)


def why_open(result: Result, hangs_on: Callable[[int], bool], *, compares: bool = False) -> str:
    """Return why the attacks of a run that told nothing are too many for it to be judged; nothing where they are not.

    Args:
        result: Of the run.
        hangs_on: Tells whether the bar would not be held any more if so many images more were broken.
        compares: Whether the run is held against a baseline, which most of its images must have an answer for.
    """
    left = [record for record in result.records if record.is_open]
    is_most = compares and 2 * len(left) > result.summary().attacked
    if not left or not (is_most or hangs_on(len(left))):
        return ""
    examples = "; ".join(f"{named(each)} {told_ending(result, each)}" for each in left[:_SHOWN])
    return (
        f"the attacks on {counted(len(left), 'image')} ended before their budget and tell nothing ({examples}): leave "
        "max_seconds out or raise it, and ask for confirmations where the model answers at random"
    )


def why_blind(result: Result, cure: str = LIKELY_CAUSES) -> str:
    """Return why a model seems not to see what it was made for, by its answers; nothing where it may.

    A model that is fed wrongly often has one answer for all images, which nothing can break; or it guesses.

    Args:
        result: Of the run.
        cure: Where to look.
    """
    asked = [record for record in result.records if record.class_before is not None]
    answers = {record.class_before for record in asked}
    is_labelled = {record.label for record in asked} == answers
    if len(asked) > 1 and len(answers) == 1 and not is_labelled and not result.success.any():
        (only,) = answers
        return (
            f"the model has one class for all {len(asked):,} images, {shown(result.class_name(only))}, whatever is "
            f"done to them, and no label says that it is right; give labels, or look at {cure}"
        )
    return _why_guessing([record for record in asked if record.label is not None], cure)


def _why_guessing(labelled: Sequence[Record], cure: str) -> str:
    right = sum(record.label == record.class_before for record in labelled)
    classes = {each for record in labelled for each in (record.label, record.class_before)}
    # Of one class nothing tells guessing from knowing; among more classes than are seen here, guessing would be worse.
    if len(labelled) < ENOUGH or len(classes) < 2 or chance_of(right, len(labelled), 1 / len(classes)) <= LUCK:
        return ""
    return (
        f"the model's answers agree with {right:,} of {len(labelled):,} labels ({percent(right / len(labelled))}), no "
        f"more than guessing among {len(classes):,} classes would; look at {cure}"
    )
