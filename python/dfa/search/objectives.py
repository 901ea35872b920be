"""Dissatisfaction degrees: how far each image of a batch is from being adversarial.

A degree function takes the scores of a batch and one class per image (the original class in an untargeted
run, the target class in a targeted one) and gives one degree per image: 0 exactly where the image is
adversarial, positive elsewhere, always finite. The optimizer sees nothing but these degrees.

An image is adversarial where another class stands strictly above the original one, or the target strictly above all
others. A tie is no success, whichever ids the classes have: 8-bit models tie often.

============  ===================  ========================  =============================================
objective     untargeted           targeted at c             when
============  ===================  ========================  =============================================
`PAPER`       top1 - top2          top1 - P(c)               the paper as printed; ties where P(c) is tiny
`PAPER_CODE`  1 - top2             1 - P(c)                  the paper as run: its authors' published code
`LOG`         log top1 - log top2  log top1 - log P(c)       ranks candidates even where P(c) is 1e-30
`ODDS`        log top1 - log top2  log(1 - P(c)) - log P(c)  the default: every class stands in the way
============  ===================  ========================  =============================================

Where an oracle shows only the likeliest classes, the scores of the others are what is known of them: an even share of
what is missing from 1, and less than any that is shown. `Objective.seen_through` makes of these degrees what such
scores allow, and `ODDS` is `LOG` there. With one class shown, `PAPER` is top1, untargeted and targeted, and `LOG` and
`PAPER_CODE` rank alike. With k > 1, untargeted degrees are what all classes would give. A targeted degree is so too
while the target c is shown; while it is hidden, its share stands for P(c), and the degree is more than any with c
shown. So the search flattens the top, which is what lets c rise into it, and a candidate that shows c ranks before all
that hide it.

Source: paper, section 4.2 (D_ua and D_ta) and section 4.5 (D_ua with upper index 1). The code that its authors have
published (github.com/persistz/derivative-free-attack, Racos.py) holds these in comments and ranks by -P(c) and -top2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.errors import InvalidInputError, ObjectiveError, told_with_place
from dfa.types import Classes, DegreeFunction, Degrees, Indices, Scores

SMALLEST_DEGREE: Final[float] = float(np.finfo(np.float64).tiny)
"""The smallest positive normal double: the degree of an image that is not adversarial by a tie only."""

_LARGEST_DEGREE: Final = 2.0**63
"""A degree of so much or more is refused: run folders hold numbers of 64 bits."""

_BEYOND_SHOWN: Final = 709.0
"""More than any degree of this module where all classes are shown."""


def predicted(scores: Scores) -> Classes:
    """Return the class of each image: the likeliest one, and on a tie the one with the smallest id.

    This is the project's only definition of the class of an image as such; what an attack has made of an image is
    `found_class`.

    Args:
        scores: float64, (B, K).

    Returns:
        int64, (B,), 0..K-1.
    """
    # argmax gives intp, which is not int64 on every platform.
    labels: Classes = np.argmax(scores, axis=1).astype(np.int64, copy=False)
    return labels


def is_adversarial(scores: Scores, goals: Classes, *, is_targeted: bool) -> NDArray[np.bool_]:
    """Tell which images are adversarial: another class strictly above the original one, or the target above all others.

    This is the project's only definition of success.

    Args:
        scores: float64, (B, K).
        goals: int64, (B,), 0..K-1: the target classes, or in an untargeted run the original ones.
        is_targeted: Which of the two they are.

    Returns:
        bool, (B,).
    """
    return (_reached if is_targeted else _left)(scores, goals, predicted(scores))


def found_class(scores: Scores, goals: Classes, *, is_targeted: bool) -> Classes:
    """Return the class of each image, a tie counted against the attack.

    It is the target exactly where the image is adversarial, and in an untargeted run the original class exactly where
    it is not. Elsewhere it is that of `predicted`.

    Args:
        scores: float64, (B, K).
        goals: int64, (B,), 0..K-1: the target classes, or in an untargeted run the original ones.
        is_targeted: Which of the two they are.

    Returns:
        int64, (B,), 0..K-1.
    """
    classes = predicted(scores)
    adversarial = is_adversarial(scores, goals, is_targeted=is_targeted)
    if not is_targeted:
        return np.where(adversarial, classes, goals)
    # Tied with the target stands another class, and that is the image's.
    tied = np.flatnonzero((classes == goals) & ~adversarial)
    others = scores[tied].copy()
    others[np.arange(len(tied)), goals[tied]] = -np.inf
    classes[tied] = predicted(others)
    return classes


def untargeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return top1 - top2 where no class is strictly above the original one, else 0.

    Args:
        scores: float64, (B, K), probabilities.
        classes: int64, (B,), 0..K-1: the original classes.

    Returns:
        float64, (B,), 0..1. A tie at the top gives `SMALLEST_DEGREE`.

    Source:
        Paper, section 4.2, D_ua.
    """
    labels = predicted(scores)
    top, runner_up = _top_two(scores, labels)
    return _zero_where(_left(scores, classes, labels), top - runner_up)


def targeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return top1 - P(c) where the target c is not strictly above all others, else 0.

    Args:
        scores: float64, (B, K), probabilities.
        classes: int64, (B,), 0..K-1: the target classes.

    Returns:
        float64, (B,), 0..1. A tie at the top gives `SMALLEST_DEGREE`.

    Source:
        Paper, section 4.2, D_ta.
    """
    labels = predicted(scores)
    rows = np.arange(len(scores))
    return _zero_where(_reached(scores, classes, labels), scores[rows, labels] - scores[rows, classes])


def code_untargeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return 1 - top2 where no class is strictly above the original one, else 0.

    Args:
        scores: float64, (B, K), probabilities.
        classes: int64, (B,), 0..K-1: the original classes.

    Returns:
        float64, (B,), 0..1.

    Source:
        The published code of the paper's authors, -top2, moved up so that 0 is a success. The paper prints
        top1 - top2.
    """
    labels = predicted(scores)
    _, runner_up = _top_two(scores, labels)
    return _zero_where(_left(scores, classes, labels), 1.0 - runner_up)


def code_targeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return 1 - P(c) where the target c is not strictly above all others, else 0.

    Only what raises c is progress. Where the likeliest class loses to a third one, `targeted_degree` falls too.

    Args:
        scores: float64, (B, K), probabilities.
        classes: int64, (B,), 0..K-1: the target classes.

    Returns:
        float64, (B,), 0..1. Below P(c) = 1e-16 all are 1, where -P(c) would still rank.

    Source:
        The published code of the paper's authors, -P(c), moved up so that 0 is a success. The paper prints
        top1 - P(c).
    """
    labels = predicted(scores)
    wanted = scores[np.arange(len(scores)), classes]
    return _zero_where(_reached(scores, classes, labels), 1.0 - wanted)


def log_untargeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return log top1 - log top2 where no class is strictly above the original one, else 0.

    Args:
        scores: float64, (B, K), probabilities; 0 counts as the smallest positive normal double.
        classes: int64, (B,), 0..K-1: the original classes.

    Returns:
        float64, (B,), finite, 0..709. A tie at the top gives `SMALLEST_DEGREE`.
    """
    labels = predicted(scores)
    top, runner_up = _top_two(scores, labels)
    return _zero_where(_left(scores, classes, labels), _log_ratio(top, runner_up))


