"""Answers to some rows of a batch, and what they make together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from dfa.errors import OracleError, PartialAnswer, told, told_with_place
from dfa.oracle.answers import Answer, Reader

Name = TypeVar("Name")


class Part(NamedTuple):
    """Answers to some rows of a batch.

    Attributes:
        rows: int64, (m,): their places in the batch, distinct.
        answer: Of these rows alone, in their order; empty where there are none.
    """

    rows: NDArray[np.int64]
    answer: Answer

    def in_order(self) -> Answer:
        """Return the answers in the order of the batch."""
        order = np.argsort(self.rows)
        return tuple(array[order] for array in self.answer)

    def with_copies(self, copies: Mapping[int, int]) -> Part:
        """Return this with rows more, each of which has the answer of another.

        Args:
            copies: The row of each answer, by the row that has the same.
        """
        if not copies:
            return self
        places = {row: at for at, row in enumerate(self.rows.tolist())}
        of = [places[row] for row in copies.values()]
        rows = np.concatenate([self.rows, np.fromiter(copies, np.int64, len(copies))])
        return Part(rows, tuple(np.concatenate([array, array[of]]) for array in self.answer))

    def by_row(self, names: Sequence[Name]) -> list[tuple[Name, Answer]]:
        """Return each row's answer alone, with the name that its row of the batch has."""
        return [(names[row], tuple(array[at] for array in self.answer)) for at, row in enumerate(self.rows.tolist())]

    def with_part(self, other: Part) -> Part:
        """Return both together.

        Raises:
            OracleError: They are not of one form, or not of as many rows as were asked.
        """
        if not len(other.rows) or not len(self.rows):
            return self if len(self.rows) else other
        for part in (self, other):
            shapes = [array.shape for array in part.answer]
            if any(shape[:1] != part.rows.shape for shape in shapes):
                raise OracleError(
                    f"an oracle must give one answer per image; of {len(part.rows)} images it gave shapes {shapes}"
                )
        rows = np.concatenate([self.rows, other.rows])
        try:
            return Part(rows, tuple(map(np.concatenate, zip(self.answer, other.answer, strict=True))))
        except (ValueError, TypeError) as error:
            raise OracleError(
                "an oracle must answer all rows of a batch alike; those kept from before it failed and those that it "
                f"gives now do not fit together: {error}"
            ) from error


def partial_answer(partial: PartialAnswer, reader: Reader, num_rows: int, name: str) -> PartialAnswer:
    """Return what a `PartialAnswer` about a batch holds, as arrays, with a message that names the oracle.

    Args:
        partial: As the oracle raised it: its parts may be of any kind, and fail when they are looked at.
        reader: Of the oracle's answers.
        num_rows: Images of the batch.
        name: The oracle's.

    Raises:
        OracleError: It is not as described.
    """
    try:
        part = _part_of(partial, reader, num_rows)
        cause = partial.cause
        why = "" if cause is None else f": {told_with_place(cause)}"
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # also what asks the process to exit: a run does not end without its result
        if type(error) is OracleError:
            raise
        raise OracleError(
            f"the oracle {name!r} raised a PartialAnswer whose rows, answers and cause cannot be read: "
            f"{told(error)}; make it as dfa.PartialAnswer(rows, answers, cause)"
        ) from error
    message = f"the oracle {name!r} answered {len(part.rows)} of {num_rows} images{why}"
    return PartialAnswer(*part, cause, message=message)


def _part_of(partial: PartialAnswer, reader: Reader, num_rows: int) -> Part:
    try:
        rows = np.array(list(partial.rows))
    except (TypeError, ValueError):
        rows = np.zeros(1)
    if not rows.size:
        return Part(np.zeros(0, dtype=np.int64), ())
    is_fit = rows.ndim == 1 and rows.dtype.kind in "iu" and len(np.unique(rows)) == len(rows)
    if not is_fit or rows.min() < 0 or rows.max() >= num_rows:
        raise OracleError(
            f"the rows of a PartialAnswer must be distinct integers of 0..{num_rows - 1}, the places in the batch, got "
            f"{_short(partial.rows)}"
        ) from partial
    answer = reader.arrays(partial.answers)
    shapes = [array.shape for array in answer]
    if any(shape[:1] != rows.shape for shape in shapes):
        raise OracleError(
            f"the answers of a PartialAnswer must be those of its {len(rows)} rows alone, and have shapes {shapes}"
        ) from partial
    return Part(rows.astype(np.int64), answer)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
