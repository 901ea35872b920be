"""What success cost in a run, as a curve."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dfa.results.record import Status
from dfa.results.result import Result
from dfa.views.charts import Figure, Series, success_chart


def plot(result: Result, name: str) -> Figure:
    """Return a chart of the share of the attacked images that had fallen, over queries.

    Raises:
        MissingDependencyError: matplotlib is not installed.
    """
    return success_chart([curve(result, name)], unit="queries")


def curve(result: Result, name: str, *, of: Literal["queries", "seconds"] = "queries") -> Series:
    """Return what success cost, as charts take it; `Result.curve` says how."""
    attacked = np.array([each in (Status.SUCCESS, Status.FAILURE) for each in result.status], dtype=np.bool_)
    # A share of a run's time can be below what a clock shows, which a logarithmic axis does not take.
    costs = np.maximum(result.seconds, 1e-6) if of == "seconds" else result.queries.astype(np.float64)
    budget = result.config.get("max_queries") if of == "queries" else None
    most = [float(budget or 0), *costs[attacked].tolist()]
    return Series(name, np.sort(costs[result.success]), int(attacked.sum()), max(most))
