"""A run in a few figures, with the paper's names for the paper's figures."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dfa.checks import counted
from dfa.results.rates import FreshAnswers, Interval, clopper_pearson, percent, ratio, wilson
from dfa.results.record import Record, Status


@dataclass(frozen=True)
class Summary:
    """A run in a few figures, with the paper's names for the paper's figures.

    A figure over an empty set is nan: the rates of a run in which no image was attacked, the queries of a run
    without a success.

    Attributes:
        total: Images of the run.
        attacked: Images whose attack ended, N_a: successes and failures.
        skipped: Images with nothing to attack.
        errors: Images that could not be attacked.
        unfinished: Images that the run's end cut off.
        found: Images for which the search claims success, N_v.
        verified: Images for which the uint8 image, asked again, is adversarial, N_i.
        SR: Success rate N_v / N_a.
        TSR: True success rate N_i / N_a.
        GAP: (SR - TSR) / SR.
        confidence: Share of the repeated answers about the successes that found them adversarial. 1 where one answer
            each is asked for. These answers chose the successes, so of a randomised model it is too high, and no
            interval is told of it.
        answers: Repeated answers about the successes.
        unconfirmed: Candidates that were adversarial when first asked and not confirmed, of all attacked images.
        ATC: Average time cost of an adversarial image: mean over successes of `Record.seconds`, the image's
            share of the run's wall time.
        queries_mean: Mean queries over successes.
        queries_median: Median queries over successes.
        queries_p90: 90 % of the successes needed at most about this many queries.
        queries_mean_with_failures: Mean over attacked images, a failure counted at its whole budget.
        queries_sent: All attack queries sent to the oracle.
        at_rest: Failures that were given up at rest (`Record.at_rest`). Whether the whole budget would have broken
            them nobody knows; `queries_mean_with_failures` counts each at the whole budget, `queries_sent` at what it
            was sent.
        queries_at_rest: Mean queries sent for them; nan without any.
        calls: Calls of the oracle that they took; 0 where only records are known.
        distances: Mean over successes of the size of each of `Record.distances`, by name.
        max_queries: Budget per image, None if the run's configuration does not tell.
        wall: Seconds of the whole run.
        prior: The surrogate that the run was given, by name; None where it had none. With one it was not without
            knowledge of the model.
        refuted: Of `verified`, those whose file is refuted (`Result.refuted`); no other figure knows of them but
            `TSR_of_files`.
        labelled: Images with a label that were asked about and whose attack, if there was one, has ended.
        right: Of these, those that the model got right before the attack.
        clean_accuracy: Their share; nan without labels.
        setting: Space, its bounds and the goal, in words; empty where nothing tells them.
        fresh_answers: Answers about the files of successes, asked when they were saved (`Result.fresh`); 0 without.
        fresh_confidence: Share of these that found the image adversarial. They chose nothing, so this is what the
            successes are worth on one more answer; nan without.
        fresh_interval: Wilson's 95 % interval of it, for these images. Where images differ in their chance it is a
            little too wide.
        robust_accuracy: Share of `labelled` that the model still gets right, of those that were right before; nan
            without labels and in a targeted run, which leaves other classes alone.

    Source: section 3.2.1 (SR, TSR, GAP), section 5.2 (ATC), Table 10 (queries over successes).
    """

    total: int
    attacked: int
    skipped: int
    errors: int
    unfinished: int
    found: int
    verified: int
    SR: float
    TSR: float
    GAP: float
    confidence: float
    answers: int
    unconfirmed: int
    ATC: float
    queries_mean: float
    queries_median: float
    queries_p90: float
    queries_mean_with_failures: float
    queries_sent: int
    max_queries: int | None
    wall: float
    calls: int = 0
    distances: dict[str, float] = field(default_factory=dict)
    at_rest: int = 0
    queries_at_rest: float = math.nan
    prior: str | None = None
    refuted: int = 0
    labelled: int = 0
    right: int = 0
    clean_accuracy: float = math.nan
    robust_accuracy: float = math.nan
    setting: str = ""
    fresh_answers: int = 0
    fresh_confidence: float = math.nan
    fresh_interval: Interval = (math.nan, math.nan)

    @property
    def TSR_of_files(self) -> float:  # noqa: N802 -- the paper's name
        """TSR with the refuted files left out: what of it holds on the images as they were written."""
        return ratio(self.verified - self.refuted, self.attacked)

    @property
    def TSR_interval(self) -> Interval:  # noqa: N802 -- of TSR
        """Clopper and Pearson's 95 % interval of TSR, the attacked images taken for independent draws; nan of none."""
        return clopper_pearson(self.verified, self.attacked)

    @property
    def withstood(self) -> int:
        """Images that `robust_accuracy` counts: right before the attack, and not broken by it; 0 where that is nan."""
        return 0 if math.isnan(self.robust_accuracy) else round(self.robust_accuracy * self.labelled)

    @property
    def robust_accuracy_interval(self) -> Interval:
        """Clopper and Pearson's 95 % interval of `robust_accuracy`, its images taken likewise; nan where that is."""
        if math.isnan(self.robust_accuracy):
            return math.nan, math.nan
        return clopper_pearson(self.withstood, self.labelled)

    def __str__(self) -> str:
        """Return a small table."""
        calls = f", {counted(self.calls, 'call')} of {self.queries_sent / self.calls:,.1f} images" if self.calls else ""
        budget = "" if self.max_queries is None else f" of {self.max_queries:,}"
        rows = [
            *([("attack", self.setting)] if self.setting else []),
            ("images", f"{self.total:,}, {self.attacked:,} attacked"),
            (
                "not attacked",
                f"{self.skipped:,} skipped, {self.errors:,} errors, {self.unfinished:,} unfinished",
            ),
            *self._rows_of_accuracy(),
            ("SR", percent(self.SR)),
            ("TSR", percent(self.TSR)),
            *self._rows_of_files(),
            ("GAP", percent(self.GAP)),
            ("ATC", "-" if math.isnan(self.ATC) else f"{self.ATC:.3g} s"),
            (
                "queries, successes",
                "none"
                if math.isnan(self.queries_mean)
                else f"{_count(self.queries_mean)} mean, {_count(self.queries_median)} median, "
                f"{_count(self.queries_p90)} 90 %",
            ),
            ("queries, failures at budget", f"{_count(self.queries_mean_with_failures)} mean{budget}"),
            *self._rows_of_rest(),
            ("queries sent", f"{self.queries_sent:,} in {self.wall:.1f} s{calls}"),
        ]
        if self.answers > self.verified or self.unconfirmed:
            place = rows.index(("GAP", percent(self.GAP))) + 1
            rows[place:place] = self._rows_of_answers()
        if self.prior is not None:
            rows.append(("with a prior", f"{self.prior}; these queries are not those of an attack without knowledge"))
        if self.distances:
            rows.append(("distances", ", ".join(f"{_count(size)} {name}" for name, size in self.distances.items())))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _rows_of_accuracy(self) -> list[tuple[str, str]]:
        if not self.labelled:
            return []
        told = f"{self.right:,} of {self.labelled:,} right before the attack ({percent(self.clean_accuracy)})"
        rows = [("clean accuracy", told)]
        if not math.isnan(self.robust_accuracy):
            told = f"{self.withstood:,} of {self.labelled:,} right after it ({percent(self.robust_accuracy)})"
            rows.append(("robust accuracy", told))
        return rows

    def _rows_of_rest(self) -> list[tuple[str, str]]:
        if not self.at_rest:
            return []
        failures = self.attacked - self.verified
        told = (
            f"{self.at_rest:,} of {counted(failures, 'failure')}, not broken by {_count(self.queries_at_rest)} queries"
        )
        return [("given up at rest", f"{told} (mean); counted above at the whole budget")]

    def _rows_of_answers(self) -> list[tuple[str, str]]:
        told = f"{percent(self.confidence)} of {self.answers:,} answers (they chose the images, so this flatters)"
        rows = [("confirmed by", f"{told}; {self.unconfirmed:,} candidates were not confirmed")]
        if self.fresh_answers:
            low, high = self.fresh_interval
            told = f"{percent(self.fresh_confidence)} of {self.fresh_answers:,} find these images adversarial"
            rows.append(("fresh answers", f"{told} (95 % interval: {percent(low)} to {percent(high)})"))
        elif self.verified:
            rows.append(("fresh answers", "none yet; saving the result, and `dfa verify`, ask for them"))
        return rows

    def _rows_of_files(self) -> list[tuple[str, str]]:
        if not self.refuted:
            return []
        told = f"{self.refuted:,} of {self.verified:,} refuted, read back from the files and asked again"
        return [("TSR of the files", f"{percent(self.TSR_of_files)}: {told}")]


