"""What an oracle's answers hold: checked, and made into one row of scores per image, whatever they show.

Everything behind the gate sees float64 (B, K), so no search asks what kind of oracle it was. What an answer does not
show is filled in with what is known of it, and `is_told` keeps it out of records:

| answer | row |
|---|---|
| probabilities, logits | the probabilities |
| top_k, top_1 | the shown probabilities; for the others an even share of what is missing, below the smallest shown |
| top_k of fewer than k | the same, of those that are shown |
| label | nearly 1 for the label, and an even share of the rest for each other class |
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from dfa.errors import OracleError
from dfa.oracle.base import Oracle, ScoreKind, declare_shown
from dfa.oracle.raw import UnreadableAnswerError, array_of, described, dtype_name, real, rounding_of
from dfa.types import Indices, Scores

Answer: TypeAlias = tuple[NDArray[Any], ...]
"""An oracle's answer as arrays, not yet checked: (scores,), (labels, probabilities) or (labels,)."""

_LOOKS_LIKE_PROBABILITIES: Final = 1e-4
"""Real logits do not lie in [0, 1] with every row summing to 1 this closely; a softmax over 20,000 classes in float32
whose sum is taken in turn does."""

_FEW: Final = 4
"""Rows of logits that may, by chance, sum to 1 as closely as probabilities in half precision do."""

NOT_SHOWN: Final = -1
"""Class of a place that an answer of top_k leaves empty, as services do that show what is above a threshold."""

_ROUNDING: Final = 2.0**-25
"""What float32 hides of a sum of 1: added to what is missing, so that an answer of exactly 1 leaves the others more
than nothing, and the logarithm finite; it never changes which of two answers leaves them more."""

_LEAST_SHOWN: Final = float(np.finfo(np.float64).tiny)
"""What a shown probability of 0 counts as, so that there is room below it for those that are hidden."""

_FAR: Final = 0.1
"""How far a sum must be from 1 to be of no probabilities of one class."""

_BESIDE_LABEL: Final = 2.0**-20
"""What a label leaves all other classes together: little, and not nothing, so that the logarithm is finite."""


class Reader(ABC):
    """Reads the answers of one oracle.

    Attributes:
        num_arrays: Of which an answer is made.
        num_classes: K; where the oracle does not declare it, None before the first answer.
    """

    num_arrays: ClassVar[int] = 1

    _wanted = "real numbers of shape (n, K), one row per image"

    def __init__(self, oracle: Oracle) -> None:
        """Read the answers of an oracle, by what it declares."""
        self.num_classes = oracle.num_classes
        self._name = oracle.name
        self._tolerance = oracle.tolerance

    def arrays(self, answer: Any) -> Answer:
        """Return an answer as arrays of its own: an oracle may use its memory again. Part of the time in the oracle."""
        return (self._array(answer),)

    def _array(self, answer: Any) -> NDArray[Any]:
        try:
            return array_of(answer)
        except UnreadableAnswerError as error:
            raise OracleError(f"the oracle {self._name!r} must answer with {self._wanted}; {error}") from error

    def _tolerance_of(self, probabilities: NDArray[Any]) -> float:
        """Return how far probabilities of one image may sum from 1, of the dtype that they came in."""
        return max(self._tolerance, rounding_of(probabilities.dtype))

    @abstractmethod
    def scores(self, answer: Answer, indices: Indices) -> Scores:
        """Return float64, (n, K), C-contiguous, of an answer that belongs to the reader from now on.

        Args:
            answer: Of `arrays`.
            indices: int64, (n,): the image of each row, for messages.

        Raises:
            OracleError: The answer is not what the oracle declares.
        """

    def _check_labels(self, labels: NDArray[Any], shape: tuple[int, ...], indices: Indices, *, least: int = 0) -> None:
        """Refuse labels of another shape, dtype or range."""
        if labels.shape != shape:
            self._refuse(f"must answer {shape[0]} images with labels of shape {shape}; it gave shape {labels.shape}")
        if labels.dtype.kind not in "iu":
            self._refuse(
                f"must answer with labels that are integer class ids; it gave dtype {labels.dtype}. If these are "
                "scores, pass returns='probabilities' or 'logits'"
            )
        assert self.num_classes is not None
        outside = (labels < least) | (labels >= self.num_classes)
        if outside.any():
            place = tuple(np.argwhere(outside)[0].tolist())
            self._refuse(
                f"must answer with class ids 0..{self.num_classes - 1}, since it was declared to know "
                f"{self.num_classes} classes; it gave {labels[place]} in row {place[0]} (image {indices[place[0]]})"
            )

    def _refuse_non_finite(self, scores: NDArray[Any], indices: Indices) -> NoReturn:
        """Say where an answer is not finite."""
        row, column = np.argwhere(~np.isfinite(scores))[0]
        self._refuse(
            f"must answer with finite scores; it gave {scores[row, column]} for class {column} in row {row} "
            f"(image {indices[row]})"
        )

    def _refuse(self, what: str) -> NoReturn:
        """Raise the error of an answer that cannot be used."""
        raise OracleError(f"the oracle {self._name!r} {what}")


