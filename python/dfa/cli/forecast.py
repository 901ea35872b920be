"""How fast a model answers, what the optimizer would add, and what a run would take: measured, then projected.

Measures the bare oracle over batch sizes, then attacks a few images to learn how many queries they need and what a
query costs beside the oracle's own time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.api import run
from dfa.engine.inputs import Inputs
from dfa.errors import InvalidInputError
from dfa.oracle import Oracle, as_oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.results.profile import Profile
from dfa.results.result import Result
from dfa.results.summary import Summary
from dfa.types import Images, ImageSequence

DEFAULT_SIZES: Final = (1, 4, 16, 32, 64, 128, 256, 512)
_SHARE_OF_BEST: Final = 0.95
"""The recommended batch size is the smallest with this share of the best throughput: smaller ones waste less."""

_Z: Final = 1.96
"""Standard errors on either side of a mean that make its 95 % interval."""


@dataclass(frozen=True)
class Throughput:
    """The oracle at one batch size, asked as a run asks it.

    Attributes:
        batch_size: Images per call.
        rows: Rows that the model is given for them, more where batches are filled up to one size.
        images_per_second: Median over the calls.
        calls: Calls that were timed.
    """

    batch_size: int
    rows: int
    images_per_second: float
    calls: int


@dataclass(frozen=True)
class Forecast:
    """What a run would take, judged by a pilot.

    Attributes:
        images: Images of the run.
        queries: Attack queries that it would send.
        queries_low: Lower end of a 95 % interval of the pilot's mean, for as many images; 0 at least.
        queries_high: Upper end.
        seconds: Time that it would take at the recommended batch size.
        seconds_low: At `queries_low`.
        seconds_high: At `queries_high`.
    """

    images: int
    queries: float
    queries_low: float
    queries_high: float
    seconds: float
    seconds_low: float
    seconds_high: float


@dataclass(frozen=True)
class Benchmark:
    """What `benchmark` measured and projects.

    Attributes:
        throughput: Of the bare oracle, by batch size, ascending.
        recommended: The batch size to use: the smallest with 95 % of the best throughput, of those that are not filled
            up if there is one.
        pilot: Summary of the pilot attack.
        profile: Where its time went.
        oracle_seconds: Of one query, bare, at the recommended batch size.
        optimizer_seconds: Of one query, for everything but the oracle's answer to it, as the pilot saw it. A run over
            more images fills its batches better, and pays rather less.
        optimizer_share: Part of a run's time that this would be if nothing of it were hidden behind the oracle, 0..1.
            Beside a device of its own most of it is hidden.
        forecast: What a run over many images would take.
    """

    throughput: tuple[Throughput, ...]
    recommended: int
    pilot: Summary
    profile: Profile
    oracle_seconds: float
    optimizer_seconds: float
    optimizer_share: float
    forecast: Forecast

    def as_dict(self) -> dict[str, Any]:
        """Return everything in plain types."""
        return {**asdict(replace(self, profile=Profile())), "profile": self.profile.as_dict()}


def benchmark(
    oracle: object,
    images: ImageSequence | NDArray[np.uint8],
    labels: NDArray[np.int64] | None = None,
    *,
    sizes: Sequence[int] = DEFAULT_SIZES,
    seconds: float = 2.0,
    pilot: int = 16,
    number: int | None = None,
    **settings: Any,
) -> Benchmark:
    """Measure a model, attack a few images, and project what a run would take.

    Args:
        oracle: Anything that `dfa.as_oracle` takes.
        images: The images of the run to come, or some like them: uint8, (N, H, W, C), or a sequence.
        labels: Class ids, (N,), as for `dfa.run`.
        sizes: Batch sizes to measure.
        seconds: To spend on each of them, about; at least three calls are timed.
        pilot: Images to attack, evenly chosen.
        number: Images of the run to come; None for N.
        **settings: Of `dfa.run`, `batch_size` excepted.

    Raises:
        InvalidInputError: A number is below 1, or what `dfa.run` refuses.
        OracleError: The oracle failed.
    """
    if not sizes or min(sizes) < 1 or pilot < 1 or (number is not None and number < 1):
        raise InvalidInputError("sizes, pilot and number must be 1 or more")
    asked = as_oracle(oracle)
    inputs = Inputs(images, layout=settings.get("layout"))
    chosen = np.unique(np.linspace(0, inputs.num_images - 1, min(pilot, inputs.num_images)).astype(np.int64))
    some = np.stack([inputs.load(int(place)) for place in chosen])
    throughput = tuple(_throughput(asked, some, size, seconds) for size in sorted(set(sizes)))
    recommended = recommend(throughput)
    result = run(
        asked,
        some,
        None if labels is None else np.asarray(labels)[chosen],
        **{
            "progress": False,
            **_settings_of(settings, chosen, inputs.num_images),
            "batch_size": recommended.batch_size,
        },
    )
    profile = result.profile
    rows = max(1, profile.rows_sent)
    oracle_seconds = 1.0 / recommended.images_per_second
    optimizer_seconds = max(0.0, profile.wall - profile.oracle) / rows
    per_query = oracle_seconds + optimizer_seconds
    return Benchmark(
        throughput=throughput,
        recommended=recommended.batch_size,
        pilot=result.summary(),
        profile=profile,
        oracle_seconds=oracle_seconds,
        optimizer_seconds=optimizer_seconds,
        optimizer_share=optimizer_seconds / per_query,
        forecast=forecast_of(result, inputs.num_images if number is None else number, per_query),
    )


def recommend(throughput: Sequence[Throughput]) -> Throughput:
    """Return the batch size to use, of those measured, ascending; `Benchmark.recommended` says which."""
    whole = [each for each in throughput if each.rows == each.batch_size] or throughput
    best = max(each.images_per_second for each in whole)
    return next(each for each in whole if each.images_per_second >= _SHARE_OF_BEST * best)


def _throughput(oracle: Oracle, some: Images, size: int, seconds: float) -> Throughput:
    """Time calls with `size` images, whatever they are: a call's time does not depend on what it shows."""
    batch = np.ascontiguousarray(np.resize(some, (size, *some.shape[1:])))
    gate = Gate(oracle, num_images=1, max_queries=0)
    gate.prepare((some.shape[1], some.shape[2], some.shape[3]), size)
    places = np.zeros(size, dtype=np.int64)
    # The first calls of a size compile, tune and allocate.
    for _ in range(2):
        gate.ask(batch, places, Purpose.VERIFICATION)
    times: list[float] = []
    started = time.perf_counter()
    while len(times) < 3 or time.perf_counter() - started < seconds:
        before = time.perf_counter()
        gate.ask(batch, places, Purpose.VERIFICATION)
        times.append(time.perf_counter() - before)
    full = oracle.rows_per_batch or size
    return Throughput(size, math.ceil(size / full) * full, size / float(np.median(times)), len(times))


def _settings_of(settings: Mapping[str, Any], chosen: NDArray[np.int64], number: int) -> dict[str, Any]:
    """Return the settings of the images chosen, where a setting holds one entry per image."""
    picked = {}
    for name, value in settings.items():
        is_per_image = name in ("targets", "epsilon", "ids") and np.ndim(value) in (1, 4) and len(value) == number
        picked[name] = np.asarray(value)[chosen] if is_per_image else value
    return picked


def forecast_of(result: Result, number: int, per_query: float) -> Forecast:
    """Return what a run would take.

    Args:
        result: Of the pilot.
        number: Images of the run.
        per_query: Seconds of a query.
    """
    sent = result.queries_sent.astype(np.float64)
    mean = float(sent.mean())
    error = _Z * float(sent.std(ddof=1)) / math.sqrt(len(sent)) if len(sent) > 1 else math.inf
    low, high = max(0.0, mean - error), mean + error
    return Forecast(
        images=number,
        queries=number * mean,
        queries_low=number * low,
        queries_high=number * high,
        seconds=number * mean * per_query,
        seconds_low=number * low * per_query,
        seconds_high=number * high * per_query,
    )
