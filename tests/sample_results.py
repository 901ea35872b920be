"""Results made by hand: an oracle of three classes, images of each of them, records of every kind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dfa.oracle import as_oracle
from dfa.results.images import AdversarialImages
from dfa.results.profile import CallsOverTime, Profile
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.types import Images

SHAPE = (6, 5, 1)


def by_first_value(images: Images) -> NDArray[np.float64]:
    """Give class 0, 1 or 2 to an image whose first value is below 85, below 170, or above."""
    classes = images[:, 0, 0, 0].astype(np.int64) // 85
    return np.eye(3)[np.minimum(classes, 2)] * 0.7 + 0.1


def image_of_class(number: int, shape: tuple[int, int, int] = SHAPE, seed: int = 0) -> NDArray[np.uint8]:
    """Return a noisy image that `by_first_value` puts in a class."""
    image = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    image[0, 0, 0] = 85 * number + 40
    return image


def success(index: int, *, queries: int = 10, **fields: Any) -> Record:
    values: dict[str, Any] = {
        "class_before": 0,
        "class_after": 1,
        "queries": queries,
        "queries_sent": queries + 2,
        "seconds": 0.5,
        "degree": 0.0,
        **fields,
    }
    return Record(index, 1000 + index, Status.SUCCESS, found=True, verified=True, **values)


def failure(index: int, *, found: bool = False, reason: str = "query budget", **fields: Any) -> Record:
    values: dict[str, Any] = {"class_before": 0, "queries": 90, "queries_sent": 90, "seconds": 7.0, **fields}
    return Record(index, 1000 + index, Status.FAILURE, reason, found=found, **values)


def skipped(index: int) -> Record:
    return Record(index, 1000 + index, Status.SKIPPED, "misclassified", label=1, class_before=0)


def make_result(shape: tuple[int, int, int] = SHAPE, **fields: Any) -> Result:
    """Return a run: failure, success, skipped, unfinished, success."""
    originals = np.stack([image_of_class(0, shape, seed) for seed in range(5)])
    images = AdversarialImages(5)
    linf = {}
    for index, number in ((1, 1), (4, 2)):
        images.put(index, image_of_class(number, shape, seed=index))
        linf[index] = 85 * number
    records = [
        failure(0),
        success(1, label=0, linf=linf[1], l0=1, l2=85.0, trace=((1, 0.5), (10, 0.0))),
        skipped(2),
        Record(3, 1003, Status.UNFINISHED),
        success(4, queries=30, class_after=2, linf=linf[4]),
    ]
    values: dict[str, Any] = {
        "profile": Profile(
            wall=2.0,
            oracle=1.5,
            rows_sent=134,
            rows_capacity=200,
            batches=1,
            calls_over_time=CallsOverTime(0.5, [0, 1], [0, 134]),
        ),
        "config": {"max_queries": 100, "batch_size": 256, "epsilon": 200},
        "oracle": as_oracle(by_first_value),
        "originals": originals,
        **fields,
    }
    return Result(records, images, **values)


def read_json(folder: Path) -> Any:
    """Read results.json as a strict reader does: NaN and Infinity are not JSON."""

    def refuse(constant: str) -> None:
        pytest.fail(f"{constant} is not JSON")

    return json.loads((folder / "results.json").read_text(), parse_constant=refuse)
