"""The gate: counts before sending, a budget never passed, and answers that are refused."""

from __future__ import annotations

import time

import numpy as np
import pytest

from dfa.errors import BudgetExceededError, InvalidInputError, OracleError
from dfa.oracle import CallableOracle, Oracle, ScoreKind
from dfa.oracle.gate import Gate, Purpose


def images(n):
    return np.zeros((n, 2, 2, 1), dtype=np.uint8)


def indices(*places):
    return np.array(places, dtype=np.int64)


def gate_to(answer, *, returns="probabilities", tolerance=1e-3, num_images=10, max_queries=100, budgets=None):
    """A gate to an oracle that gives `answer`: a table, or a function of the batch."""
    function = answer if callable(answer) else lambda batch: answer
    oracle = CallableOracle(function, returns=returns, tolerance=tolerance, name="model")
    return Gate(oracle, num_images=num_images, max_queries=max_queries, budgets=budgets)


def half(batch):
    return np.full((len(batch), 2), 0.5)


def ask(gate, *places, purpose=Purpose.ATTACK):
    return gate.ask(images(len(places)), indices(*places), purpose)


def test_attack_queries_are_counted_per_image():
    gate = gate_to(half, num_images=4)
    ask(gate, 2, 2, 0, 2)
    ask(gate, 0)
    assert gate.sent.tolist() == [2, 0, 3, 0]
    assert gate.sent.dtype == np.int64
    assert gate.counts == {Purpose.ATTACK: 5, Purpose.CLEAN: 0, Purpose.VERIFICATION: 0, Purpose.WATCH: 0}
    assert gate.calls == {Purpose.ATTACK: 2, Purpose.CLEAN: 0, Purpose.VERIFICATION: 0, Purpose.WATCH: 0}


@pytest.mark.parametrize("purpose", [Purpose.CLEAN, Purpose.VERIFICATION])
def test_other_queries_are_counted_apart_and_have_no_budget(purpose):
    gate = gate_to(half, num_images=2, max_queries=0)
    ask(gate, 0, 0, 1, purpose=purpose)
    ask(gate, 0, purpose=purpose)
    assert gate.sent.tolist() == [0, 0]
    assert gate.counts == dict.fromkeys(Purpose, 0) | {purpose: 4}
    assert gate.calls == dict.fromkeys(Purpose, 0) | {purpose: 2}


def test_a_query_counts_before_it_is_sent():
    seen = []

    def watch(batch):
        seen.append((gate.sent.tolist(), gate.counts[Purpose.ATTACK], gate.calls[Purpose.ATTACK]))
        raise ConnectionError("gone")

    gate = gate_to(watch, num_images=2)
    with pytest.raises(OracleError, match="ConnectionError: gone"):
        ask(gate, 1, 1)
    assert seen == [([0, 2], 2, 1)]
    assert gate.sent.tolist() == [0, 2]


def test_the_budget_may_be_used_up_but_not_passed():
    calls = []

    def count(batch):
        calls.append(len(batch))
        return half(batch)

    gate = gate_to(count, num_images=3, max_queries=3)
    ask(gate, 0, 1, 1, 1)
    with pytest.raises(BudgetExceededError, match="image 1 may be asked 3 times, and this batch would make it 4"):
        ask(gate, 0, 1, 2)
    assert gate.sent.tolist() == [1, 3, 0]
    assert gate.counts[Purpose.ATTACK] == 4
    assert gate.calls[Purpose.ATTACK] == 1
    assert calls == [4]
    ask(gate, 0, 0, 2)
    assert gate.sent.tolist() == [3, 3, 1]


def test_an_image_may_have_a_budget_of_its_own():
    gate = gate_to(half, num_images=3, max_queries=3, budgets=np.array([3, 1, 2]))
    ask(gate, 0, 1, 0, 2)
    with pytest.raises(BudgetExceededError, match="image 1 may be asked 1 times, and this batch would make it 2"):
        ask(gate, 0, 1)
    assert gate.sent.tolist() == [2, 1, 1]