class _ScoresReader(Reader):
    """Reads tables of one score per class."""

    _is_first = True
    _one_output: str
    """What a classifier with one output is to return."""

    def scores(self, answer: Answer, indices: Indices) -> Scores:
        (table,) = answer
        scores = self._checked_form(table, len(indices))
        scores = self._probabilities(scores, indices, self._tolerance_of(table))
        self.num_classes = scores.shape[1]
        self._is_first = False
        return scores

    def _cure(self, table: NDArray[Any], num_rows: int) -> str:
        """Return what would make a table of scores of an array of another shape."""
        if table.shape == (num_rows,) and table.dtype.kind in "iuU":
            names = "; names go back to their ids first" if table.dtype.kind == "U" else ""
            return f". Are these classes? Pass returns='label', num_classes=K{names}"
        if table.shape == (num_rows,) and num_rows > 1:
            return f". {self._one_output}"
        if num_rows == 1 and table.ndim == 1:
            return ". Do not squeeze the answer: return answer[numpy.newaxis]"
        if table.ndim > 2 and table.shape[0] == num_rows and table[0].size == max(table.shape[1:]):
            return ". Drop the axes of length 1: return answer.reshape(len(answer), -1)"
        if table.ndim < 2 or (len(table) == 1 and table.ndim == 2):
            return ". Is it a function of one image? Pass dfa.OneByOne(function)"
        return ""

    @abstractmethod
    def _probabilities(self, scores: Scores, indices: Indices, tolerance: float) -> Scores:
        """Return the probabilities that a table holds, in place of it, or refuse it."""

    def _checked_form(self, table: NDArray[Any], num_rows: int) -> Scores:
        """Return a table of real numbers with one row per image and the known K, or refuse it."""
        scores = real(table)
        if table.ndim != 2 or table.shape[0] != num_rows:
            self._refuse(
                f"must answer {num_rows} images with scores of shape ({num_rows}, "
                f"{self.num_classes or 'K'}), one row per image and one column per class; it gave shape "
                f"{table.shape}, {dtype_name(table)}{self._cure(table, num_rows)}"
            )
        if scores is None:
            self._refuse(f"must answer with real numbers; it gave dtype {table.dtype}; return such as float32")
        if table.shape[1] < 2:
            self._refuse(
                f"must score at least two classes; it gave shape {table.shape}, {dtype_name(table)}. {self._one_output}"
            )
        if self.num_classes not in (None, table.shape[1]):
            self._refuse(
                f"must score the same classes every time; it gave {table.shape[1]} columns, and "
                f"{self.num_classes} {'were declared' if self._is_first else 'before'}"
            )
        return scores


class _ProbabilitiesReader(_ScoresReader):
    _one_output = (
        "For a binary classifier with one output p per image, return the two columns 1 - p and p: "
        "numpy.stack([1 - p, p], axis=1), p of shape (n,)"
    )

    def _probabilities(self, scores: Scores, indices: Indices, tolerance: float) -> Scores:
        """Return the probabilities, rounding errors below 0 lifted to 0."""
        lowest, highest = scores.min(), scores.max()
        # A NaN makes these comparisons false; the range goes first, so that the sums cannot overflow.
        if not (lowest >= -tolerance and highest <= 1.0 + tolerance):
            self._refuse_range(scores, indices, tolerance)
        off = np.abs(scores.sum(axis=1) - 1.0)
        if off.max() > tolerance:
            self._refuse_sums(scores, int(off.argmax()), indices, tolerance)
        if lowest < 0.0:
            np.maximum(scores, 0.0, out=scores)
        return scores

    def _refuse_range(self, scores: Scores, indices: Indices, tolerance: float) -> NoReturn:
        """Say which probability is not one."""
        if not np.isfinite(scores).all():
            self._refuse_non_finite(scores, indices)
        row, column = np.argwhere((scores < -tolerance) | (scores > 1.0 + tolerance))[0]
        self._refuse(
            f"must answer with probabilities within [0, 1]; it gave {scores[row, column]:.6g} for class "
            f"{column} in row {row} (image {indices[row]}); looks like logits? pass returns='logits'"
        )

    def _refuse_sums(self, scores: Scores, row: int, indices: Indices, tolerance: float) -> NoReturn:
        """Say which row of probabilities does not sum to 1."""
        self._refuse(
            f"must answer with probabilities that sum to 1 within {tolerance:g}; row {row} "
            f"(image {indices[row]}) sums to {scores[row].sum():.6g}; {self._cause(float(scores[row].sum()))}. "
            "If they are probabilities that were rounded or cut off, pass a larger tolerance"
        )

    @staticmethod
    def _cause(total: float) -> str:
        """Return what scores within [0, 1] are likely to be that sum to so much."""
        if abs(total - 1.0) < _FAR:
            return "looks like logits? pass returns='logits'"
        return (
            "sigmoids, one per label? An oracle tells one class of several: return the two columns 1 - p and p of one "
            "label, or pass returns='logits' with the scores before the sigmoid if one label is meant"
        )


