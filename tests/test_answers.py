"""What the gate holds the answers of an oracle to that shows less, and the probabilities that it makes of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfa.errors import OracleError
from dfa.oracle.gate import Purpose
from dfa.oracle.raw import BFLOAT16
from dfa.search.objectives import predicted
from shown import ask, gate_to

TWO = [[1, 0], [2, 1]]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.1, 0.2, 0.7], [0.2, 0.2, 0.6]], r"with labels of shape \(2, 2\); it gave shape \(3,\)"),
        (
            np.full((2, 4), 0.25),
            r"a pair \(labels, probabilities\), each of shape \(n, 2\).*it gave float64 of shape \(2, 4\)",
        ),
        ((TWO,), "it gave 1 parts"),
        (([1, 0], [[0.6, 0.2]] * 2), r"labels of shape \(2, 2\); it gave shape \(2,\)"),
        ((TWO[:1], [[0.6, 0.2]] * 2), r"labels of shape \(2, 2\); it gave shape \(1, 2\)"),
        (([[1.0, 0.0]] * 2, [[0.6, 0.2]] * 2), "integer class ids; it gave dtype float64"),
        (([[1, 0], [4, 1]], [[0.6, 0.2]] * 2), r"class ids 0\.\.3, .*it gave 4 in row 1 \(image 7\)"),
        (([[1, -2], [2, 1]], [[0.6, 0.2]] * 2), r"it gave -2 in row 0 \(image 3\)"),
        (([[1, 0], [2, 2]], [[0.6, 0.2]] * 2), r"distinct classes; row 1 \(image 7\) holds \[2, 2\]"),
        ((TWO, [[0.6, 0.2, 0.1]] * 2), r"probabilities of shape \(2, 2\).* of shape \(2, 3\)"),
        ((TWO, [["a", "b"]] * 2), "real numbers; it gave dtype <U1"),
        ((TWO, [[0.6, 0.2], [0.2, 0.6]]), r"falling probabilities; row 1 \(image 7\) holds \[0.2, 0.6\]; sort"),
        ((TWO, [[1.2, 0.2], [0.6, 0.2]]), r"within \[0, 1\]; it gave 1.2 in row 0 \(image 3\); if these are logits"),
        ((TWO, [[0.6, -0.2], [0.6, 0.2]]), r"it gave -0.2 in row 0"),
        ((TWO, [[0.6, np.nan], [0.6, 0.2]]), r"it gave nan in row 0"),
        ((TWO, [[0.6, 0.2], [0.7, 0.5]]), r"sum to at most 1 \(within 0.001\); row 1 \(image 7\) sums to 1.2"),
    ],
)
def test_an_answer_that_is_no_top_is_refused(answer, message):
    with pytest.raises(OracleError, match=f"the oracle 'model' .*{message}"):
        ask(gate_to(answer, "top_k", num_classes=4, k=2)) if not isinstance(answer, list) else ask(
            gate_to(tuple(answer), "top_k", num_classes=4, k=2)
        )


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (([[1], [2]], [[0.6], [0.5]]), r"labels of shape \(2,\); it gave shape \(2, 1\)"),
        (([1, 2], [0.6]), r"probabilities of shape \(2,\)"),
        ([0.1, 0.2, 0.7], r"each of shape \(n,\).*it gave 3 parts"),
        (([1, 2], [0.6, 1.5]), r"it gave 1.5 in row 1 \(image 7\)"),
    ],
)
def test_an_answer_that_is_no_top_1_is_refused(answer, message):
    with pytest.raises(OracleError, match=message):
        ask(gate_to(answer, "top_1", num_classes=4))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.5, 0.5], [0.1, 0.9]], r"labels of shape \(2,\); it gave shape \(2, 2\)"),
        ([1], r"it gave shape \(1,\)"),
        ([1.0, 2.0], "integer class ids; it gave dtype float64.*returns='probabilities'"),
        ([True, False], "it gave dtype bool"),
        ([1, 4], r"class ids 0\.\.3, .*it gave 4 in row 1 \(image 7\)"),
        ([-1, 1], r"it gave -1 in row 0 \(image 3\)"),
    ],
)
def test_an_answer_that_is_no_label_is_refused(answer, message):
    with pytest.raises(OracleError, match=message):
        ask(gate_to(answer, "label", num_classes=4))


def test_hidden_classes_share_what_is_missing_evenly():
    scores = ask(gate_to(([[2, 0], [1, 3]], [[0.5, 0.3], [0.4, 0.4]]), "top_k", num_classes=4, k=2))
    np.testing.assert_allclose(scores, [[0.3, 0.1, 0.5, 0.1], [0.1, 0.4, 0.1, 0.4]], atol=1e-7)
    assert scores.flags.c_contiguous
    scores = ask(gate_to(([2, 0], [0.5, 1.0]), "top_1", num_classes=3))
    np.testing.assert_allclose(scores, [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]], atol=1e-7)
    assert scores[1, 1] > 0  # the logarithm stays finite


def test_an_answer_may_show_fewer_classes_than_it_could():
    answer = ([[2, 0], [1, -1]], [[0.5, 0.3], [0.4, 0.0]])
    scores = ask(gate_to(answer, "top_k", num_classes=4, k=2))
    np.testing.assert_allclose(scores, [[0.3, 0.1, 0.5, 0.1], [0.2, 0.4, 0.2, 0.2]], atol=1e-7)
    assert scores.flags.c_contiguous
    whole = ask(gate_to(([[2, 0], [1, 3]], [[0.5, 0.3], [0.4, 0.4]]), "top_k", num_classes=4, k=2))
    assert scores[0].tobytes() == whole[0].tobytes()


@pytest.mark.parametrize(
    ("labels", "shown"),
    [([[-1, -1]], [[0.0, 0.0]]), ([[-1, 2]], [[0.5, 0.5]]), ([[2, -1]], [[0.5, 0.1]])],
    ids=["nothing", "first", "probable"],
)
def test_what_is_left_out_is_the_last_and_not_all(labels, shown):
    with pytest.raises(OracleError, match=r"may leave out the last of the 2 classes.*class -1 with probability 0"):
        ask(gate_to((labels, shown), "top_k", num_classes=4, k=2), 1)


def test_of_few_classes_too_none_comes_twice():
    with pytest.raises(OracleError, match="distinct classes"):
        ask(gate_to(([[2, 2, -1]], [[0.3, 0.3, 0.0]]), "top_k", num_classes=4, k=3), 1)


def test_a_label_keeps_nearly_everything():
    scores = ask(gate_to(np.array([2, 0], dtype=np.uint8), "label", num_classes=3))
    np.testing.assert_allclose(scores, [[0, 0, 1], [1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(scores.sum(axis=1), 1)
    assert (scores > 0).all()


def test_a_tie_that_is_shown_stays_one_whichever_class_the_oracle_puts_first():
    scores = ask(gate_to(([[3, 1], [0, 2]], [[0.5, 0.5]] * 2), "top_k", num_classes=4, k=2))
    for row, ids in zip(scores, ([3, 1], [0, 2]), strict=True):
        assert row[ids[0]] == row[ids[1]] == row.max()


tops = st.lists(st.integers(0, 1000), min_size=5, max_size=5).filter(sum)


@given(weights=tops, k=st.integers(1, 5), order=st.permutations(range(5)))
def test_a_hidden_class_is_below_every_shown_one(weights, k, order):
    shown = np.sort(np.array(weights) / sum(weights))[::-1][:k]
    ids = np.array(order)[:k]
    scores = ask(gate_to((ids[None], shown[None]), "top_k", num_classes=5, k=k), 1)[0]
    hidden = np.setdiff1d(np.arange(5), ids)
    np.testing.assert_allclose(scores[ids], shown, rtol=1e-15, atol=1e-300)
    assert scores.max() == scores[ids[0]]
    assert (scores >= 0).all()
    if len(hidden):
        assert len(set(scores[hidden])) == 1
        assert scores[hidden].max() < scores[ids].min()


def test_torch_tensors_may_make_a_pair():
    class Tensor:
        def __init__(self, values):
            self.values = values

        def detach(self):
            return self

        def cpu(self):
            return np.array(self.values)

    answer = (Tensor([1, 2]), Tensor([0.6, 0.5]))
    assert predicted(ask(gate_to(answer, "top_1", num_classes=4))).tolist() == [1, 2]


def softmax(rows, num_classes, dtype, seed=0):
    """Probabilities of so many classes, made in a dtype, their sum taken in turn as some frameworks do."""
    z = np.random.default_rng(seed).normal(0, 2, (rows, num_classes)).astype(dtype)
    likely = np.exp(z - z.max(axis=1, keepdims=True))
    return likely / np.cumsum(likely, axis=1, dtype=dtype)[:, -1:]


@pytest.mark.parametrize("num_classes", [2, 10, 1_000, 20_000])
@pytest.mark.parametrize("number", [1, 4])
def test_probabilities_that_are_declared_logits_are_told_by_their_sums(num_classes, number):
    for answer in (
        softmax(number, num_classes, np.float32),
        softmax(number, num_classes, np.float64),
    ):
        with pytest.raises(OracleError, match="looks like probabilities"):
            gate_to(answer, "logits").ask(*rows(number))


@pytest.mark.parametrize("num_classes", [2, 10, 1_000])
def test_probabilities_in_half_precision_are_told_as_well(num_classes):
    exact = softmax(4, num_classes, np.float64)
    for answer in (exact.astype(np.float16), bfloat16(exact)):
        with pytest.raises(OracleError, match="looks like probabilities"):
            gate_to(answer, "logits").ask(*rows(4))


def test_logits_of_few_images_that_sum_to_nearly_1_are_no_probabilities():
    """Two logits within [0, 1] come to a sum as near to 1 as half precision is rounded by chance, once in a while."""
    near = np.array([[0.25, 0.752]])
    nearly = bfloat16(np.array([[0.25, 0.76]]))
    for answer in (near, near.astype(np.float32), near.astype(np.float16), nearly):
        assert len(gate_to(answer, "logits").ask(*rows(1))) == 1
    gate_to(np.repeat(near, 4, axis=0), "logits").ask(*rows(4))
    for answer in (near.astype(np.float16), nearly):
        with pytest.raises(OracleError, match="looks like probabilities"):
            gate_to(np.repeat(answer, 4, axis=0), "logits").ask(*rows(4))


def rows(number):
    return np.zeros((number, 2, 2, 1), np.uint8), np.arange(number), Purpose.ATTACK


def bfloat16(values):
    return (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2").view(BFLOAT16)
