"""An oracle that fails in the middle of a batch: what it did answer is kept, and not asked again."""

from __future__ import annotations

import sqlite3
from collections import Counter
from contextlib import closing, suppress
from types import SimpleNamespace

import numpy as np
import pytest

import dfa
from dfa.engine import file_answers
from dfa.engine.jury import Claim, Jury
from dfa.errors import OracleError, PartialAnswer
from dfa.runs.journal import Picture
from dfa.runs.store import Store
from oracles import Recorder, Until, raising
from small_problem import CLASSIFIER, IMAGES
from stored_runs import INTERVAL, SETTINGS, assert_same, attack

BIG = 10**6
"""An interval between checkpoints that no run here reaches: what is not sent again was kept at the failure."""


def one(image):
    return CLASSIFIER(image[np.newaxis])[0]


def logits_of_one(image):
    return np.log(one(image))


def label_of_one(image):
    return CLASSIFIER.classes(image[np.newaxis])[0]


def top_of_one(image):
    scores = one(image)
    labels = np.argsort(-scores, kind="stable")[:3]
    return labels, scores[labels]


class Unreliable:
    """A function of one image that fails at random, and counts how often it answered about each."""

    def __init__(self, ask, share, seed=0):
        self.answered = Counter()
        self.failures = 0
        self._ask = ask
        self._share = share
        self._random = np.random.default_rng(seed)

    def __call__(self, image):
        if self._random.random() < self._share:
            self.failures += 1
            raise ConnectionError("503")
        self.answered[image.tobytes()] += 1
        return self._ask(image)


class SomeRows:
    """A function of a batch that at times answers only some rows, and counts the images it was sent."""

    def __init__(self, share, seed=0):
        self.answered = Counter()
        self.num_images = 0
        self.failures = 0
        self._share = share
        self._random = np.random.default_rng(seed)

    def __call__(self, images):
        self.num_images += len(images)
        rows = np.arange(len(images))
        if self._random.random() < self._share:
            self.failures += 1
            rows = self._random.permutation(len(images))[: self._random.integers(len(images))]
        self.answered.update(image.tobytes() for image in images[rows])
        answers = CLASSIFIER(images[rows]) if len(rows) else []
        if len(rows) < len(images):
            raise PartialAnswer(rows, answers, TimeoutError("503"))
        return answers


def until_done(oracle, folder, **settings):
    """Resume a run until it is done."""
    for _ in range(300):
        with suppress(OracleError):
            return attack(oracle, folder, interval=BIG, **settings)
    raise AssertionError("never done")


def assert_nothing_is_asked_twice(function, whole):
    """Check that a function answered what it answered in a run that nothing ended, and that as often.

    But for originals, a few of which are asked about whenever a run is resumed, to see whether the oracle is the same.
    """
    originals = {image.tobytes() for image in IMAGES}
    of_runs = [
        {image: times for image, times in each.answered.items() if image not in originals} for each in (function, whole)
    ]
    assert of_runs[0] == of_runs[1]


@pytest.mark.weekly_but(3)
@pytest.mark.parametrize(
    ("ask", "declared", "settings"),
    [
        (one, {}, {}),
        # Two batches for every batch of candidates.
        (label_of_one, {"returns": "label", "num_classes": 10}, {"max_queries": 151}),
        (top_of_one, {"returns": "top_k", "num_classes": 10, "k": 3}, {}),
        (one, {}, {"confirmations": 3}),
        # A softmax is taken in place.
        (logits_of_one, {"returns": "logits"}, {"confirmations": 3, "batch_size": 7}),
        (one, {}, {"optimizer": dfa.Racos.paper(), "batch_size": 7}),
    ],
    ids=["probabilities", "labels", "top_k", "repeated", "logits", "paper"],
)
def test_a_function_that_fails_at_random_is_asked_once_about_everything(tmp_path, ask, declared, settings):
    whole, function = Unreliable(ask, 0), Unreliable(ask, 0.01)
    expected = attack(dfa.OneByOne(whole, name="one", **declared), tmp_path / "whole", **settings)
    result = until_done(dfa.OneByOne(function, name="one", **declared), tmp_path / "run", **settings)
    assert function.failures > 8
    assert_same(result, expected)
    assert_same(dfa.Result.load(tmp_path / "run"), expected)
    assert_nothing_is_asked_twice(function, whole)
    for name in ("clean", "verification", "rows_sent", "batches", "rows_capacity"):
        assert getattr(result.profile, name) == getattr(expected.profile, name)


