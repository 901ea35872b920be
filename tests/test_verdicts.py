"""What a result is worth: exact intervals, how many images a margin needs, two models compared, a bar held."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from scipy import stats

import dfa
from dfa.results.images import AdversarialImages
from dfa.results.rates import clopper_pearson, mcnemar
from dfa.verdicts.judgement import judge
from oracles import LinearClassifier, random_images
from sample_results import failure, make_result, success

CONFIG: dict[str, Any] = {"max_queries": 2_000, "epsilon": 4, "versions": {"dfa": "1"}}


def reaches(part: float, number: int, confidence: float) -> float:
    """Return how far the exact interval reaches from a share, by SciPy."""
    exact = stats.binomtest(int(part), number).proportion_ci(confidence, "exact")
    return max(part / number - exact.low, exact.high - part / number)


@pytest.mark.parametrize(
    ("margin", "confidence", "share"),
    [(0.05, 0.95, 0.5), (0.1, 0.99, 0.5), (0.03, 0.95, 0.9), (0.03, 0.95, 0.12), (0.04, 0.9, 0.0)],
)
def test_so_many_images_and_no_fewer_keep_the_margin(margin, confidence, share):
    number = dfa.sample_size(margin, confidence, share)
    for size, holds in ((number, True), (number - 1, False)):
        parts = {np.floor(share * size), np.ceil(share * size)}
        assert (max(reaches(part, size, confidence) for part in parts) <= margin) == holds
    assert dfa.sample_size(margin, confidence) >= number


def test_a_confidence_next_to_1_is_one_below_1():
    assert dfa.sample_size(0.05, float(np.nextafter(1, 0))) > dfa.sample_size(0.05, 1 - 1e-12) > 5_000


@pytest.mark.parametrize(
    "wrong", [{"margin": 0}, {"margin": 1}, {"margin": 0.1, "confidence": 1}, {"margin": 0.1, "share": 1.1}]
)
def test_a_margin_of_nothing_is_refused(wrong):
    with pytest.raises(dfa.InvalidInputError, match=f"^{list(wrong)[-1]} must be a number .*, got"):
        dfa.sample_size(**wrong)


@pytest.mark.parametrize(("only_a", "only_b"), [(0, 0), (0, 6), (3, 11), (7, 7), (40, 75), (2_000, 1_800)])
def test_mcnemars_test_is_scipys(only_a, only_b):
    number = only_a + only_b
    exact = stats.binomtest(only_a, number, 0.5).pvalue if number else 1.0
    assert mcnemar(only_a, only_b) == pytest.approx(exact, rel=1e-9)


def result_of(broken, *, labels=None, wrong=(), **config):
    """Return a result of as many images as there are words in a text, x for a broken one; `wrong` ones were so."""
    records, images = [], AdversarialImages(len(broken))
    for index, each in enumerate(broken):
        label = None if labels is None else labels[index]
        if index in wrong:
            record = dfa.Record(index, 1000 + index, dfa.Status.SKIPPED, "misclassified", label=label, class_before=9)
        else:
            record = (success if each == "x" else failure)(index, label=label, class_before=label or 0)
        if each == "x" and index not in wrong:
            images.put(index, np.zeros((2, 2, 1), dtype=np.uint8))
        records.append(record)
    return dfa.Result(records, images, config=CONFIG | config)


def test_a_summary_has_exact_intervals():
    summary = result_of("xx........", labels=[1] * 10, wrong=[9]).summary()
    assert (summary.robust_accuracy, summary.withstood) == (0.7, 7)
    assert summary.robust_accuracy_interval == clopper_pearson(7, 10)
    assert summary.TSR_interval == clopper_pearson(2, 9)
    assert np.isnan(make_result(config={}).summary().TSR_interval).sum() == 0
    assert np.isnan(result_of("x.").summary().robust_accuracy_interval).all()


def test_two_models_are_compared_image_by_image():
    labels = [1] * 9 + [2] * 9
    a = result_of("xx" + "x" + "." * 15, labels=labels, wrong=[17])
    b = result_of("..xxxxxxxxx......x", labels=labels)
    found = dfa.compare(a, b)
    assert (found.both, found.only_a, found.only_b, found.neither) == (2, 2, 8, 6)
    assert found.difference == pytest.approx(b.summary().robust_accuracy - a.summary().robust_accuracy)
    assert found.p_value == pytest.approx(stats.binomtest(2, 10).pvalue)
    assert (found.fell, found.mended, found.is_worse) == (tuple(range(3, 11)), (0, 1), False)
    assert "8 in the second alone, and 6 in neither (not broken by 2,000 queries)" in str(found)
    assert "-33.3 points, p = 0.11 by McNemar's exact test, which is within chance" in str(found)
    assert "robust" not in str(found)
    turned = dfa.compare(b, a)
    assert (turned.only_a, turned.only_b, turned.difference, turned.p_value) == (8, 2, -found.difference, found.p_value)


@pytest.mark.parametrize(("fell", "is_worse"), [(5, False), (6, True)])
def test_six_images_that_fell_are_more_than_chance(fell, is_worse):
    a, b = result_of("." * 12), result_of("x" * fell + "." * (12 - fell))
    assert dfa.compare(a, b).is_worse == is_worse
    assert not dfa.compare(b, a).is_worse
    assert "so the second is better beyond chance" in str(dfa.compare(b, a)) or not is_worse


def test_order_is_no_matter_and_what_was_not_attacked_is_left_out():
    a, b = result_of("xx.."), result_of("....")
    turned = [dataclasses.replace(b.records[3 - place], index=place) for place in range(4)]
    turned[0] = dataclasses.replace(turned[0], status=dfa.Status.ERROR)
    found = dfa.compare(a, dfa.Result(turned, AdversarialImages(4), config=CONFIG))
    assert (found.only_a, found.mended, found.neither, found.left_out) == (2, (2, 3), 1, 1)
    assert "with 1 more image left out" in str(found)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (result_of("...."), r"of the same images, and 1 of 5 of the first are not in the second \(image 4\)"),
        (result_of("......"), r"of the same images, and 1 of 6 of the second are not in the first \(image 5\)"),
        (result_of(".....", labels=[1] * 5), "of the same labels, and 5 of 5 differ: image 0 has 'none' .* '1'"),
        (result_of(".....", epsilon=8), "of one attack, and epsilon is 4 in the first and 8 in the second"),
        (result_of(".....", epsilon=None, space={"kind": "patch"}), "and space is None in the first and {'kind'"),
        (result_of(".....", max_queries=100), "and max_queries is 2000 in the first and 100 in the second"),
        (result_of(".....", optimizer={"samples": 2}), "and optimizer is None in the first"),
    ],
)
def test_what_is_not_of_the_same_is_refused_by_name(other, words):
    with pytest.raises(dfa.InvalidInputError, match=words):
        dfa.compare(result_of("....."), other)


def test_copies_of_an_image_are_paired_each_with_its_own():
    a, b = result_of("x..."), result_of(".x..")
    for result in (a, b):
        result.records[:] = [dataclasses.replace(record, id=7) for record in result.records]
    found = dfa.compare(a, b)
    assert (found.only_a, found.only_b, found.number) == (1, 1, 4)


def test_what_is_no_result_is_refused():
    with pytest.raises(dfa.InvalidInputError, match=r"must be dfa\.Result, got str; read one"):
        dfa.compare(result_of("."), "runs/first")


def test_results_are_compared_from_memory_and_from_folders(tmp_path):
    images, model = random_images(12), LinearClassifier()
    labels = model.classes(images)
    settings = {"epsilon": 2, "max_queries": 60, "progress": False}
    first = dfa.run(model, images, labels, **settings, store=tmp_path / "a")
    assert 0 < first.success.sum() < 12
    second = dfa.run(model, images[::-1], labels[::-1], **settings, optimizer=dfa.Racos(archive=False), seed=3)
    with pytest.raises(dfa.InvalidInputError, match=r"and optimizer \(archive\) is True in the first and False"):
        dfa.compare(dfa.Result.load(tmp_path / "a"), second)
    second = dfa.run(model, images[::-1], labels[::-1], **settings, seed=3)
    found = dfa.compare(dfa.Result.load(tmp_path / "a"), second)
    broken = (first.success, second.success[::-1])
    assert (found.only_a, found.only_b) == (int((broken[0] > broken[1]).sum()), int((broken[1] > broken[0]).sum()))
    assert found.number == 12


def test_ids_of_other_pixels_do_not_pass_for_the_same_images():
    images, model = random_images(6), LinearClassifier()
    settings = {"epsilon": 30, "max_queries": 200, "progress": False, "ids": np.arange(6)}
    first = dfa.run(model, images, **settings)
    assert dfa.compare(first, dfa.run(model, images, **settings)).both > 0
    with pytest.raises(dfa.InvalidInputError, match=r"image 0 of the first has the id of image 0 .* other pixels"):
        dfa.compare(first, dfa.run(model, random_images(6, seed=5), **settings))


def test_the_share_itself_is_held_against_the_bar():
    result = result_of("xx........", labels=[1, 2] * 5, wrong=[9])
    verdict = judge(result, 0.7)
    assert (verdict.outcome, verdict.share, verdict.interval) == (dfa.Outcome.PASSED, 0.7, clopper_pearson(7, 10))
    assert judge(result, 0.71).outcome is dfa.Outcome.BELOW
    assert (verdict.wrong, verdict.broken) == (1, 2)
    assert "7 of 10 (70.0 %, 95 % interval 34.8 % to 93.3 %) not broken by 2,000 queries" in str(verdict)
    without = judge(result_of("xx........"), 0.8)
    assert (without.passed, without.part, without.whole) == (True, 8, 10)


def test_what_an_attack_might_spend_is_said_whole():
    result = result_of(".x", max_seconds=2.5, give_up_after=1_000)
    assert "not broken by 2,000 queries or 2.5 s or where nothing moved 1,000 queries" in str(judge(result, 0))


def test_a_baseline_is_held_only_beyond_chance():
    before, now = result_of("x" + "." * 19, labels=[1, 2] * 10), result_of("x" * 7 + "." * 13, labels=[1, 2] * 10)
    assert judge(now, 0.5, before).outcome is dfa.Outcome.WORSE
    assert judge(now, 0.9, before).outcome is dfa.Outcome.BELOW
    assert judge(before, 0.5, now).outcome is dfa.Outcome.PASSED
    five = result_of("x" * 6 + "." * 14, labels=[1, 2] * 10)
    assert judge(five, 0.5, before).outcome is dfa.Outcome.PASSED


def not_judged(result):
    verdict = judge(result, 0)
    assert verdict.outcome is dfa.Outcome.NOT_JUDGED
    assert str(verdict).startswith("not judged, since ")
    return verdict.why


def guessing(right, number=20):
    """Return a result of a model of two classes that has the other one for all but so many images; none is broken."""
    records = [
        failure(index, label=index % 2, class_before=index % 2)
        if index < right
        else dfa.Record(index, index, dfa.Status.SKIPPED, "misclassified", label=index % 2, class_before=1 - index % 2)
        for index in range(number)
    ]
    return dfa.Result(records, AdversarialImages(number), config=CONFIG)


def test_a_run_that_says_little_is_not_judged():
    error = result_of("." * 10)
    error.records[3] = dataclasses.replace(error.records[3], status=dfa.Status.ERROR, reason="no\x1b[2J image")
    assert r"1 of 10 images have no answer (image 3 could not be attacked: no\x1b[2J image)" in not_judged(error)
    assert "6 of 10 images were not attacked" in not_judged(result_of("." * 10, labels=[1, 2] * 5, wrong=range(6)))
    few = result_of("." * 10, labels=[1, 2, 3, 4] + [None] * 6)
    assert not_judged(few) == "only 4 of 10 images have a label; give labels to all, or to none"


def test_a_model_that_guesses_or_sees_nothing_is_not_judged():
    assert "the model has one class for all 10 images, 0, whatever is done to them" in not_judged(result_of("." * 10))
    assert judge(result_of("x" + "." * 9), 0.9).passed  # what can be broken is seen
    assert judge(result_of("." * 10, labels=[1] * 10), 1).passed
    assert "agree with 12 of 20 labels (60.0 %), no more than guessing among 2 classes" in not_judged(guessing(12))
    assert judge(guessing(18), 0.9).passed
    assert judge(guessing(6, 10), 0.6).passed  # of so few a good model may get few right


def attacked(images, **settings):
    labels = settings.pop("labels", None)
    return dfa.run(LinearClassifier(), images, labels, max_queries=40, progress=False, **settings)


def test_what_each_image_was_attacked_with_is_compared_by_image_and_not_by_place():
    images, order = random_images(8), np.arange(8)[::-1]
    classes = LinearClassifier().classes(images)
    targets, epsilon = (classes + 1 + np.arange(8) % 2) % 4, np.where(np.arange(8) < 4, 1, 30)
    for settings in ({"targets": targets}, {"epsilon": epsilon}, {"epsilon": np.full((8, *images.shape[1:]), 2)}):
        name, values = next(iter(settings.items()))
        one = attacked(images, **settings)
        assert dfa.compare(one, attacked(images[order], **{name: values[order]})).number > 0
        if name == "targets" or values.ndim == 1:
            with pytest.raises(dfa.InvalidInputError, match=f"must be of one attack, and {name} is"):
                dfa.compare(one, attacked(images[order], **{name: values}))


def test_a_setting_that_one_run_has_not_is_told():
    first = result_of("x.", optimizer={"kind": "mine"})
    with pytest.raises(
        dfa.InvalidInputError, match=r"optimizer \(size\) is None in the first and None in the second; attack .*; to "
    ):
        dfa.compare(first, result_of("x.", optimizer={"kind": "mine", "size": None}))


def unread(index, status=dfa.Status.ERROR, **fields):
    return dfa.Record(index, 0, status, "cannot be read", **fields)


@pytest.mark.parametrize("source", [None, "a.png"])
@pytest.mark.parametrize("status", [dfa.Status.ERROR, dfa.Status.UNFINISHED])
def test_an_image_that_one_run_never_read_is_left_out(source, status):
    both = result_of("x..")
    records = [dataclasses.replace(each, source=source and f"{each.index}{source}") for each in both.records]
    both = dataclasses.replace(both, records=records)
    lost = unread(1, status, source=source and f"1{source}")
    other = dataclasses.replace(both, records=[records[0], lost, records[2]])
    for found in (dfa.compare(both, other), dfa.compare(other, both), dfa.compare(other, other)):
        assert (found.number, found.left_out, found.both) == (2, 1, 1)
    fewer = [records[0], unread(1, status, source=source and f"2{source}")]
    alone = dataclasses.replace(result_of("x."), records=fewer)
    with pytest.raises(dfa.InvalidInputError, match="1 of 3 of the first are not in the second"):
        dfa.compare(both, alone)


@pytest.mark.parametrize("reason", ["time", "not verified"])
def test_attacks_that_told_nothing_are_no_images_that_are_left(reason):
    def with_open(number, whole=10, broken=2):
        result = result_of("x" * broken + "." * (whole - broken), labels=[0] * whole)
        fields = {"reason": reason, "found": reason == "not verified"}
        records = [
            dataclasses.replace(each, **fields) if broken <= each.index < broken + number else each
            for each in result.records
        ]
        return dataclasses.replace(result, records=records)

    # Were they broken too, 5 of 10 would still be left.
    assert judge(with_open(3), 0.5).passed
    # A share that is just held hangs on nothing, whatever a product of floats says of it.
    assert all(
        judge(with_open(0, whole, whole - part), part / whole).passed for whole in (20, 49) for part in range(whole)
    )
    verdict = judge(with_open(4), 0.5)
    assert verdict.outcome is dfa.Outcome.NOT_JUDGED
    assert "the attacks on 4 images ended before their budget and tell nothing (" in str(verdict)
    assert "leave max_seconds out or raise it" in str(verdict)
    assert judge(with_open(8), 0.9).outcome is dfa.Outcome.BELOW
    assert dfa.compare(with_open(3), with_open(0)).left_out == 3
    assert judge(with_open(5), 0.0, with_open(0)).passed
    assert judge(with_open(6), 0.0, with_open(0)).outcome is dfa.Outcome.NOT_JUDGED
