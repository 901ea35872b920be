"""What models of every framework return, in whatever wrapping: taken where its meaning is plain, else named."""

from __future__ import annotations

import re
from fractions import Fraction

import numpy as np
import pytest

import dfa
from dfa.errors import OracleError
from dfa.oracle.raw import BFLOAT16, array_of
from oracles import random_images
from shown import ask, gate_to

TABLE = np.array([[0.25, 0.75], [0.5, 0.5]])


def read(answer, number=2, returns="probabilities", **declared):
    return ask(gate_to(answer, returns, **declared), number)


def objects(*parts):
    array = np.empty(len(parts), dtype=object)
    for place, part in enumerate(parts):
        array[place] = part
    return array


class Bits16:
    """What `ml_dtypes` and torch share: values that numpy has no dtype for."""

    dtype = "torch.bfloat16"

    def __init__(self, values):
        self._values = np.array(values, dtype=np.float32)

    def float(self):
        return self

    def numpy(self):
        return self._values


@pytest.mark.parametrize(
    "answer",
    [
        {"probabilities": TABLE},
        (TABLE,),
        [TABLE],
        {"probabilities": [TABLE]},
        list(TABLE),
        tuple(TABLE.astype(np.float32)),
        objects(*TABLE),
        TABLE.astype(object),
        [[Fraction(1, 4), Fraction(3, 4)], [0.5, np.float16(0.5)]],
        TABLE.astype(np.float16),
        TABLE.astype(np.longdouble),
        Bits16(TABLE),
        [Bits16(row) for row in TABLE],
    ],
)
def test_what_plainly_is_a_table_is_one(answer):
    if isinstance(answer, list) and isinstance(answer[0], Bits16):
        for row in answer:
            row.shape = (2,)
    np.testing.assert_array_equal(read(answer), TABLE)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (None, "it gave None; does the function lack its `return`?"),
        ({}, "it gave a dict of 0 ()"),
        (
            {"logits": TABLE, "features": np.zeros((2, 7), np.float32)},
            "it gave a dict of 2 ('logits': float64 of shape (2, 2), 'features': float32 of shape (2, 7)); pick the "
            "scores, such as answer['logits']",
        ),
        (
            (TABLE, np.zeros((2, 3))),
            "it gave a tuple of 2 (float64 of shape (2, 2), float64 of shape (2, 3)); return the scores alone, such as "
            "answer[0]",
        ),
        ((TABLE, TABLE), "such as answer[0]"),
        ([TABLE[0], TABLE[0, :1]], "(float64 of shape (2,), float64 of shape (1,)), of several shapes"),
        (
            [[0.5, 0.5], [1.0]],
            "it gave a list of 2 (a list of 2 (float, float), a list of 1 (float)), which is no array",
        ),
        ([[0.5, "x"], [0.5, 0.5]], "it gave dtype <U"),
        ([["0.5", "0.5"]] * 2, "real numbers; it gave dtype <U3; return such as float32"),
        (objects(object(), object()), "object of shape (2,) that holds object; return real numbers"),
        ((row for row in TABLE), "it gave dtype object, generator; return real numbers"),
        (0.5, "it gave shape (), float64"),
        (np.float32(0.5), "it gave shape (), float32"),
        (TABLE[:, 0], "it gave shape (2,), float64. For a binary classifier with one output p per image"),
        (TABLE[:, :1], "it gave shape (2, 1), float64. For a binary classifier with one output p per image"),
        (TABLE[:, :, None, None], "it gave shape (2, 2, 1, 1), float64. Drop the axes of length 1"),
    ],
)
def test_what_is_no_table_is_named_with_its_cure(answer, message):
    with pytest.raises(OracleError, match=re.escape(message)):
        read(answer)


def test_an_answer_that_was_squeezed_is_told_so():
    with pytest.raises(OracleError, match=r"it gave shape \(2,\), float64\. Do not squeeze"):
        read(TABLE[0], 1)


