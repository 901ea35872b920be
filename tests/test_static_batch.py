"""Rows of a batch, of every adapter that chooses them: also after images came that it does not take."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import random_images

LARGE = (100, 100, 3)
"""Of which nothing takes any, and which would go in other batches than small ones."""

IMAGES = random_images(20, (32, 32, 3))


def small_only(images):
    """Make what every model here takes, and fail at large images, as a model fails at its first batch."""
    if images.shape[1:] == LARGE:
        raise ValueError("too large")
    return images / 255


def estimator(folder):
    linear = pytest.importorskip("sklearn.linear_model", reason="scikit-learn is not installed")
    table = IMAGES.reshape(20, -1) / 255
    return dfa.SklearnOracle(linear.LogisticRegression().fit(table, np.arange(20) % 2), preprocess=small_only)


def onnx(folder):
    for package in ("onnx", "onnxruntime"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from onnx_models import classifier

    return dfa.OnnxOracle(classifier(folder / "model.onnx", ["n", 32, 32, 3]), preprocess=small_only)


def jax(folder):
    pytest.importorskip("jax", reason="JAX is not installed")
    return dfa.JaxOracle(lambda images: small_only(images).reshape(len(images), -1)[:, :2], returns="logits")


def torch_module(folder):
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class SmallOnly(torch.nn.Module):
        def forward(self, batch):
            return small_only(batch.permute(0, 2, 3, 1)).flatten(1)[:, :2]

    return dfa.TorchOracle(SmallOnly().eval())


@pytest.mark.parametrize("make", [estimator, onnx, jax, torch_module])
def test_images_that_are_not_taken_leave_the_batches_of_others_as_they_were(tmp_path, make):
    oracle = make(tmp_path)
    oracle.prepare((32, 32, 3), 64)
    expected, rows = oracle.scores(IMAGES), oracle.rows_per_batch
    with pytest.raises(Exception, match="too large"):
        oracle.prepare(LARGE, 64)
    assert np.array_equal(oracle.scores(IMAGES), expected)
    assert oracle.rows_per_batch == rows == 16


def test_a_program_that_takes_no_single_row_is_not_asked_row_by_row():
    torch = pytest.importorskip("torch", reason="torch is not installed")

    class MindsItsBatch(torch.nn.Module):
        def forward(self, batch):
            scores = batch.flatten(1)[:, :2]
            return scores - scores.mean()

    example = (torch.zeros(4, 3, 12, 12),)
    rows = ({0: torch.export.Dim("rows", min=2, max=4096)},)
    program = torch.export.export(MindsItsBatch().eval(), example, dynamic_shapes=rows)
    oracle = dfa.as_oracle(program)
    with pytest.warns(dfa.RandomAnswersWarning, match="when others are in its batch"):
        oracle.prepare((12, 12, 3), 8)
    assert oracle.rows_per_batch == 64
    assert len(oracle.scores(random_images(3, (12, 12, 3)))) == 3
