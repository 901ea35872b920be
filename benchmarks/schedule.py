"""How well a run fills many workers: a simulation of who may be asked when, without processes and without images.

Images learn from those before them, so they begin in their order, and few at first (`dfa::Curriculum`). That bounds how
many workers have something to do. Here the same rules go over images whose searches take as many iterations and queries
as those of a real attack on digits did (drawn from 1,500 of them), on devices that take 2 ms a call and 20 us a row.
What the driver itself takes is counted per row and per batch, one batch after another; 0 shows what the order alone
costs. Efficiency is the time that one worker takes over that of all, times their number.
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from unittest import mock

import numpy as np

import dfa
from dfa import _core
from dfa.engine.window import Window
from fullness.device import Timing
from fullness.models import digits
from harness.arguments import make_parser
from harness.printing import print_table
from harness.results import write_results

_FEWEST, _TEACHERS, _NEW = 4, 8, 64
"""As of `dfa::Curriculum`."""
_BATCH = 256
_FLIGHTS = 2


@dataclass(frozen=True)
class Driver:
    """What the one who proposes and is told takes.

    Attributes:
        per_batch: Seconds.
        per_row: Seconds.
    """

    per_batch: float = 0.0
    per_row: float = 0.0


class Clock:
    """The order in which images may begin; the rules of `dfa::Curriculum`, and no lessons."""

    def __init__(self, capacity: int) -> None:
        """Begin at tick 0 with no image."""
        self.now = self.active = 0
        self._capacity = capacity
        self._new = self._learned = 0
        self._next: defaultdict[int, int] = defaultdict(int)  # images that report on a tick next
        self._settled: defaultdict[int, list[int]] = defaultdict(lambda: [0, 0])  # no more new, over

    def has_room(self) -> bool:
        """Tell whether the next image may begin at this tick."""
        few = self._new < _FEWEST or self._new**2 < self._learned or _TEACHERS * self._new < self._learned
        return few and self.active < self._capacity

    def begin(self) -> int:
        """Let an image begin, and return its first tick."""
        self.active += 1
        self._new += 1
        self._next[self.now] += 1
        return self.now

    def report(self, tick: int, *, ends_being_new: bool, is_over: bool) -> None:
        """Take an image's report on a tick."""
        self._next[tick] -= 1
        self._settled[tick][0] += ends_being_new
        self._settled[tick][1] += is_over
        if not is_over:
            self._next[tick + 1] += 1

    def advance(self) -> bool:
        """End the tick if all have reported on it."""
        if self._next[self.now] or self.active == 0:
            return False
        known, over = self._settled.pop(self.now, [0, 0])
        del self._next[self.now]
        self._new -= known
        self._learned += known
        self.active -= over
        self.now += 1
        return True