@pytest.mark.parametrize("answer", [np.zeros(2), np.zeros((2, 1))])
def test_one_logit_is_told_to_be_two(answer):
    with pytest.raises(OracleError, match=re.escape("return the two columns 0 and z: numpy.stack([0 * z, z], axis=1)")):
        read(answer, returns="logits")


def test_a_top_is_named_too():
    with pytest.raises(OracleError, match=r"it gave a dict of 1 \('top': a list of 2 \(int, int\)\)"):
        read({"top": [1, 2]}, returns="top_1", num_classes=4)
    with pytest.raises(OracleError, match=r"labels that are integer class ids, .*it gave None"):
        read(None, returns="label", num_classes=4)
    with pytest.raises(OracleError, match="labels and probabilities that are arrays of numbers; it gave None"):
        read(([1, 2], None), returns="top_1", num_classes=4)


@pytest.mark.parametrize(("dtype", "allowed"), [(np.float16, 2.0**-8), ("bfloat16", 2.0**-5)])
def test_the_tolerance_follows_the_dtype(dtype, allowed):
    def rounded(values):
        return Bits16(values) if dtype == "bfloat16" else np.array(values, dtype=dtype)

    for sign in (1, -1):
        read(rounded([[0.5, 0.5 + sign * allowed]]), 1)
        with pytest.raises(OracleError, match=f"sum to 1 within {allowed:g}"):
            read(rounded([[0.5, 0.5 + sign * 1.25 * allowed]]), 1)
    top = read(([0], rounded([1 + allowed])), 1, returns="top_1", num_classes=2)
    assert top[0, 0] == 1 + allowed
    # float32 says what it means.
    with pytest.raises(OracleError, match=r"sum to 1 within 0\.001; .*sums to 1\.002"):
        read(np.array([[0.5, 0.502]], dtype=np.float32), 1)


def test_what_rounding_made_equal_stays_equal_and_what_it_left_apart_stays_apart():
    # Sums of 1.002 and 0.998: dividing by them would move every score.
    near = np.float16(0.334)
    for answer in (
        np.array([[near, near, near], [near, np.nextafter(near, np.float16(1)), near]]),
        Bits16([[0.25] * 4]),
    ):
        scores = read(answer, len(getattr(answer, "_values", answer)))
        np.testing.assert_array_equal(scores, np.array(getattr(answer, "_values", answer), dtype=np.float64))
    logits = np.array([[1.5, 1.5, 1.5 - 2.0**-10], [-9.0, -9.0, -9.0 - 2.0**-7]], dtype=np.float16)
    scores = read(logits, returns="logits")
    assert (scores[:, 0] == scores[:, 1]).all()
    assert (scores[:, 1] > scores[:, 2]).all()


def test_a_tie_in_half_precision_is_no_success():
    """The class of the clean image, and another that gets no further than as likely as it is."""

    def tied(images):
        bright = np.minimum(images.mean(axis=(1, 2, 3)) / 255, 0.5)
        return np.stack([1 - bright, bright], axis=1).astype(np.float16)

    images = np.full((2, 4, 4, 1), 120, dtype=np.uint8)
    result = dfa.run(tied, images, epsilon=30, max_queries=60, progress=False)
    assert result.success.tolist() == [False, False]


def test_torch_answers():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    table = torch.tensor(TABLE, requires_grad=True)
    for answer in (
        table,
        {"logits": table},
        [table],
        list(table),
        [row.bfloat16() for row in table],
        table.bfloat16(),
        table.half(),
        objects(*table),
    ):
        np.testing.assert_array_equal(read(answer), TABLE)
    assert array_of(table.bfloat16()).dtype == BFLOAT16
    top = read((torch.tensor([1, 0]), table[:, 1]), returns="top_1", num_classes=2)
    np.testing.assert_array_equal(top[[0, 1], [1, 0]], TABLE[:, 1])
    softmax = torch.softmax(torch.tensor(np.random.default_rng(0).normal(size=(64, 5)), dtype=torch.bfloat16), dim=1)
    scores = ask_many(softmax)
    assert abs(scores.sum(axis=1) - 1).max() > 1e-3
    np.testing.assert_array_equal(scores, softmax.double().numpy())


