"""After the first clean answers a model that hardly sees what the labels say is told of, and nothing else changes."""

from __future__ import annotations

import json
import warnings

import numpy as np
import pytest
from scipy import stats

import dfa
from dfa.results.rates import chance_of
from oracles import LinearClassifier, random_images
from small_problem import CLASSES, CLASSIFIER, IMAGES, SHAPE

WORDS = {"epsilon": 8, "max_queries": 60, "progress": False}


def attack(labels, oracle=CLASSIFIER, images=IMAGES, **words):
    return dfa.run(oracle, images, labels, **{**WORDS, **words})


def told(labels, **words):
    """What is warned of, but for that most images were skipped."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = attack(labels, **words)
    found = [each for each in caught if each.category is not dfa.MostSkippedWarning]
    assert {each.category for each in found} <= {dfa.ChanceAccuracyWarning}
    return found, result


def right(number, shift=3):
    """Labels of which so many are the model's answers."""
    return np.where(np.arange(len(CLASSES)) < number, CLASSES, (CLASSES + shift) % 10)


def test_labels_that_the_model_does_not_see_are_told_of_at_once_and_in_words():
    (warning,), _ = told(right(1))
    assert warning.filename == __file__
    assert str(warning.message) == (
        "the answers on the first 24 images agree with 1 of their labels (4.2 %), no more than guessing among 10 "
        "classes would (10 %), so the model hardly sees what it was made for; usual causes are a wrong normalisation, "
        "order of channels (RGB or BGR) or order of classes; look at preprocess=, mean= and std= of dfa.as_oracle, the "
        "images' size and channels, labels=, and class_offset= of dfa.TfliteOracle"
    )


def test_ids_that_are_off_by_one_are_told_of():
    (warning,), _ = told((CLASSES - 1) % 10)
    assert "most answers are the label plus 1, so the ids seem to be off by one; usual" in str(warning.message)


def test_labels_that_count_the_datas_own_classes_are_told_of():
    names = ["ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay"]
    order = np.array([1, 2, 3, 4, 5, 0, 7, 8, 9, 6])  # by which most classes, and not all, are the next one
    number_of = {int(model): data for data, model in enumerate(order)}
    labels = np.array([number_of[int(each)] for each in CLASSES])
    own = dfa.data.ImageSet(IMAGES, labels=labels, class_names=names)
    cause = (
        "the labels number the classes as the data does (ant, bee, cat, ...; folders go by the alphabet), and the "
        "model may number them otherwise: pass class_names=, the model's in its order"
    )
    with pytest.warns() as caught:
        attack(None, images=own)
    assert {each.category for each in caught} == {dfa.ChanceAccuracyWarning, dfa.MostSkippedWarning}
    assert all(cause in str(each.message) and "off by one" not in str(each.message) for each in caught)
    for given, words in ((None, {"class_names": names}), (labels, {})):
        with pytest.warns() as caught:
            attack(given, images=own, **words)
        assert not any(cause in str(each.message) for each in caught)


