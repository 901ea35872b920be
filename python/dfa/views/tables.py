"""Tables of one run: what fell within which budget, where the time went, what it cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, TypeAlias

from dfa.results.profile import Profile
from dfa.results.rates import percent, ratio
from dfa.results.result import Result
from dfa.results.service_words import drift_lines, service_rows
from dfa.results.summary import Summary

Rows: TypeAlias = list[tuple[str, str]]
"""Names and values, in words."""

WORKER_COLUMNS: Final = ("worker", "images", "images per second", "images per call", "busy", "lost")

_BUDGETS: Final = (1, 10, 100, 1_000, 10_000)


@dataclass(frozen=True)
class Tables:
    """Tables of one run.

    Attributes:
        within: The share that fell within round budgets below the run's own, and within that.
        profile: Where the time went.
        workers: What each worker did: rows of `WORKER_COLUMNS`.
        service: What was asked of a service, and what it cost; nothing of other oracles.
        drifts: What is to be known of a service that changed in the middle of the run.
    """

    within: list[tuple[str, float]]
    profile: Rows
    workers: list[tuple[str, ...]]
    service: Rows
    drifts: list[str]


def tables_of(result: Result, summary: Summary) -> Tables:
    """Return the tables of a run."""
    service = result.profile.service
    return Tables(
        within=_within(result, summary),
        profile=_profile(result.profile),
        workers=_workers(result.profile),
        service=[] if service is None else service_rows(service),
        drifts=[] if service is None else drift_lines(service),
    )


def _within(result: Result, summary: Summary) -> list[tuple[str, float]]:
    budget = summary.max_queries
    queries = result.queries[result.success]
    attacked = max(1, summary.attacked)
    budgets = [most for most in _BUDGETS if budget is None or most < budget] + ([budget] if budget else [])
    return [(f"{most:,}", float((queries <= most).sum()) / attacked) for most in budgets]


def _profile(profile: Profile) -> Rows:
    totals = profile.totals()
    words = [(name, f"{value:,.2f} s") for name, value in totals.items() if isinstance(value, float)]
    words += [(name.replace("_", " "), f"{value:,}") for name, value in totals.items() if isinstance(value, int)]
    return [
        *words,
        ("occupancy", percent(profile.occupancy)),
        ("rows per call", _rounded(profile.rows_per_call, 1)),
        ("queries per second", _rounded(profile.queries_per_second, 0)),
        ("oracle share", percent(profile.oracle_share)),
    ]


def _workers(profile: Profile) -> list[tuple[str, ...]]:
    return [
        (
            share.name,
            f"{share.rows:,}",
            _rounded(ratio(share.rows, share.busy + share.idle), 0),
            _rounded(ratio(share.rows, share.calls), 1),
            percent(ratio(share.busy, share.busy + share.idle)),
            f"{share.lost:,}",
        )
        for share in profile.workers
    ]


def _rounded(number: float, digits: int) -> str:
    return "-" if math.isnan(number) else f"{number:,.{digits}f}"