class _LogitsReader(_ScoresReader):
    _one_output = (
        "For a binary classifier with one logit z per image, return the two columns 0 and z: "
        "numpy.stack([0 * z, z], axis=1), z of shape (n,)"
    )

    def _tolerance_of(self, table: NDArray[Any]) -> float:
        """Return how far sums of what only looks like logits may lie from 1, of the dtype that it came in."""
        return max(_LOOKS_LIKE_PROBABILITIES, rounding_of(table.dtype))

    def _probabilities(self, scores: Scores, indices: Indices, tolerance: float) -> Scores:
        """Return the softmax of logits that are finite, and not probabilities under a wrong name."""
        lowest, highest = scores.min(), scores.max()
        # A NaN makes both of these NaN, and an infinity one of them infinite.
        if not (lowest > -np.inf and highest < np.inf):
            self._refuse_non_finite(scores, indices)
        # One look suffices: a wrong name is wrong from the first answer on.
        if self._is_first and lowest >= 0.0 and highest <= 1.0:
            off = np.abs(scores.sum(axis=1) - 1.0).max()
            if off <= (tolerance if len(scores) >= _FEW else _LOOKS_LIKE_PROBABILITIES):
                self._refuse(
                    "was declared to return logits, but its answer looks like probabilities: all within [0, "
                    "1], and each row sums to 1; pass returns='probabilities'"
                )
        return _softmax(scores)


class _TopReader(Reader):
    """Reads the likeliest classes and their probabilities."""

    num_arrays = 2
    _wanted = "labels and probabilities that are arrays of numbers"

    def __init__(self, oracle: Oracle) -> None:
        super().__init__(oracle)
        assert oracle.num_shown is not None
        self._num_shown = oracle.num_shown
        # One class per image comes without an axis of its own.
        self._is_flat = oracle.returns is ScoreKind.TOP_1

    def arrays(self, answer: Any) -> Answer:
        if not isinstance(answer, tuple | list) or len(answer) != 2:
            given = f"{len(answer)} parts" if isinstance(answer, tuple | list) else described(answer)
            shape = "(n,)" if self._is_flat else f"(n, {self._num_shown})"
            self._refuse(
                f"must answer with a pair (labels, probabilities), each of shape {shape}, the likeliest first; it "
                f"gave {given}. If these are scores of all classes, pass returns='probabilities' or 'logits'"
            )
        labels, probabilities = answer
        return self._array(labels), self._array(probabilities)

    def scores(self, answer: Answer, indices: Indices) -> Scores:
        labels, shown = answer
        shape = (len(indices),) if self._is_flat else (len(indices), self._num_shown)
        self._check_labels(labels, shape, indices, least=0 if self._is_flat else NOT_SHOWN)
        numbers = real(shown)
        if shown.shape != shape or numbers is None:
            self._refuse(
                f"must answer {shape[0]} images with probabilities of shape {shape}, real numbers; it gave dtype "
                f"{dtype_name(shown)} of shape {shown.shape}"
            )
        ids = labels.reshape(len(indices), -1).astype(np.int64)
        probabilities: Scores = numbers.reshape(len(indices), -1)
        self._check_probabilities(probabilities, indices, self._tolerance_of(shown))
        is_shown = ids != NOT_SHOWN
        if is_shown.all():
            self._check_distinct(ids, indices)
            return self._dense(ids, np.maximum(probabilities, _LEAST_SHOWN))
        self._check_left_out(is_shown, probabilities, indices)
        rows = []
        for row, shows in enumerate(is_shown):
            few = ids[row : row + 1, shows]
            self._check_distinct(few, indices[row : row + 1])
            rows.append(self._dense(few, np.maximum(probabilities[row : row + 1, shows], _LEAST_SHOWN)))
        return np.concatenate(rows)

    def _check_left_out(self, is_shown: NDArray[np.bool_], probabilities: Scores, indices: Indices) -> None:
        """Refuse rows that show nothing, or something after what they leave out, or a probability of that."""
        is_wrong = ~is_shown[:, 0] | (is_shown[:, 1:] & ~is_shown[:, :-1]).any(axis=1)
        is_wrong |= ((probabilities != 0) & ~is_shown).any(axis=1)
        if is_wrong.any():
            row = int(is_wrong.argmax())
            self._refuse(
                f"may leave out the last of the {self._num_shown} classes that it shows, each as class {NOT_SHOWN} "
                f"with probability 0, and must show one at least; row {row} (image {indices[row]}) is otherwise"
            )

    def _check_probabilities(self, shown: Scores, indices: Indices, tolerance: float) -> None:
        # A NaN makes these comparisons false.
        is_probability = (shown >= -tolerance) & (shown <= 1.0 + tolerance)
        if not is_probability.all():
            row, column = np.argwhere(~is_probability)[0]
            self._refuse(
                f"must answer with probabilities within [0, 1]; it gave {shown[row, column]:.6g} in row {row} (image "
                f"{indices[row]}); if these are logits, apply a softmax over all classes before the top is taken, and "
                "divide percentages by 100"
            )
        is_rising = (shown[:, 1:] > shown[:, :-1]).any(axis=1)
        if is_rising.any():
            row = int(is_rising.argmax())
            self._refuse(
                f"must answer with the likeliest class first and falling probabilities; row {row} (image "
                f"{indices[row]}) holds {shown[row].tolist()}; sort each row"
            )
        sums = shown.sum(axis=1)
        if sums.max() > 1.0 + tolerance:
            row = int(sums.argmax())
            self._refuse(
                f"must answer with probabilities that sum to at most 1 (within {tolerance:g}); row {row} (image "
                f"{indices[row]}) sums to {sums[row]:.6g}; if they were rounded, pass a larger tolerance"
            )

    def _check_distinct(self, ids: NDArray[np.int64], indices: Indices) -> None:
        ordered = np.sort(ids, axis=1)
        is_twice = (ordered[:, 1:] == ordered[:, :-1]).any(axis=1)
        if is_twice.any():
            row = int(is_twice.argmax())
            self._refuse(
                f"must answer with distinct classes; row {row} (image {indices[row]}) holds {ids[row].tolist()}"
            )

    def _dense(self, ids: NDArray[np.int64], shown: Scores) -> Scores:
        assert self.num_classes is not None
        num_hidden = max(1, self.num_classes - ids.shape[1])
        missing = np.maximum(1.0 - shown.sum(axis=1), 0.0) + _ROUNDING
        hidden = np.minimum(missing / num_hidden, np.nextafter(shown.min(axis=1), 0.0))
        scores: Scores = np.repeat(hidden[:, np.newaxis], self.num_classes, axis=1)
        np.put_along_axis(scores, ids, shown, axis=1)
        return scores


