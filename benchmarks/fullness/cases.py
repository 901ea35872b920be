"""What `devices.py` measures: each case is one run of dfa, and the figures that come of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import core
import dfa
from fullness.attack import Figures, attack
from fullness.device import SimulatedDevice, Timing
from fullness.models import FallingScores, LinearModel, digits, moved_copies
from fullness.squares import against_art, against_torchattacks
from harness.inputs import first_correct, load_model

_BATCH = 256
_TINY_BATCH = 1_024
_TINY = (8, 8, 1)


@dataclass(frozen=True)
class Case:
    """One run to measure.

    Attributes:
        name: In the table.
        kind: "device", "tiny", "free" or "square": the table.
        measure: From the data folder to figures. All have `cost`, the seconds by which two builds are compared, and
            `queries`, `calls`, `rows_per_call`, `queries_per_second`, `wall` and `processors`, the seconds of all
            threads, of the run.
    """

    name: str
    kind: str
    measure: Callable[[Path], Figures]


def on_device(data: Path, *, number: int, epsilon: int, targets: Any = None) -> Figures:
    """Attack digits on a simulated device."""
    model, images = digits(data, number)
    device = SimulatedDevice(model, Timing())
    oracle = dfa.as_oracle(device, returns="logits")
    figures = attack(oracle, images, epsilon=epsilon, targets=targets, max_queries=1_000, batch_size=_BATCH)
    return figures | device_figures(figures, device, _BATCH)


def on_lenet(data: Path, *, number: int, targets: Any = None) -> Figures:
    """Attack LeNet-1, which a processor answers for faster than the simulated device that it is put on."""
    model = dfa.as_oracle(load_model(data, "lenet1.keras"))
    (images, _), _ = first_correct(model, moved_copies(data), number, _BATCH)
    model.prepare(images.shape[1:], _BATCH)
    device = SimulatedDevice(model.scores, Timing())
    figures = attack(dfa.as_oracle(device), images, epsilon=64, targets=targets, batch_size=_BATCH)
    return figures | device_figures(figures, device, _BATCH)


def device_figures(figures: Figures, device: SimulatedDevice, batch_size: int) -> Figures:
    """Return how well a device was used.

    Args:
        figures: Of the run.
        device: That it was on.
        batch_size: The most rows of a call.

    Returns:
        `utilisation`: the time of the attack queries in full batches over the wall time; `utilisation_of_all`: the same
        with clean predictions and confirmations; `at_best`: what that would be, had the device never been idle nor
        late, which depends on nothing but how full the batches were; `lateness`: what the calls took over what they
        should have taken.
    """
    ideal = partial(device.timing.ideal, batch_size=batch_size)
    return {
        "utilisation": ideal(int(figures["queries"])) / figures["wall"],
        "utilisation_of_all": ideal(int(figures["all_rows"])) / figures["wall"],
        "at_best": ideal(int(figures["all_rows"])) / device.due,
        "lateness": device.taken / device.due,
        "cost": figures["wall"],
    }


def on_tiny_images(_: Path, *, number: int) -> Figures:
    """Attack many random images of 8x8 with a small budget, on a model that costs next to nothing."""
    images = np.random.default_rng(1).integers(0, 256, (number, *_TINY), dtype=np.uint8)
    oracle = dfa.as_oracle(LinearModel.drawn(images[0].size, 10), returns="logits")
    figures = attack(oracle, images, epsilon=10, max_queries=30, batch_size=_TINY_BATCH)
    return figures | {"cost": figures["wall"] / figures["queries"]}


def on_free_oracle(_: Path, *, shape: tuple[int, int, int], batch_size: int) -> Figures:
    """Attack through an oracle that costs nothing, and time what the core alone takes for as many rows.

    The core's side is that of `core.py`: `ask` and `tell` of full batches, each image once in a batch.
    """
    images = np.random.default_rng(0).integers(0, 256, (2 * batch_size, *shape), dtype=np.uint8)
    oracle = dfa.as_oracle(FallingScores())
    figures = attack(oracle, images, epsilon=10, max_queries=400, batch_size=batch_size)
    steps = int(np.clip(1e8 / (batch_size * images[0].size), 20, 500))
    case = core.Case("", shape, 10, dfa.Racos(improvements=0.0), steps)
    originals = images[: case.num_images(batch_size)]
    buffer = np.zeros((batch_size, *shape), dtype=np.uint8)
    script = core.write_script(case, len(originals), case.steps, 0)
    on_wall, on_processors = (
        core.time_core(case, originals, buffer, script, threads=1, clock=clock).step
        for clock in (time.perf_counter, time.process_time)
    )
    return figures | {
        "cost": figures["wall"] / figures["queries"],
        "core": on_wall,
        "times_core": figures["wall"] / figures["queries"] / on_wall,
        "times_core_processors": figures["processors"] / figures["queries"] / on_processors,
    }


def _device(number: int, goal: str) -> Case:
    targets = dfa.rank(5) if goal == "targeted" else None
    epsilon = 64 if goal == "targeted" else 40
    measure = partial(on_device, number=number, epsilon=epsilon, targets=targets)
    return Case(f"device {goal} {number:,}", "device", measure)


def _tiny(number: int) -> Case:
    return Case(f"tiny {number:,}", "tiny", partial(on_tiny_images, number=number))


def _free(height: int, channels: int, batch_size: int) -> Case:
    shape = (height, height, channels)
    measure = partial(on_free_oracle, shape=shape, batch_size=batch_size)
    return Case(f"free {height}x{height}x{channels}", "free", measure)


CASES = [
    *(_device(number, goal) for goal in ("untargeted", "targeted") for number in (1_000, 10_000)),
    Case("LeNet-1 untargeted 1,000", "device", partial(on_lenet, number=1_000)),
    Case("LeNet-1 targeted 10,000", "device", partial(on_lenet, number=10_000, targets=dfa.rank(4))),
    Case("LeNet-1 targeted 1,000", "device", partial(on_lenet, number=1_000, targets=dfa.rank(4))),
    *(_tiny(number) for number in (5_000, 20_000, 100_000)),
    _free(28, 1, _BATCH),
    # Half of a batch of large images, so that they fit into the memory of a small machine.
    *(_free(height, 3, _BATCH // 2) for height in (160, 224, 299)),
    Case("square torchattacks", "square", against_torchattacks),
    Case("square ART", "square", against_art),
]
