"""`dfa info`."""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
from typing import Final

import click

from dfa.cli.commands.outcome import DONE
from dfa.cores import usable_cores
from dfa.selftest import build

_PACKAGES: Final = (
    "pillow",
    "torch",
    "torchvision",
    "timm",
    "transformers",
    "tensorflow",
    "keras",
    "jax",
    "onnxruntime",
    "scikit-learn",
    "ai-edge-litert",
    "click",
    "foolbox",
    "adversarial-robustness-toolbox",
    "torchattacks",
)


def versions() -> dict[str, str]:
    """Return the versions of the packages that dfa works with, as far as they are installed; none is imported."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def devices() -> list[str]:
    """Return what NVIDIA's own program lists; frameworks are not imported for it."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        listed = subprocess.run(
            [program, "--list-gpus"], capture_output=True, text=True, errors="replace", timeout=20, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return []
    # Without the name that a device has alone in the world.
    lines = [line.partition(" (UUID")[0].strip().rstrip(":") for line in listed.stdout.splitlines()]
    return [line for line in lines if line.startswith(("GPU ", "MIG "))]


def _number(word: str | None) -> str:
    """Return a variable that should hold numbers; whatever else it holds may be private."""
    if word is None:
        return "not set"
    return word if re.fullmatch(r"[\d, ]{1,40}", word) else "set, to no number"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def info(as_json: bool) -> int:
    """Say what is installed here: versions, build, cores, devices.

    For a report of a fault. It names no user, no folder and no host.
    """
    told = {
        **build(),
        "cores": str(usable_cores()),
        "OMP_NUM_THREADS": _number(os.environ.get("OMP_NUM_THREADS")),
        "devices": devices(),
        "packages": versions(),
    }
    if as_json:
        click.echo(json.dumps(told, indent=1))
        return DONE
    for name, value in told.items():
        if isinstance(value, dict):
            value = ", ".join(f"{package} {version}" for package, version in value.items())
        elif isinstance(value, list):
            value = ", ".join(value) or "none listed by nvidia-smi"
        click.echo(f"{name:<16}  {value}")
    return DONE
