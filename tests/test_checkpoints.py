"""When checkpoints come: no more than the interval is sent again after a kill."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

import dfa
from dfa.runs import due as due_module
from dfa.runs.store import Store
from small_problem import CLASSIFIER, IMAGES
from stored_runs import INTERVAL, attack


@pytest.fixture
def coverage(monkeypatch):
    """Counts what is sent and not covered by a checkpoint."""
    seen = SimpleNamespace(uncovered=0, most=0, covers=0)
    batches = []
    sending, cover = Store.sending, Store.cover

    def count(self, purpose, images):
        sending(self, purpose, images)
        if purpose == "attack":
            batches.append(images)
        seen.uncovered += images
        seen.most = max(seen.most, seen.uncovered)

    def reset(self, checkpoint, *, under_way):
        cover(self, checkpoint, under_way=under_way)
        # None, one or two of the last batches.
        assert under_way in [sum(batches[len(batches) - number :]) for number in range(3)]
        seen.uncovered = under_way
        seen.covers += 1

    monkeypatch.setattr(Store, "sending", count)
    monkeypatch.setattr(Store, "cover", reset)
    return seen


@pytest.mark.filterwarnings("ignore::dfa.MostSkippedWarning")
@pytest.mark.filterwarnings("ignore::dfa.ChanceAccuracyWarning")
def test_no_more_than_the_interval_is_ever_uncovered(tmp_path, coverage):
    # Many images are skipped, whose clean predictions come one after the other.
    labels = np.where(np.arange(24) < 18, (CLASSIFIER.classes(IMAGES) + 1) % 10, CLASSIFIER.classes(IMAGES))
    attack(CLASSIFIER, tmp_path / "a", labels=labels, interval=16)
    assert coverage.most <= 16
    coverage.uncovered = coverage.most = 0
    attack(CLASSIFIER, tmp_path / "b", interval=100)
    assert 50 < coverage.most <= 100
    assert coverage.covers > 10


def test_by_labels_too_no_more_than_the_interval_is_ever_uncovered(tmp_path, coverage):
    """Each candidate takes two images there, and a batch twice as many as it has rows."""
    attack(dfa.label_only(CLASSIFIER, num_classes=10), tmp_path)
    assert INTERVAL / 2 < coverage.most <= INTERVAL
    assert coverage.covers > 10


@pytest.mark.filterwarnings("ignore::dfa.MostSkippedWarning")
@pytest.mark.filterwarnings("ignore::dfa.ChanceAccuracyWarning")
def test_repeated_clean_predictions_too_are_covered(tmp_path, coverage):
    """All images are skipped, so that nothing else is sent."""
    labels = (CLASSIFIER.classes(IMAGES) + 1) % 10
    attack(CLASSIFIER, tmp_path, labels=labels, confirmations=3)
    assert INTERVAL / 2 < coverage.most <= INTERVAL
    assert coverage.covers > 0


def test_a_slow_oracle_is_covered_by_the_clock(tmp_path, monkeypatch):
    covers = []
    cover = Store.cover
    monkeypatch.setattr(Store, "cover", lambda self, *a, **k: (covers.append(1), cover(self, *a, **k)))
    attack(CLASSIFIER, tmp_path / "a", interval=10**6)
    # One in any case, at the end.
    assert len(covers) == 1
    monkeypatch.setattr(due_module, "_SECONDS", 0.0)
    monkeypatch.setattr(due_module, "_TIMES", 10**6)
    attack(CLASSIFIER, tmp_path / "c", interval=10**6)
    assert len(covers) == 1 + 2
    monkeypatch.setattr(due_module, "_TIMES", 0.0)
    attack(CLASSIFIER, tmp_path / "b", interval=10**6)
    assert len(covers) > 20
