"""Everything that dfa raises on purpose.

One root, `DfaError`, and few leaves. A leaf that also stands for a built-in idea (a bad value, a failed
write) derives from that built-in as well, so code that knows nothing of dfa catches it where it expects to.
Errors that end a run carry what the run had found, so nothing paid for in queries is lost.
"""

from __future__ import annotations

import os
import sys
import sysconfig
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

PartialResult: TypeAlias = Any
"""A `dfa.Result`, or None. Not named as such, because `results` lies above this module."""


def told(error: BaseException) -> str:
    """Return an error's kind and words; of a user's error the words may fail themselves."""
    try:
        return f"{type(error).__name__}: {error}"
    except BaseException:  # whatever that is, it is of no account here
        return f"{type(error).__name__}, whose own words fail"


def shown(value: object, longest: int = 80) -> str:
    """Return what a user's value looks like, cut; its own words may fail themselves."""
    try:
        return repr(value)[:longest]
    except BaseException:  # whatever that is, it is of no account here
        return f"a {type(value).__qualname__}, whose own words fail"


_OURS: Final = os.path.dirname(os.path.abspath(__file__)) + os.sep
_LIBRARIES: Final = tuple(os.path.join(sysconfig.get_path(name), "") for name in ("stdlib", "platstdlib"))
_PACKAGES: Final = ("site-packages", "dist-packages")


def told_with_place(error: BaseException) -> str:
    """Return what `told` does, and the file and line of the user's code that the error went through last."""
    place = place_of(error)
    return f"{told(error)} ({place})" if place else told(error)


