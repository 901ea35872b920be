"""`dfa.assert_robust`: an attack as a test that is red or green."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from numpy.typing import ArrayLike

from dfa.api import run
from dfa.checks import is_integer, is_number, require_path
from dfa.errors import ChanceAccuracyWarning, InvalidInputError, MostSkippedWarning, NotRobustError
from dfa.results.result import Result
from dfa.verdicts.comparison import told_against
from dfa.verdicts.evidence import Broken, write_evidence
from dfa.verdicts.judgement import Verdict, judge
from dfa.verdicts.words import named, told_ending

_EPSILON: Final = 4
"""Grey levels."""


def assert_robust(
    model: Any,
    images: Any,
    labels: ArrayLike | None = None,
    *,
    epsilon: ArrayLike = _EPSILON,
    queries: int = 500,
    at_least: float = 0.8,
    out: str | Path | None = None,
    baseline: str | Path | Result | None = None,
    **settings: Any,
) -> Result:
    """Attack a model, and raise an AssertionError unless enough of the images are left.

    With labels, in an untargeted run, the share is `Summary.robust_accuracy`: the images with a label that the model
    gets right and that the attack does not break, of all images with a label. Images that are wrong before the attack
    count against the model. Without labels, and towards targets, it is the share of the attacked images that the
    attack does not break.

    A run that says little never passes: an image in error or unfinished, more than half of the images skipped or
    without a label among others with one, so many attacks that the clock or an unconfirmed claim ended that the share
    hangs on them, an accuracy on 20 or more labelled images that guessing would reach, or one
    class for all images where no label says that this is right. So a model that is fed wrongly does not pass.

    That it passes says what this attack did not find by so many queries. It proves nothing about other attacks or a
    larger budget.

    Args:
        model: As `oracle` of `dfa.run`.
        images: As of `dfa.run`.
        labels: As of `dfa.run`. Give them: without labels nobody knows whether the model is right.
        epsilon: As of `dfa.run`, grey levels; to be left out where `space` is given.
        queries: `max_queries` of `dfa.run`.
        at_least: The share that must be left, 0..1. The share itself is held against it. Its 95 % interval is told, and
            decides nothing: on the same images, with the same seed, a model gives the same share again. Whoever wants
            the interval held asserts `result.summary().robust_accuracy_interval[0] >= ...` of what is returned.
        out: Where the pictures go if it fails: of the eight images that broke soonest the original, the adversarial
            image and the difference. Such pictures of before are removed. None: a temporary folder, which stays.
        baseline: An earlier result of the same attack on the same images, or the folder that it is in. The run then
            fails as well if the model is easier to break than that one's beyond chance, by `dfa.compare`.
        **settings: Other settings of `dfa.run`, such as `space`, `seed`, `store`, `workers`.

    Returns:
        The result, where it passes.

    Raises:
        NotRobustError: It does not, or nothing is judged. An AssertionError, with the share, its interval and the
            files of the pictures in its message; `.result`, `.verdict` and `.files` have all of it.
        InvalidInputError: An argument is not as described, or the baseline is of other images, labels or another
            attack.
        StoreError: The baseline cannot be read, or a picture not be written.
        DfaError: As of `dfa.run`.

    Example:
        >>> import numpy as np
        >>> def brightness(images):
        ...     bright = images.mean(axis=(1, 2, 3)) / 255
        ...     return np.stack([1 - bright, bright], axis=1)
        >>> images = np.repeat(np.arange(8, dtype=np.uint8) * 36, 16).reshape(8, 4, 4, 1)
        >>> assert_robust(brightness, images, [0] * 4 + [1] * 4, queries=50, progress=False)
        Result(8 images, 0 successes, ...)
    """
    __tracebackhide__ = True  # pytest shows the line that called this
    if not is_number(at_least) or not 0 <= at_least <= 1:
        raise InvalidInputError(f"at_least must be a share of 0..1, such as 0.8, got {at_least!r}")
    if "max_queries" in settings:
        raise InvalidInputError("max_queries is called queries here; leave one of the two out, and pass queries")
    folder = None if out is None else require_path("out", out)
    before = (
        baseline
        if baseline is None or isinstance(baseline, Result)
        else Result.load(require_path("baseline", baseline))
    )
    if settings.get("space") is None or not (is_integer(epsilon) and epsilon == _EPSILON):
        settings["epsilon"] = epsilon
    with warnings.catch_warnings():
        # What they warn of fails here, with the whole run seen.
        warnings.simplefilter("ignore", MostSkippedWarning)
        warnings.simplefilter("ignore", ChanceAccuracyWarning)
        result = run(model, images, labels, max_queries=queries, **settings)
    verdict = judge(result, float(at_least), before)
    if verdict.passed:
        if folder is not None:
            write_evidence(result, folder, most=0)
        return result
    broken = write_evidence(result, Path(tempfile.mkdtemp(prefix="dfa-")) if folder is None else folder)
    files = [file for each in broken for file in each.files]
    raise NotRobustError(_told(verdict, result, broken), result=result, verdict=verdict, files=files)


def _told(verdict: Verdict, result: Result, broken: Sequence[Broken]) -> str:
    """Return the verdict, the images that fell since the baseline, and those that broke soonest, with their files."""
    lines = [str(verdict)]
    if verdict.comparison is not None:
        lines += told_against(verdict.comparison, result, "the baseline")
    if broken:
        lines.append("broken soonest:")
    for record, files in broken:
        lines.append(f"  {named(record)}: {told_ending(result, record)}")
        lines += [f"    {file}" for file in files]
    return "\n".join(lines)
