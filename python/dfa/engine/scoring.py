"""From answers to dissatisfaction degrees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dfa.engine.plan import Plan
from dfa.engine.window import Flight
from dfa.errors import ObjectiveError
from dfa.oracle.answers import Answer
from dfa.oracle.gate import Gate
from dfa.search.objectives import SMALLEST_DEGREE, is_adversarial, measure, predicted
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
    return _without_false_zeros(degrees, scores, flight.indices, flight.goals, is_targeted=plan.is_targeted)


def _without_false_zeros(
    degrees: Degrees, scores: Scores, indices: Indices, all_goals: Classes, *, is_targeted: bool
) -> Degrees:
    """Refuse a degree of 0 for an image that is not adversarial, which would end its search for nothing.

    Only a tie, which a user's function may well take for success, is given the smallest degree instead.
    """
    zero = np.flatnonzero(degrees == 0.0)
    if not zero.size:
        return degrees
    goals = all_goals[zero]
    is_true = is_adversarial(scores[zero], goals, is_targeted=is_targeted)
    if is_true.all():
        return degrees
    is_top = scores[zero] == scores[zero].max(axis=1, keepdims=True)
    is_tied = is_top[np.arange(len(zero)), goals] & (is_top.sum(axis=1) > 1)
    degrees = degrees.copy()
    degrees[zero[~is_true & is_tied]] = SMALLEST_DEGREE
    wrong = np.flatnonzero(~is_true & ~is_tied)
    if wrong.size:
        row = int(wrong[0])
        found = predicted(scores[zero[row], np.newaxis])[0]
        wanted = f"the target {goals[row]}" if is_targeted else f"another than {goals[row]}"
        raise ObjectiveError(
            f"the degree function must return 0 only for adversarial images; it returned 0 for a candidate of "
            f"image {indices[zero[row]]} whose class is {found}, where {wanted} was wanted"
        )
    return degrees
