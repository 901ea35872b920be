"""Functions of users may write into what they are given, and use the memory of what they return again."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import dfa
from dfa.auditing.repair_report import RepairStatus
from outcomes import timeless
from small_problem import CLASSES, CLASSIFIER, EPSILON, IMAGES

SETTINGS = {"epsilon": EPSILON, "max_queries": 100, "batch_size": 16, "progress": False}


def same(result, expected):
    assert timeless(result.records) == timeless(expected.records)
    for image, other in zip(result.images, expected.images, strict=True):
        assert (image is None) == (other is None)
        assert image is None or (image == other).all()


class IntoOneBuffer:
    """Answers about one image into the same memory every time."""

    def __init__(self, as_view=lambda buffer: buffer):
        self._buffer = np.empty(10)
        self._as_view = as_view

    def __call__(self, image):
        np.copyto(self._buffer, CLASSIFIER(image[None])[0])
        return self._as_view(self._buffer)


def of_torch(buffer):
    import torch

    return torch.from_numpy(buffer)


@pytest.mark.parametrize("as_view", [lambda buffer: buffer, of_torch])
def test_a_function_of_one_image_may_answer_into_one_buffer(as_view):
    if as_view is of_torch:
        # Within the oracle, a skip would be the oracle's failure.
        pytest.importorskip("torch")
    expected = dfa.run(CLASSIFIER, IMAGES, **SETTINGS)
    same(dfa.run(dfa.OneByOne(IntoOneBuffer(as_view)), IMAGES, **SETTINGS), expected)


ROWS = np.random.default_rng(0).normal(size=(12, 10)) * 3
WEIGHTS = np.random.default_rng(1).normal(size=(10, 3))
BOX = np.full(10, 20)


def of_rows(rows):
    raised = np.exp(rows @ WEIGHTS - (rows @ WEIGHTS).max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def render(originals, x):
    return originals + x * 0.02


def render_in_place(originals, x):
    originals += x * 0.02
    return originals


class RenderIntoOneBuffer:
    def __init__(self):
        self._buffer = np.empty((64, 10))

    def __call__(self, originals, x):
        shown = self._buffer[: len(x)]
        shown[:] = originals + x * 0.02
        x[:] = 0
        return shown


def l1(original, shown, x):
    return {"l1": float(np.abs(shown - original).sum())}


def l1_in_place(original, shown, x):
    shown -= original
    value = float(np.abs(shown).sum())
    original[:] = 0
    x[:] = 0
    return {"l1": value}


@pytest.mark.parametrize("batch_size", [1, 8, 64])
@pytest.mark.parametrize("renderer", [render_in_place, RenderIntoOneBuffer()])
def test_functions_of_a_space_may_work_in_place(renderer, batch_size, tmp_path):
    settings = {"max_queries": 200, "batch_size": batch_size, "progress": False}
    expected = dfa.run(of_rows, ROWS.copy(), space=dfa.Custom(-BOX, BOX, render, l1), **settings)
    assert expected.success.sum() > 3
    space = dfa.Custom(-BOX, BOX, renderer, l1_in_place)
    result = dfa.run(of_rows, ROWS.copy(), space=space, store=tmp_path, **settings)
    same(result, expected)
    for index in result.images.held():
        np.testing.assert_array_equal(np.load(tmp_path / "originals" / f"{index:06d}.npy"), ROWS[index])


def log_in_place(scores, classes):
    np.log(scores + 1e-300, out=scores)
    own = scores[np.arange(len(scores)), classes]
    scores[np.arange(len(scores)), classes] = -np.inf
    margin = np.maximum(own - scores.max(axis=1), 0.0)
    classes[:] = 0
    return margin


def log_margin(scores, classes):
    return log_in_place(scores.copy(), classes.copy())


class IntoOneArray:
    def __init__(self):
        self._buffer = np.empty(64)

    def __call__(self, scores, classes):
        degrees = self._buffer[: len(scores)]
        degrees[:] = log_margin(scores, classes)
        return degrees


@pytest.mark.parametrize("degree", [log_in_place, IntoOneArray()])
@pytest.mark.parametrize("confirmations", [1, 2])
def test_a_degree_may_write_into_what_it_is_given(degree, confirmations):
    settings = {**SETTINGS, "confirmations": confirmations}
    expected = dfa.run(CLASSIFIER, IMAGES, objective=log_margin, **settings)
    result = dfa.run(CLASSIFIER, IMAGES, objective=degree, **settings)
    assert result.success.sum() > 3
    same(result, expected)
    for index in result.images.held():
        assert CLASSIFIER.classes(result.images[index][None])[0] != CLASSES[index]


def tying(levels):
    """The first two of three classes tie, whatever is shown but the originals."""
    is_changed = (levels.reshape(len(levels), -1) != 100).any(axis=1)
    return np.where(is_changed[:, None], [0.4, 0.4, 0.2], [0.5, 0.3, 0.2])


def margin(scores, classes):
    own = scores[np.arange(len(scores)), classes]
    others = scores.copy()
    others[np.arange(len(scores)), classes] = -np.inf
    return np.maximum(own - others.max(axis=1), 0.0)


def test_a_repair_takes_no_tie_for_success_whatever_the_degree_says():
    originals = np.full((3, 3, 3, 1), 100, dtype=np.uint8)
    report = dfa.repair(
        tying, originals, (originals + 2.4) / 255, claimed=np.ones(3, dtype=bool), objective=margin, max_queries=20
    )
    assert {record.status for record in report.records} == {RepairStatus.FAILED}
    with pytest.raises(dfa.ObjectiveError, match="must return 0 only for adversarial images"):
        dfa.repair(
            CLASSIFIER,
            IMAGES[:2],
            (IMAGES[:2] + 0.4) / 255,
            claimed=np.ones(2, dtype=bool),
            objective=lambda scores, classes: np.zeros(len(scores)),
        )


def test_repeated_answers_come_from_calls_of_their_own():
    """A defence that draws once per call answers all repeats within one call alike."""
    clean = {image.tobytes() for image in IMAGES}
    draw = np.random.default_rng(5)

    def draws_per_call(images):
        is_fooled = draw.random() < 0.3
        return np.array([(0.2, 0.8) if is_fooled and image.tobytes() not in clean else (0.9, 0.1) for image in images])

    result = dfa.run(
        draws_per_call, IMAGES, epsilon=4, confirmations=dfa.Confirmation(9, of=10), max_queries=40, progress=False
    )
    # Nine of ten draws of 0.3 each: one in 7,000.
    assert not result.success.any()


def test_where_warnings_are_errors_the_result_is_not_lost():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(dfa.MostSkippedWarning) as caught:
            dfa.run(CLASSIFIER, IMAGES[:9], (CLASSES[:9] + 1) % 10, **SETTINGS)
        assert len(caught.value.result.records) == 9
        vectors = IMAGES / 255.0
        with pytest.raises(dfa.MostSkippedWarning) as caught:
            dfa.audit(CLASSIFIER, IMAGES, vectors, (CLASSES + 1) % 10, claimed=np.ones(len(IMAGES), dtype=bool))
        assert len(caught.value.result.ids) == len(IMAGES)


class MuteError(Exception):
    """Has no words, and fails to say so."""

    def __str__(self):
        raise MuteError

    __repr__ = __str__


class ClosedError(Exception):
    """Takes no result."""

    @property
    def result(self):
        return None


@pytest.mark.parametrize("place", ["oracle", "objective", "progress"])
@pytest.mark.parametrize("kind", [MuteError, ClosedError])
def test_errors_that_say_nothing_and_take_nothing_cost_no_result(place, kind):
    def fails(*given):
        raise kind

    def told(*given):
        raise kind

    settings = {"objective": fails} if place == "objective" else {"progress": told} if place == "progress" else {}
    calls = iter(range(100))
    oracle = (lambda images: fails() if next(calls) > 5 else CLASSIFIER(images)) if place == "oracle" else CLASSIFIER
    with pytest.raises((dfa.DfaError, MuteError)) as caught:
        dfa.run(oracle, IMAGES, **{**SETTINGS, **settings})
    assert len(caught.value.result.records) == len(IMAGES)
