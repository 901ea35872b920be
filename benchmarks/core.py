"""Candidates per second of the C++ core, beside the bare copy of the same images and a NumPy version of the step.

A step is one `ask` (the images of a batch of candidates, written into the oracle's buffer) and one `tell` (their
degrees; the core ranks, selects, and starts the next iteration). What stands beside it:

* memcpy: one `numpy.copyto` per batch and thread, no Python per row: as many source images as the window has, each
  copied `samples` times into the same buffer that the core writes to. That is the least a step can do.
* NumPy: per candidate a copy of the parent's int16 perturbation, Y by `Generator.choice`, new values, and
  clip(original + perturbation) into the buffer; then a sort per image. No region; 16 images, to save memory.

The degrees told are drawn before the clock starts, so that a candidate enters the population with a probability that
falls from 0.5 to 0.2 over the timed steps, and the positives with half of that. (Real searches were measured at 0.79
falling to 0.24, and 0.40 falling to 0.12.) A block of steps starts with a new batch and untimed steps, so that the
members are relatives, as in a search under way. The sides take turns, block by block; the figures are medians over
the repeats, ratios the medians of ratios of blocks of one repeat.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import dfa
from dfa import _core
from harness.arguments import make_parser
from harness.printing import print_table, verdict
from harness.results import write_results

_ENTER_AT_FIRST, _ENTER_AT_LAST = 0.5, 0.2
_SHARE_OF_POSITIVES = 0.5
_WARM_UP = 30
_NUMPY_IMAGES = 16
_HEADERS = [
    "candidates/s",
    "core",
    "ask us",
    "tell us",
    "memcpy",
    "of memcpy",
    "ask alone",
    "2 threads",
    "x core",
    "x memcpy",
    "of memcpy",
    "NumPy",
    "x NumPy",
    "entered",
]
_BARS = {"299x299x3, |Y| = 200, paper": {"utilisation": 0.8, "speedup": 1.5}}


@dataclass(frozen=True)
class Case:
    """One setting at one image shape.

    Attributes:
        name: In the table.
        shape: (H, W, C).
        epsilon: Grey levels.
        optimizer: The setting, with as many candidates in every iteration. Its windows, if any, shrink as candidates
            are answered: a block times those of an image from the 31st on.
        steps: Timed in every block.
    """

    name: str
    shape: tuple[int, int, int]
    epsilon: int
    optimizer: dfa.Racos
    steps: int

    def num_images(self, batch_size: int) -> int:
        """Return how many images fill a batch with one iteration each."""
        return max(1, batch_size // self.optimizer.samples)


_MNIST, _SMALL, _LARGE = (28, 28, 1), (224, 224, 3), (299, 299, 3)
CASES = [
    Case("28x28x1, |Y| = 2, paper", _MNIST, 64, dfa.Racos.paper(coordinates=2), 4_000),
    Case("224x224x3, |Y| = 600, paper", _SMALL, 10, dfa.Racos.paper(coordinates=600), 60),
    Case("299x299x3, |Y| = 200, paper", _LARGE, 10, dfa.Racos.paper(coordinates=200), 40),
    Case("299x299x3, |Y| = 600, paper", _LARGE, 10, dfa.Racos.paper(coordinates=600), 40),
    Case("28x28x1, windows, sequential", _MNIST, 64, dfa.Racos(improvements=0.0), 1_000),
    Case("224x224x3, windows, sequential", _SMALL, 10, dfa.Racos(improvements=0.0), 200),
    Case("299x299x3, windows, sequential", _LARGE, 10, dfa.Racos(improvements=0.0), 200),
]


class Timing(NamedTuple):
    """Seconds per candidate."""

    ask: float
    tell: float

    @property
    def step(self) -> float:
        """Both together."""
        return self.ask + self.tell


class Degrees:
    """Draws degrees with chosen odds of entering the population, whose degrees it keeps as the core does.

    Attributes:
        start: float64, (images, s + k): degrees of the first candidates.
    """

    def __init__(self, optimizer: dfa.Racos, num_images: int, seed: int) -> None:
        """Draw the degrees of the start."""
        self._rng = np.random.default_rng(seed)
        self._samples = optimizer.samples
        self._positives = optimizer.positives
        self.start: NDArray[np.float64] = self._rng.random((num_images, optimizer.population))
        self._population = np.sort(self.start, axis=1)

    def draw(self, probability: float) -> tuple[NDArray[np.float64], float]:
        """Return one iteration's degrees, float64, (images * samples,), and the share of them that enters.

        Args:
            probability: That a candidate enters if it comes alone; some are pushed out by their siblings.
        """
        num_images, size = self._population.shape
        luck = self._rng.random((num_images, self._samples))
        # The rank that a candidate would take; its degree lies between those of its neighbours there.
        among_positives = self._rng.integers(0, self._positives, luck.shape)
        among_negatives = self._rng.integers(self._positives, size, luck.shape)
        rank = np.where(luck < probability, among_negatives, size)
        rank = np.where(luck < probability * _SHARE_OF_POSITIVES, among_positives, rank)
        best, worst = self._population[:, :1], self._population[:, -1:]
        edges = np.concatenate([best - 1, self._population, worst + 1], axis=1)
        low = np.take_along_axis(edges, rank, axis=1)
        high = np.take_along_axis(edges, rank + 1, axis=1)
        degrees = low + (high - low) * self._rng.random(luck.shape)
        union = np.concatenate([self._population, degrees], axis=1)
        self._population = np.sort(union, axis=1)[:, :size]
        return degrees.ravel(), float((degrees <= self._population[:, -1:]).mean())


class Script(NamedTuple):
    """The degrees of a block, all drawn before the clock starts.

    Attributes:
        start: float64, (images, s + k).
        warm_up: Per step float64, (images * samples,).
        timed: Likewise.
        entered: Share of the timed candidates that enter the population.
    """

    start: NDArray[np.float64]
    warm_up: list[NDArray[np.float64]]
    timed: list[NDArray[np.float64]]
    entered: float


def write_script(case: Case, num_images: int, steps: int, seed: int) -> Script:
    """Draw the degrees of a block."""
    degrees = Degrees(case.optimizer, num_images, seed)
    warm_up = [degrees.draw(_ENTER_AT_FIRST)[0] for _ in range(_WARM_UP)]
    drawn = [degrees.draw(float(p)) for p in np.linspace(_ENTER_AT_FIRST, _ENTER_AT_LAST, steps)]
    return Script(degrees.start, warm_up, [step for step, _ in drawn], float(np.mean([share for _, share in drawn])))


def time_core(
    case: Case,
    originals: NDArray[np.uint8],
    buffer: NDArray[np.uint8],
    script: Script,
    threads: int,
    clock: Callable[[], float] = time.perf_counter,
) -> Timing:
    """Run a block of the core."""
    num_images, samples = len(originals), case.optimizer.samples
    batch = _core.Batch(case.optimizer.configure(originals[0].size, case.shape), case.shape, 0, threads)
    slots = np.array([batch.add(image, i, case.epsilon) for i, image in enumerate(originals)], dtype=np.int64)
    for candidate in range(case.optimizer.population):
        same = np.full(num_images, candidate, dtype=np.int64)
        batch.ask(slots, same, buffer)
        batch.tell(slots, same, np.ascontiguousarray(script.start[:, candidate]))
    rows = np.repeat(slots, samples)
    candidates = np.tile(np.arange(samples, dtype=np.int64), num_images)
    for degrees in script.warm_up:
        batch.ask(rows, candidates, buffer)
        batch.tell(rows, candidates, degrees)
    ask = tell = 0.0
    for degrees in script.timed:
        started = clock()
        batch.ask(rows, candidates, buffer)
        asked = clock()
        batch.tell(rows, candidates, degrees)
        tell += clock() - asked
        ask += asked - started
    number = len(script.timed) * len(rows)
    return Timing(ask / number, tell / number)


def time_copy(case: Case, originals: NDArray[np.uint8], buffer: NDArray[np.uint8], steps: int, threads: int) -> float:
    """Run a block of bare copies; return seconds per image."""
    num_images, samples = len(originals), case.optimizer.samples
    sources = originals.reshape(num_images, 1, -1)
    targets = buffer[: num_images * samples].reshape(num_images, samples, -1)
    parts = list(zip(np.array_split(targets, threads), np.array_split(sources, threads), strict=True))
    with ThreadPoolExecutor(threads) as pool:
        np.copyto(targets, sources)
        started = time.perf_counter()
        for _ in range(steps):
            if threads == 1:
                np.copyto(targets, sources)
            else:
                list(pool.map(lambda part: np.copyto(*part), parts))
        seconds = time.perf_counter() - started
    return seconds / (steps * num_images * samples)


class NumpySearch:
    """The step as one would write it in NumPy, for one image."""

    def __init__(self, case: Case, original: NDArray[np.uint8], degrees: NDArray[np.float64]) -> None:
        """Draw a population for degrees already known, float64, (s + k,)."""
        self._rng = np.random.default_rng(0)
        self._optimizer = case.optimizer
        self._epsilon = case.epsilon
        self._original = original.astype(np.int16)
        self._low = np.maximum(-case.epsilon, -self._original)
        self._high = np.minimum(case.epsilon, 255 - self._original)
        self._told = len(degrees)
        self._children: list[NDArray[np.int16]] = []
        whole = [self._rng.integers(-case.epsilon, case.epsilon + 1, original.shape, dtype=np.int16) for _ in degrees]
        self._population = sorted(zip(degrees.tolist(), whole, strict=True), key=lambda member: member[0])

    def ask(self, row: NDArray[np.uint8]) -> None:
        """Write one candidate's image."""
        parent = self._population[self._rng.integers(self._optimizer.positives)][1]
        child = parent.copy()
        if self._optimizer.shape == "window":
            self._change_window(child)
        else:
            number = int(self._optimizer.coordinates)
            chosen = self._rng.choice(child.size, number, replace=False, shuffle=False)
            values = self._rng.integers(-self._epsilon, self._epsilon + 1, number, dtype=np.int16)
            child.reshape(-1)[chosen] = values
        row[...] = np.clip(self._original + child, 0, 255)
        self._children.append(child)

    def tell(self, degrees: NDArray[np.float64]) -> None:
        """Keep the best of population and children."""
        union = [*self._population, *zip(degrees.tolist(), self._children, strict=True)]
        self._population = sorted(union, key=lambda member: member[0])[: self._optimizer.population]
        self._told += len(degrees)
        self._children = []

    def _change_window(self, child: NDArray[np.int16]) -> None:
        height, width, channels = child.shape
        halvings = sum(self._told >= number for number in self._optimizer.window_halvings)
        share = self._optimizer.window_share / 2**halvings
        side = max(1, min(height, width, round((share * height * width) ** 0.5)))
        top = self._rng.integers(height - side + 1)
        left = self._rng.integers(width - side + 1)
        window = np.s_[top : top + side, left : left + side]
        picks_high = self._rng.integers(0, 2, channels).astype(bool)
        child[window] = np.where(picks_high, self._high[window], self._low[window])


