"""What the page on trackers is run in: a linear classifier and three images, and trackers that keep to the disk."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pytest

from pages import guides_runs_that_survive

_patch = pytest.MonkeyPatch()


def names(data: Path) -> dict[str, Any]:
    warnings.simplefilter("ignore")  # theirs; pytest puts it back
    for package in ("mlflow", "wandb", "jinja2", "matplotlib"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    for name, value in {
        "MLFLOW_TRACKING_URI": "mlruns",
        "MLFLOW_ALLOW_FILE_STORE": "true",
        "WANDB_MODE": "offline",
        "WANDB_SILENT": "true",
    }.items():
        _patch.setenv(name, value)
    return guides_runs_that_survive.names(data)


def check(names: dict[str, Any]) -> None:
    _patch.undo()
    (report,) = Path("mlruns").rglob("artifacts/dfa/report.html")
    assert report.stat().st_size > 10_000
    assert len(list(Path("wandb").rglob("media/images/dfa/*.png"))) == names["result"].summary().verified > 0
