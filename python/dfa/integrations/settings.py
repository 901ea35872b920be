"""What the attack classes for other libraries share: settings of a run, and a model of floats as an oracle."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import DTypeLike, NDArray

from dfa.api import run
from dfa.errors import InvalidInputError, shown
from dfa.integrations.grid import Grid
from dfa.oracle.base import Oracle, ScoreKind
from dfa.oracle.callable import CallableOracle
from dfa.oracle.raw import array_of
from dfa.results.result import Result
from dfa.types import Images

_DECIDED: Final = ("oracle", "images", "labels", "targets", "epsilon", "space", "layout")
"""Arguments of `dfa.run` that a library's own call decides."""


def checked_settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `dfa.run` for the settings of an attack; no progress bar unless one is asked for.

    Raises:
        InvalidInputError: One is no argument of `dfa.run`, or is decided by the library's own call.
    """
    taken = [name for name in inspect.signature(run).parameters if name not in _DECIDED]
    for name in settings:
        if name not in taken:
            raise InvalidInputError(
                f"settings must be arguments of dfa.run beside {', '.join(_DECIDED)}, which the attack's own arguments "
                f"say, got {name}; take one of {', '.join(taken)}, or call dfa.run"
            )
    return {"progress": False, **settings}


def attacked(
    oracle: Oracle, images: Images, classes: Any, *, is_targeted: bool, epsilon: int, settings: Mapping[str, Any]
) -> Result:
    """Attack images as an attack class of another library does.

    Args:
        oracle: Of 8-bit images.
        images: uint8, (n, H, W, C).
        classes: Ids, (n,): targets, or else labels; None for the oracle's own answers.
        is_targeted: Which they are.
        epsilon: Grey levels.
        settings: As `checked_settings` has them.
    """
    labels, targets = (None, classes) if is_targeted else (classes, None)
    return run(oracle, images, labels, targets=targets, epsilon=epsilon, layout="NHWC", **settings)


def ids_of_one_hot(name: str, rows: NDArray[Any]) -> NDArray[np.intp]:
    """Return the class that each row of one-hot labels says: (N,).

    Args:
        name: Of the argument, for messages.
        rows: Numbers, (N, K), K >= 1.

    Raises:
        InvalidInputError: A row says none, or several: no numbers, a NaN, or more than one that is the largest.
    """
    if rows.dtype.kind not in "biuf":
        raise InvalidInputError(f"{name} must be one-hot numbers of shape (N, K), got {rows.dtype} of {rows.shape}")
    # A NaN is equal to nothing.
    says_one = (rows == rows.max(axis=1, keepdims=True)).sum(axis=1) == 1
    if not says_one.all():
        row = int(says_one.argmin())
        raise InvalidInputError(
            f"{name} must be one-hot, with one largest value in each row, and row {row} is "
            f"{shown(rows[row].tolist())}; leave out the images that have no class, or pass class ids"
        )
    ids: NDArray[np.intp] = rows.argmax(axis=1)
    return ids


def oracle_of_floats(
    model: Callable[[Any], Any],
    grid: Grid,
    dtype: DTypeLike,
    *,
    name: str,
    returns: str = "logits",
    num_classes: int | None = None,
) -> Oracle:
    """Return the oracle of 8-bit images that a model of floats makes.

    Args:
        model: From floats, laid out as the grid has it, to scores (n, K).
        grid: What the floats stand for.
        dtype: Their precision.
        name: What records call the oracle.
        returns: What the model's scores are, "logits" or "probabilities"; "label" where only the likeliest class is to
            be used, which `num_classes` must then be told.
        num_classes: K, with "label".

    Raises:
        InvalidInputError: `returns` is none of these, or K is missing.
    """
    kind = ScoreKind.of(returns)
    if kind not in (ScoreKind.LOGITS, ScoreKind.PROBABILITIES, ScoreKind.LABEL):
        raise InvalidInputError(f"returns must be 'logits', 'probabilities' or 'label' here, got {returns!r}")

    def ask(images: Images) -> Any:
        answer = model(grid.values(images, dtype))
        return np.argmax(array_of(answer), axis=1) if kind is ScoreKind.LABEL else answer

    return CallableOracle(ask, returns=kind, num_classes=num_classes if kind is ScoreKind.LABEL else None, name=name)
