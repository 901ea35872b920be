"""From answers to dissatisfaction degrees."""

from __future__ import annotations

from collections.abc import Sequence

from dfa.engine.flights import Flight
from dfa.engine.plan import Plan
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate
from dfa.search.objectives import true_degrees
from dfa.types import Degrees


def degrees_of(flight: Flight, answers: Sequence[Answer], gate: Gate, plan: Plan) -> Degrees:
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