@pytest.mark.parametrize(("seed", "held"), [(0, None), (1, None), (1, -1)])
def test_what_was_sent_is_what_the_oracle_got(tmp_path, monkeypatch, seed, held):
    if held is not None:
        # Answers about files go into the journal batch by batch, as those of many images do.
        monkeypatch.setattr(file_answers, "_MOST_HELD", held)
    whole, function = SomeRows(0), SomeRows(0.05, seed)
    expected = attack(whole, tmp_path / "whole")
    sent = []
    for _ in range(100):
        with suppress(OracleError):
            result = attack(function, tmp_path / "run", interval=BIG)
            break
        with closing(sqlite3.connect(tmp_path / "run" / "journal.sqlite")) as journal:
            sent.append((journal.execute("SELECT SUM(images) FROM sent").fetchone()[0], function.num_images))
    assert function.failures > 10
    assert_same(result, expected)
    assert_nothing_is_asked_twice(function, whole)
    profile = result.profile
    in_all = profile.rows_sent + profile.clean + profile.verification + profile.files + profile.resent
    assert in_all == function.num_images
    assert len(sent) > 5
    assert all(counted == got for counted, got in sent)


def test_a_failure_costs_the_rows_that_were_not_answered_and_no_more(tmp_path):
    """One of four rows fails, in the middle of the run: the others, and what waited, are not sent twice."""

    class Once:
        def __init__(self):
            self.batches = []

        def __call__(self, images):
            self.batches.append(images.copy())
            if len(self.batches) == 40:
                raise PartialAnswer([3, 0, 2], CLASSIFIER(images[[3, 0, 2]]), OSError("503"))
            return CLASSIFIER(images)

    function = Once()
    with pytest.raises(OracleError, match=r"Once' answered 3 of 4 images: OSError: 503") as caught:
        attack(function, tmp_path, interval=BIG)
    assert isinstance(caught.value, PartialAnswer)
    assert len(caught.value.result.records) == len(IMAGES)
    assert len(function.batches) == 40
    result = attack(function, tmp_path, interval=BIG)
    assert_same(result, dfa.run(CLASSIFIER, IMAGES, **SETTINGS))
    # The row that failed, and the question whether the oracle is the same.
    assert len(function.batches[41]) == 1
    np.testing.assert_array_equal(function.batches[41][0], function.batches[39][1])
    assert result.profile.resent == 1 + len(function.batches[40])
    # What waited behind the failure was no call yet.
    assert sum(result.profile.calls_over_time.calls) == result.profile.batches + 1


def test_what_is_met_first_behind_the_failure_says_why(tmp_path):
    """Whatever waited behind it, the run ends with the reason, and keeps what was answered."""
    for num_calls in range(6, 60, 9):
        oracle = Until(num_calls, CLASSIFIER, raising(PartialAnswer([], [], OSError("503"))))
        with pytest.raises(OracleError, match="OSError: 503"):
            attack(oracle, tmp_path / str(num_calls), interval=BIG)
        result = attack(CLASSIFIER, tmp_path / str(num_calls), interval=BIG)
        assert result.profile.resent <= 8 + 4


def test_a_batch_that_is_lost_whole_is_asked_again_from_the_last_checkpoint(tmp_path):
    with pytest.raises(OracleError, match="off"):
        attack(Until(40, CLASSIFIER, raising(OSError("off"))), tmp_path, interval=BIG)
    result = attack(CLASSIFIER, tmp_path, interval=BIG)
    assert result.profile.resent > 30 * 3


def test_kept_answers_are_dropped_once_a_checkpoint_covers_them(tmp_path):
    def kept():
        with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
            return journal.execute("SELECT COUNT(*) FROM answers").fetchone()[0]

    def fails_at(num_calls):
        def partly(images):
            raise PartialAnswer([0, 1], CLASSIFIER(images[:2]), OSError("503"))

        return Until(num_calls, CLASSIFIER, partly)

    with pytest.raises(OracleError, match="answered 2 of 4"):
        attack(fails_at(60), tmp_path)
    # Of this batch and, at most, of the one before it.
    assert 2 <= kept() <= 2 + 4
    # Of another batch now.
    with pytest.raises(OracleError, match="answered 2 of 4"):
        attack(fails_at(60), tmp_path)
    assert 2 <= kept() <= 2 + 4
    seen = []
    attack(lambda images: (seen.append(kept()), CLASSIFIER(images))[1], tmp_path)
    assert seen[0] > 0
    assert seen[INTERVAL] == 0


