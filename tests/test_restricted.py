"""Oracles that show less: what they declare, and runs on every level of information."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.oracle import Oracle, ScoreKind
from dfa.oracle.answers import is_told, reader_of
from oracles import never
from outcomes import timeless
from shown import attack, label, of_labels
from small_problem import CLASSIFIER, IMAGES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"returns": "label"}, "num_classes must be an integer of 2 or more, since an answer of returns='label'"),
        ({"returns": "top_1"}, "num_classes must be .*returns='top_1' does not tell it, got None"),
        ({"returns": "label", "num_classes": 1}, "num_classes must be .*got 1"),
        ({"returns": "label", "num_classes": True}, "num_classes must be .*got True"),
        ({"returns": "probabilities", "num_classes": 2.0}, "num_classes must be an integer of 2 or more, got 2.0"),
        (
            {"returns": "top_k", "num_classes": 10},
            r"k, the number of classes .* must be an integer of 1\.\.10, got None",
        ),
        ({"returns": "top_k", "num_classes": 10, "k": 11}, r"of 1\.\.10, got 11"),
        ({"returns": "top_k", "num_classes": 10, "k": 0}, r"of 1\.\.10, got 0"),
        ({"returns": "top_1", "num_classes": 10, "k": 2}, r"of 1\.\.1, got 2"),
        ({"returns": "logits", "k": 2}, "goes with returns='top_k', got 2 with returns='logits'"),
        ({"returns": "label", "num_classes": 10, "k": 1}, "goes with returns='top_k'"),
        ({"returns": "top_5"}, "returns must be one of 'probabilities', 'logits', 'top_k', 'top_1', 'label'"),
    ],
)
def test_what_an_oracle_shows_is_declared_in_full(arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        dfa.as_oracle(label, **arguments)


def test_a_record_says_what_was_shown():
    assert dfa.top_k(CLASSIFIER, 3, num_classes=10).describe() == {
        **dfa.as_oracle(CLASSIFIER).describe(),
        "returns": "top_k",
        "num_classes": 10,
        "num_shown": 3,
    }
    assert of_labels().describe()["num_classes"] == 10


def test_an_oracle_of_ones_own_that_does_not_declare_its_classes_is_refused_before_a_query():
    class Mine(Oracle):
        returns = ScoreKind.LABEL

        def scores(self, images):
            pytest.fail("asked")

    with pytest.raises(InvalidInputError, match="num_classes must be"):
        attack(Mine())


def test_only_what_shows_everything_can_be_made_to_show_less():
    with pytest.raises(InvalidInputError, match=r"only an oracle .* can be made to show less.*returns 'top_1'"):
        dfa.label_only(dfa.top_1(CLASSIFIER, num_classes=10))
    for shown in (dfa.top_1, dfa.label_only, lambda oracle: dfa.top_k(oracle, 2)):
        with pytest.raises(InvalidInputError, match=r"num_classes must .* does not tell how .*; pass num_classes=$"):
            shown(CLASSIFIER)
    with pytest.raises(InvalidInputError, match="knows 10 classes, got 9"):
        dfa.top_1(dfa.as_oracle(CLASSIFIER, num_classes=10), num_classes=9)


def test_an_oracle_refuses_the_number_of_classes_that_it_would_ignore():
    for arguments in ({"num_classes": 10}, {"k": 1}):
        with pytest.raises(InvalidInputError, match=f"set {next(iter(arguments))} on the CallableOracle itself"):
            dfa.as_oracle(dfa.as_oracle(CLASSIFIER), **arguments)


def test_a_rank_beyond_what_is_shown_is_refused_before_a_query():
    def unasked(images):
        pytest.fail("asked")

    shown = dfa.as_oracle(unasked, returns="top_k", k=3, num_classes=10)
    with pytest.raises(InvalidInputError, match=r"rank 4 cannot be told: .* names the likeliest 3 .*give class ids"):
        attack(shown, targets=dfa.rank(4))
    with pytest.raises(InvalidInputError, match=r"rank 2 cannot be told: .* likeliest 1"):
        attack(of_labels(unasked), targets=dfa.rank(2))
    assert attack(dfa.top_k(CLASSIFIER, 3, num_classes=10), targets=dfa.rank(3)).success.any()


@pytest.mark.parametrize("objective", ["odds", "log", "paper", "paper-code"])
@pytest.mark.parametrize("k", [2, 3, 10])
def test_an_untargeted_run_needs_no_more_than_two_classes(k, objective):
    whole = attack(CLASSIFIER, objective=objective)
    some = attack(dfa.top_k(CLASSIFIER, k, num_classes=10), objective=objective)
    assert whole.success.sum() >= 5
    assert timeless(some.records) == timeless(whole.records)


def test_a_targeted_run_is_the_same_where_every_class_is_shown():
    targets = (label(IMAGES) + 1) % 10
    whole, some = (attack(each, targets=targets) for each in (CLASSIFIER, dfa.top_k(CLASSIFIER, 10, num_classes=10)))
    assert timeless(some.records) == timeless(whole.records)


def test_a_function_of_tops_is_attacked_as_the_model_behind_it():
    def two(images):
        scores = CLASSIFIER(images)
        labels = np.argsort(-scores, axis=1, kind="stable")[:, :2]
        return labels, np.take_along_axis(scores, labels, axis=1)

    given_two = attack(dfa.as_oracle(two, returns="top_k", k=2, num_classes=10))
    assert timeless(given_two.records) == timeless(attack(CLASSIFIER).records)


def test_logits_may_be_restricted():
    logits = dfa.as_oracle(lambda images: CLASSIFIER.activations(images) / 5e4, returns="logits")
    whole, some = attack(logits), attack(dfa.top_k(logits, 2, num_classes=10))
    assert timeless(some.records) == timeless(whole.records)


@pytest.mark.parametrize("make", [dfa.top_1, dfa.label_only])
@pytest.mark.parametrize("targeted", [False, True])
def test_every_level_finds_images_that_hold(make, targeted):
    targets = (label(IMAGES) + 3) % 10 if targeted else None
    result = attack(make(CLASSIFIER, num_classes=10), epsilon=40, max_queries=600, targets=targets)
    assert result.success.mean() > 0.5
    for record, image in zip(result.records, result.images, strict=True):
        if record.verified:
            (found,) = label(image[None])
            assert found == record.target if targeted else found != record.class_before


def test_a_class_of_which_nothing_is_shown_costs_nothing_but_queries():
    result = attack(dfa.top_1(never, num_classes=2), IMAGES[:4], max_queries=40)
    assert not result.success.any()
    assert result.queries_sent.tolist() == [40] * 4


def test_the_likeliest_class_has_the_probability_that_was_shown():
    result = attack(dfa.top_1(CLASSIFIER, num_classes=10), epsilon=40, max_queries=600)
    assert result.success.any()
    for record, original, image in zip(result.records, IMAGES, result.images, strict=True):
        assert record.probability_before == CLASSIFIER(original[None]).max()
        if record.verified:
            assert record.probability_after == CLASSIFIER(image[None]).max()


@pytest.mark.parametrize("of", [1, 2])
def test_a_class_that_one_of_several_answers_hides_has_no_probability(of):
    """Every second call has another likeliest class."""
    calls = 0

    def wavering(images):
        nonlocal calls
        calls += 1
        labels = np.full(len(images), calls % 2)
        return labels, np.full(len(images), 0.6)

    oracle = dfa.as_oracle(wavering, returns="top_1", num_classes=10)
    result = attack(oracle, IMAGES[:1], confirmations=dfa.Confirmation(1, of=of), max_queries=40)
    (record,) = result.records
    assert record.found
    assert None not in (record.class_before, record.class_after)
    assert [record.probability_before, record.probability_after] == [0.6 if of == 1 else None] * 2


@pytest.mark.parametrize(
    ("oracle", "told"),
    [
        (dfa.as_oracle(CLASSIFIER), [True, True, True]),
        (dfa.top_k(CLASSIFIER, 10, num_classes=10), [True, True, True]),
        (dfa.top_k(CLASSIFIER, 2, num_classes=10), [True, True, False]),
        (dfa.top_1(CLASSIFIER, num_classes=10), [True, False, False]),
        (dfa.label_only(CLASSIFIER, num_classes=10), [False, False, False]),
    ],
)
def test_what_an_oracle_shows_is_told_and_nothing_else(oracle, told):
    reader = reader_of(oracle)
    scores = reader.scores(reader.arrays(oracle.scores(IMAGES[:1])), np.zeros(1, dtype=np.int64))
    likeliest = np.argsort(-CLASSIFIER(IMAGES[:1])[0], kind="stable")[:3]
    assert [is_told(oracle, scores, int(number)) for number in likeliest] == told
