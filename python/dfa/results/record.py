"""What happened to one image."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, cast

from dfa.errors import InvalidInputError
from dfa.results.parsing import MisfitError, fields_reader
from dfa.results.rates import Interval, ratio, wilson
from dfa.results.traces import PackedTrace


class Status(Enum):
    """How an image's attack ended."""

    SUCCESS = "success"
    """An adversarial image was found and confirmed by queries of its own."""
    FAILURE = "failure"
    """The search ended (queries, iterations, time) without a confirmed adversarial image."""
    SKIPPED = "skipped"
    """There was nothing to attack: misclassified from the start, or already in the target class."""
    ERROR = "error"
    """This image could not be attacked; `Record.reason` says why."""
    UNFINISHED = "unfinished"
    """The run ended before this image did."""


AT_REST: Final = "at rest"
"""The reason of a failure that was given up before its budget was spent, because nothing moved (`give_up_after`)."""

OUT_OF_TIME: Final = "time"
"""The reason of a failure that the clock ended (`max_seconds`)."""

NOT_VERIFIED: Final = "not verified"
"""The reason of a failure whose search ended with a claim, which an answer apart from the search then contradicted."""


@dataclass(frozen=True)
class Record:
    """What happened to one image. Distances are in grey levels, on the uint8 images.

    Attributes:
        index: Place of the image in the run's `images`.
        id: Name of the image's random stream.
        status: How the attack ended.
        reason: Why, in words; empty for a success.
        source: The file that the image came from, or another name that the run was given for it; None without one.
        label: The label given for the image, or None.
        target: The target class, or None in an untargeted run.
        class_before: Class of the original image, None if it was never asked.
        class_after: Class of the adversarial image, None if there is none.
        probability_before: Probability of `class_before` on the original image, 0..1; None where the oracle does not
            show it, as one of labels alone.
        probability_after: Probability of `class_after` on the adversarial image, 0..1; None likewise.
        found: The search claims an adversarial image, or claimed one that was not confirmed.
        verified: The uint8 image, queried on its own, was adversarial, as often as the run's `confirmations` ask for.
            True exactly for a success.
        answers: How often the oracle was asked, apart from the search, about the adversarial image.
        agreeing: How many of these answers found it adversarial.
        unconfirmed: Candidates that were adversarial when first asked and that repeated answers did not confirm.
        queries: Images asked up to and including the first adversarial one; what the paper counts.
        queries_sent: Images sent to the oracle for this image, the rest of the hit's batch included, and what is asked
            besides the candidates of an oracle of labels.
        seconds: The image's share of the run's wall time.
        l0: Number of values (of H * W * C) that differ from the original.
        l2: Euclidean length of the difference, grey levels.
        linf: Largest difference, grey levels.
        distances: What else matters in the run's search space, by name: pixels, area, steps; None if nothing was found.
        degree: Smallest dissatisfaction degree reached; 0 for an adversarial image.
        trace: (queries, degree) at each improvement.
    """

    index: int
    id: int
    status: Status
    reason: str = ""
    source: str | None = None
    label: int | None = None
    target: int | None = None
    class_before: int | None = None
    class_after: int | None = None
    probability_before: float | None = None
    probability_after: float | None = None
    found: bool = False
    verified: bool = False
    answers: int = 0
    agreeing: int = 0
    unconfirmed: int = 0
    queries: int = 0
    queries_sent: int = 0
    seconds: float = 0.0
    l0: int | None = None
    l2: float | None = None
    linf: int | float | None = None
    distances: dict[str, float] | None = None
    degree: float | None = None
    trace: tuple[tuple[int, float], ...] = cast(Any, PackedTrace())

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself, since every rate is counted from these three fields.

        Raises:
            InvalidInputError: The status is SUCCESS without `verified`, or the reverse, or `verified` without
                `found`.
        """
        if (self.status is Status.SUCCESS) != self.verified or (self.verified and not self.found):
            raise InvalidInputError(
                f"the record of image {self.index} must be verified exactly if its status is success, and "
                f"found if it is verified; got status={self.status.value!r}, found={self.found}, "
                f"verified={self.verified}"
            )

    def __str__(self) -> str:
        """Return five lines."""
        source = "" if self.source is None else f" ({self.source if self.source.isprintable() else repr(self.source)})"
        before = f"class {_class(self.class_before, self.probability_before)}"
        became = "" if self.class_after is None else f" became {_class(self.class_after, self.probability_after)}"
        aims = [f"{name} {each}" for name, each in (("label", self.label), ("target", self.target)) if each is not None]
        hit = f"{self.queries:,} to the first hit, " if self.found else ""
        changed = "nothing was found"
        if self.l0 is not None and self.l2 is not None:
            others = "".join(f", {name} {size:g}" for name, size in (self.distances or {}).items())
            changed = f"{self.l0:,} values, by at most {self.linf}; L2 {self.l2:,.1f}{others}"
        asked = f"; confirmed by {self.agreeing:,} of {self.answers:,} answers" if self.answers else ""
        return "\n".join(
            [
                f"image {self.index}{source}: {self.status.value}{f', {self.reason}' if self.reason else ''}",
                ", ".join([before + became, *aims]),
                f"queries: {hit}{self.queries_sent:,} sent",
                f"changed: {changed}",
                f"time: {self.seconds:.3g} s of the run{asked}",
            ]
        )

    @property
    def goal(self) -> int | None:
        """The target, or in an untargeted run the original class; None if neither label nor oracle gave that."""
        if self.target is not None:
            return self.target
        return self.class_before if self.label is None else self.label

    @property
    def at_rest(self) -> bool:
        """Whether it was given up before its budget was spent: not broken by `queries_sent` queries, and at rest."""
        return self.status is Status.FAILURE and self.reason == AT_REST

    @property
    def is_open(self) -> bool:
        """Whether its attack ended before the budget was spent without telling whether the image withstands that.

        The clock ended it, or a claim that was not confirmed.
        """
        return self.status is Status.FAILURE and self.reason in (OUT_OF_TIME, NOT_VERIFIED)

    @property
    def confidence(self) -> float:
        """Share of the repeated answers that found the adversarial image adversarial; nan if it was never asked.

        They chose the image: had fewer agreed, the search had gone on. Of a randomised model it is too high.
        """
        return ratio(self.agreeing, self.answers)

    @property
    def confidence_interval(self) -> Interval:
        """Wilson's 95 % interval of `confidence`, as if the answers had not chosen the image.

        The chance that one more answer finds it adversarial may lie below; `Result.fresh` has answers that chose
        nothing.
        """
        return wilson(self.agreeing, self.answers)


def _class(number: int | None, probability: float | None) -> str:
    share = "" if probability is None else f" ({100 * probability:.1f} %)"
    return f"{'not asked about' if number is None else number}{share}"


FIELDS: Final = tuple(each.name for each in dataclasses.fields(Record))
"""The names of a record's fields, in their order."""