def log_targeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return log top1 - log P(c) where the target c is not strictly above all others, else 0.

    The plain degree saturates where P(c) is 1e-9, since every candidate's degree is then top1; this one still
    ranks.

    Args:
        scores: float64, (B, K), probabilities; 0 counts as the smallest positive normal double.
        classes: int64, (B,), 0..K-1: the target classes.

    Returns:
        float64, (B,), finite, 0..709. A tie at the top gives `SMALLEST_DEGREE`.
    """
    labels = predicted(scores)
    rows = np.arange(len(scores))
    return _zero_where(_reached(scores, classes, labels), _log_ratio(scores[rows, labels], scores[rows, classes]))


def log_odds_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return log(1 - P(c)) - log P(c), the log odds against the target c, where c is not strictly above all, else 0.

    A step that lowers the likeliest class and raises another as much has brought c no nearer. `log_targeted_degree`
    takes it for progress, this one does not.

    Args:
        scores: float64, (B, K), probabilities; below the smallest positive normal double counts as that.
        classes: int64, (B,), 0..K-1: the target classes.

    Returns:
        float64, (B,), finite, 0..709. A tie at the top of P(c) = 1/2 gives `SMALLEST_DEGREE`. Where P(c) is 0, by
        rounding or underflow, nothing tells candidates apart but the likeliest class: there the degree is that of
        `log_targeted_degree`, more than any with P(c) > 0.

    Source:
        Not in the paper.
    """
    labels = predicted(scores)
    rows = np.arange(len(scores))
    wanted = scores[rows, classes]
    against = np.where(wanted >= SMALLEST_DEGREE, 1.0 - wanted, scores[rows, labels])
    return _zero_where(_reached(scores, classes, labels), _log_ratio(against, wanted))


def top_1_untargeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return top1 where no class is strictly above the original one, else 0.

    Args:
        scores: float64, (B, K), probabilities; only the largest of each row is read.
        classes: int64, (B,), 0..K-1: the original classes.

    Returns:
        float64, (B,), 0..1.

    Source:
        Paper, section 4.5, D_ua with upper index 1.
    """
    labels = predicted(scores)
    return _zero_where(_left(scores, classes, labels), scores[np.arange(len(scores)), labels])


def top_1_targeted_degree(scores: Scores, classes: Classes) -> Degrees:
    """Return top1 where the target c is not strictly above all others, else 0.

    Args:
        scores: float64, (B, K), probabilities; only the largest of each row is read.
        classes: int64, (B,), 0..K-1: the target classes.

    Returns:
        float64, (B,), 0..1.

    Source:
        Paper, section 4.5, which leaves the targeted degree to be "adapted similarly".
    """
    labels = predicted(scores)
    return _zero_where(_reached(scores, classes, labels), scores[np.arange(len(scores)), labels])


@dataclass(frozen=True)
class Objective:
    """The two degree functions of one idea, under a name that records can carry.

    Attributes:
        name: What records call it.
        untargeted: The degree function of an untargeted run, given the original classes.
        targeted: The degree function of a targeted run, given the target classes.
    """

    name: str
    untargeted: DegreeFunction
    targeted: DegreeFunction

    @classmethod
    def of(cls, value: Objective | str | DegreeFunction) -> Objective:
        """Return the objective that `value` stands for.

        Args:
            value: An `Objective`, the name "paper", "paper-code", "log" or "odds", or a degree function, which then
                serves both kinds of run.

        Raises:
            InvalidInputError: If `value` is none of these.
        """
        if isinstance(value, Objective):
            return value
        if isinstance(value, str):
            if value in NAMED:
                return NAMED[value]
        elif callable(value):
            name = getattr(value, "__qualname__", type(value).__qualname__)
            return cls(name=name, untargeted=value, targeted=value)
        raise InvalidInputError(
            f"objective must be an Objective, {', '.join(map(repr, NAMED))}, or a function of (scores, classes), "
            f"got {value!r} of type {type(value).__name__}"
        )

    def seen_through(self, num_shown: int | None, *, shows_all: bool) -> Objective:
        """Return what this objective is where an oracle shows only its likeliest classes.

        `ODDS` is `LOG` there: while the target is hidden, only the classes that are shown tell candidates apart. An
        objective of the user's own stays as it is, and is given the scores that the module's text describes.

        Args:
            num_shown: How many of the likeliest classes are shown with their probabilities; None for all, or for none.
            shows_all: Whether every answer shows all classes with their probabilities.
        """
        if self == ODDS and not shows_all:
            return LOG.seen_through(num_shown, shows_all=False)
        if num_shown is None or self not in NAMED.values():
            return self
        if num_shown > 1:
            return replace(self, targeted=_hidden_last(self.targeted, num_shown))
        if self == PAPER:
            return replace(self, untargeted=top_1_untargeted_degree, targeted=top_1_targeted_degree)
        return self


def _hidden_last(degree: DegreeFunction, num_shown: int) -> DegreeFunction:
    """Return a targeted degree that is larger for every image that hides its target than for any that shows it."""

    def shown_first(scores: Scores, classes: Classes) -> Degrees:
        degrees = degree(scores, classes)
        rank = (scores > scores[np.arange(len(scores)), classes][:, np.newaxis]).sum(axis=1)
        degrees[rank >= num_shown] += _BEYOND_SHOWN
        return degrees

    return shown_first


PAPER: Final = Objective(name="paper", untargeted=untargeted_degree, targeted=targeted_degree)
"""The paper's degrees as printed, D_ua and D_ta."""