class _LabelReader(Reader):
    """Reads labels alone."""

    _wanted = "labels that are integer class ids, of shape (n,)"

    def scores(self, answer: Answer, indices: Indices) -> Scores:
        (labels,) = answer
        self._check_labels(labels, (len(indices),), indices)
        assert self.num_classes is not None
        scores = np.full((len(indices), self.num_classes), _BESIDE_LABEL / (self.num_classes - 1))
        scores[np.arange(len(indices)), labels] = 1.0 - _BESIDE_LABEL
        return scores


_READERS: Final[dict[ScoreKind, type[Reader]]] = {
    ScoreKind.PROBABILITIES: _ProbabilitiesReader,
    ScoreKind.LOGITS: _LogitsReader,
    ScoreKind.TOP_K: _TopReader,
    ScoreKind.TOP_1: _TopReader,
    ScoreKind.LABEL: _LabelReader,
}


def reader_of(oracle: Oracle) -> Reader:
    """Return what reads the answers of an oracle.

    Raises:
        InvalidInputError: It does not declare what its kind of answer needs: `num_classes`, and of top_k `num_shown`.
    """
    kind = oracle.returns
    declare_shown(kind, oracle.num_classes, oracle.num_shown)
    return _READERS[kind](oracle)


def is_told(oracle: Oracle, scores: Scores, number: int) -> bool:
    """Tell whether answers showed the probability of a class, which otherwise stands in their rows as a guess.

    Args:
        oracle: What answered.
        scores: float64, (n, K), n of 1 or more: what its reader made of answers about one image.
        number: The class, 0..K-1.

    Returns:
        Whether each of the answers did.
    """
    if oracle.shows_all:
        return True
    # Of a few that are shown, all lie above those that are hidden.
    return oracle.shows_distance and bool((scores[:, number] > scores.min(axis=1)).all())


def _softmax(logits: Scores) -> Scores:
    """Return the softmax of each row, overwriting `logits`; no exponent is above 0, so none overflows."""
    # Two finite logits may lie further apart than doubles reach; the lower one's probability is 0 all the
    # same.
    with np.errstate(over="ignore", under="ignore"):
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
