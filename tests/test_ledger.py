"""The book of a run: a record is the last word on its image, also where the run was cut short in between."""

from __future__ import annotations

import dataclasses
import gc
import weakref

import numpy as np
import pytest

from dfa.engine.ledger import Ledger
from dfa.errors import StoreError
from dfa.originals import Form
from dfa.results.images import AdversarialImages
from dfa.results.record import Record, Status
from dfa.runs.folder import plain
from dfa.runs.journal import Picture

ORIGINAL = np.full((2, 2, 1), 100, dtype=np.uint8)
CHANGED = ORIGINAL + np.array([[[0], [3]], [[4], [0]]], dtype=np.uint8)
DRAFT = Record(1, 7, Status.UNFINISHED, class_before=0, queries_sent=5)
SETTLED = Record(1, 7, Status.FAILURE, "query budget", class_before=0, queries=9, queries_sent=9)


@pytest.fixture
def told():
    return []


@pytest.fixture
def ledger(told):
    opened = Ledger(3, Form.IMAGES, None, told.append, keeps_originals=True, bar=None)
    yield opened
    opened.close()


def test_what_is_settled_is_not_left_unfinished(ledger, told):
    ledger.settle(SETTLED)
    ledger.leave_unfinished(DRAFT, "the run was interrupted")
    ledger.leave_unconfirmed(DRAFT, Picture(CHANGED, ORIGINAL), "the run was interrupted")
    assert ledger.records() == [SETTLED]
    assert ledger.images.held() == []
    assert ledger.unsettled() == [0, 2]
    assert told == [SETTLED]


def test_what_is_left_unfinished_is_told_as_far_as_it_got(ledger, told):
    ledger.leave_unfinished(DRAFT, "the run was interrupted")
    (record,) = ledger.records()
    assert (record.status, record.reason) == (Status.UNFINISHED, "the run was interrupted")
    assert record.queries_sent == 5
    # It is no last word.
    assert told == []


def test_an_unconfirmed_claim_keeps_its_image_and_what_was_changed(ledger):
    ledger.leave_unconfirmed(DRAFT, Picture(CHANGED, ORIGINAL), "the oracle is off")
    (record,) = ledger.records()
    assert record.reason == "found but not verified: the oracle is off"
    assert (record.l0, record.l2, record.linf) == (2, 5.0, 4)
    np.testing.assert_array_equal(ledger.images[1], CHANGED)


def test_an_unconfirmed_claim_whose_image_cannot_be_kept_is_a_record_all_the_same(ledger, monkeypatch):
    def full(self, index, image):
        raise StoreError("no room")

    monkeypatch.setattr(AdversarialImages, "put", full)
    ledger.leave_unconfirmed(DRAFT, Picture(CHANGED, ORIGINAL), "the oracle is off")
    (record,) = ledger.records()
    assert record.reason == "found but not kept (no room): the oracle is off"
    assert record.linf == 4


class Kept:
    """A store whose run was cut short when two images had been settled, one of them with success."""

    folder = "run"

    def __init__(self):
        won = dataclasses.replace(DRAFT, index=2, status=Status.SUCCESS, found=True, verified=True)
        self.kept = {each.index: {**plain(each), "file": None} for each in (SETTLED, won)}
        self.let_go_of = []
        self.given = []

    def kept_image(self, place):
        if place == 1:
            return None
        image = CHANGED.copy()
        self.given.append(weakref.ref(image))
        return image

    def let_go(self, place):
        self.let_go_of.append(place)


def test_images_that_were_settled_before_are_not_held_one_by_one(ledger):
    store = Kept()
    ledger.take_up(store)
    assert store.let_go_of == [1, 2]
    gc.collect()
    assert [image() for image in store.given] == [None]
    ledger.settle_kept()
    assert [record.index for record in ledger.records()] == [1, 2]
    np.testing.assert_array_equal(ledger.images[2], CHANGED)
