"""What the outputs of a model on a server say of images."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.checks import counted
from dfa.errors import DriftError, OracleError
from dfa.oracle.adapters.image_inputs import as_rows, both_classes
from dfa.oracle.base import ScoreKind
from dfa.oracle.services.oip_tensors import TEXT, Answered, Outputs

_CLASS: Final = re.compile(r"([^:]+):(\d+)(?::.*)?", re.DOTALL)
"""Score, number and, where the model has labels, name: a class of the classification extension."""


def check_version(outputs: Outputs, known: dict[str, str]) -> None:
    """Refuse an answer of another version of the model than the first one was of.

    Args:
        outputs: Of a reply.
        known: Holds the first one's version, once there was one; threads agree on what a dict was given first.

    Raises:
        DriftError: It is of another one.
    """
    if outputs.version is None:
        return
    first = known.setdefault("version", outputs.version)
    if outputs.version != first:
        raise DriftError(
            f"the server answers with version {outputs.version!r} of the model, and answered with {first!r} before; "
            f"pass version={first!r} to ask that one, or on_drift='mark' to go on"
        )


def answer_of(outputs: Outputs, wanted: str | None, rows: int) -> Answered:
    """Return the output that was asked for.

    Args:
        outputs: Of a reply.
        wanted: Its name; None: the only one.
        rows: As many as were sent.

    Raises:
        OracleError: It is not there, or of another number of rows.
    """
    names = list(outputs.answers)
    name = names[0] if wanted is None and len(names) == 1 else wanted
    if name is None or name not in outputs.answers:
        given = ", ".join(str(each.tensor) for each in outputs.answers.values()) or "none"
        raise OracleError(
            f"the server must answer with {'one output' if name is None else f'the output {name!r}'}, and answers with "
            f"{given}; say which with output="
        )
    answer = outputs.answers[name]
    if answer.values.shape[:1] != (rows,):
        raise OracleError(
            f"the server must answer {counted(rows, 'row')} with as many, and answers with {answer.tensor}"
        )
    return answer


def scores_of(
    answer: Answered, number: int, returns: ScoreKind, num_shown: int | None, id_of: Callable[[str], int]
) -> Any:
    """Return what an output says of images, as `dfa.oracle.base.ScoreKind` describes it.

    Args:
        answer: The output.
        number: Of images; rows behind them only filled the request.
        returns: What the output holds.
        num_shown: k of those that show the likeliest classes.
        id_of: From the name of a class to its number.

    Raises:
        OracleError: It holds something else.
    """
    values = answer.values[:number]
    if num_shown is not None:
        labels, shown = _likeliest(answer, values, num_shown)
        return (labels[:, 0], shown[:, 0]) if returns is ScoreKind.TOP_1 else (labels, shown)
    if returns is ScoreKind.LABEL:
        return _labels(answer, values, id_of)
    if answer.tensor.kind == TEXT:
        raise OracleError(
            f"the server must answer with one score per class, and answers with {answer.tensor}, strings; if these are "
            "classes, pass returns='label', num_classes=K"
        )
    scores = as_rows(values)
    return both_classes(scores, returns) if scores.ndim == 2 and scores.shape[1] == 1 else scores


def _labels(answer: Answered, values: NDArray[Any], id_of: Callable[[str], int]) -> NDArray[Any]:
    labels = values.reshape(len(values), -1)
    if labels.shape[1] != 1:
        raise OracleError(
            f"the server must answer with one label per image, and answers with {answer.tensor}; if these are scores, "
            "pass returns='probabilities' or 'logits'"
        )
    if answer.tensor.kind != TEXT:
        return labels[:, 0]
    return np.array([id_of(text) for text in labels[:, 0]], dtype=np.int64)


def _likeliest(answer: Answered, values: NDArray[Any], num_shown: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the classes and their scores that the classification extension tells, falling; -1 and 0 where it stops."""
    found = [_CLASS.fullmatch(text) if isinstance(text, str) else None for text in values.flat]
    try:
        pairs = [(int(each[2]), float(each[1])) for each in found if each]
    except ValueError:
        pairs = []
    if len(pairs) != len(found) or values.ndim != 2 or values.shape[1] > num_shown:
        raise OracleError(
            f"the server must answer with the likeliest classes of each image, {num_shown} at most, strings such as "
            f"'0.93:7' of the protocol's classification extension, and answers with {answer.tensor}; if it has no such "
            "extension, pass returns='probabilities' or 'logits', and show less of them by dfa.top_k(oracle, k)"
        )
    labels = np.full((len(values), num_shown), -1, dtype=np.int64)
    shown = np.zeros((len(values), num_shown))
    table = np.array(pairs, dtype=np.float64).reshape(*values.shape, 2)
    order = np.argsort(-table[..., 1], axis=1, kind="stable")
    labels[:, : values.shape[1]] = np.take_along_axis(table[..., 0], order, axis=1)
    shown[:, : values.shape[1]] = np.take_along_axis(table[..., 1], order, axis=1)
    return labels, shown
