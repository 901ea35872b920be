"""Originals of an audit or a repair as people have them: their labels and names come along."""

from __future__ import annotations

import numpy as np
import pytest

import dfa
from oracles import LinearClassifier, random_images

ORIGINALS = random_images(6, (5, 4, 3))
ORACLE = LinearClassifier((5, 4, 3))
CLASSES = ORACLE.classes(ORIGINALS)
VECTORS = ORIGINALS / 255
CLAIMED = {"claimed": np.ones(6, dtype=np.bool_)}
NAMES = [f"{index}.png" for index in range(6)]
LABELS = CLASSES.copy()
LABELS[[0, 1]] = (CLASSES[0] + 1) % 10, -1
DATA = dfa.data.ImageSet(ORIGINALS, names=NAMES, labels=LABELS, class_names=list("abcdefghij"))


def test_an_audit_takes_labels_and_names_of_the_data():
    report = dfa.audit(ORACLE, DATA, VECTORS, **CLAIMED)
    assert report.attacked.tolist() == [False] + [True] * 5
    assert [each.label for each in report.records] == [LABELS[0], None, *CLASSES[2:]]
    assert [each.reason for each in report.records] == ["misclassified"] + [""] * 5
    assert [each.source for each in report.records] == NAMES
    assert list(report.to_pandas()["source"]) == NAMES
    assert report.first(3).records[2].source == "2.png"


def test_labels_that_are_given_go_before_those_of_the_data():
    assert dfa.audit(ORACLE, DATA, VECTORS, CLASSES, **CLAIMED).attacked.all()
    without = dfa.audit(ORACLE, DATA.without_labels(), VECTORS, **CLAIMED)
    assert without.attacked.all()
    assert {each.label for each in without.records} == {None}
    assert dfa.audit(ORACLE, ORIGINALS, VECTORS, **CLAIMED).records[0].source is None


def test_a_repair_takes_the_labels_of_the_data():
    reasons = [each.reason for each in dfa.repair(ORACLE, DATA, VECTORS).records]
    assert [index for index, reason in enumerate(reasons) if reason == "misclassified"] == [0]
    given = dfa.repair(ORACLE, DATA, VECTORS, CLASSES)
    assert "misclassified" not in [each.reason for each in given.records]


def test_labels_are_ids_of_the_oracles_classes():
    class Named(dfa.Oracle):
        class_names = tuple("jabcdefghi")

        def scores(self, images):
            return ORACLE(images)

    with pytest.warns(dfa.MostSkippedWarning):
        records = dfa.audit(Named(), DATA, VECTORS, **CLAIMED).records
    assert [each.label for each in records[2:]] == [(each + 1) % 10 for each in CLASSES[2:]]