def place_of(error: BaseException) -> str:
    """Return the file and line of the user's code that an error went through last, in whatever process, or nothing."""
    places = [(frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    file, line = next((place for place in reversed(places) if _is_users(place[0])), ("", 0))
    return f"{file}, line {line}" if file else getattr(error.__cause__, "place", "")


def _is_users(file: str) -> bool:
    """Tell whether a file is neither of dfa, nor of Python, nor of an installed package."""
    is_installed = file.startswith((_OURS, *_LIBRARIES)) or any(name in file.split(os.sep) for name in _PACKAGES)
    return not is_installed and not file.startswith("<frozen ")


def level_of_caller() -> int:
    """Return the `stacklevel` of whoever called dfa, seen from the caller of this."""
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_OURS):
        level, frame = level + 1, frame.f_back
    return level


class DfaError(Exception):
    """Any error that dfa raises on purpose, `Interrupted` excepted.

    Attributes:
        result: What a run had found when this ended it (a `Result`), or None where no run was under way.
    """

    result: PartialResult = None


class InvalidInputError(DfaError, ValueError):
    """An argument is not what was asked for; nothing was queried because of it."""


class OracleError(DfaError, RuntimeError):
    """The oracle failed, or its answer cannot be used.

    Attributes:
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """

    def __init__(self, message: str, *, result: PartialResult = None) -> None:
        """Keep the message and, once a run has ended, what it had found."""
        super().__init__(message)
        self.result = result


class PartialAnswer(OracleError):  # noqa: N818 -- it carries answers
    """An oracle could answer only some rows of its batch.

    To be raised by a function that asks about images one by one, or over a network, so that what it was answered is not
    lost: a run that is kept in a folder uses these answers when it is resumed, and asks about the other rows only.

    Attributes:
        rows: The rows that were answered, by their places in the batch: distinct integers from 0 on.
        answers: What the oracle would have returned for these rows alone, in their order.
        cause: Why the others were not answered, or None.
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """

    def __init__(
        self, rows: Iterable[int], answers: Any, cause: BaseException | None = None, *, message: str = ""
    ) -> None:
        """Keep what was answered; dfa's own message names the oracle."""
        self.rows: Any = rows
        self.answers = answers
        self.cause = cause
        why = "" if cause is None else f": {type(cause).__name__}: {cause}"
        super().__init__(message or f"only some rows of a batch were answered{why}")


class WorkerLost(OracleError):  # noqa: N818 -- it is no end of a run
    """A worker that had a batch is gone, and its answer with it; the batch is sent again, which is counted.

    Attributes:
        is_begun: Whether the worker may have begun with it, so that it may be what the worker died of.
    """

    is_begun: bool = True


class DriftError(OracleError):
    """A service answers otherwise about an unchanged image than it did: it has another model now, or is throttled.

    Attributes:
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """


class PriorError(DfaError, RuntimeError):
    """The surrogate that a run was given failed, or what it said cannot be used."""


class ObjectiveError(DfaError, RuntimeError):
    """A dissatisfaction-degree function failed, or its answer cannot be used.

    Attributes:
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """

    def __init__(self, message: str, *, result: PartialResult = None) -> None:
        """Keep the message and, once a run has ended, what it had found."""
        super().__init__(message)
        self.result = result


class OptimizerError(DfaError, RuntimeError):
    """An optimizer of the user's failed, or what it asks about cannot be used: it leaves the ball, say.

    Attributes:
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """


class SpaceError(DfaError, RuntimeError):
    """A function of a user's search space failed, or its answer cannot be used; or what was found is not of the space.

    Attributes:
        result: What the run had found when it ended (a `Result`), or None where no run was under way.
    """


class Interrupted(KeyboardInterrupt):
    """The user interrupted a run.

    A KeyboardInterrupt and not a `DfaError`, so that `except Exception` does not swallow it.

    Attributes:
        result: What the run had found when it was interrupted (a `Result`), or None.
    """

    def __init__(self, message: str = "", *, result: PartialResult = None) -> None:
        """Keep the message and what the run had found."""
        super().__init__(message)
        self.result = result


class MostSkippedWarning(UserWarning):
    """More than half of a run's images were skipped, so that it says little; often the labels are wrong.

    Attributes:
        result: Where warnings are errors, the `Result` of the run, or the report of the audit, that this ended.
    """

    result: PartialResult = None


class DoubtfulDataWarning(UserWarning):
    """Images, or the order in which they come, are such as are seldom meant.

    Attributes:
        result: Where warnings are errors, what the run had found when this ended it (a `Result`).
    """

    result: PartialResult = None


class ChanceAccuracyWarning(UserWarning):
    """A model agrees with the labels that were given on no more images than guessing would; often it is fed wrongly.

    It comes after the first images, while there is time to stop the run.

    Attributes:
        evidence: What was found, without the words on where to look.
        result: Where warnings are errors, what the run had found when this ended it (a `Result`).
    """

    result: PartialResult = None

    def __init__(self, evidence: str, causes: str) -> None:
        """Tell what was found, and where to look."""
        super().__init__(f"{evidence}; look at {causes}")
        self.evidence = evidence


class RandomAnswersWarning(UserWarning):
    """A model answers otherwise when it is asked again about the same images, or beside others."""


class RefutedFilesWarning(UserWarning):
    """Images that were written are not what the run found, now that their files were read back and asked about.

    Attributes:
        result: Where warnings are errors, the `Result` whose files they are; its `refuted` has them all.
    """

    result: PartialResult = None


class ContractError(DfaError, AssertionError):
    """An oracle is not what dfa relies on; what `dfa.testing.check_oracle` raises.

    Attributes:
        broken: What was expected and what came, by the name of the clause that is broken.
    """

    def __init__(self, name: str, broken: Mapping[str, str]) -> None:
        """Tell all clauses that the oracle called `name` breaks."""
        lines = "".join(f"\n  {clause}: {what}" for clause, what in broken.items())
        super().__init__(f"the oracle {name!r} breaks what is promised of oracles:{lines}")
        self.broken = dict(broken)


class NotRobustError(DfaError, AssertionError):
    """A model does not hold the bar of `dfa.assert_robust`, or the run says too little to tell.

    Attributes:
        result: What the run found (a `Result`).
        verdict: What is left, against what was asked for (a `Verdict`).
        files: Pictures of the images that broke soonest, (paths).
    """

    def __init__(
        self, message: str, *, result: PartialResult = None, verdict: Any = None, files: Iterable[Any] = ()
    ) -> None:
        """Keep the message and what it is about."""
        super().__init__(message)
        self.result = result
        self.verdict = verdict
        self.files = tuple(files)


class StoreError(DfaError, OSError):
    """Results could not be written to, or read from, a folder."""


class BudgetExceededError(DfaError, RuntimeError):
    """The gate refused to send an image past its query budget; reaching this is a defect of dfa."""


class MissingDependencyError(DfaError, ImportError):
    """An optional dependency is needed and is not installed; the message says how to install it."""