def ask_many(answer):
    gate = gate_to(answer, "probabilities")
    number = len(answer)
    return gate.ask(np.zeros((number, 2, 2, 1), np.uint8), np.zeros(number, np.int64), dfa.oracle.gate.Purpose.CLEAN)


def test_jax_answers():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    table = jax.numpy.asarray(TABLE)
    for answer in (table, (table,), list(table), table.astype("bfloat16"), list(table.astype("bfloat16"))):
        np.testing.assert_array_equal(read(answer), TABLE)


def test_tensorflow_answers():
    tf = pytest.importorskip("tensorflow", reason="tensorflow is not installed")
    table = tf.constant(TABLE)
    for answer in (table, {"y": table}, tf.unstack(table), tf.cast(table, tf.bfloat16), tf.cast(table, tf.float16)):
        np.testing.assert_array_equal(read(answer), TABLE)


def test_numbers_of_ml_dtypes():
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    np.testing.assert_array_equal(read(TABLE.astype(ml_dtypes.bfloat16)), TABLE)
    with pytest.raises(OracleError, match="real numbers; it gave dtype float8_e4m3fn; return such as float32"):
        read(TABLE.astype(ml_dtypes.float8_e4m3fn))


class Itself:
    """Gives its own memory, whatever is asked for."""

    def __init__(self, values):
        self.values = values
        self.shape = values.shape

    def __array__(self, dtype=None, copy=None):
        return self.values


class Tensor:
    """Gives its own memory, as tensors on the host do."""

    def __init__(self, values):
        self._values = values

    def numpy(self):
        return self._values


@pytest.mark.parametrize("wrap", [Itself, memoryview, Tensor, lambda table: [Itself(table)], np.asarray])
def test_an_answer_is_an_array_of_its_own(wrap):
    table = TABLE.copy()
    read = array_of(wrap(table))
    np.testing.assert_array_equal(read, TABLE)
    assert not np.shares_memory(read, table)


def test_logits_of_an_oracle_that_keeps_them_stay_what_they_are():
    logits = np.array([[1.0, 2.0], [3.0, -1.0]])
    kept = logits.copy()
    np.testing.assert_array_equal(read(Itself(kept), returns="logits"), read(logits, returns="logits"))
    np.testing.assert_array_equal(kept, logits)


MASKED = np.ma.array(TABLE, mask=[[True, False], [False, False]])


@pytest.mark.parametrize(
    "answer", [MASKED, list(MASKED), {"scores": MASKED}, Itself(MASKED), Tensor(MASKED), objects(*MASKED)]
)
def test_masked_values_are_no_answer(answer):
    with pytest.raises(OracleError, match=r"masked array, float64 of shape .* values are masked.*\.filled\(0\)"):
        read(answer)


def test_a_masked_array_without_a_mask_is_its_values():
    np.testing.assert_array_equal(read(np.ma.array(TABLE)), TABLE)


IMAGES = random_images(3, (4, 4, 1))


def refused(answer, images=IMAGES):
    """Return what is said of an answer to three images."""
    with pytest.raises(dfa.OracleError) as caught:
        dfa.run(lambda batch: answer[: len(batch)], images, epsilon=3, max_queries=20, progress=False)
    return str(caught.value)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("dtype", [np.int64, np.uint8])
def test_class_ids_are_told_from_one_output(number, dtype):
    text = refused(np.arange(3).astype(dtype), IMAGES[:number])
    assert "Are these classes? Pass returns='label', num_classes=K" in text
    assert "binary classifier" not in text


def test_names_of_classes_are_told_of():
    assert "names go back to their ids first" in refused(np.array(["cat", "dog", "cat"]))


def test_sigmoids_of_several_labels_are_not_taken_for_logits():
    text = refused(np.array([[0.9, 0.8, 0.1]] * 3))
    assert "sigmoids, one per label?" in text
    assert "looks like logits?" not in text
    assert "looks like logits?" in refused(np.array([[0.5, 0.45]] * 3))