def simulate(
    searches: Sequence[tuple[int, int]],
    number: int,
    workers: int,
    *,
    capacity: int,
    driver: Driver,
    timing: Timing,
    seed: int = 0,
) -> dict[str, float]:
    """Return seconds, rows and calls of a run.

    Args:
        searches: Iterations and queries of real ones, of which each image has one.
        number: Images.
        workers: Devices.
        capacity: The most images that are active at a time.
        driver: Of all of them.
        timing: Of a device.
        seed: Of which image has which search.
    """
    drawn = np.random.default_rng(seed).integers(len(searches), size=number).tolist()
    clock = Clock(capacity)
    # Of an active image: iterations to come, rows of each, told so far, tick, rows of this one that are to be told.
    ready: list[tuple[int, int, int]] = []  # tick, image, rows
    images: dict[int, list[int]] = {}
    flights: list[tuple[float, int, list[tuple[int, int]]]] = []  # end, number, (image, rows)
    free = [0.0] * workers  # when each device is idle again
    heapq.heapify(free)
    begun = calls = rows_sent = 0
    host = 0.0  # until when the driver is busy

    def refill() -> None:
        nonlocal begun
        while True:
            while begun < number and clock.has_room():
                iterations, queries = searches[drawn[begun]]
                size = max(1, math.ceil(queries / (iterations + 1)))
                images[begun] = [iterations, size, 0, clock.begin(), size]
                heapq.heappush(ready, (images[begun][3], begun, size))
                begun += 1
            if not clock.advance():
                return

    refill()
    waiting = sum(rows for _, _, rows in ready)
    while ready or flights:
        idle = sum(each <= host for each in free) if len(flights) < workers else 0
        if ready and len(flights) < _FLIGHTS * workers and (idle or waiting >= _BATCH / 2):
            most = max(1, min(_BATCH, -(-waiting // max(1, idle))))
            batch: list[tuple[int, int]] = []
            size = 0
            while ready and size < most:
                tick, image, rows = heapq.heappop(ready)
                taken = min(rows, most - size)
                batch.append((image, taken))
                size += taken
                if taken < rows:
                    heapq.heappush(ready, (tick, image, rows - taken))
            waiting -= size
            host += (driver.per_batch + driver.per_row * size) / 2
            start = max(host, heapq.heappop(free))
            end = start + timing.seconds(size)
            heapq.heappush(free, end)
            heapq.heappush(flights, (end, calls, batch))
            calls += 1
            rows_sent += size
            continue
        end, _, batch = heapq.heappop(flights)
        size = sum(rows for _, rows in batch)
        host = max(host, end) + (driver.per_batch + driver.per_row * size) / 2
        for image, rows in batch:
            state = images[image]
            state[4] -= rows
            if state[4]:
                continue
            state[2] += state[1]
            is_over = state[0] == 0
            was_new = state[2] - state[1] < _NEW
            ends = was_new and (is_over or state[2] >= _NEW)
            clock.report(state[3], ends_being_new=ends, is_over=is_over)
            if is_over:
                del images[image]
                continue
            state[0] -= 1
            state[3] += 1
            state[4] = state[1]
            heapq.heappush(ready, (state[3], image, state[1]))
            waiting += state[1]
        before = begun
        refill()
        waiting += sum(images[image][1] for image in range(before, begun))
    return {"seconds": max(host, *free), "rows": rows_sent, "calls": calls}


def real_searches(data: Any, *, number: int, epsilon: int) -> list[tuple[int, int]]:
    """Return iterations and queries of the searches of a real run."""
    searches: list[tuple[int, int]] = []

    class Noting(Window):
        def dismiss(self, place: int) -> None:
            searches.append((self._places.iteration(place), self._places.answered(place)))
            super().dismiss(place)

    with mock.patch("dfa.engine.loop.Window", Noting):
        model, images = digits(data, number)
        oracle = dfa.as_oracle(model, returns="logits")
        dfa.run(oracle, images, epsilon=epsilon, max_queries=1_000, progress=False)
    return searches


def main() -> None:
    """Simulate and print."""
    parser = make_parser("schedule", __doc__)
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 1_000_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 8, 64])
    parser.add_argument("--epsilon", type=int, nargs="+", default=[40, 20], help="of the attacks that searches are of")
    parser.add_argument("--driver", nargs="+", default=["0,0", "1e-4,1e-6"], help="seconds per batch and per row")
    parser.add_argument("--capacity", type=int, nargs="+", default=[_core.Curriculum.capacity(784)])
    arguments = parser.parse_args()
    rows: list[dict[str, Any]] = []
    for epsilon in arguments.epsilon:
        searches = real_searches(arguments.data, number=1_500, epsilon=epsilon)
        for number in arguments.images:
            for capacity in arguments.capacity:
                for words in arguments.driver:
                    driver = Driver(*map(float, words.split(",")))
                    alone = 0.0
                    for workers in arguments.workers:
                        found = simulate(searches, number, workers, capacity=capacity, driver=driver, timing=Timing())
                        alone = alone or found["seconds"] * workers
                        row = {
                            "epsilon": epsilon,
                            "images": number,
                            "capacity": capacity,
                            "driver": words,
                            "workers": workers,
                            **found,
                            "queries per image": found["rows"] / number,
                            "rows per call": found["rows"] / found["calls"],
                            "efficiency": alone / found["seconds"] / workers,
                        }
                        print(row, flush=True)
                        rows.append(row)
    print(__doc__)
    heads = ["epsilon", "images", "capacity", "driver", "workers", "queries per image", "rows per call", "seconds"]
    print_table(
        [*heads, "efficiency"],
        (
            [
                f"{value:,.2f}" if isinstance(value := row[name], float) else str(value)
                for name in (*heads, "efficiency")
            ]
            for row in rows
        ),
    )
    write_results(arguments.out, arguments, rows)


if __name__ == "__main__":
    main()