def test_repeats_within_one_batch_count_towards_the_budget():
    gate = gate_to(half, max_queries=2)
    with pytest.raises(BudgetExceededError, match="would make it 3"):
        ask(gate, 5, 5, 5)
    assert not gate.sent.any()


@pytest.mark.parametrize("place", [-1, 10])
def test_an_index_outside_the_run_is_refused(place):
    gate = gate_to(half)
    with pytest.raises(InvalidInputError, match=r"indices must be 0\.\.9"):
        ask(gate, 3, place)
    assert not gate.sent.any()


def test_images_and_indices_must_fit_together():
    gate = gate_to(half)
    with pytest.raises(InvalidInputError, match="one index per image"):
        gate.ask(images(2), indices(1), Purpose.ATTACK)
    with pytest.raises(InvalidInputError, match="got float64 images"):
        gate.ask(images(1).astype(float), indices(1), Purpose.ATTACK)


@pytest.mark.parametrize("numbers", [{"num_images": -1}, {"max_queries": -1}])
def test_a_gate_takes_no_negative_numbers(numbers):
    with pytest.raises(InvalidInputError, match="0 or more"):
        gate_to(half, **numbers)


def test_asking_nothing_sends_nothing():
    gate = gate_to(lambda batch: pytest.fail("asked"))
    assert ask(gate).shape == (0, 0)
    assert gate.calls[Purpose.ATTACK] == 0


def test_seconds_in_the_oracle_are_kept_per_purpose():
    def slow(batch):
        time.sleep(0.02)
        return half(batch)

    gate = gate_to(slow)
    ask(gate, 0, purpose=Purpose.CLEAN)
    ask(gate, 0)
    ask(gate, 0)
    assert gate.seconds[Purpose.CLEAN] >= 0.02
    assert gate.seconds[Purpose.ATTACK] >= 0.04
    assert gate.seconds[Purpose.VERIFICATION] == 0


def test_seconds_count_where_the_answer_is_only_computed_on_reading():
    class Lazy:
        def __array__(self, dtype=None, copy=None):
            time.sleep(0.02)
            return np.full((1, 2), 0.5)

    gate = gate_to(Lazy())
    ask(gate, 0)
    assert gate.seconds[Purpose.ATTACK] >= 0.02


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_scores_are_float64_contiguous_and_the_callers_own(dtype):
    kept = np.array([[0.25, 0.75], [1.0, 0.0]], dtype=dtype)
    gate = gate_to(kept.T.copy().T)
    scores = ask(gate, 0, 1)
    assert scores.dtype == np.float64
    assert scores.flags.c_contiguous
    np.testing.assert_array_equal(scores, kept)
    scores[:] = 7
    np.testing.assert_array_equal(ask(gate, 0, 1), kept)


def test_lists_are_an_answer():
    np.testing.assert_array_equal(ask(gate_to([[0, 1]]), 0), [[0.0, 1.0]])


