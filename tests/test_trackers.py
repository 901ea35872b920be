"""Runs in trackers of experiments: figures, settings, pictures and the report, in stores on the disk."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import PIL.Image
import pytest

import dfa
from dfa.errors import InvalidInputError
from dfa.integrations import figures, mlflow, wandb
from oracles import LinearClassifier, random_images

SHAPE = (6, 7, 3)
IMAGES = random_images(6, SHAPE)
CLASSIFIER = LinearClassifier(SHAPE)


def run(oracle=CLASSIFIER, **settings):
    given = {} if "space" in settings else {"epsilon": 8}
    return dfa.run(oracle, IMAGES, max_queries=60, progress=False, **given, **settings)


def test_figures_are_the_summary_without_what_is_no_number():
    result = run(space=dfa.Pixels(3))
    summary, told = result.summary(), figures.figures(result)
    assert told["SR"] == summary.SR
    assert told["queries_sent"] == summary.queries_sent
    assert all(math.isfinite(each) for each in told.values())
    assert math.isnan(summary.queries_at_rest)
    assert "queries_at_rest" not in told
    assert told["distance_pixels"] == summary.distances["pixels"]


def test_settings_are_flat_and_plain():
    told = figures.flat(figures.settings(run(optimizer=dfa.Racos(archive=False))))
    assert told["optimizer.archive"] is False
    assert (told["epsilon"], told["max_queries"], told["oracle.kind"]) == (8, 60, "callable")
    json.dumps(told, allow_nan=False)


def test_pictures_are_of_images_that_fell():
    result = run()
    fell = np.flatnonzero(result.success)
    assert 2 < len(fell) < 6
    shown = list(figures.strips(result, 2))
    assert [index for index, _, _ in shown] == fell[:2].tolist()
    _, caption, strip = shown[0]
    assert np.array_equal(strip[:, : SHAPE[1]], IMAGES[fell[0]])
    assert np.array_equal(strip[:, SHAPE[1] : -SHAPE[1]], result.images[fell[0]])
    assert f"{result.queries[fell[0]]} queries" in caption
    with pytest.raises(InvalidInputError, match="pictures must be an integer of at least 0"):
        list(figures.strips(result, -1))


def test_a_report_is_of_the_run_that_is_logged(tmp_path):
    pytest.importorskip("jinja2", reason="jinja2 is not installed")
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    result = run(store=tmp_path / "run")
    assert figures.report_of(tmp_path / "run", result, tmp_path).read_text(encoding="utf-8").startswith("<!")
    with pytest.raises(InvalidInputError, match="folder of the run that is logged"):
        figures.report_of(tmp_path / "run", run(seed=1), tmp_path)


def test_mlflow(tmp_path, monkeypatch):
    tracker = quietly_imported("mlflow")
    report = tmp_path / "run" if is_reported() else None
    asked = []
    result = run(lambda images: asked.append(len(images)) or CLASSIFIER(images), store=tmp_path / "run")
    before = len(asked)
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # file stores are going out of fashion there
        tracker.set_tracking_uri((tmp_path / "mlruns").as_uri())
        with tracker.start_run() as active:
            mlflow.log(result, pictures=2, report=report)
        kept = tracker.get_run(active.info.run_id).data
    assert len(asked) == before
    assert kept.metrics == {f"dfa.{name}": value for name, value in figures.figures(result).items()}
    assert kept.params["dfa.epsilon"] == "8"
    assert kept.params["dfa.optimizer.archive"] == "True"
    (folder,) = (tmp_path / "mlruns").rglob("artifacts/dfa")
    assert json.loads((folder / "settings.json").read_text())["max_queries"] == 60
    files = sorted(path.name for path in (folder / "pictures").iterdir())
    assert files == [*(f"{index:06d}.png" for index in np.flatnonzero(result.success)[:2]), "captions.json"]
    with PIL.Image.open(folder / "pictures" / files[0]) as picture:
        assert np.array_equal(np.asarray(picture), next(figures.strips(result, 1))[2])
    assert (folder / "report.html").exists() == (report is not None)


def test_wandb(tmp_path, monkeypatch):
    tracker = quietly_imported("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    result = run(store=tmp_path / "run")
    with pytest.raises(InvalidInputError, match=r"call wandb\.init\(\) first"):
        wandb.log(result)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with tracker.init(mode="offline", dir=tmp_path, settings=tracker.Settings(console="off")) as active:
            wandb.log(result, pictures=2, report=tmp_path / "run" if is_reported() else None)
            told = dict(active.summary)
            assert active.config["dfa"]["epsilon"] == 8
    assert {name: told[f"dfa/{name}"] for name in figures.figures(result)} == figures.figures(result)
    assert told["dfa/pictures"]["count"] == 2
    assert ("dfa/report" in told) == is_reported()
    (picture, _) = sorted(tmp_path.rglob("media/images/dfa/*.png"))
    with PIL.Image.open(picture) as file:
        assert any(np.array_equal(np.asarray(file), strip) for _, _, strip in figures.strips(result, 2))


@pytest.mark.parametrize("tracker", [mlflow, wandb])
def test_without_its_package_a_tracker_says_how_to_install_it(tracker, monkeypatch):
    name = tracker.__name__.rpartition(".")[2]
    monkeypatch.setitem(__import__("sys").modules, name, None)
    with pytest.raises(dfa.MissingDependencyError, match=rf"needs .*\[{name}\]"):
        tracker.log(run())


def quietly_imported(package):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip(package, reason=f"{package} is not installed")


def is_reported():
    try:
        import jinja2  # noqa: F401
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True
