"""What an answer means where candidates lie on rays."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.search.rays import Rays
from shown import ALONE, attack, label, of_labels
from small_problem import CLASSIFIER, IMAGES

ORIGINAL = np.full((2, 2, 1), 100, dtype=np.uint8)
EPSILONS = [np.array(10, dtype=np.uint8), np.array([[[0], [3]], [[200], [255]]], dtype=np.uint8)]


def rays():
    of = Rays(lambda index: EPSILONS[index])
    for index in range(2):
        of.begin(index, ORIGINAL)
    return of


def image(*changes):
    return (ORIGINAL.ravel().astype(int) + changes).astype(np.uint8).reshape(ORIGINAL.shape)


def test_a_success_lies_in_the_ball_and_what_lies_beyond_is_ranked_by_how_far():
    cases = [
        (0, image(10, -10, 0, 3), 0.0),
        (0, image(-11, 0, 0, 0), 1 / 256),
        (0, image(0, 155, 0, -100), 145 / 256),
        (1, image(0, -3, -100, 155), 0.0),
        (1, image(0, 5, 0, 0), 2 / 256),
        (1, image(-1, 0, 155, 0), 1 / 256),
    ]
    indices = np.array([index for index, *_ in cases])
    candidates = np.stack([each for _, each, _ in cases])
    assert rays().rank(np.zeros(6), candidates, indices).tolist() == [degree for *_, degree in cases]
    # Whatever the degree of the objective is, a label that does not count is not seen.
    assert rays().rank(np.array([1e-9, 0.5, 16.0] * 2), candidates, indices).tolist() == [1.0] * 6


def test_images_of_a_copy_come_and_go_apart():
    of = rays()
    copied = deepcopy(of)
    of.end(0)
    assert copied.rank(np.zeros(1), image(-11, 0, 0, 0)[None], np.array([0])).tolist() == [1 / 256]
    copied.end(1)
    assert of.rank(np.zeros(1), image(0, 3, 0, 0)[None], np.array([1])).tolist() == [0.0]


def test_scores_may_be_searched_along_rays_and_count_as_labels():
    optimizer = dfa.Racos(shape="ray", archive=False)
    by_scores = attack(CLASSIFIER, optimizer=optimizer)
    by_labels = attack(of_labels(), optimizer=ALONE)
    assert by_scores.queries.tolist() == by_labels.queries.tolist()
    assert len(set(by_labels.queries.tolist())) > 3


def test_the_trace_tells_how_far_beyond_the_ball_the_label_changed():
    result = attack(of_labels(), optimizer=ALONE, max_queries=300)
    failed = [record for record in result.records if not record.verified and record.trace]
    assert failed
    for record in failed:
        degrees = [degree for _, degree in record.trace]
        assert degrees[0] == 1.0
        assert all(degree * 256 == int(degree * 256) for degree in degrees)
        assert record.degree == degrees[-1] > 0
    for record, adversarial in zip(result.records, result.images, strict=True):
        if record.verified and record.queries > 0:
            assert record.degree == 0
            assert np.abs(adversarial.astype(int) - IMAGES[record.index]).max() <= 8
            assert label(adversarial[None])[0] != label(IMAGES[[record.index]])[0]


@pytest.mark.parametrize(
    "changes", [{"start": "stripes", "archive": False}, {"region": "ordered", "values": "uniform"}]
)
def test_rays_need_textured_starts_and_no_region(changes):
    with pytest.raises(InvalidInputError, match="shape='ray' needs start='textures' and region='none'"):
        dfa.Racos(shape="ray", **changes)


def test_a_walk_begins_with_its_first_starts_and_no_more():
    assert dfa.Racos(shape="ray", samples=11).population == 12
    with pytest.raises(InvalidInputError, match=r"12 textured starts.* must be at most that, got 13"):
        dfa.Racos(shape="ray", samples=12, starts=None)


def test_starts_count_up_to_twelve_without_an_archive_and_not_at_all_with_one():
    def queries(archive, starts):
        optimizer = dfa.Racos(archive=archive, starts=starts)
        return attack(of_labels(), optimizer=optimizer, max_queries=200).queries.tolist()

    assert queries(False, 12) == queries(False, 18)
    assert queries(False, 2) == queries(False, None)
    assert len({tuple(queries(False, starts)) for starts in (2, 6, 12)}) == 3
    assert queries(True, 2) == queries(True, 12) == queries(True, 18)


@pytest.mark.parametrize("archive", [False, True])
def test_other_settings_are_idle_along_rays(archive):
    def queries(**settings):
        optimizer = dfa.Racos(archive=archive, **settings)
        return attack(of_labels(), optimizer=optimizer, max_queries=200).queries.tolist()

    windows = {"window_share": 0.5, "window_halvings": (), "placements": 1, "values": "uniform", "coordinates": 5}
    others = {"restart_after": 0, "rest_ratio": 0.5, "domain": "ball", "ties": "older"}
    usual = queries()
    assert queries(**windows, **others) == usual
    assert queries(max_iterations=20) != usual
    for settings in ({"samples": 3}, {"positives": 3}, {"improvements": 2.0}):
        assert (queries(**settings) == usual) is not archive