_NAMES: Final = frozenset(FIELDS)


def rewritten(record: Record, **fields: Any) -> Record:
    """Return a record with other values in some fields: `dataclasses.replace`, in a tenth of its time.

    A run writes each of its records several times, and may have a million of them.

    Raises:
        TypeError: There is no such field.
        InvalidInputError: What results contradicts itself.
    """
    if not _NAMES.issuperset(fields):
        raise TypeError(f"a record has no field {min(fields.keys() - _NAMES)!r}")
    new = object.__new__(Record)
    held = vars(new)
    held.update(vars(record))
    if "trace" in fields:
        object.__setattr__(new, "trace", fields.pop("trace"))
    held.update(fields)
    new.__post_init__()
    return new


_TYPES: Final = {**typing.get_type_hints(Record), "trace": tuple[tuple[int, float | None], ...]}
"""Of a degree that no number is, JSON knows nothing."""

_read_fields: Final = fields_reader(_TYPES)
_AT_LEAST_0: Final = (
    "index",
    "answers",
    "agreeing",
    "unconfirmed",
    "queries",
    "queries_sent",
    "seconds",
    "l0",
    "l2",
    "linf",
)


def read_fields(entry: object) -> dict[str, Any]:
    """Return the fields of the record that an entry of results.json or of a journal describes, each of its type.

    Raises:
        ValueError: It describes none.
    """
    values = _read_fields(entry)
    for name in _AT_LEAST_0:
        if values[name] is not None and values[name] < 0:
            raise MisfitError("0 or more", values[name], name)
    if values["agreeing"] > values["answers"]:
        raise MisfitError(f"at most the {values['answers']} answers", values["agreeing"], "agreeing")
    return values


def read_record(entry: object) -> Record:
    """Return the record that an entry of results.json or of a journal describes.

    Raises:
        ValueError: It describes none, or one that contradicts itself.
    """
    return Record(**read_fields(entry))
