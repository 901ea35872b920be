"""Where a run's time went: totals, and what the run was doing when."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from dfa.oracle.services.books import ServiceUse
from dfa.oracle.workers.slots import WorkerShare
from dfa.results.parsing import MisfitError, fields_reader, reader
from dfa.results.rates import ratio

MOST_SPANS: Final = 50_000
"""Spans kept of a run: hours of a large model, minutes of a tiny one, and a few megabytes."""


@dataclass
class Spans:
    """Spans of time on the two threads of a run, in the order in which they ended.

    Attributes:
        entries: (name, thread, start, seconds) each; starts count from the start of the run.
    """

    entries: list[tuple[str, str, float, float]] = field(default_factory=list)

    def add(self, name: str, thread: str, start: float, seconds: float) -> None:
        """Keep a span, unless there are too many already."""
        if len(self.entries) < MOST_SPANS:
            self.entries.append((name, thread, start, seconds))


MOST_PARTS: Final = 256
"""Parts that a run's time is cut into to tell how full its calls were: what a chart can show, and a few kilobytes."""


@dataclass
class CallsOverTime:
    """How many attack queries each call of the oracle carried, over the run.

    The run's time is cut into parts of equal length. Where there would be too many, every two become one. Lengths are
    powers of two, so that no part's edge is ever rounded.

    Attributes:
        seconds: Length of a part.
        calls: Calls sent in each part, from the start of the run on.
        rows: Their attack queries.
    """

    seconds: float = 1 / 64
    calls: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)

    def add(self, at: float, rows: int, *, calls: int = 1) -> None:
        """Count a call.

        Args:
            at: When it was sent, in seconds from the start of the run.
            rows: Attack queries that it carries.
            calls: 1, or -1 to count one no longer, with as many rows below 0.
        """
        while at >= MOST_PARTS * self.seconds:
            self.seconds *= 2
            self.calls, self.rows = _in_pairs(self.calls), _in_pairs(self.rows)
        place = int(at / self.seconds)
        missing = [0] * (place + 1 - len(self.calls))
        self.calls += missing
        self.rows += missing
        self.calls[place] += calls
        self.rows[place] += rows

    def save(self) -> dict[str, Any]:
        """Return the state, in plain JSON types of its own."""
        return dataclasses.asdict(self)

    @classmethod
    def read(cls, document: object) -> CallsOverTime:
        """Return what `save` wrote down.

        Raises:
            ValueError: It is nothing that `save` writes.
        """
        expected = "calls over time must be as many counts of rows as of calls, of parts that have a length"
        try:
            read: CallsOverTime = reader(cls)(document)
        except MisfitError as error:
            raise ValueError(f"{expected}: {error}") from None
        are_counts = all(number >= 0 for number in (*read.calls, *read.rows))
        # A part of no length would be doubled for ever.
        if not (read.seconds > 0 and are_counts and len(read.calls) == len(read.rows) <= MOST_PARTS):
            raise ValueError(expected)
        return read


def _in_pairs(numbers: list[int]) -> list[int]:
    return [sum(numbers[start : start + 2]) for start in range(0, len(numbers), 2)]


@dataclass(frozen=True)
class Drift:
    """A service that answered otherwise about an unchanged image than it did when the run began.

    Attributes:
        sent: Attack queries sent before that was seen.
        index: The image.
        told: What it was, and is.
        unsettled: Images whose records are of answers from about then on, in part or whole.
    """

    sent: int
    index: int
    told: str
    unsettled: tuple[int, ...]


@dataclass(frozen=True)
class Service:
    """What a run asked of a service, and what that took.

    Attributes:
        asked: Images that the run asked about, for whatever purpose; budgets and results know of these alone.
        from_record: Of these, images whose answer was in the run's record already.
        coalesced: Of these, images that were under way already, whose answer did for both.
        use: What was sent, billed and waited for.
        currency: Of the costs; empty where none was told.
        drifts: Where the service answered otherwise than before, and the run went on.
    """

    asked: int
    from_record: int
    coalesced: int
    use: ServiceUse
    currency: str = ""
    drifts: list[Drift] = field(default_factory=list)


