"""What may differ when a run goes on, and what is refused by name."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import dfa
from dfa.oracle import Oracle
from dfa.runs.saved_run import read_run
from oracles import LazyImages, LinearClassifier, Recorder, Until, raising
from small_problem import CLASSIFIER, IMAGES, SHAPE
from stored_runs import SETTINGS, assert_same, attack, cut_short, run_whole


@pytest.fixture(scope="module")
def whole():
    return run_whole()


def test_a_changed_image_is_named(tmp_path):
    cut_short(tmp_path, 40)
    others = IMAGES.copy()
    others[3, 2, 2, 1] ^= 1
    oracle = Recorder(CLASSIFIER)
    with pytest.raises(dfa.StoreError, match=r"image 3 must be what it was .*has changed"):
        attack(oracle, tmp_path, others)
    assert oracle.num_images == 0

    def gone():
        raise OSError("gone")

    with pytest.raises(dfa.StoreError, match=r"image 2 must be what it was .*can no longer be read"):
        attack(oracle, tmp_path, LazyImages(IMAGES, {2: gone}))
    attack(oracle, tmp_path)


def test_an_image_changed_before_the_first_checkpoint_is_named_too(tmp_path):
    cut_short(tmp_path, 2, interval=10**6)
    with pytest.raises(dfa.StoreError, match="image 0 must be what it was"):
        attack(CLASSIFIER, tmp_path, 255 - IMAGES)


def test_an_image_that_could_not_be_read_before_and_now_can_is_named(tmp_path):
    def gone():
        raise OSError("gone")

    cut_short(tmp_path, 2, interval=10**6, images=LazyImages(IMAGES, {2: gone}))
    with pytest.raises(dfa.StoreError, match=r"image 2 must be what it was .*has changed"):
        attack(CLASSIFIER, tmp_path)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"epsilon": 9}, "config.epsilon was 8, and is 9"),
        ({"seed": 1}, "config.seed was 0, and is 1"),
        ({"max_queries": 151}, "config.max_queries was 150, and is 151"),
        ({"batch_size": 5}, "config.batch_size was 4, and is 5"),
        ({"optimizer": dfa.Racos(samples=2)}, "config.optimizer.samples was 1, and is 2"),
        ({"objective": "paper"}, 'config.objective was "odds", and is "paper"'),
        ({"targets": 3}, "config.targets was null, and is 3"),
        ({"labels": np.zeros(24, int)}, "inputs.labels was null"),
        ({"ids": np.arange(24)}, "inputs.ids was null"),
        ({"images": IMAGES[:20]}, "config.num_images was 24, and is 20"),
    ],
)
def test_changed_settings_are_named(tmp_path, settings, message):
    cut_short(tmp_path, 30)
    before = sorted(path.name for path in (tmp_path / "images").iterdir())
    with pytest.raises(dfa.StoreError, match=message):
        attack(CLASSIFIER, tmp_path, **settings)
    assert sorted(path.name for path in (tmp_path / "images").iterdir()) == before


def test_a_long_value_is_named_in_short(tmp_path):
    cut_short(tmp_path, 30)
    with pytest.raises(dfa.StoreError, match=r"inputs\.labels was null, and is \[(0, ){18}0,\.\.\.; put it back"):
        attack(CLASSIFIER, tmp_path, labels=np.zeros(24, int))


def test_of_long_lists_the_first_entry_that_differs_is_named(tmp_path):
    labels = CLASSIFIER.classes(IMAGES)
    cut_short(tmp_path, 30, labels=labels)
    other = labels.copy()
    other[[21, 23]] = (other[[21, 23]] + 1) % 10
    message = rf"inputs\.labels\[21\] was {labels[21]}, and is {other[21]} \(and 1 more\); put it back"
    with pytest.raises(dfa.StoreError, match=message):
        attack(CLASSIFIER, tmp_path, labels=other)
    with pytest.raises(dfa.StoreError, match=r"inputs\.labels had 24 entries, and has 23"):
        attack(CLASSIFIER, tmp_path, IMAGES[:23], labels=labels[:23])


def test_threads_and_the_place_of_the_images_may_change(tmp_path, whole):
    cut_short(tmp_path, 30)
    assert_same(attack(CLASSIFIER, tmp_path, list(IMAGES), threads=2, interval=77), whole[0])


@pytest.mark.parametrize(
    "path", ["command", "created", "config.oracle.name", "config.versions.numpy", "config.versions.python"]
)
def test_what_decides_nothing_may_differ(tmp_path, whole, path):
    cut_short(tmp_path, 30)
    document = part = json.loads((tmp_path / "run.json").read_text())
    *sections, name = path.split(".")
    for section in sections:
        part = part[section]
    part[name] = f"not {part[name]}"
    (tmp_path / "run.json").write_text(json.dumps(document))
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_an_oracle_that_answers_otherwise_is_refused(tmp_path, whole):
    cut_short(tmp_path, 60)
    finished = read_run(tmp_path).rows
    with pytest.raises(dfa.StoreError, match=r"the oracle must be the one .*answers otherwise: image \d+ was of class"):
        attack(LinearClassifier(SHAPE, seed=2), tmp_path)
    assert read_run(tmp_path).rows.keys() == finished.keys()
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_an_oracle_of_the_same_classes_and_other_probabilities_is_refused(tmp_path):
    def surer(images):
        scores = CLASSIFIER(images) ** 4
        return scores / scores.sum(axis=1, keepdims=True)

    cut_short(tmp_path, 60)
    with pytest.raises(dfa.StoreError, match=r"image \d+ was of class (\d) .*, and is of class \1 with"):
        attack(surer, tmp_path)


def test_by_labels_alone_the_classes_are_compared(tmp_path):
    """Of a run that was cut short and of one that has ended; those before 0.3.0 recorded a probability all the same."""

    def of(classifier):
        return dfa.label_only(classifier, num_classes=10)

    with pytest.raises(dfa.OracleError):
        attack(of(Until(40, CLASSIFIER, raising(OSError("off")))), tmp_path)
    message = r"answers otherwise: image \d+ was of class \d, and is of class \d; pass"
    with pytest.raises(dfa.StoreError, match=message):
        attack(of(LinearClassifier(SHAPE, seed=2)), tmp_path)
    result = attack(of(CLASSIFIER), tmp_path)
    assert_same(result, dfa.run(of(CLASSIFIER), IMAGES, **SETTINGS))
    with pytest.raises(dfa.StoreError, match=message):
        attack(of(LinearClassifier(SHAPE, seed=2)), tmp_path)
    assert_same(attack(of(CLASSIFIER), tmp_path), result)
    records = tmp_path / "results.json"
    records.write_text(records.read_text().replace('"probability_before": null', '"probability_before": 0.999999'))
    assert {record.probability_before for record in attack(of(CLASSIFIER), tmp_path).records} == {0.999999}


def test_an_oracle_of_another_number_of_classes_is_refused(tmp_path):
    """Though what it says of the classes that it had is the same."""
    cut_short(tmp_path, 60)
    with pytest.raises(dfa.OracleError, match="the same classes every time; it gave 11 columns, and 10 before"):
        attack(lambda images: np.pad(CLASSIFIER(images), ((0, 0), (0, 1))), tmp_path)


def test_a_model_with_another_fingerprint_is_refused(tmp_path):
    class Weighted(Oracle):
        def __init__(self, weights):
            self._weights = weights

        def fingerprint(self):
            return self._weights

        def scores(self, images):
            if self._weights == "dead" and (images[0] != IMAGES[0]).any():
                raise OSError("off")
            return CLASSIFIER(images)

    with pytest.raises(dfa.OracleError):
        attack(Weighted("dead"), tmp_path)
    with pytest.raises(dfa.StoreError, match=r"model\.fingerprint was \"dead\", and is \"alive\""):
        attack(Weighted("alive"), tmp_path)


def test_another_dfa_is_named(tmp_path):
    cut_short(tmp_path, 30)
    document = json.loads((tmp_path / "run.json").read_text())
    document["config"]["versions"]["dfa"] = "0.0.9"
    (tmp_path / "run.json").write_text(json.dumps(document))
    with pytest.raises(dfa.StoreError, match=r'config.versions.dfa was "0.0.9"'):
        attack(CLASSIFIER, tmp_path)


def another(images):
    return np.roll(CLASSIFIER(images), 1, axis=1)


def test_a_run_that_has_ended_is_not_the_result_of_other_images_or_another_oracle(tmp_path, whole):
    attack(CLASSIFIER, tmp_path)
    others = IMAGES.copy()
    others[5] = 255 - others[5]
    with pytest.raises(dfa.StoreError, match=r"image 5 must be what it was when the run in .* has changed"):
        attack(CLASSIFIER, tmp_path, images=others)
    with pytest.raises(dfa.StoreError, match="the oracle must be the one that the run began with"):
        attack(another, tmp_path)
    assert_same(attack(CLASSIFIER, tmp_path), whole[0])


def test_another_oracle_is_refused_before_the_first_checkpoint_too(tmp_path, whole):
    cut_short(tmp_path, 200, interval=10**6)
    with closing(sqlite3.connect(tmp_path / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM checkpoint").fetchone() == (0,)
        assert journal.execute("SELECT COUNT(*) FROM records").fetchone() > (3,)
    with pytest.raises(dfa.StoreError, match="the oracle must be the one that the run began with"):
        attack(another, tmp_path, interval=10**6)
    assert_same(attack(CLASSIFIER, tmp_path, interval=10**6), whole[0])
