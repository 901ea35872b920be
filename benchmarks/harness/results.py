"""The JSON that a benchmark leaves behind."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import dfa
from dfa import _core

_PACKAGES = ("PIL", "keras", "tensorflow", "torch", "jax", "ai_edge_litert")


def write_results(path: Path, arguments: argparse.Namespace, results: Any, **more: Any) -> None:
    """Write results with all that is needed to judge and repeat them, in place of any written before.

    Args:
        path: JSON file.
        arguments: The benchmark's arguments.
        results: Plain data or dataclasses.
        **more: Further top-level entries.
    """
    document = {
        "benchmark": Path(sys.argv[0]).name,
        "command": [Path(sys.executable).name, *sys.argv],
        "arguments": vars(arguments),
        "date": now(),
        "versions": versions(),
        "build": _core.build_info(),
        "machine": _machine(),
        **more,
        "results": results,
    }
    write_whole(path, json.dumps(_plain(document), indent=2, allow_nan=False) + "\n")
    print(f"written to {path}", flush=True)


def read_results(path: Path, default: Any) -> Any:
    """Return the results in a JSON file, or the default where there is no such file.

    Raises:
        SystemExit: The file is none that `write_results` writes.
    """
    if not path.is_file():
        return default
    try:
        return json.loads(path.read_text(encoding="utf-8"))["results"]
    except (ValueError, KeyError, TypeError) as error:
        raise SystemExit(f"{path} holds no results of a benchmark: {error!r}") from error


def write_whole(path: Path, text: str) -> None:
    """Write a file in place of any written before; whatever ends the process, it is whole or as it was."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    temporary.write_text(text, encoding="utf-8", newline="")
    temporary.replace(path)


def now() -> str:
    """Return the date and time as the results hold them."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def versions() -> dict[str, str]:
    """Return versions of what takes part; packages only where something has imported them."""
    versions = {
        "dfa": dfa.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    for name in _PACKAGES:
        if name in sys.modules:
            versions[name] = str(getattr(sys.modules[name], "__version__", "unknown"))
    return versions


def _machine() -> dict[str, Any]:
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        names = [
            line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        model = names[0] if names else model
    return {
        "cpu": model,
        "cores": os.cpu_count(),
        "system": platform.system(),
        "load": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "accelerators": _accelerators(),
    }


def _accelerators() -> list[str]:
    """Return what the framework that runs the models computes on beside the CPU."""
    modules: dict[str, Any] = dict(sys.modules)
    # Any other framework may be imported too; to ask it would have it take the device's memory.
    name = modules["keras"].backend.backend() if "keras" in modules else "torch"
    if name not in modules:
        return []
    framework = modules[name]
    match name:
        case "jax":
            return [device.device_kind for device in framework.devices() if device.platform != "cpu"]
        case "torch":
            return [framework.cuda.get_device_name(device) for device in range(framework.cuda.device_count())]
        case _:
            return [device.name for device in framework.config.list_physical_devices("GPU")]


def _plain(value: Any) -> Any:
    """Return what JSON can hold: a number that is not finite becomes null."""
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray | list | tuple):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.integer):
        return int(value)
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(getattr(value, "__qualname__", value))
