"""From answers to dissatisfaction degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfa.engine.plan import Plan
from dfa.engine.window import Flight
from dfa.errors import ObjectiveError
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate
from dfa.search.objectives import measure, predicted
from dfa.types import Classes, Degrees, Indices, Scores


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
    degrees = measure(plan.degree, scores, flight.goals)
    _check_zeros(degrees, scores, flight.indices, flight.goals, is_targeted=plan.is_targeted)
    return degrees


def _check_zeros(degrees: Degrees, scores: Scores, indices: Indices, all_goals: Classes, *, is_targeted: bool) -> None:
    """Refuse a degree of 0 for an image that is not adversarial, which would end its search for nothing."""
    zero = np.flatnonzero(degrees == 0.0)
    if not zero.size:
        return
    classes = predicted(scores[zero])
    goals = all_goals[zero]
    is_adversarial = classes == goals if is_targeted else classes != goals
    if not is_adversarial.all():
        row = int(np.argmin(is_adversarial))
        wanted = f"the target {goals[row]}" if is_targeted else f"another than {goals[row]}"
        raise ObjectiveError(
            f"the degree function must return 0 only for adversarial images; it returned 0 for a candidate of "
            f"image {indices[zero[row]]} whose class is {classes[row]}, where {wanted} was wanted"
        )
