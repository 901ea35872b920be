"""What the benchmarks share: arguments, inputs, tables, and the JSON that each of them leaves behind."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict, is_dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa import _core
from dfa.objectives import predicted
from dfa.oracle.gate import Gate, Purpose
from dfa.types import Images


class ImageSet(NamedTuple):
    """Images of one data file.

    Attributes:
        images: uint8, (N, H, W, C).
        labels: int64, (N,).
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]


class Counted(dfa.Oracle):
    """Passes everything on to an oracle and counts the images."""

    def __init__(self, oracle: dfa.Oracle) -> None:
        """Wrap an oracle of probabilities or logits."""
        self.name, self.returns, self.tolerance = oracle.name, oracle.returns, oracle.tolerance
        self.num_classes = oracle.num_classes
        self.images = 0
        self._oracle = oracle

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready."""
        self._oracle.prepare(shape, batch_size)

    def scores(self, images: Images) -> Any:
        """Return what the oracle answers."""
        self.images += len(images)
        return self._oracle.scores(images)


class MissingInputError(SystemExit):
    """A benchmark's input is not there; ends the process with the reason."""


def make_parser(name: str, description: str | None, *, repeats: int | None = None) -> argparse.ArgumentParser:
    """Return a parser with the arguments that every benchmark takes.

    Args:
        name: Of the benchmark, and of its JSON file.
        description: First line of the help.
        repeats: Default of `--repeats`; None leaves that option out.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of images and models")
    parser.add_argument(
        "--out", type=Path, default=Path("runs") / "benchmarks" / f"{name}.json", help="where the JSON goes"
    )
    if repeats is not None:
        parser.add_argument("--repeats", type=int, default=repeats, help="of every measurement, interleaved")
    return parser


def load_images(data: Path, name: str) -> ImageSet:
    """Return the images and labels of `data/name`.

    Raises:
        MissingInputError: There is no such file.
    """
    path = existing(data / name)
    with np.load(path) as arrays:
        return ImageSet(arrays["images"], arrays["labels"].astype(np.int64))


def load_model(data: Path, name: str) -> Any:
    """Return the Keras model `data/models/name`.

    Raises:
        MissingInputError: There is no such file, or no Keras.
    """
    path = existing(data / "models" / name)
    try:
        keras = importlib.import_module("keras")
    except ImportError as error:
        raise MissingInputError("this benchmark needs Keras and a backend: pip install '.[tensorflow]'") from error
    return keras.models.load_model(path)


def first_correct(
    oracle: dfa.Oracle, images: ImageSet, number: int, batch_size: int, *, skip: int = 0
) -> tuple[ImageSet, NDArray[np.float64]]:
    """Return the first images that an oracle classifies correctly, so many or all there are, and their probabilities.

    The first `skip` of them are left out. The oracle is then ready for batches of this size.
    """
    gate = Gate(oracle, num_images=len(images.images), max_queries=0)
    gate.prepare(images.images.shape[1:], batch_size)
    kept: list[int] = []
    rows: list[NDArray[np.float64]] = []
    for start in range(0, len(images.images), batch_size):
        places = np.arange(start, min(start + batch_size, len(images.images)))
        scores = gate.ask(images.images[places], places, Purpose.CLEAN)
        is_right = predicted(scores) == images.labels[places]
        kept += places[is_right].tolist()
        rows += list(scores[is_right])
        if len(kept) >= skip + number:
            break
    wanted = slice(skip, skip + number)
    return ImageSet(images.images[kept[wanted]], images.labels[kept[wanted]]), np.array(rows[wanted])


def write_report(path: Path, arguments: argparse.Namespace, results: Any, **more: Any) -> None:
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
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "versions": _versions(),
        "build": _core.build_info(),
        "machine": _machine(),
        **more,
        "results": results,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    temporary.write_text(json.dumps(_plain(document), indent=2, allow_nan=False) + "\n")
    temporary.replace(path)
    print(f"written to {path}", flush=True)


def print_table(headers: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under headers, the first column left-aligned and the others right-aligned."""
    cells = [list(headers), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headers))]
    for row in cells:
        first, *others = (
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        print("  ".join([first, *others]).rstrip(), flush=True)


def existing(path: Path) -> Path:
    """Return a path if there is such a file.

    Raises:
        MissingInputError: There is none.
    """
    if not path.is_file():
        raise MissingInputError(f"{path} is not there; say where the benchmark inputs are with --data FOLDER")
    return path


def _versions() -> dict[str, str]:
    """Return versions of what takes part; frameworks only where the benchmark has imported them."""
    versions = {
        "dfa": dfa.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
    }
    for name in ("keras", "tensorflow", "torch", "jax"):
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