def test_an_answer_that_cannot_be_used_is_not_kept(tmp_path):
    def wrong(images):
        raise PartialAnswer([0, 1], np.full((2, 10), 7.0), OSError("503"))

    with pytest.raises(OracleError, match="503"):
        attack(Until(40, CLASSIFIER, wrong), tmp_path)
    assert_same(attack(CLASSIFIER, tmp_path), dfa.run(CLASSIFIER, IMAGES, **SETTINGS))


def test_an_answer_about_a_file_that_cannot_be_used_is_not_kept_either(tmp_path):
    def wrong(images):
        raise PartialAnswer([0, 1], np.full((2, 10), 7.0), OSError("503"))

    whole = Recorder(CLASSIFIER)
    expected = dfa.run(whole, IMAGES, **SETTINGS)
    with pytest.raises(OracleError, match="the files are written, but"):
        attack(Until(len(whole.batches), CLASSIFIER, wrong), tmp_path)
    again = Recorder(CLASSIFIER)
    assert_same(attack(again, tmp_path), expected)
    # The run itself had ended.
    assert again.num_images == expected.success.sum()


def test_answers_about_many_files_are_not_held_but_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(file_answers, "_MOST_HELD", 0)
    whole = Recorder(CLASSIFIER)
    expected = dfa.run(whole, IMAGES, **SETTINGS)
    files = SETTINGS["batch_size"]
    number = expected.success.sum()
    assert number > 2 * files
    # What answers all of three batches is not asked about these again, though the fourth is lost whole.
    with pytest.raises(OracleError, match="the files are written, but"):
        attack(Until(len(whole.batches) + 3, CLASSIFIER, raising(OSError("off"))), tmp_path)
    again = Recorder(CLASSIFIER)
    result = attack(again, tmp_path)
    assert_same(result, expected)
    assert result.fresh.keys() == set(expected.images.held())
    assert again.num_images == number - 3 * files
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM answers").fetchone() == (0,)


def test_a_damaged_answer_is_refused(tmp_path):
    def partly(images):
        raise PartialAnswer([0], CLASSIFIER(images[:1]), OSError("503"))

    with pytest.raises(OracleError, match="503"):
        attack(Until(40, CLASSIFIER, partly), tmp_path)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE answers SET answer = zeroblob(length(answer))")
    with pytest.raises(dfa.StoreError, match="an answer that was kept is damaged"):
        attack(CLASSIFIER, tmp_path)


def test_what_cannot_be_kept_is_said_and_the_result_is_there(tmp_path, monkeypatch):
    def full(self, answers):
        raise dfa.StoreError("no room")

    monkeypatch.setattr(Store, "keep", full)
    with pytest.raises(OracleError, match=r"503; what it did answer could not be kept either: no room") as caught:
        attack(Until(40, CLASSIFIER, raising(PartialAnswer([], [], OSError("503")))), tmp_path)
    assert len(caught.value.result.records) == len(IMAGES)


def test_a_run_that_is_not_kept_gives_back_what_it_found():
    function = Unreliable(one, 0.002, seed=2)
    with pytest.raises(OracleError, match=r"answered \d of 4 images: ConnectionError: 503") as caught:
        dfa.run(dfa.OneByOne(function), IMAGES, **SETTINGS)
    assert caught.value.result.success.any()


def test_claims_that_were_asked_about_in_vain_are_due_at_once():
    def fails(asked):
        raise PartialAnswer([], [])

    plan = SimpleNamespace(confirmation=SimpleNamespace(is_repeated=False))
    oracle = SimpleNamespace(ask_in_parts_ahead=lambda *_: [None], scores=fails)
    jury = Jury(plan, oracle, None, None, batch_size=4)
    jury.hear(Claim(SimpleNamespace(index=0), Picture(IMAGES[0], IMAGES[0])))
    while not jury.is_due:
        jury.wait()
    jury.ask_ahead()
    with pytest.raises(PartialAnswer):
        jury.settle_asked()
    assert jury.is_due
