"""What is told of a run is what somebody knows: no probability where labels alone were told; its setting in words."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from dfa.results.setting import setting_words
from oracles import Until, raising
from shown import attack, label, of_labels
from small_problem import CLASSIFIER, IMAGES


def test_where_labels_alone_are_told_no_record_has_a_probability(tmp_path):
    result = attack(of_labels(), max_queries=100)
    assert {record.status.value for record in result.records} >= {"success", "failure"}
    for record in result.records:
        assert record.class_before is not None
        assert (record.probability_before, record.probability_after) == (None, None)
    result.save(tmp_path / "run")
    loaded = dfa.Result.load(tmp_path / "run")
    assert [record.probability_before for record in loaded.records] == [None] * len(loaded.records)
    assert "0.99" not in (tmp_path / "run" / "records.csv").read_text()
    assert not dfa.verify(tmp_path / "run", oracle=of_labels()).findings


def test_where_a_probability_is_told_records_have_it():
    for record in attack(dfa.top_1(CLASSIFIER, num_classes=10), max_queries=100).records:
        assert 0 < record.probability_before < 0.9


def test_a_run_by_labels_is_resumed_with_its_oracle_and_with_no_other(tmp_path):
    settings = {"max_queries": 60, "store": tmp_path / "run"}
    with pytest.raises(dfa.OracleError, match="off"):
        attack(of_labels(Until(40, label, raising(OSError("off")))), **settings)
    with pytest.raises(dfa.StoreError, match=r"image \d+ was of class \d, and is of class \d; pass that oracle"):
        attack(of_labels(lambda images: (label(images) + 1) % 10), **settings, resume=True)
    assert len(attack(of_labels(), **settings, resume=True).records) == len(IMAGES)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"epsilon": 8}, "L-infinity, epsilon 8, untargeted"),
        ({"epsilon": 8, "targets": dfa.rank(3)}, "L-infinity, epsilon 8, targeted at the 3rd likeliest class"),
        ({"epsilon": 8, "targets": dfa.rank(4)}, "L-infinity, epsilon 8, targeted at the 4th likeliest class"),
        ({"epsilon": 8, "targets": 2}, "L-infinity, epsilon 8, targeted"),
        ({"epsilon": np.arange(3, 3 + len(IMAGES))}, f"L-infinity, epsilon 3 to {2 + len(IMAGES)}, untargeted"),
        ({"space": dfa.Pixels(3)}, "Pixels, number 3, untargeted"),
    ],
)
def test_a_summary_says_where_was_searched_and_for_what(arguments, words, tmp_path):
    result = dfa.run(CLASSIFIER, IMAGES, max_queries=3, progress=False, **arguments)
    assert result.summary().setting == words
    assert str(result.summary()).splitlines()[0].split(None, 1) == ["attack", words]
    result.save(tmp_path / "run")
    assert dfa.Result.load(tmp_path / "run").summary().setting == words


@pytest.mark.parametrize(
    "config", [{}, {"epsilon": None}, {"epsilon": {"a": 1}}, {"space": {}}, {"space": 3, "epsilon": [[]]}]
)
def test_a_config_of_any_kind_is_put_into_words(config):
    assert isinstance(setting_words(config), str)


def test_words_of_a_stranger_steer_no_terminal():
    words = setting_words({"space": {"kind": "\x1b[31mred" + "x" * 500, "a\x1b": 1}})
    assert words.isprintable()
    assert len(words) < 120


def test_the_eleventh_is_no_first():
    words = [setting_words({"epsilon": 1, "targets": {"j": j}}).split()[-3] for j in (1, 2, 3, 4, 11, 12, 13, 21, 112)]
    assert words == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]