def test_the_number_of_classes_is_fixed_by_the_first_answer():
    answers = iter([np.full((1, 4), 0.25), np.full((1, 5), 0.2)])
    gate = gate_to(lambda batch: next(answers))
    assert gate.num_classes is None
    ask(gate, 0)
    assert gate.num_classes == 4
    with pytest.raises(OracleError, match=r"the same classes every time; it gave 5 columns, and 4 before"):
        ask(gate, 0)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([0.5, 0.5], r"scores of shape \(2, K\).* it gave shape \(2,\)"),
        ([[0.5, 0.5]], r"answer 2 images .* it gave shape \(1, 2\)"),
        (np.full((2, 2, 1), 0.5), r"it gave shape \(2, 2, 1\)"),
        (0.5, r"it gave shape \(\)"),
        ([[1.0], [1.0]], r"at least two classes; it gave shape \(2, 1\).* the two columns 1 - p and p"),
        ([[True, False], [False, True]], "real numbers; it gave dtype bool"),
        ([[1j, 0], [0, 1]], "real numbers; it gave dtype complex128"),
        ([["a", "b"], ["c", "d"]], "real numbers; it gave dtype <U1"),
        ([[0.5, 0.5], [None, 1]], "real numbers .*; it gave dtype object"),
        (
            [[0.5, 0.5], [1.0]],
            r"a list of 2 \(a list of 2 \(float, float\), a list of 1 \(float\)\), which is no array",
        ),
        ([[0.5, 0.5], [np.nan, 1]], r"finite scores; it gave nan for class 0 in row 1 \(image 7\)"),
        ([[0.5, np.inf], [0.5, 0.5]], r"it gave inf for class 1 in row 0 \(image 3\)"),
        ([[np.inf, -np.inf], [0.5, 0.5]], "it gave inf for class 0 in row 0"),
        ([[0.5, 0.5], [-0.1, 1.1]], r"within \[0, 1\]; it gave -0.1 for class 0 in row 1 \(image 7\)"),
        ([[0.5, 0.5], [3.0, -2.0]], "it gave 3 for class 0 .* looks like logits.* returns='logits'"),
        ([[1e308, 1e308], [1e308, 1e308]], r"it gave 1e\+308 for class 0 in row 0"),
        (
            [[0.5, 0.5], [0.5, 0.4]],
            r"sum to 1 within 0.001; row 1 \(image 7\) sums to 0.9; .*larger tolerance",
        ),
        ([[0.9, 0.9], [0.5, 0.5]], r"row 0 \(image 3\) sums to 1.8; sigmoids, one per label"),
    ],
)
def test_an_answer_that_is_no_table_of_probabilities_is_refused(answer, message):
    gate = gate_to(lambda batch: answer)
    with pytest.raises(OracleError, match=f"the oracle 'model' .*{message}"):
        ask(gate, 3, 7)
    assert gate.sent[3] == 1
    assert gate.num_classes is None


def test_an_entry_above_one_is_refused_even_where_the_row_sums_to_one():
    answer = np.full((1, 100), -0.0009)
    answer[0, 0] = 1 + 99 * 0.0009
    with pytest.raises(OracleError, match=r"within \[0, 1\]; it gave 1.0891 for class 0"):
        ask(gate_to(answer), 0)


def test_an_entry_below_zero_is_refused_even_where_the_row_sums_to_one():
    with pytest.raises(OracleError, match=r"within \[0, 1\]; it gave -0.1 for class 0"):
        ask(gate_to([[-0.1, 0.5, 0.6]]), 0)


def test_rounding_errors_are_tolerated_and_negative_ones_lifted_to_zero():
    answer = np.array([[-1e-7, 1.0000002, 0.0], [0.3334, 0.3334, 0.3334]])
    scores = ask(gate_to(answer), 0, 1)
    np.testing.assert_array_equal(scores, [[0.0, 1.0000002, 0.0], [0.3334, 0.3334, 0.3334]])


def test_the_tolerance_is_the_oracles():
    answer = [[0.5, 0.47]]
    with pytest.raises(OracleError, match=r"within 0\.01"):
        ask(gate_to(answer, tolerance=0.01), 0)
    np.testing.assert_array_equal(ask(gate_to(answer, tolerance=0.05), 0), answer)


def test_logits_become_probabilities():
    logits = np.array([[0.0, np.log(3.0)], [-5.0, -5.0]], dtype=np.float64)
    scores = ask(gate_to(logits, returns="logits"), 0, 1)
    np.testing.assert_allclose(scores, [[0.25, 0.75], [0.5, 0.5]], rtol=1e-15)


def test_softmax_is_taken_in_double_precision():
    logits = np.array([[0.0, 50.0]], dtype=np.float32)
    scores = ask(gate_to(logits, returns="logits"), 0)
    np.testing.assert_allclose(scores, [[np.exp(-50.0), 1.0]], rtol=1e-12)


def test_huge_logits_do_not_overflow():
    logits = np.array([[1e4, 0.0], [-1e4, -1e4], [1.7e308, -1.7e308]])
    scores = ask(gate_to(logits, returns="logits"), 0, 1, 2)
    np.testing.assert_array_equal(scores, [[1, 0], [0.5, 0.5], [1, 0]])