PAPER_CODE: Final = Objective(name="paper-code", untargeted=code_untargeted_degree, targeted=code_targeted_degree)
"""Those of the code that its authors have published; its targeted figures are reached by this one."""

LOG: Final = Objective(name="log", untargeted=log_untargeted_degree, targeted=log_targeted_degree)
"""The same in the log domain."""

ODDS: Final = Objective(name="odds", untargeted=log_untargeted_degree, targeted=log_odds_degree)
"""The log domain, and towards a target the odds against it."""

NAMED: Final = {objective.name: objective for objective in (PAPER, PAPER_CODE, LOG, ODDS)}
"""The objectives that go by name."""


def measure(function: DegreeFunction, scores: Scores, classes: Classes) -> Degrees:
    """Return the degrees of a batch, with a user's degree function held to what the optimizer relies on.

    Args:
        function: The degree function.
        scores: float64, (B, K), probabilities.
        classes: int64, (B,), 0..K-1.

    Returns:
        float64, (B,), in [0, 2^63).

    Raises:
        ObjectiveError: If the function raises, or does not give one non-negative real number below 2^63 per
            image.
    """
    name = getattr(function, "__qualname__", type(function).__qualname__)
    is_ours = getattr(function, "__module__", None) == __name__
    try:
        # A user's function may write into what it is given, and use the memory of what it returns again.
        given = (scores, classes) if is_ours else (scores.copy(), classes.copy())
        answer: Any = np.asarray(function(*given))
        answer = answer if is_ours else answer.copy()
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what asks the process to exit: a run does not end without its result
        raise ObjectiveError(
            f"the degree function {name} failed on scores of shape {scores.shape}: {told_with_place(error)}"
        ) from error
    if answer.shape != classes.shape:
        raise ObjectiveError(
            f"the degree function {name} must give one degree per image, shape {classes.shape}; "
            f"it gave shape {answer.shape}"
        )
    if answer.dtype.kind not in "fiu":
        raise ObjectiveError(f"the degree function {name} must give real numbers; it gave dtype {answer.dtype}")
    degrees: Degrees = answer.astype(np.float64, copy=False)
    # Two reductions and no temporary; a NaN makes the first comparison false.
    if degrees.size and not (degrees.min() >= 0.0 and degrees.max() < _LARGEST_DEGREE):
        row = int(np.argmax(~((degrees >= 0.0) & (degrees < _LARGEST_DEGREE))))
        raise ObjectiveError(
            f"the degree function {name} must give finite degrees >= 0, below 2^63 (0 where the image is adversarial); "
            f"it gave {degrees[row]} in row {row}"
        )
    return degrees


