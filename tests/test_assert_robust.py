"""`dfa.assert_robust`: red on a model that is worse or fed wrongly, green on one that holds, and says which images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import dfa
from oracles import LinearClassifier, random_images

IMAGES = random_images(24)
MODEL = LinearClassifier()
LABELS = MODEL.classes(IMAGES)
FAST = {"epsilon": 1, "queries": 60, "progress": False}


def of_classes(images):
    """Class 0 where the first value is below 128, a third of what is shown to it: nothing of this size breaks it."""
    return np.eye(2)[(images[:, 0, 0, 0] >= 128).astype(int)] * 0.6 + 0.2


def failing(*words, **settings):
    with pytest.raises(AssertionError) as caught:
        dfa.assert_robust(*words, **FAST | settings)
    assert isinstance(caught.value, dfa.NotRobustError)
    return caught.value


def test_a_model_that_holds_gives_its_result():
    result = dfa.assert_robust(MODEL, IMAGES, LABELS, **FAST, at_least=0.5)
    assert isinstance(result, dfa.Result)
    assert result.config["epsilon"] == 1
    assert result.config["max_queries"] == 60
    assert result.summary().robust_accuracy >= 0.5
    assert dfa.assert_robust(MODEL, IMAGES, at_least=1 - result.summary().TSR, **FAST).summary().labelled == 0
    assert dfa.assert_robust(of_classes, IMAGES, progress=False, queries=20).config["epsilon"] == 4


def test_a_model_that_does_not_is_told_of_with_pictures(tmp_path):
    error = failing(MODEL, IMAGES, LABELS, epsilon=8, out=tmp_path / "red", names=[f"p{i}\n.png" for i in range(24)])
    told = str(error)
    summary = error.result.summary()
    assert (
        f"below at_least=0.8: {summary.withstood} of 24 ({100 * summary.robust_accuracy:.1f} %, 95 % interval" in told
    )
    assert "not broken by 60 queries (L-infinity, epsilon 8, untargeted)" in told
    assert (error.verdict.outcome, error.verdict.share) == (dfa.Outcome.BELOW, summary.robust_accuracy)
    queries = np.where(error.result.success, error.result.queries, 10**6)
    worst = int(queries.argmin())
    assert f"\n  p{worst}\\n.png: broken by {queries[worst]} quer" in told
    assert len(error.files) == 3 * 8
    assert all(str(file) in told for file in error.files)
    original, adversarial, difference = (np.asarray(PIL.Image.open(file)).astype(int) for file in error.files[:3])
    np.testing.assert_array_equal(original, IMAGES[worst])
    np.testing.assert_array_equal(adversarial, error.result.images[worst])
    np.testing.assert_array_equal(np.sign(difference - 128), np.sign(adversarial - original))
    assert abs(difference - 128).max() == 127
    (tmp_path / "red" / "mine.png").touch()
    dfa.assert_robust(MODEL, IMAGES, LABELS, **FAST, at_least=0.5, out=tmp_path / "red")
    assert [file.name for file in (tmp_path / "red").iterdir()] == ["mine.png"]


def test_a_model_is_not_taken_for_robust_because_the_clock_ended_the_attack():
    error = failing(MODEL, IMAGES, LABELS, epsilon=8, at_least=0.5, queries=2_000, max_seconds=1e-9)
    assert error.verdict.outcome is dfa.Outcome.NOT_JUDGED
    assert "ended before their budget and tell nothing" in str(error)


def test_without_a_folder_pictures_stay_in_a_temporary_one(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    error = failing(MODEL, IMAGES, LABELS, epsilon=8)
    assert all(file.is_file() and tmp_path in file.parents for file in error.files)


def test_what_no_png_holds_is_an_array(tmp_path):
    images, model = random_images(4, (6, 6, 2)), LinearClassifier((6, 6, 2))
    error = failing(model, images, epsilon=40, at_least=1, out=tmp_path)
    assert {file.suffix for file in error.files} == {".npy"}
    assert np.load(error.files[0]).shape == (6, 6, 2)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        ((LABELS + 1) % 10, "24 of 24 images were not attacked (image 0 wrong before the attack: "),
        (np.where(np.arange(24) < 13, (LABELS + 1) % 10, LABELS), "13 of 24 images were not attacked"),
    ],
)
def test_a_model_that_is_wrong_does_not_pass_whatever_is_asked_for(labels, words):
    error = failing(MODEL, IMAGES, labels, at_least=0)
    assert (error.verdict.outcome, words in str(error)) == (dfa.Outcome.NOT_JUDGED, True)


def test_a_model_that_is_fed_wrongly_does_not_pass():
    def blind(images):  # as one whose inputs were divided by 255 twice
        return of_classes(images // 255)

    classes = of_classes(IMAGES).argmax(axis=1)
    assert 0 < classes.sum() < 24
    for labels in (None, classes):
        assert dfa.assert_robust(of_classes, IMAGES, labels, **FAST)
        assert failing(blind, IMAGES, labels, at_least=0).verdict.outcome is dfa.Outcome.NOT_JUDGED


def test_an_image_in_error_is_no_pass():
    images = [*IMAGES[:5], np.zeros((2, 2, 3), dtype=np.uint8)]
    error = failing(MODEL, images, at_least=0)
    assert "1 of 6 images have no answer (image 5 could not be attacked: " in str(error)


def test_a_baseline_is_of_the_same_attack(tmp_path):
    settings = {"at_least": 0.2, **FAST, "epsilon": 3}
    before = dfa.assert_robust(MODEL, IMAGES, LABELS, store=tmp_path / "before", **settings | {"at_least": 0})

    again = dfa.assert_robust(MODEL, IMAGES, LABELS, baseline=tmp_path / "before", **settings)
    np.testing.assert_array_equal(again.queries, before.queries)
    with pytest.raises(dfa.InvalidInputError, match="max_queries is 60 in the first and 61"):
        dfa.assert_robust(MODEL, IMAGES, LABELS, baseline=before, **settings | {"queries": 61})
    with pytest.raises(dfa.InvalidInputError, match="baseline must be a path, got 3"):
        dfa.assert_robust(MODEL, IMAGES, LABELS, baseline=3, **settings)
    with pytest.raises(dfa.InvalidInputError, match="folder must be a path, got 3"):
        dfa.Result.load(3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"at_least": 80}, "at_least must be a share of 0..1, such as 0.8, got 80"),
        ({"at_least": True}, "at_least must be a share"),
        ({"max_queries": 100}, "max_queries is called queries here"),
        ({"out": 3}, "out must be a path"),
        ({"space": dfa.LinfBall(3), "epsilon": 3}, "epsilon and space were both given"),
    ],
)
def test_arguments_that_are_none_are_refused(settings, words):
    with pytest.raises(dfa.InvalidInputError, match=words):
        dfa.assert_robust(MODEL, IMAGES, LABELS, **FAST | settings)


def test_a_space_may_take_the_place_of_epsilon():
    result = dfa.assert_robust(of_classes, IMAGES, queries=20, progress=False, space=dfa.LinfBall(3))
    assert result.config["epsilon"] == 3


GATE = """
import numpy as np
import dfa
from model import IMAGES, LABELS, model