def test_softmax_leaves_the_oracles_array_alone():
    logits = np.array([[2.0, 1.0]])
    ask(gate_to(logits, returns="logits"), 0)
    np.testing.assert_array_equal(logits, [[2.0, 1.0]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_logits_must_be_finite(bad):
    with pytest.raises(OracleError, match=r"finite scores; it gave -?(nan|inf) for class 1 in row 0 \(image 4\)"):
        ask(gate_to([[0.0, bad]], returns="logits"), 4)


def test_probabilities_under_the_name_of_logits_are_refused_at_the_first_answer():
    with pytest.raises(OracleError, match=r"looks like probabilities.* returns='probabilities'"):
        ask(gate_to([[0.1, 0.9], [0.5, 0.5]], returns="logits"), 0, 1)


def test_logits_are_only_suspected_at_the_first_answer():
    answers = iter([[[3.0, -2.0]], [[0.5, 0.5]]])
    gate = gate_to(lambda batch: next(answers), returns="logits")
    ask(gate, 0)
    np.testing.assert_array_equal(ask(gate, 0), [[0.5, 0.5]])


def test_logits_that_happen_to_lie_between_zero_and_one_are_logits():
    scores = ask(gate_to([[0.1, 0.3], [0.5, 0.5]], returns="logits"), 0, 1)
    np.testing.assert_allclose(scores.sum(axis=1), 1)


def test_an_oracle_that_raises_is_named_and_chained():
    def fail(batch):
        raise KeyError("weights")

    with pytest.raises(
        OracleError, match=r"oracle 'model' failed on a batch of shape \(1, 2, 2, 1\): KeyError: 'weights'"
    ) as caught:
        ask(gate_to(fail), 0)
    assert isinstance(caught.value.__cause__, KeyError)
    assert caught.value.result is None


def test_seconds_count_even_where_the_oracle_fails():
    def fail(batch):
        time.sleep(0.02)
        raise KeyError("weights")

    gate = gate_to(fail)
    with pytest.raises(OracleError, match="weights"):
        ask(gate, 0)
    assert gate.seconds[Purpose.ATTACK] >= 0.02


def test_an_interrupt_passes_through():
    def interrupt(batch):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=r"^$"):
        ask(gate_to(interrupt), 0)


def test_an_error_that_is_already_ours_is_not_wrapped():
    def refuse(batch):
        raise InvalidInputError("wrong size")

    with pytest.raises(InvalidInputError, match=r"^wrong size$"):
        ask(gate_to(refuse), 0)


class Preparing(Oracle):
    """Keeps what it is told to prepare for, and fails on demand."""

    name = "preparing"
    returns = ScoreKind.PROBABILITIES

    def __init__(self, error=None):
        self.told = []
        self.error = error

    def prepare(self, shape, batch_size):
        self.told.append((shape, batch_size))
        if self.error is not None:
            raise self.error

    def scores(self, images):
        return half(images)


def test_preparing_goes_through_the_gate_and_is_no_query():
    oracle = Preparing()
    gate = Gate(oracle, num_images=1, max_queries=1)
    gate.prepare((2, 2, 1), 64)
    assert oracle.told == [((2, 2, 1), 64)]
    assert gate.counts == gate.calls == dict.fromkeys(Purpose, 0)


def test_an_oracle_that_cannot_get_ready_is_named_and_chained():
    gate = Gate(Preparing(MemoryError("too big")), num_images=1, max_queries=1)
    with pytest.raises(OracleError, match=r"'preparing' could not get ready .* MemoryError: too big") as caught:
        gate.prepare((2, 2, 1), 64)
    assert isinstance(caught.value.__cause__, MemoryError)
    gate = Gate(Preparing(InvalidInputError("wrong size")), num_images=1, max_queries=1)
    with pytest.raises(InvalidInputError, match=r"^wrong size$"):
        gate.prepare((2, 2, 1), 64)
