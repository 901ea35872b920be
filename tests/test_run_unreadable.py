"""An image that cannot be read costs the others nothing, and what was found of it stays."""

from __future__ import annotations

import dataclasses

import pytest

import dfa
from oracles import LazyImages, Recorder, Until, raising
from partial_runs import NUM_CALLS, attack
from small_problem import CLASSIFIER, IMAGES


@pytest.fixture(scope="module")
def whole():
    return attack(CLASSIFIER)


def unreadable():
    raise OSError("truncated file")


@pytest.mark.parametrize(
    ("give", "reason"),
    [
        (unreadable, "image 5 cannot be read: OSError: truncated file"),
        (lambda: IMAGES[5, :4], r"image 5 must have the shape of the first, (6, 6, 3), got (4, 6, 3)"),
        (lambda: IMAGES[5, :, :, :1], r"image 5 must have the shape of the first, (6, 6, 3), got (6, 6, 1)"),
        (lambda: IMAGES[5] / 255, "image 5 must be uint8 of shape (H, W, C), got float64 of shape (6, 6, 3)"),
        (lambda: IMAGES[5, :, :, 0], "image 5 must be uint8 of shape (H, W, C), got uint8 of shape (6, 6)"),
        (lambda: None, "image 5 must be uint8 of shape (H, W, C), got object"),
    ],
    ids=["raises", "shape", "channels", "float", "grey", "none"],
)
def test_one_image_that_cannot_be_used_costs_the_others_nothing(give, reason):
    alone = dataclasses.replace(dfa.Racos(), archive=False)
    whole = attack(CLASSIFIER, optimizer=alone)
    result = attack(CLASSIFIER, LazyImages(IMAGES, {5: give}), optimizer=alone)
    assert result.records[5].status is dfa.Status.ERROR
    assert reason in result.records[5].reason
    assert result.images[5] is None
    assert result.records[5].queries_sent == 0
    assert result.summary().errors == 1
    assert result.summary().attacked == len(IMAGES) - 1
    for index in range(len(IMAGES)):
        if index != 5:
            assert result.records[index].trace == whole.records[index].trace
            assert result.records[index].status is whole.records[index].status


def test_a_run_may_hold_more_unreadable_images_than_batches():
    broken = dict.fromkeys(range(1, 24), unreadable)
    result = attack(CLASSIFIER, LazyImages(IMAGES, broken), batch_size=2)
    assert [record.status for record in result.records[1:]] == [dfa.Status.ERROR] * 23
    assert result.records[0].queries_sent > 0


def test_a_list_of_mixed_shapes_says_which_image_is_the_odd_one():
    mixed = [IMAGES[0], IMAGES[1, :5], IMAGES[2]]
    result = attack(CLASSIFIER, mixed)
    assert [record.status is dfa.Status.ERROR for record in result.records] == [False, True, False]
    assert "image 1 must have the shape of the first" in result.records[1].reason


class ReadsOnce:
    """Gives every image once, and then something else."""

    def __init__(self, then):
        self._given = set()
        self._then = then

    def __len__(self):
        return len(IMAGES)

    def __getitem__(self, index):
        if index and index in self._given:
            return self._then(index)
        self._given.add(index)
        return IMAGES[index].copy()


def gone(index):
    raise FileNotFoundError(f"{index}.png")


def another(index):
    return 255 - IMAGES[index]


@pytest.mark.parametrize("then", [gone, another])
def test_an_image_that_cannot_be_read_a_second_time_costs_nothing_that_was_found(whole, then):
    # A file removed, or a random augmentation, while the run goes on.
    result = attack(CLASSIFIER, ReadsOnce(then))
    assert result.queries.tolist() == whole.queries.tolist()
    for record, image in zip(result.records[1:], result.images[1:], strict=True):
        if whole.records[record.index].verified:
            assert record.found
            assert (image == whole.images[record.index]).all()


@pytest.mark.parametrize("then", [gone, another])
def test_an_interrupt_keeps_what_was_found_also_where_an_image_cannot_be_read_a_second_time(whole, then):
    oracle = Recorder(Until(NUM_CALLS // 2, CLASSIFIER, raising(KeyboardInterrupt())))
    with pytest.raises(KeyboardInterrupt, match="what was finished is in the `result` of this error") as caught:
        attack(oracle, ReadsOnce(then))
    assert caught.value.result.success.any()