def time_numpy(case: Case, originals: NDArray[np.uint8], buffer: NDArray[np.uint8], script: Script) -> Timing:
    """Run a block of the NumPy version."""
    samples = case.optimizer.samples
    searches = [NumpySearch(case, *pair) for pair in zip(originals, script.start, strict=True)]
    ask = tell = 0.0
    for degrees in script.timed:
        started = time.perf_counter()
        for i, search in enumerate(searches):
            for row in buffer[i * samples : (i + 1) * samples]:
                search.ask(row)
        asked = time.perf_counter()
        for i, search in enumerate(searches):
            search.tell(degrees[i * samples : (i + 1) * samples])
        tell += time.perf_counter() - asked
        ask += asked - started
    number = len(script.timed) * len(searches) * samples
    return Timing(ask / number, tell / number)


def measure(case: Case, arguments: argparse.Namespace) -> dict[str, Any]:
    """Let the sides of a case take turns; return the figures."""
    num_images = case.num_images(arguments.batch_size)
    steps = max(1, round(case.steps * arguments.effort))
    originals = np.random.default_rng(0).integers(0, 256, (num_images, *case.shape), dtype=np.uint8)
    buffer = np.zeros((num_images * case.optimizer.samples, *case.shape), dtype=np.uint8)
    few = originals[:_NUMPY_IMAGES]
    numpy_steps = max(2, min(steps, 200_000 // originals[0].size))
    blocks = []
    for repeat in range(arguments.repeats):
        script = write_script(case, num_images, steps, repeat)
        numpy_script = write_script(case, len(few), numpy_steps, repeat)
        block: dict[str, Any] = {"entered": script.entered}
        for threads in (1, 2):
            block[f"memcpy_{threads}"] = time_copy(case, originals, buffer, steps, threads)
            block[f"core_{threads}"] = time_core(case, originals, buffer, script, threads)
        block["numpy"] = time_numpy(case, few, buffer, numpy_script)
        blocks.append(block)

    def middle(figure: Callable[[dict[str, Any]], float]) -> float:
        return median(figure(block) for block in blocks)

    return {
        "case": case.name,
        "images": num_images,
        "rows": len(buffer),
        "steps": steps,
        "entered": middle(lambda b: b["entered"]),
        "candidates_per_second": {
            "core, 1 thread": middle(lambda b: 1 / b["core_1"].step),
            "core, 2 threads": middle(lambda b: 1 / b["core_2"].step),
            "memcpy, 1 thread": middle(lambda b: 1 / b["memcpy_1"]),
            "memcpy, 2 threads": middle(lambda b: 1 / b["memcpy_2"]),
            "numpy": middle(lambda b: 1 / b["numpy"].step),
        },
        "microseconds": {
            "ask": middle(lambda b: 1e6 * b["core_1"].ask),
            "tell": middle(lambda b: 1e6 * b["core_1"].tell),
        },
        "utilisation": middle(lambda b: b["memcpy_1"] / b["core_1"].step),
        "utilisation_of_ask": middle(lambda b: b["memcpy_1"] / b["core_1"].ask),
        "utilisation_2": middle(lambda b: b["memcpy_2"] / b["core_2"].step),
        "speedup": middle(lambda b: b["core_1"].step / b["core_2"].step),
        "memcpy_speedup": middle(lambda b: b["memcpy_1"] / b["memcpy_2"]),
        "over_numpy": middle(lambda b: b["numpy"].step / b["core_1"].step),
        "bars": _BARS.get(case.name, {}),
        "blocks": blocks,
    }


def main() -> None:
    """Measure every case and print the table."""
    parser = make_parser("core", __doc__, repeats=9)
    parser.add_argument("--batch-size", type=int, default=256, help="rows of the oracle's batch")
    parser.add_argument("--only", default="", help="cases whose name contains this")
    parser.add_argument("--effort", type=float, default=1.0, help="factor on the number of timed steps")
    arguments = parser.parse_args()
    results = []
    for case in CASES:
        if arguments.only not in case.name:
            continue
        print(f"{case.name} ...", file=sys.stderr, flush=True)
        results.append(measure(case, arguments))
    print(__doc__)
    print_table(
        _HEADERS,
        (
            [
                r["case"],
                f"{r['candidates_per_second']['core, 1 thread']:,.0f}",
                f"{r['microseconds']['ask']:.2f}",
                f"{r['microseconds']['tell']:.2f}",
                f"{r['candidates_per_second']['memcpy, 1 thread']:,.0f}",
                f"{r['utilisation']:.2f}",
                f"{r['utilisation_of_ask']:.2f}",
                f"{r['candidates_per_second']['core, 2 threads']:,.0f}",
                f"{r['speedup']:.2f}",
                f"{r['memcpy_speedup']:.2f}",
                f"{r['utilisation_2']:.2f}",
                f"{r['candidates_per_second']['numpy']:,.0f}",
                f"{r['over_numpy']:,.0f}",
                f"{r['entered']:.2f}",
            ]
            for r in results
        ),
    )
    for result in results:
        for name, bar in result["bars"].items():
            is_met = result[name] >= bar
            print(f"bar: {result['case']}: {name} at least {bar}: {result[name]:.2f}, {verdict(is_met)}")
    write_results(arguments.out, arguments, results)


if __name__ == "__main__":
    main()
