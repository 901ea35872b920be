"""From answers to dissatisfaction degrees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dfa.engine.flights import Flight
from dfa.engine.plan import Plan
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate
from dfa.search.label_walk import Steps
from dfa.search.objectives import true_degrees
from dfa.types import Classes, Degrees, Indices


@dataclass(frozen=True)
class _Rows:
    """What scoring needs of one batch or of several."""

    candidates: NDArray[Any]
    indices: Indices
    goals: Classes
    steps: Steps


def degrees_of_all(
    flights: Sequence[Flight], answers: Sequence[Sequence[Answer]], gate: Gate, plan: Plan
) -> list[Degrees]:
    """Return the degrees of several batches of other images each, of which all is done at once that can be.

    Args:
        flights: The batches.
        answers: Of each, as of `degrees_of`.
        gate: Checks them.
        plan: The run.

    Raises:
        OracleError: As of `degrees_of`.
        ObjectiveError: Likewise.
    """
    rows = [_Rows(flight.candidates, flight.indices, flight.goals, flight.steps) for flight in flights]
    together = _together(answers) if len(flights) > 1 else None
    if together is None:
        return [degrees_of(each, own, gate, plan) for each, own in zip(rows, answers, strict=True)]
    merged = _Rows(
        np.concatenate([each.candidates for each in rows]),
        np.concatenate([each.indices for each in rows]),
        np.concatenate([each.goals for each in rows]),
        Steps(
            tuple(map(np.concatenate, zip(*(each.steps.images for each in rows), strict=True))),
            np.concatenate([each.steps.distances for each in rows]),
        ),
    )
    ends = np.cumsum([len(each.indices) for each in rows])[:-1]
    return np.split(degrees_of(merged, together, gate, plan), ends)


def _together(answers: Sequence[Sequence[Answer]]) -> list[Answer] | None:
    """Return the answers to several batches as those to one, or None if they do not fit together."""
    together = []
    for same in zip(*answers, strict=True):
        forms = {tuple((array.dtype, array.shape[1:]) for array in answer) for answer in same}
        if len(forms) > 1:
            return None
        together.append(tuple(map(np.concatenate, zip(*same, strict=True))))
    return together


def degrees_of(flight: _Rows, answers: Sequence[Answer], gate: Gate, plan: Plan) -> Degrees:
    """Return the degree of each candidate of a batch.

    Args:
        flight: The batch.
        answers: Of the candidates, and of each of what was asked besides them, unchecked.
        gate: Checks them.
        plan: The run.

    Raises:
        OracleError: An answer cannot be used.
        ObjectiveError: The degree function failed, or calls an image adversarial that is not.
    """
    checked = [gate.check(answer, flight.indices) for answer in answers]
    scores = plan.questions.read(checked, flight.steps, flight.indices, flight.goals)
    degrees = true_degrees(plan.degree, scores, flight.goals, flight.indices, is_targeted=plan.is_targeted)
    return plan.questions.rank(degrees, flight.candidates, flight.indices)