def test_the_model_may_ship(tmp_path_factory):
    dfa.assert_robust(
        model, IMAGES, LABELS, epsilon=4, queries=60, at_least=0.5, baseline="baseline", out="pictures",
        names=[f"street/{i}.png" for i in range(len(IMAGES))], progress=False,
    )
"""
SHIPPED = """
import numpy as np

IMAGES = np.random.default_rng(0).integers(20, 236, (48, 6, 6, 3), dtype=np.uint8)

def sums(images):
    return images.reshape(len(images), 108).astype(np.float64) @ WEIGHTS

WEIGHTS = np.random.default_rng(1).integers(-9, 10, (108, 4)).astype(np.float64)
WEIGHTS -= WEIGHTS.mean(axis=1, keepdims=True)
LABELS = sums(IMAGES).argmax(axis=1)

def model(images):
    scores = np.exp(sums(images) / 2000)
    return scores / scores.sum(axis=1, keepdims=True)
"""
WORSE = """
def model(images):  # high frequencies have come in, that nobody sees
    pattern = np.where(np.indices((6, 6, 3)).sum(axis=0) % 2, 1, -1)
    scores = np.exp((sums(images) + 10 * (images * pattern).sum(axis=(1, 2, 3))[:, None] * [1, -1, 0, 0]) / 2000)
    return scores / scores.sum(axis=1, keepdims=True)
"""
OPTIONS = ("-q", "-p", "no:cacheprovider")


def pytest_says(repository: Path, *python: str) -> tuple[int, str]:
    environment = os.environ | {
        "PYTHONPATH": str(Path(dfa.__file__).parents[1]),
        "COLUMNS": "200",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }
    done = subprocess.run(
        [sys.executable, *python, "-m", "pytest", *OPTIONS],
        cwd=repository,
        env=environment,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_repositorys_pytest_is_red_on_a_worse_model_and_green_on_the_same(tmp_path):
    (tmp_path / "model.py").write_text(SHIPPED)
    (tmp_path / "conftest.py").write_text("import sys; sys.path.insert(0, '.')\n")
    (tmp_path / "test_gate.py").write_text(GATE)
    names = {}
    exec(SHIPPED, names)
    settings = {"epsilon": 4, "max_queries": 60, "progress": False}
    before = dfa.run(names["model"], names["IMAGES"], names["LABELS"], **settings, store=tmp_path / "baseline")
    status, told = pytest_says(tmp_path)
    assert (status, "1 passed" in told) == (0, True), told
    (tmp_path / "model.py").write_text(SHIPPED + WORSE)
    exec(WORSE, names)
    now = dfa.run(names["model"], names["IMAGES"], names["LABELS"], **settings)
    fell = dfa.compare(before, now).fell
    # Under -O no assert statement is left, and the gate is none.
    for python in ((), ("-O",)):
        status, told = pytest_says(tmp_path, *python)
        assert (status, "1 failed" in told) == (1, True), told
        assert "dfa.errors.NotRobustError: worse than the baseline: " in told
        assert "against the baseline, the first of the two: of 48 images, " in told
        assert "assertions.py" not in told
        assert f"not broken in the baseline, and now: {', '.join(f'street/{place}.png' for place in fell[:10])}" in told
        soonest = min((record.queries, record.index) for record in now.records if record.verified)[1]
        assert f"pictures/image-{soonest:06d}-adversarial.png" in told
        assert (tmp_path / "pictures" / f"image-{soonest:06d}-adversarial.png").is_file()
