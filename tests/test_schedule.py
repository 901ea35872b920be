"""The clock of `benchmarks/schedule.py` is that of the core: in a real run images begin at the ticks that it says."""

from __future__ import annotations

from collections import defaultdict
from unittest import mock

import dfa
from dfa.engine.window import Window
from oracles import LinearClassifier, random_images
from schedule import _NEW, Clock

SHAPE = (6, 6, 3)
IMAGES = random_images(150, SHAPE)


def test_images_begin_at_the_ticks_of_the_core():
    began: dict[int, int] = {}
    told: defaultdict[int, list[int]] = defaultdict(list)  # candidates told when an iteration of an image ended
    over: set[int] = set()

    class Noting(Window):
        def _admit(self, job):
            began[job.index] = self._searches._curriculum.now
            super()._admit(job)

        def tell(self, flight, degrees, seconds):
            ended = super().tell(flight, degrees, seconds)
            for place, job in self.jobs.items():
                spent = self._places.spent(place)
                if spent > (told[job.index][-1] if told[job.index] else 0):
                    told[job.index].append(spent)
            over.update(self.jobs[place].index for place in ended)
            return ended

    with mock.patch("dfa.engine.loop.Window", Noting):
        dfa.run(LinearClassifier(SHAPE), IMAGES, epsilon=4, max_queries=300, batch_size=16, progress=False)
    assert len(began) == len(over) == len(IMAGES)
    assert sum(len(each) > 20 for each in told.values()) > 10

    clock = Clock(capacity=16_384)
    expected: dict[int, int] = {}
    reports: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)  # by tick: image and iteration
    while clock.active or len(expected) < len(IMAGES):
        while len(expected) < len(IMAGES) and clock.has_room():
            index = len(expected)
            expected[index] = clock.begin()
            for iteration in range(len(told[index])):
                reports[expected[index] + iteration].append((index, iteration))
        tick = clock.now
        for index, iteration in reports[tick]:
            is_over = iteration == len(told[index]) - 1
            before = told[index][iteration - 1] if iteration else 0
            ends = before < _NEW and (is_over or told[index][iteration] >= _NEW)
            clock.report(tick, ends_being_new=ends, is_over=is_over)
        assert clock.advance()
    assert expected == began
    assert max(began.values()) > 50
