"""What was read in a reply about one image, as rows of what an oracle answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dfa.checks import is_number
from dfa.errors import OracleError
from dfa.oracle.answers import NOT_SHOWN
from dfa.oracle.base import ScoreKind
from dfa.oracle.services.names import ClassTable, shortened


class Rows:
    """Makes answers of what a user's function read in replies."""

    def __init__(self, returns: ScoreKind, table: ClassTable, num_shown: int | None) -> None:
        """Make answers of a kind.

        Args:
            returns: What a reply tells.
            table: The ids of names.
            num_shown: k of "top_k".
        """
        self._returns = returns
        self._table = table
        self._num_shown = num_shown

    def of_one(self, answer: Any) -> Any:
        """Return what was read of one image as a row: scores, or labels and scores, or a label.

        Raises:
            OracleError: It is no such thing.
        """
        if self._returns is ScoreKind.LABEL:
            return self._table.id_of(answer)
        if self._returns is ScoreKind.TOP_K:
            return self._top(answer)
        if self._returns is ScoreKind.TOP_1:
            if not isinstance(answer, list | tuple) or len(answer) != 2:
                raise OracleError(f"parse must return a pair (label, score), and gave {shortened(answer)}")
            return self._table.id_of(answer[0]), _score(answer[1])
        if isinstance(answer, str | bytes | Mapping) or not hasattr(answer, "__len__"):
            raise OracleError(
                f"parse must return one score per class with returns={self._returns.value!r}, and gave "
                f"{shortened(answer)}; of scores by label pass returns='top_k' and k"
            )
        return answer

    def of_all(self, rows: list[Any]) -> Any:
        """Return what a model of a batch would have answered."""
        if self._returns in (ScoreKind.TOP_K, ScoreKind.TOP_1):
            labels, scores = zip(*rows, strict=True)
            return np.array(labels, dtype=np.int64), np.array(scores, dtype=np.float64)
        return np.array(rows, dtype=np.int64) if self._returns is ScoreKind.LABEL else rows

    def _top(self, answer: Any) -> tuple[list[int], list[float]]:
        """Return the ids and the scores of an answer, falling, filled up to k."""
        pairs = list(answer.items()) if isinstance(answer, Mapping) else answer
        if not isinstance(pairs, list | tuple) or not all(
            isinstance(pair, list | tuple) and len(pair) == 2 for pair in pairs
        ):
            raise OracleError(
                "parse must return a dict of scores by label, or a list of pairs (label, score), and gave "
                f"{shortened(answer)}"
            )
        assert self._num_shown is not None
        if not pairs:
            raise OracleError(
                "parse must return one label at least, and gave none; where a service may see nothing in an image, let "
                "it return a class of its own for that, such as [('nothing', 1.0)]"
            )
        if len(pairs) > self._num_shown:
            raise OracleError(
                f"parse must return no more than k={self._num_shown} labels, and gave {len(pairs)}; leave the least "
                "likely out, or pass a larger k"
            )
        # Of equal scores the first of the reply stays the first.
        ranked = sorted(
            ((self._table.id_of(label), _score(score)) for label, score in pairs), key=lambda pair: -pair[1]
        )
        missing = self._num_shown - len(ranked)
        return [pair[0] for pair in ranked] + [NOT_SHOWN] * missing, [pair[1] for pair in ranked] + [0.0] * missing


def _score(value: Any) -> float:
    if not is_number(value):
        raise OracleError(f"a score must be a number, got {shortened(value)}")
    return float(value)
