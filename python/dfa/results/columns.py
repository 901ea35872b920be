"""Records column by column, as arrays over the images of a run."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from dfa.results.record import Record, Status


class Columns:
    """What holds records, seen column by column.

    Attributes:
        records: One per image, in order.
    """

    records: list[Record]

    @property
    def status(self) -> list[Status]:
        """How each image's attack ended."""
        return [record.status for record in self.records]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether each image has a verified adversarial image: bool, (N,)."""
        return np.array([record.status is Status.SUCCESS for record in self.records], dtype=np.bool_)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Queries of each image up to its first hit: int64, (N,)."""
        return np.array([record.queries for record in self.records], dtype=np.int64)

    @property
    def queries_sent(self) -> NDArray[np.int64]:
        """Images sent to the oracle for each image: int64, (N,)."""
        return np.array([record.queries_sent for record in self.records], dtype=np.int64)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Each image's share of the run's wall time: float64, (N,)."""
        return np.array([record.seconds for record in self.records], dtype=np.float64)

    @property
    def class_before(self) -> NDArray[np.int64]:
        """Class of each original image: int64, (N,), -1 where it was never asked."""
        return _classes(record.class_before for record in self.records)

    @property
    def class_after(self) -> NDArray[np.int64]:
        """Class of each adversarial image: int64, (N,), -1 where there is none."""
        return _classes(record.class_after for record in self.records)


def _classes(classes: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([-1 if each is None else each for each in classes], dtype=np.int64)