def name_of_prior(config: Mapping[str, Any]) -> str | None:
    """Return the name of a run's prior, of whatever its config says of it; None where it had none."""
    described = config.get("prior")
    name = described.get("name") if isinstance(described, dict) else None
    return name if isinstance(name, str) else None


def summarise(
    records: Iterable[Record],
    *,
    max_queries: int | None = None,
    wall: float = 0.0,
    calls: int = 0,
    refuted: Container[int] = (),
    fresh: Mapping[int, FreshAnswers] | None = None,
    prior: str | None = None,
    setting: str = "",
) -> Summary:
    """Condense records into the paper's figures.

    Args:
        records: One per image.
        max_queries: Budget per image, at which a failure counts; None counts what the failure did send.
        wall: Seconds of the whole run.
        calls: Calls of the oracle for attack queries.
        refuted: The images, by index, whose files are refuted.
        fresh: By index, what fresh answers about the files said.
        prior: The surrogate that the run was given, by name.
        setting: Space and goal in words.
    """
    records = list(records)
    attacked = [record for record in records if record.status in (Status.SUCCESS, Status.FAILURE)]
    successes = [record for record in attacked if record.verified]
    num_found = sum(record.found for record in attacked)
    success_rate = ratio(num_found, len(attacked))
    true_success_rate = ratio(len(successes), len(attacked))
    num_answers = sum(record.answers for record in successes)
    num_agreeing = sum(record.agreeing for record in successes)
    again = [fresh[record.index] for record in successes if record.index in fresh] if fresh else []
    num_fresh, num_fresh_agreeing = sum(each.number for each in again), sum(each.agreeing for each in again)
    at_rest = [record.queries_sent for record in attacked if record.at_rest]
    queries = np.array([record.queries for record in successes], dtype=np.float64)
    costs = [
        record.queries if record.verified else max(record.queries_sent, max_queries if max_queries is not None else 0)
        for record in attacked
    ]

    labelled = [
        record
        for record in records
        if record.status in (Status.SUCCESS, Status.FAILURE, Status.SKIPPED)
        and record.label is not None
        and record.class_before is not None
    ]
    right = [record for record in labelled if record.label == record.class_before]
    is_targeted = any(record.target is not None for record in records)
    withstood = sum(not record.verified for record in right)

    def number(status: Status) -> int:
        return sum(record.status is status for record in records)

    return Summary(
        total=len(records),
        attacked=len(attacked),
        skipped=number(Status.SKIPPED),
        errors=number(Status.ERROR),
        unfinished=number(Status.UNFINISHED),
        found=num_found,
        verified=len(successes),
        SR=success_rate,
        TSR=true_success_rate,
        GAP=ratio(num_found - len(successes), num_found),
        confidence=ratio(num_agreeing, num_answers),
        answers=num_answers,
        unconfirmed=sum(record.unconfirmed for record in attacked),
        ATC=ratio(sum(record.seconds for record in successes), len(successes)),
        queries_mean=float(queries.mean()) if queries.size else math.nan,
        queries_median=float(np.median(queries)) if queries.size else math.nan,
        queries_p90=float(np.quantile(queries, 0.9)) if queries.size else math.nan,
        queries_mean_with_failures=ratio(sum(costs), len(costs)),
        queries_sent=sum(record.queries_sent for record in records),
        max_queries=max_queries,
        wall=wall,
        calls=calls,
        distances={
            name: float(np.mean([abs((record.distances or {}).get(name, 0)) for record in successes]))
            for name in (distance_names(successes) if successes else ())
        },
        at_rest=len(at_rest),
        queries_at_rest=ratio(sum(at_rest), len(at_rest)),
        prior=prior,
        refuted=sum(record.index in refuted for record in successes),
        labelled=len(labelled),
        right=len(right),
        clean_accuracy=ratio(len(right), len(labelled)),
        robust_accuracy=math.nan if is_targeted else ratio(withstood, len(labelled)),
        setting=setting,
        fresh_answers=num_fresh,
        fresh_confidence=ratio(num_fresh_agreeing, num_fresh),
        fresh_interval=wilson(num_fresh_agreeing, num_fresh),
    )


def distance_names(records: Iterable[Record]) -> list[str]:
    """Return what the distances of a run's space are called, in their order."""
    return list(dict.fromkeys(name for record in records for name in record.distances or {}))


def _count(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:,.1f}"