@pytest.mark.parametrize("sequence", [np.array, list])
@pytest.mark.parametrize("batch_size", [1, 256])
def test_images_without_a_value_above_1_are_told_of_once_and_first(sequence, batch_size):
    images = sequence((IMAGES / 255).astype(np.uint8))
    with pytest.warns(
        dfa.DoubtfulDataWarning, match=r"no value of the first .* above 1.*\(images \* 255\)\.round"
    ) as told:
        attack(None, images=images, batch_size=batch_size)
    assert [each.filename for each in told] == [__file__]
    brighter = IMAGES // 128
    brighter[len(IMAGES) // 2, 3, 3] = 2
    attack(None, images=brighter)


def test_it_is_told_before_the_search_begins():
    answers = []

    def oracle(images):
        answers.append(len(images))
        return CLASSIFIER(images)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(dfa.ChanceAccuracyWarning) as caught:
            attack(right(0), oracle)
    assert answers == [24]
    assert caught.value.result.summary().total == 24


@pytest.mark.parametrize(("number", "is_told"), [(0, True), (4, True), (5, True), (6, False), (24, False)])
def test_it_is_told_where_guessing_gets_as_many_right(number, is_told):
    """Of 24 guesses among 10 classes, 5 and more are right in 8.5 % of all cases, and 6 and more in 2.8 %."""
    assert bool(told(right(number))[0]) is is_told


@pytest.mark.parametrize("batch_size", [1, 7, 256])
def test_images_are_gathered_until_they_say_something_and_told_of_once(batch_size):
    found, _ = told(right(0), batch_size=batch_size)
    first = {1: 20, 7: 21, 256: 24}[batch_size]
    assert [f"the first {first} images agree with 0" in str(each.message) for each in found] == [True]
    assert told(right(0)[:19], images=IMAGES[:19], batch_size=batch_size)[0] == []


def test_without_labels_nothing_is_said_whatever_the_answers():
    """Of images of one class the same is answered, with a probability of nearly 1, as a wrongly fed model does."""
    sure = dfa.as_oracle(lambda images: np.eye(1000)[np.full(len(images), 7)])
    assert told(None, oracle=sure)[0] == []
    assert told(np.full(24, 7), oracle=sure)[0] == []
    assert len(told(np.full(24, 8), oracle=sure)[0]) == 1


def test_chance_is_of_the_classes_that_the_model_knows():
    """3 of 24 are no more than luck among 10 classes, and more among 1,000."""
    wide = LinearClassifier(SHAPE, num_classes=1000)
    labels = np.where(np.arange(24) < 3, wide.classes(IMAGES), 999)
    assert told(labels, oracle=wide)[0] == []
    assert len(told(right(3))[0]) == 1


def test_records_and_counts_are_those_of_a_run_that_is_not_told_of():
    images = random_images(60, SHAPE, seed=5)
    classes = CLASSIFIER.classes(images)
    labels = np.where(np.arange(60) < 32, (classes + 1) % 10, classes)
    found, result = told(labels, images=images, batch_size=16)
    assert len(found) == 1
    alone = attack(None, images=images[32:], ids=[each.id for each in result.records[32:]], optimizer=SEARCH)
    result = told(labels, images=images, batch_size=16, optimizer=SEARCH)[1]
    assert [each.queries for each in result.records[32:]] == [each.queries for each in alone.records]
    assert result.profile.clean == 60


SEARCH = dfa.Racos(archive=False)


def test_images_that_cannot_be_read_are_no_evidence():
    images = [*IMAGES[:19], *(np.zeros((2, 2, 3), np.uint8) for _ in range(5))]
    assert told(right(0), images=images)[0] == []


def test_the_odds_of_guessing_are_those_of_a_binomial_distribution():
    for number, each in ((20, 0.5), (24, 0.1), (256, 0.001), (5000, 0.01)):
        for hits in (0, 1, 3, number // 2, number):
            assert chance_of(hits, number, each) == pytest.approx(stats.binom.sf(hits - 1, number, each), rel=1e-9)


def test_the_command_line_tells_it_in_its_own_words(here, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import MODEL, dfa_says

    namespace = {}
    exec(MODEL, namespace)
    images = random_images(22, (8, 7, 3))
    np.save("images.npy", images)
    np.save("labels.npy", (namespace["classify"](images).argmax(axis=1) + 3) % 10)
    words = ("attack", "model.py:classify", "images.npy", "--labels", "labels.npy", "--max-queries", 60)
    status, _, err = dfa_says(capsys, *words, "--out", "run")
    assert status == 5
    assert err.count("the first 22 images agree with 0 of their labels (0.0 %)") == 1
    assert "or order of classes; look at --preprocess" in err
    assert "Warning" not in err
    assert err.index("agree with 0") < err.index("22 of 22 images were skipped")
    (note,) = json.loads(dfa_says(capsys, *words, "--json", "--out", "j")[1])["notes"]
    assert note.startswith("the answers on the first 22 images agree")


def test_the_command_line_shows_warnings_of_others_as_ever(here, capsys):
    pytest.importorskip("click")
    pytest.importorskip("rich")
    from command_line import MODEL, dfa_says

    (here / "model.py").write_text(MODEL.replace("def classify(images):", "def classify(images):\n    warn()"))
    (here / "model.py").write_text(
        "import warnings\ndef warn(): warnings.warn('a word of its own')\n" + (here / "model.py").read_text()
    )
    with pytest.warns(UserWarning, match="a word of its own"):
        dfa_says(capsys, "attack", "model.py:classify", "photos", "--max-queries", 60, "--out", "run")
