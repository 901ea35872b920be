"""What Keras models put out that is no table of float32: one output, and half precision."""

from __future__ import annotations

import numpy as np
import pytest

from dfa.errors import InvalidInputError
from dfa.oracle import KerasOracle, as_oracle
from dfa.oracle.gate import Gate, Purpose

keras = pytest.importorskip("keras", reason="Keras is not installed")

SHAPE = (4, 4, 1)


def images(n):
    return np.random.default_rng(0).integers(0, 256, (n, *SHAPE), dtype=np.uint8)


def expected(model, batch):
    return model.predict(batch.astype(np.float32), verbose=0)


def small(*head, name="small"):
    keras.utils.set_random_seed(2)
    return keras.Sequential([keras.Input(SHAPE), keras.layers.Flatten(), *head], name=name)


def nested():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, small(keras.layers.Dense(1, activation="sigmoid"))(inputs))


def functional():
    inputs = keras.Input(SHAPE)
    return keras.Model(inputs, keras.ops.sigmoid(keras.layers.Dense(1)(keras.layers.Flatten()(inputs))))


@pytest.mark.parametrize(
    "make",
    [
        lambda: small(keras.layers.Dense(1, activation="sigmoid")),
        lambda: small(keras.layers.Dense(1), keras.layers.Activation("sigmoid")),
        nested,
        functional,
    ],
)
def test_one_output_of_a_sigmoid_is_two_classes(make):
    model = make()
    oracle = as_oracle(model)
    assert oracle.num_classes == 2
    likely = expected(model, images(5)).astype(np.float64)
    scores = oracle.scores(images(5))
    np.testing.assert_allclose(scores, np.concatenate([1 - likely, likely], axis=1), atol=1e-6)
    np.testing.assert_array_equal(scores.sum(axis=1), 1)


@pytest.mark.parametrize("activation", [None, "tanh"])
def test_one_output_of_anything_else_is_refused_with_the_cure(activation):
    model = small(keras.layers.Dense(1, activation=activation))
    with pytest.raises(InvalidInputError, match="'small' has one output, which is not known to come from a sigmoid"):
        as_oracle(model)
    with pytest.raises(InvalidInputError, match=r"of a logit z, .*numpy.concatenate\(\[0 \* z, z\], axis=1\)"):
        as_oracle(model, returns="logits")


def test_a_sigmoid_gives_no_logits():
    with pytest.raises(InvalidInputError, match="a sigmoid's, a probability; leave out returns='logits'"):
        as_oracle(small(keras.layers.Dense(1, activation="sigmoid")), returns="logits")


@pytest.mark.parametrize(("dtype", "tolerance"), [("bfloat16", 2.0**-5), ("float16", 2.0**-8), ("float32", 1e-3)])
def test_the_tolerance_of_a_model_follows_its_output(dtype, tolerance):
    model = small(keras.layers.Dense(1000), keras.layers.Softmax(dtype=dtype))
    oracle = KerasOracle(model)
    assert oracle.tolerance == tolerance
    scores = Gate(oracle, num_images=1, max_queries=9).ask(images(9), np.zeros(9, dtype=np.int64), Purpose.CLEAN)
    assert scores.shape == (9, 1000)


def test_a_probability_near_nothing_leaves_less_than_one():
    model = small(keras.layers.Dense(1, activation="sigmoid"))
    model.layers[-1].set_weights([np.zeros((16, 1)), np.array([-20.0])])
    # In float32 it would be 1.
    assert 1 - 1e-8 < as_oracle(model).scores(images(1))[0, 0] < 1
