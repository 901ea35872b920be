"""Success against a randomised oracle: one lucky answer is none, every answer counts, and the search goes on."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

import dfa
from dfa.search.confirmation import Confirmation
from oracles import LinearClassifier, Recorder, Until, raising, random_images
from outcomes import timeless

SHAPE = (6, 6, 3)
IMAGES = random_images(16, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)
CLASSES = CLASSIFIER.classes(IMAGES)
# Never asks about an image twice by itself, so that how often one was asked tells what for.
SCATTERED = replace(dfa.Racos.paper(), coordinates=9)
SETTINGS = {"epsilon": 4, "max_queries": 120, "batch_size": 8, "progress": False}


def attack(oracle, images=IMAGES, **settings):
    return dfa.run(oracle, images, **{**SETTINGS, **settings})


class Wavering:
    """Answers about an image by how often it was asked about it, so that neither batches nor a restart matter.

    `rule` takes the honest row, the image's own number, and how often it was asked before, and returns a row.
    """

    def __init__(self, rule):
        self._rule = rule
        self._asked = Counter()

    def __call__(self, images):
        scores = CLASSIFIER(images)
        for row, image in enumerate(images):
            name = image.tobytes()
            number = int.from_bytes(hashlib.blake2b(name, digest_size=4).digest(), "big")
            scores[row] = self._rule(scores[row], number, self._asked[name])
            self._asked[name] += 1
        return scores


def turned(row):
    """Return the row with its two likeliest classes swapped."""
    first, second = np.argsort(row)[[-1, -2]]
    row = row.copy()
    row[[first, second]] = row[[second, first]]
    return row


def lucky(row, number, asked):
    """Be wrong the first time about one image in five, and honest ever after."""
    return turned(row) if asked == 0 and number % 5 == 0 else row


def seldom(row, number, asked):
    """Be wrong, here and there, one time in four."""
    return turned(row) if hashlib.blake2b(b"%d %d" % (number, asked), digest_size=1).digest()[0] < 64 else row


def test_an_exact_oracle_is_attacked_alike_however_often_it_is_asked():
    plain, repeated = attack(CLASSIFIER), attack(CLASSIFIER, confirmations=5)
    assert 2 < plain.success.sum() < len(IMAGES)
    assert [(each.answers, each.agreeing) for each in plain.records] == [
        (1, 1) if ok else (0, 0) for ok in plain.success
    ]
    wanted = [(5, 5) if ok else (0, 0) for ok in plain.success]
    assert [(each.answers, each.agreeing) for each in repeated.records] == wanted
    assert timeless(plain.records, answers=0, agreeing=0) == timeless(repeated.records, answers=0, agreeing=0)
    assert (repeated.profile.clean, plain.profile.clean) == (5 * len(IMAGES), len(IMAGES))


def test_one_lucky_answer_does_not_end_a_search():
    once = attack(Wavering(lucky))
    assert [record.reason for record in once.records].count("not verified") > len(IMAGES) / 2
    result = attack(Wavering(lucky), confirmations=dfa.Confirmation(8, of=10))
    honest = attack(CLASSIFIER)
    assert result.success.sum() >= 0.7 * honest.success.sum() > 0
    for record in result.records:
        assert record.found == (record.verified or record.unconfirmed > 0)
        assert record.reason == ("" if record.verified else "query budget")
        image = result.images[record.index]
        assert (image is not None) == record.verified
        if image is not None:
            assert CLASSIFIER.classes(image[None])[0] != CLASSES[record.index]
    # They went on after the luck, and to the end of the budget.
    assert any(record.verified and record.unconfirmed for record in result.records)
    assert {record.queries_sent for record in result.records if not record.verified} == {120}
    summary = result.summary()
    assert summary.SR > summary.TSR
    assert summary.unconfirmed == sum(record.unconfirmed for record in result.records) > 10


def test_every_answer_is_counted():
    oracle = Recorder(Wavering(seldom))
    result = attack(oracle, confirmations=dfa.Confirmation(4, of=5), batch_size=64)
    profile = result.profile
    assert profile.clean == 5 * len(IMAGES)
    claims = sum(record.unconfirmed + record.verified for record in result.records)
    assert profile.verification == 5 * claims
    assert claims > 30
    assert oracle.num_images == profile.clean + profile.verification + result.queries_sent.sum()
    assert result.queries_sent.max() <= 120


@pytest.mark.parametrize(("needed", "falls"), [(6, True), (7, True), (8, False)])
def test_as_many_answers_must_agree_as_are_needed(needed, falls):
    def rule(row, number, asked):
        # Of the ten repeated answers the first seven are adversarial, two each for classes 1, 2 and 3; the honest class
        # has three, more than any of these.
        if not is_candidate[0]:
            return row
        return np.eye(10)[0] if asked > 7 else np.eye(10)[4 if asked == 7 else 1 + (asked - 1) % 3] * 0.5 + 0.05

    is_candidate = [False]
    image = IMAGES[CLASSES == 0][:1] if (CLASSES == 0).any() else None
    if image is None:
        image = next(each[None] for each in random_images(99, SHAPE, 7) if CLASSIFIER.classes(each[None])[0] == 0)

    class Oracle:
        def __init__(self):
            self._wavering = Wavering(rule)

        def __call__(self, images):
            is_candidate[0] = not (images == image).all()
            return self._wavering(images)

    # Scattered coordinates: of images this small two textures are the same, and a candidate asked twice has wavered.
    result = attack(Oracle(), image, confirmations=dfa.Confirmation(needed, of=10), max_queries=40, optimizer=SCATTERED)
    (record,) = result.records
    assert record.verified == falls
    if falls:
        assert (record.answers, record.agreeing, record.class_after) == (10, 7, 1)
        # 0.55 in two answers, 0.05 in five, and 0 in three.
        assert record.probability_after == pytest.approx((2 * 0.55 + 5 * 0.05) / 10)
        assert record.confidence == 0.7
        assert record.confidence_interval == pytest.approx((0.3968, 0.8922), abs=1e-4)
    else:
        assert (record.answers, record.unconfirmed) == (0, 40)


def test_candidates_behind_a_confirmed_one_are_not_asked_about_again():
    originals = {image.tobytes() for image in IMAGES}

    def all_but_the_originals(images):
        return np.array([[0.75, 0.25] if image.tobytes() in originals else [0.25, 0.75] for image in images])

    result = attack(all_but_the_originals, confirmations=3, batch_size=64, optimizer=SCATTERED)
    assert result.queries.tolist() == [1] * len(IMAGES)
    # Of each image, its whole first population was adversarial, in one batch.
    assert result.queries_sent.tolist() == [SCATTERED.population] * len(IMAGES)
    assert result.profile.verification == 3 * len(IMAGES)


def test_what_was_not_confirmed_ranks_by_the_mean_degree_of_its_repeated_answers():
    # Adversarial once, and then by turns as far from it as can be and half as far: a degree of 0.75 on average.
    def rule(row, number, asked):
        if (original := number == numbers[0]) or asked > 0:
            return np.array([1.0, 0.0]) if original or asked % 2 else np.array([0.75, 0.25])
        return np.array([0.0, 1.0])

    class Two(Wavering):
        def __call__(self, images):
            return np.stack([self._rule(None, self.number(each), self.turn(each)) for each in images])

        def number(self, image):
            return int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=4).digest(), "big")

        def turn(self, image):
            self._asked[image.tobytes()] += 1
            return self._asked[image.tobytes()] - 1

    oracle = Two(rule)
    numbers = [oracle.number(IMAGES[0])]
    settings = {"objective": "paper", "optimizer": SCATTERED, "max_queries": 20}
    result = attack(oracle, IMAGES[:1], confirmations=dfa.Confirmation(1, of=4), **settings)
    (record,) = result.records
    assert (record.status, record.unconfirmed) == (dfa.Status.FAILURE, 20)
    assert record.degree == 0.75


def test_the_degrees_that_an_objective_returned_stay_its_own():
    returned, copies = [], []

    def keeping(scores, classes):
        returned.append(dfa.objectives.PAPER.untargeted(scores, classes))
        copies.append(returned[-1].copy())
        return returned[-1]

    result = attack(Wavering(lucky), confirmations=3, objective=keeping)
    assert sum(record.unconfirmed for record in result.records) > 0
    for degrees, copy in zip(returned, copies, strict=True):
        np.testing.assert_array_equal(degrees, copy)


@pytest.mark.parametrize("settings", [{"batch_size": 3}, {"batch_size": 256}, {"threads": 3}])
def test_neither_batches_nor_threads_matter(settings):
    settings = {"confirmations": dfa.Confirmation(4, of=5), "optimizer": SCATTERED, **settings}
    expected = attack(Wavering(seldom), **{**settings, "batch_size": 8, "threads": 1})
    result = attack(Wavering(seldom), **settings)
    # What is asked about candidates behind a hit, and counted as unconfirmed, is a matter of batches.
    alike = {"unconfirmed": 0}
    assert timeless(result.records, **alike) == timeless(expected.records, **alike)
    assert 0 < expected.success.sum() < len(IMAGES)


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize("num_calls", [0, 3, 30, 100, 200, 300, 400])
def test_a_run_that_was_cut_short_goes_on_as_if_it_had_not_been(tmp_path, num_calls):
    settings = {"confirmations": dfa.Confirmation(4, of=5), "optimizer": SCATTERED}
    expected = attack(Wavering(seldom), **settings)
    storage = dfa.Storage(tmp_path / "run", resume=True, interval=40)
    dies = Until(num_calls, Wavering(seldom), raising(OSError("off")))
    with pytest.raises(dfa.OracleError):
        attack(dies, store=storage, **settings)
    oracle = Recorder(Wavering(seldom))
    # A randomised oracle finds some files benign when it is asked about them once more.
    with pytest.warns(dfa.RefutedFilesWarning):
        result = attack(oracle, store=storage, **settings)
    assert timeless(result.records) == timeless(expected.records)
    assert result.profile.verification == expected.profile.verification
    assert any(record.verified and record.unconfirmed for record in result.records)
    assert timeless(dfa.Result.load(tmp_path / "run").records) == timeless(expected.records)


@pytest.mark.parametrize("num_calls", range(2, 14))
def test_a_hit_confirmed_in_half_an_iteration_outlives_a_kill(tmp_path, num_calls):
    # Iterations of 40 candidates in batches of 8, so that checkpoints fall between a hit and the end of its iteration.
    settings = {
        "confirmations": 2,
        "epsilon": 30,
        "optimizer": replace(SCATTERED, samples=38),
        "images": IMAGES[[0, 2]],
    }
    expected = attack(CLASSIFIER, **settings)
    assert expected.success.all()
    storage = dfa.Storage(tmp_path / "run", resume=True, interval=32)
    with pytest.raises(dfa.OracleError):
        attack(Until(num_calls, CLASSIFIER, raising(OSError("off"))), store=storage, **settings)
    assert timeless(attack(CLASSIFIER, store=storage, **settings).records) == timeless(expected.records)


def test_a_run_is_not_taken_up_with_other_confirmations(tmp_path):
    with pytest.raises(dfa.OracleError):
        attack(Until(9, CLASSIFIER, raising(OSError("off"))), store=tmp_path / "run", confirmations=2)
    with pytest.raises(dfa.StoreError, match=r"config.confirmations.of was 2, and is 3"):
        attack(CLASSIFIER, store=tmp_path / "run", resume=True, confirmations=3)


def test_files_are_checked_by_as_many_answers(tmp_path):
    result = attack(CLASSIFIER, confirmations=dfa.Confirmation(4, of=5))
    number = int(result.success.sum())
    report = result.save(tmp_path / "good", oracle=CLASSIFIER)
    assert (report.written, report.verified) == (number, number)
    calls = Recorder(lambda images: CLASSIFIER(images) if len(calls.batches) % 5 else turned_all(images))
    assert result.save(tmp_path / "four", oracle=calls).verified == number
    assert calls.num_images == 5 * number
    calls = Recorder(lambda images: CLASSIFIER(images) if len(calls.batches) % 5 > 1 else turned_all(images))
    with pytest.warns(dfa.RefutedFilesWarning):
        report = result.save(tmp_path / "three", oracle=calls)
    assert report.verified == 0
    assert report.refuted[0][1] == "adversarial in 3 of 5 answers, of which 4 must be"


def turned_all(images):
    """Find every adversarial image benign."""
    return np.eye(10)[[CLASSES[np.abs(IMAGES.astype(int) - each).max(axis=(1, 2, 3)).argmin()] for each in images]]


def test_verification_asks_as_often_and_forgives_as_much(tmp_path):
    result = attack(CLASSIFIER, confirmations=dfa.Confirmation(4, of=5))
    result.save(tmp_path / "run", oracle=CLASSIFIER)
    number = int(result.success.sum())

    class Sometimes:
        """Wrong about every image asked alone, once in so many calls."""

        def __init__(self, period, wrong):
            self.calls, self._period, self._wrong = 0, period, wrong

        def __call__(self, images):
            self.calls += len(images) == 1
            is_wrong = len(images) == 1 and self.calls % self._period < self._wrong
            return turned_all(images) if is_wrong else CLASSIFIER(images)

    verification = dfa.verify(tmp_path / "run", Sometimes(5, 1))
    assert verification.holds
    assert verification.checked["adversarial"] == number
    assert "alone" not in verification.checked
    assert "randomised" in verification.notes[0]
    verification = dfa.verify(tmp_path / "run", Sometimes(5, 2))
    assert verification.failed("adversarial") == number
    assert "3 of 5 answers find it adversarial, of which 4 must" in verification.findings[0].problem


def test_confidence_is_told_everywhere(tmp_path):
    pytest.importorskip("jinja2")
    from dfa.views.report import write_report

    with pytest.warns(dfa.RefutedFilesWarning):
        result = attack(Wavering(seldom), confirmations=dfa.Confirmation(4, of=5), store=tmp_path / "run")
    summary = result.summary()
    successes = [record for record in result.records if record.verified]
    assert summary.answers == 5 * len(successes)
    assert summary.confidence == sum(record.agreeing for record in successes) / summary.answers
    # The share over answers that chose the images has no interval; the interval is of answers that chose nothing.
    assert not hasattr(summary, "confidence_interval")
    assert f"% of {summary.answers} answers (they chose the images, so this flatters)" in str(summary)
    low, high = summary.fresh_interval
    assert 0.4 < low < summary.fresh_confidence < high < summary.confidence < 1
    interval = f"(95 % interval: {100 * low:.1f} % to {100 * high:.1f} %)"
    assert f"% of {summary.fresh_answers} find these images adversarial {interval}" in str(summary)
    assert "confirmed by" not in str(attack(CLASSIFIER).summary())
    frame = result.to_pandas()
    row = frame[frame.verified].iloc[0]
    record = successes[0]
    assert (row.confidence, row.confidence_low, row.confidence_high) == (record.confidence, *record.confidence_interval)
    loaded = dfa.Result.load(tmp_path / "run")
    assert (loaded.fresh, str(loaded.summary())) == (result.fresh, str(summary))
    html = write_report(tmp_path / "run").read_text()
    assert f"of {summary.fresh_answers} fresh answers, which chose nothing" in html
    assert f"By fresh answers about their files: {100 * summary.TSR_of_files:.1f} %" in html
    assert f"{record.agreeing} of 5 answers agree ({result.fresh[record.index].agreeing} of 5 fresh ones)" in html
    assert f"of {summary.answers} repeated answers about the successes agree" in html
    assert f"{record.agreeing} of 5 answers agree (" in html
    assert "confirmations=dfa.Confirmation(needed=4, of=5)" in html


def test_the_interval_is_of_answers_that_chose_nothing(tmp_path):
    """Every other answer is adversarial, whatever the image: one that passed 4 of 5 by luck is worth a half."""

    def every_other(row, number, asked):
        return turned(row) if hashlib.blake2b(b"%d %d" % (number, asked), digest_size=1).digest()[0] % 2 else row

    oracle = Wavering(lambda row, number, asked: every_other(row, number, asked) if number not in originals else row)
    originals = {int.from_bytes(hashlib.blake2b(image.tobytes(), digest_size=4).digest(), "big") for image in IMAGES}
    result = attack(oracle, confirmations=dfa.Confirmation(4, of=5), epsilon=2)
    assert "fresh answers" in str(result.summary())
    assert math.isnan(result.summary().fresh_confidence)
    with pytest.warns(dfa.RefutedFilesWarning):
        result.save(tmp_path / "run")
    summary = result.summary()
    assert summary.verified > 10
    assert summary.confidence >= 0.8
    assert summary.fresh_answers == 5 * summary.verified
    assert summary.fresh_interval[0] < 0.5 < summary.fresh_interval[1] < 0.75
    # Whoever verifies asks anew as well.
    verification = dfa.verify(tmp_path / "run", oracle)
    agreeing, number = verification.fresh
    assert number == 5 * summary.verified
    assert 0.35 < agreeing / number < 0.65
    assert f"fresh answers: {100 * agreeing / number:.1f} % of {number} find the images adversarial" in str(
        verification
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1, Confirmation()),
        (3, Confirmation(3, 3)),
        (np.int64(3), Confirmation(3, 3)),
        ("8/10", Confirmation(8, 10)),
        ("4", Confirmation(4, 4)),
        ({"needed": 2, "of": 3}, Confirmation(2, 3)),
        (Confirmation(2, of=3), Confirmation(2, 3)),
    ],
)
def test_confirmations_may_be_written_in_words(value, expected):
    assert Confirmation.parse(value) == expected


@pytest.mark.parametrize("value", [0, -1, 2.0, True, None, "", "a/b", "3/2", "/3", "0/3", 10_001, (2, 3), {"of": 3}])
def test_other_confirmations_are_refused(value):
    with pytest.raises(dfa.InvalidInputError, match="confirmation"):
        attack(CLASSIFIER, confirmations=value)
