"""A run in Weights & Biases: its figures, its settings, pictures and the report."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from dfa.errors import InvalidInputError
from dfa.extras import imported
from dfa.integrations.figures import figures, report_of, settings, strips
from dfa.results.result import Result


def log(result: Result, *, pictures: int = 8, report: str | Path | None = None, run: Any = None) -> None:
    """Log a run to Weights & Biases, in one step, without asking the model anything.

    Figures are called `dfa/NAME`. The settings stand in the config under `dfa`, pictures under `dfa/pictures`: an
    image, its adversarial image and their difference side by side.

    Args:
        result: What `dfa.run` returned, or `dfa.Result.load`.
        pictures: Of how many images that fell, at most.
        report: The folder that the run was kept or saved in; its report is written anew and logged as `dfa/report`.
            None: no report.
        run: What `wandb.init` returned. None: the run that is active.

    Raises:
        MissingDependencyError: wandb is not installed, or with `report` jinja2 or matplotlib.
        InvalidInputError: No run is active, `pictures` is no such number, or `report` holds another run.
        StoreError: `report` holds none.
    """
    wandb: Any = imported("wandb", "dfa.integrations.wandb needs wandb", "wandb")
    to = wandb.run if run is None else run
    if to is None:
        raise InvalidInputError("run must be a run of wandb where none is active, got None; call wandb.init() first")
    logged: dict[str, Any] = {f"dfa/{name}": value for name, value in figures(result).items()}
    shown = [wandb.Image(strip, caption=caption) for _, caption, strip in strips(result, pictures)]
    if shown:
        logged["dfa/pictures"] = shown
    if report is not None:
        with tempfile.TemporaryDirectory() as folder:
            logged["dfa/report"] = wandb.Html(report_of(report, result, Path(folder)).read_text(encoding="utf-8"))
    to.config.update({"dfa": settings(result)}, allow_val_change=True)
    to.log(logged)
