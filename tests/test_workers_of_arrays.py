"""Workers asked about arrays that are no images: what one process finds, and saves."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
import worker_models
from outcomes import outcomes

ROWS = np.random.default_rng(0).normal(size=(8, 5))
SPACE = dfa.Custom(np.full(5, -60), np.full(5, 60), lambda rows, x: (rows + x * 0.1).astype(rows.dtype))


@pytest.mark.weekly_but(2)
@pytest.mark.parametrize("dtype", ["float64", "float32", "int64"])
def test_arrays_reach_the_models_as_in_one_process(tmp_path, dtype):
    rows, model = (10 * ROWS).astype(dtype), dfa.factory(worker_models.of_rows, dtype)
    settings = {"space": SPACE, "max_queries": 100, "batch_size": 16, "progress": False}
    expected = dfa.run(model, rows, **settings)
    found = dfa.run(model, rows, workers=2, **settings)
    assert found.success.any()
    assert outcomes(found) == outcomes(expected)
    try:
        for folder in ("first", "second"):
            assert found.save(tmp_path / folder).verified == found.success.sum()
    finally:
        found.oracle.close()


def test_a_torch_module_is_asked_about_arrays_as_they_are():
    pytest.importorskip("torch")
    settings = {"space": SPACE, "max_queries": 100, "batch_size": 16, "progress": False}
    rows = ROWS.astype(np.float32)
    expected = dfa.run(dfa.factory(worker_models.torch_of_rows), rows, **settings)
    found = dfa.run(dfa.factory(worker_models.torch_of_rows), rows, workers=2, **settings)
    assert outcomes(found) == outcomes(expected)


def test_workers_that_answer_otherwise_about_arrays_are_refused():
    with pytest.raises(dfa.InvalidInputError, match="answers otherwise than worker 0"):
        dfa.run(dfa.factory(worker_models.of_rows, "float64"), ROWS, space=SPACE, workers=["a", "other"])
