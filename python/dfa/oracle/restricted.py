"""Oracles that show less of their classes than they know: to look at one model on every level of information."""

from __future__ import annotations

from typing import Any

import numpy as np

from dfa.errors import InvalidInputError, PartialAnswer
from dfa.oracle.answers import reader_of
from dfa.oracle.base import Oracle, ScoreKind, declare_shown
from dfa.types import Images


class RestrictedOracle(Oracle):
    """An oracle of all classes, of which the likeliest are shown, or the likeliest one's label alone."""

    def __init__(
        self, oracle: Oracle, returns: ScoreKind, *, k: int | None = None, num_classes: int | None = None
    ) -> None:
        """Hide some of what an oracle shows.

        Args:
            oracle: Returns probabilities or logits.
            returns: `ScoreKind.TOP_K`, `ScoreKind.TOP_1` or `ScoreKind.LABEL`.
            k: How many classes are shown, with `ScoreKind.TOP_K`.
            num_classes: K, where the oracle does not declare it.

        Raises:
            InvalidInputError: The oracle shows less already, does not tell its classes, or shows no k of them.
        """
        if oracle.returns not in (ScoreKind.PROBABILITIES, ScoreKind.LOGITS):
            raise InvalidInputError(
                f"only an oracle that returns probabilities or logits can be made to show less, got {oracle.name!r}, "
                f"which returns {oracle.returns.value!r}"
            )
        known = oracle.num_classes if num_classes is None else num_classes
        if oracle.num_classes not in (None, known):
            raise InvalidInputError(f"the oracle {oracle.name!r} knows {oracle.num_classes} classes, got {num_classes}")
        if known is None:
            raise InvalidInputError(
                f"num_classes must be an integer of 2 or more, since the model {oracle.name!r} does not tell how many "
                "classes it has; pass num_classes="
            )
        self.returns = returns
        self.num_classes, self.num_shown = declare_shown(returns, known, k)
        self.kind = oracle.kind  # type: ignore[misc]
        self.name = oracle.name
        self.tolerance = oracle.tolerance
        self.class_names = oracle.class_names
        self.in_callers_thread = oracle.in_callers_thread
        self.calls_at_once, self.calls_in_line = oracle.calls_at_once, oracle.calls_in_line
        self.rows_per_call = oracle.rows_per_call
        self.stand_for(oracle)
        self._oracle = oracle
        self._reader = reader_of(oracle)

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready."""
        self._oracle.prepare(shape, batch_size)

    def keep_with(self, books: Any, names: Any) -> None:
        """Let the oracle keep its books and names where a run has them."""
        self._oracle.keep_with(books, names)

    def hang_up(self) -> None:
        """Let calls that are under way end soon."""
        self._oracle.hang_up()

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every batch that the model is given, or None for as many as are asked."""
        return self._oracle.rows_per_batch

    def scores(self, images: Images) -> Any:
        """Return what is left of the oracle's answer; of equally likely classes the smaller id goes first.

        Raises:
            OracleError: The oracle's answer is not what it declares.
        """
        try:
            return self._shown(self._oracle.scores(images), len(images))
        except PartialAnswer as error:
            rows = list(error.rows)
            shown = self._shown(error.answers, len(rows)) if rows else []
            raise PartialAnswer(rows, shown, error.cause) from error

    def _shown(self, answer: Any, number: int) -> Any:
        scores = self._reader.scores(self._reader.arrays(answer), np.arange(number))
        if self.num_shown is None:
            return scores.argmax(axis=1)
        labels = np.argsort(-scores, axis=1, kind="stable")[:, : self.num_shown]
        shown = np.take_along_axis(scores, labels, axis=1)
        return (labels[:, 0], shown[:, 0]) if self.returns is ScoreKind.TOP_1 else (labels, shown)

    def fingerprint(self) -> str | None:
        """Return what names the model's parameters, or None where nothing does."""
        return self._oracle.fingerprint()

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        return self._oracle.describe() | super().describe()
