"""A run in MLflow: its figures as metrics, its settings as parameters, pictures and the report as artifacts."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any, Final

from dfa.extras import imported
from dfa.integrations.figures import figures, flat, report_of, settings, strips
from dfa.oracle.png import encode_png
from dfa.results.result import Result

_LONGEST: Final = 250
"""Characters of a parameter that every store of MLflow takes."""

_AT_ONCE: Final = 100
"""Parameters that one call of MLflow takes."""


def log(result: Result, *, pictures: int = 8, report: str | Path | None = None, run_id: str | None = None) -> None:
    """Log a run to MLflow, without asking the model anything.

    Metrics and parameters are called `dfa.NAME`, long parameters are cut. Among the artifacts `dfa/settings.json` has
    all settings, and `dfa/pictures` an image, its adversarial image and their difference side by side.

    Args:
        result: What `dfa.run` returned, or `dfa.Result.load`.
        pictures: Of how many images that fell, at most.
        report: The folder that the run was kept or saved in; its report is written anew and logged. None: no report.
        run_id: Of the run of MLflow to log to. None: the active one, or else a new one, which is then active.

    Raises:
        MissingDependencyError: mlflow is not installed, or with `report` jinja2 or matplotlib.
        InvalidInputError: `pictures` is no such number, or `report` holds another run.
        StoreError: `report` holds none.
    """
    mlflow: Any = imported("mlflow", "dfa.integrations.mlflow needs MLflow", "mlflow")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        if report is not None:
            report_of(report, result, folder)
        (folder / "settings.json").write_text(json.dumps(settings(result), indent=2), encoding="utf-8")
        captions = {}
        for index, caption, strip in strips(result, pictures):
            (folder / "pictures").mkdir(exist_ok=True)
            (folder / "pictures" / f"{index:06d}.png").write_bytes(encode_png(strip))
            captions[f"{index:06d}.png"] = caption
        if captions:
            (folder / "pictures" / "captions.json").write_text(json.dumps(captions, indent=2), encoding="utf-8")
        mlflow.log_metrics({f"dfa.{name}": value for name, value in figures(result).items()}, run_id=run_id)
        named = [(f"dfa.{name}", str(value)[:_LONGEST]) for name, value in flat(settings(result)).items()]
        for start in range(0, len(named), _AT_ONCE):
            mlflow.log_params(dict(named[start : start + _AT_ONCE]), run_id=run_id)
        mlflow.log_artifacts(temporary, "dfa", run_id=run_id)
