"""What `verify` saw: the checks, what does not hold, and what had to be believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.results.rates import NO_ANSWERS, FreshAnswers, wilson

PROBABILITY_TOLERANCE: Final = 0.01
"""How far a probability may lie from the recorded one: that of another build of a model does, a little."""

CHECKS: Final = {
    "settings": "run.json, results.json, epsilon.npy and the number of records do not contradict one another",
    "tables": "the summary, what saving saw and records.csv are those of the records",
    "record": "the record does not contradict itself, and names a file exactly if an image was found",
    "file": "the file is a PNG as dfa writes it (or an array, of a user's space), of the run's form and shape",
    "original": "the original is there, of the image's dtype and shape",
    "copy": "the folder's copy of the original is the one that was given",
    "epsilon": "no value lies further than epsilon from the original's",
    "space": "the image keeps the promise of its search space, as run.json has it",
    "distance": "L0, L2 and L-infinity are as recorded",
    "before": "the original has the class that was recorded",
    "target": "the target is not the original's own class, and of the rank that the run asks for",
    "alone": "asked alone, the image has the class that was recorded",
    "batch": "asked in a batch, the image has the class that was recorded",
    "probability": f"these classes have the probabilities that were recorded, within {PROBABILITY_TOLERANCE}",
    "adversarial": "that class is the target's, or in an untargeted run not the original's",
    "stray": "no file lies among the images and originals that no record names",
}
"""What is checked, by name."""


@dataclass(frozen=True)
class Finding:
    """Something that does not hold.

    Attributes:
        index: Place of the image in the run; -1 for the run itself.
        check: Which of `CHECKS`.
        problem: What was expected and what was found.
    """

    index: int
    check: str
    problem: str

    @property
    def where(self) -> str:
        """What it is about, in words."""
        return "the run" if self.index < 0 else f"image {self.index}"


@dataclass(frozen=True)
class Verification:
    """What `verify` saw.

    Attributes:
        folder: The run.
        images: Adversarial images that were looked at.
        checked: How often each of `CHECKS` was made.
        findings: What does not hold, by image.
        notes: What could not be checked, and why.
        queries: Images sent to the oracle for this.
        records: Images of which the folder has a record.
        believed: What the folder alone tells, and was taken from it, in words.
        fresh: Where answers are repeated, those about the adversarial images. They chose nothing, so their share is
            what the images are worth on one more answer; those of the records, which chose the images, say more.
        asked_otherwise: How the oracle is asked otherwise than that of the run was, such as with another mean. What
            does not hold may then be no fault of the run.
    """

    folder: Path
    images: int
    checked: Mapping[str, int]
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    queries: int = 0
    records: int = 0
    believed: Mapping[str, str] = field(default_factory=dict)
    asked_otherwise: tuple[str, ...] = ()
    fresh: FreshAnswers = NO_ANSWERS

    @property
    def holds(self) -> bool:
        """Whether there was something to check, and all of it holds."""
        return not self.findings and self.records > 0

    @property
    def verdict(self) -> str:
        """What came of it, in words."""
        if self.findings:
            return f"{len(self.findings):,} things do not hold"
        if not self.records:
            return "nothing to verify, the folder has no record of an image"
        if not self.images:
            return "none to verify, and the records do not contradict one another"
        return "everything holds"

    @property
    def fresh_share(self) -> str:
        """What share of the fresh answers finds the images adversarial, in words; empty where answers are single."""
        if not self.fresh.number:
            return ""
        low, high = (f"{100 * end:.1f} %" for end in wilson(*self.fresh))
        return (
            f"{100 * self.fresh.agreeing / self.fresh.number:.1f} % of {self.fresh.number:,} find the images "
            f"adversarial (95 % interval: {low} to {high})"
        )

    def failed(self, check: str) -> int:
        """Return how often a check failed."""
        return sum(finding.check == check for finding in self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain JSON types."""
        return {
            "folder": str(self.folder),
            "holds": self.holds,
            "verdict": self.verdict,
            "images": self.images,
            "records": self.records,
            "checks": {
                name: {"what": CHECKS[name], "checked": number, "failed": self.failed(name)}
                for name, number in self.checked.items()
            },
            "findings": [vars(finding) for finding in self.findings],
            "believed": dict(self.believed),
            "notes": list(self.notes),
            "asked_otherwise": list(self.asked_otherwise),
            "queries": self.queries,
            "fresh": {**self.fresh._asdict(), "interval": None if not self.fresh.number else list(wilson(*self.fresh))},
        }

    def __str__(self) -> str:
        """Return a table of the checks, a line for everything that does not hold, and what was believed."""
        lines = [f"the oracle is asked otherwise than the run's was: {each}" for each in self.asked_otherwise]
        lines += [f"{'check':<12} {'made':>8} {'failed':>8}  what must hold"]
        lines += [
            f"{name:<12} {number:>8,} {self.failed(name):>8,}  {CHECKS[name]}" for name, number in self.checked.items()
        ]
        lines += [f"{each.where}: {each.check}: {each.problem}" for each in self.findings]
        lines += [f"believed of the folder: {name}: {words}" for name, words in self.believed.items()]
        lines += [f"note: {note}" for note in self.notes]
        lines += [f"fresh answers: {self.fresh_share}"] if self.fresh_share else []
        return "\n".join([*lines, f"{self.images:,} adversarial images in {self.folder}: {self.verdict}"])