@dataclass
class Profile:
    """Where a run's time went. All times are in seconds.

    The main thread's time is `prior + propose + wait + score + update + other = wall`. The oracle works beside it in
    a thread of its own, so `oracle` overlaps them; what of it was not hidden shows up as `wait`. (A torch module on a
    CPU is asked in the main thread, and its attack queries are part of `wait`.)

    Whatever was sent is counted once: in all the oracle saw `rows_sent + clean + verification + watch + files + resent`
    images, but for those of a service that were answered from the run's record (`service`).
    Only what a process that was killed had written down and not yet sent counts (as `resent`) and was not seen.
    `Result.save` asks about its files too, and belongs to no run; `SaveReport` says what it did.

    Attributes:
        wall: From the start of the run to its end.
        prior: Asking the prior (`dfa.run`); 0 without one.
        propose: The core writing candidates.
        oracle: Inside the oracle, for attack queries.
        wait: The main thread waiting for an answer.
        score: From answers to dissatisfaction degrees.
        update: The core ranking candidates, and finished images leaving.
        other: Everything else: reading images, clean predictions, verification, records.
        rows_sent: Attack queries, images.
        rows_capacity: Rows that the batches could have carried.
        batches: Batches of attack queries, which is how often the oracle was called for them.
        clean: Images sent for clean predictions; no attack queries.
        verification: Images sent to confirm what the search claims, as often as they were sent; no attack queries.
        files: Images sent to check the files of a run that is kept (`store=`), as often as they were sent, also where
            that was cut short and done again; no attack queries, and not in `wall`.
        resent: Images sent beyond all these, because a run that was cut short was taken up again.
        spans: What the run was doing when; empty once it is read back from a folder.
        calls_over_time: How full the calls for attack queries were. A call that a resumed run sends again counts again.
        workers: What each worker did (`dfa.run(..., workers=)`), of a run that was taken up again since then; empty
            without workers.
        watch: Images sent to see that a service answers as it did; no attack queries.
        service: What was asked of a service, and what that took; None of other oracles.
    """

    wall: float = 0.0
    propose: float = 0.0
    oracle: float = 0.0
    wait: float = 0.0
    score: float = 0.0
    update: float = 0.0
    other: float = 0.0
    rows_sent: int = 0
    rows_capacity: int = 0
    batches: int = 0
    clean: int = 0
    verification: int = 0
    files: int = 0
    resent: int = 0
    spans: Spans = field(default_factory=Spans, repr=False, compare=False)
    calls_over_time: CallsOverTime = field(default_factory=CallsOverTime, repr=False)
    prior: float = 0.0
    workers: list[WorkerShare] = field(default_factory=list, repr=False)
    watch: int = 0
    service: Service | None = None

    @property
    def occupancy(self) -> float:
        """Rows sent over the rows that the batches could have carried, 0..1; nan before the first batch."""
        return ratio(self.rows_sent, self.rows_capacity)

    @property
    def rows_per_call(self) -> float:
        """Attack queries per call of the oracle; nan before the first."""
        return ratio(self.rows_sent, self.batches)

    @property
    def queries_per_second(self) -> float:
        """Attack queries over wall time; nan for a run that took none."""
        return ratio(self.rows_sent, self.wall)

    @property
    def oracle_share(self) -> float:
        """Part of the wall time during which the oracle was answering attack queries, 0..1."""
        return ratio(self.oracle, self.wall)

    def save(self) -> dict[str, Any]:
        """Return what a folder keeps, in plain types."""
        workers = [dataclasses.asdict(each) for each in self.workers]
        more: dict[str, Any] = {"workers": workers} if workers else {}
        if self.service is not None:
            more["service"] = dataclasses.asdict(self.service)
        return {**self.as_dict(), "calls_over_time": self.calls_over_time.save(), **more}

    def totals(self) -> dict[str, Any]:
        """Return the times and numbers by name."""
        return {name: getattr(self, name) for name in TOTALS}

    def save_trace(self, path: str | Path) -> None:
        """Write what the run was doing when, as a trace that chrome://tracing and ui.perfetto.dev show.

        Raises:
            StoreError: The file cannot be written.
        """
        from dfa.views.trace import save_trace

        save_trace(self.spans, path)

    def as_dict(self) -> dict[str, float]:
        """Return the fields and the derived figures by name."""
        return {
            **self.totals(),
            "occupancy": self.occupancy,
            "rows_per_call": self.rows_per_call,
            "queries_per_second": self.queries_per_second,
            "oracle_share": self.oracle_share,
        }


TOTALS: Final = tuple(
    entry.name
    for entry in dataclasses.fields(Profile)
    if entry.name not in ("spans", "calls_over_time", "workers", "service")
)

_TYPES: Final = {name: kind for name, kind in typing.get_type_hints(Profile).items() if name in TOTALS}


_read_totals: Final = fields_reader(_TYPES)
_read_workers: Final = fields_reader({"workers": list[WorkerShare]})
_read_service: Final = fields_reader({"service": Service | None})


def read_profile(document: Mapping[str, Any]) -> Profile:
    """Return the profile that results.json keeps; empty for an empty document, as of a run that has not ended.

    Without a time of the prior, it is of a version that had none, or that counted it elsewhere; without workers, of a
    run that had none.

    Raises:
        ValueError: It keeps none.
    """
    if not document:
        return Profile()
    totals = _read_totals({"prior": 0.0, "watch": 0, **document})
    for name, value in totals.items():
        # What is left of the time is a difference of clocks.
        if value < 0 and name != "other":
            raise MisfitError("0 or more", value, name)
    (workers,) = _read_workers({"workers": document.get("workers", [])}).values()
    for place, share in enumerate(workers):
        for name, value in dataclasses.asdict(share).items():
            if name != "name" and value < 0:
                raise MisfitError("0 or more", value, f"workers.{place}.{name}")
    (service,) = _read_service({"service": document.get("service")}).values()
    calls = CallsOverTime.read(document.get("calls_over_time"))
    return Profile(**totals, calls_over_time=calls, workers=workers, service=service)