def true_degrees(
    function: DegreeFunction, scores: Scores, goals: Classes, indices: Indices, *, is_targeted: bool
) -> Degrees:
    """Return the degrees of a batch like `measure`, and see to it that a degree of 0 means success.

    A degree of 0 for an image that is not adversarial would end its search for nothing, and is refused. Only a tie,
    which a user's function may well take for success, is given the smallest degree instead.

    Args:
        function: The degree function.
        scores: float64, (B, K), probabilities.
        goals: int64, (B,), 0..K-1: the target classes, or in an untargeted run the original ones.
        indices: int64, (B,): the image of each row, for the message.
        is_targeted: Which of the two the goals are.

    Returns:
        float64, (B,), finite, >= 0; 0 exactly where the function says 0 and the image is adversarial.

    Raises:
        ObjectiveError: As of `measure`; or a degree is 0 for an image that is not adversarial.
    """
    degrees = measure(function, scores, goals)
    zero = np.flatnonzero(degrees == 0.0)
    if not zero.size:
        return degrees
    own = goals[zero]
    is_true = is_adversarial(scores[zero], own, is_targeted=is_targeted)
    if is_true.all():
        return degrees
    is_top = scores[zero] == scores[zero].max(axis=1, keepdims=True)
    is_tied = is_top[np.arange(len(zero)), own] & (is_top.sum(axis=1) > 1)
    wrong = np.flatnonzero(~is_true & ~is_tied)
    if wrong.size:
        row = int(wrong[0])
        found = predicted(scores[zero[row], np.newaxis])[0]
        wanted = f"the target {own[row]}" if is_targeted else f"another than {own[row]}"
        raise ObjectiveError(
            f"the degree function must return 0 only for adversarial images; it returned 0 for a candidate of "
            f"image {indices[zero[row]]} whose class is {found}, where {wanted} was wanted"
        )
    corrected: Degrees = degrees.copy()
    corrected[zero[~is_true]] = SMALLEST_DEGREE
    return corrected


def _left(scores: Scores, classes: Classes, labels: Classes) -> NDArray[np.bool_]:
    """Tell where another class is strictly above a given one; `labels` says where the largest of each row is."""
    rows = np.arange(len(scores))
    left: NDArray[np.bool_] = scores[rows, classes] < scores[rows, labels]
    return left


def _reached(scores: Scores, classes: Classes, labels: Classes) -> NDArray[np.bool_]:
    """Tell where a given class is strictly above all others; `labels` says where the largest of each row is."""
    rows = np.arange(len(scores))
    reached: NDArray[np.bool_] = scores[rows, classes] == scores[rows, labels]
    # Few images get there, and only those can tie.
    top = scores[reached, classes[reached]]
    reached[reached] = (scores[reached] == top[:, np.newaxis]).sum(axis=1) == 1
    return reached


def _top_two(scores: Scores, labels: Classes) -> tuple[Degrees, Degrees]:
    """Return the largest and the second largest score of each row; `labels` says where the largest is."""
    rows = np.arange(len(scores))
    top = scores[rows, labels]
    # A copy with the top masked costs two passes; np.partition costs many at K = 1000.
    rest = scores.copy()
    rest[rows, labels] = -np.inf
    return top, rest[rows, rest.argmax(axis=1)]


def _log_ratio(larger: Degrees, smaller: Degrees) -> Degrees:
    """Return log(larger) - log(smaller), with 0 counted as the smallest positive normal double."""
    difference: Degrees = np.log(np.maximum(larger, SMALLEST_DEGREE)) - np.log(np.maximum(smaller, SMALLEST_DEGREE))
    return difference


def _zero_where(adversarial: NDArray[np.bool_], degrees: Degrees) -> Degrees:
    """Return `degrees`, but 0 where adversarial, and at least `SMALLEST_DEGREE` elsewhere."""
    np.maximum(degrees, SMALLEST_DEGREE, out=degrees)
    degrees[adversarial] = 0.0
    return degrees
