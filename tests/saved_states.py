"""States of the core that are kept in tests/fixtures/states, and what must follow from each: `test_core_states.py`.

`python tests/saved_states.py` writes them anew, which is due when the version of states goes up (`kStateVersion` in
cpp/include/dfa/base/state.hpp). The digests in `digests.json` say how each goes on. They are of the search and not of
its state: if the script changes one of them, the search has changed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from core_driver import DEFAULT, Images, ask, config_of, make_batch, population_of, rows_of, tell
from dfa import _core
from reference.settings import Settings

Degree = Callable[[Images], float]

FOLDER = Path(__file__).parent / "fixtures" / "states"
DIGESTS = FOLDER / "digests.json"

SHAPE = (7, 6, 3)
IMAGE = np.random.default_rng(7).integers(0, 256, SHAPE).astype(np.uint8)
BALL = replace(DEFAULT, samples=3, positives=2, starts=8, restart_after=6, window_halvings=(2, 6))
BOX = Settings(samples=3, positives=2, coordinates=2)
RAYS = replace(DEFAULT, shape="ray")
ORDERED = Settings(samples=4, positives=2, coordinates=9, window_halvings=(3, 5))


@dataclass(frozen=True)
class Saved:
    """A kind of state: one in the midst of things, its bytes, what reads them, and the trace of how it goes on."""

    make: Callable[[], Any]
    save: Callable[[Any], bytes]
    load: Callable[[bytes], Any]
    go_on: Callable[[Any], Iterator[bytes]]

    def digest(self, of: Any) -> str:
        return hashlib.sha256(b"".join(self.go_on(of))).hexdigest()


def degree_of(image: Images) -> float:
    """Exact, of no two alike images alike, and slow to fall, so that descents come to rest."""
    weights = np.arange(1, image.size + 1).reshape(image.shape) % 11 - 5
    return 2_000 + float((image.astype(np.int64) * weights).sum()) / 64


def distance_of(image: Images) -> float:
    """As of labels: below 1 where one is seen that counts, which of these images it is on two in three."""
    return 1.0 if int(degree_of(image) * 64) % 3 == 0 else 0.5


def answer(
    batch: _core.Batch, slot: int, skipped: int = 0, told: int | None = None, degree: Degree = degree_of
) -> Images:
    """Ask all candidates of an iteration, and tell those from `skipped` on, `told` of them."""
    rows = rows_of(batch, slot)
    images = ask(batch, rows, SHAPE)
    chosen = slice(skipped, None if told is None else skipped + told)
    tell(batch, rows[chosen], [degree(image) for image in images[chosen]])
    return images


def search(
    settings: Settings, limits: Any, iterations: int, *, told: int = 1, num_more: int = 12, degree: Degree = degree_of
) -> Saved:
    """A search with the first of its candidates told, `told` of them, that goes on for `num_more` iterations."""

    def make() -> _core.Batch:
        batch = make_batch(settings, IMAGE, seed=11)
        slot = batch.add(IMAGE, 5, limits())
        for _ in range(iterations):
            answer(batch, slot, degree=degree)
        answer(batch, slot, told=told, degree=degree)
        return batch

    def load(state: bytes) -> _core.Batch:
        batch = make_batch(settings, IMAGE, seed=99)
        batch.load(state)
        return batch

    def go_on(batch: _core.Batch) -> Iterator[bytes]:
        for iteration in range(num_more):
            yield answer(batch, 0, skipped=0 if iteration else told, degree=degree).tobytes()
            yield repr(population_of(batch, 0)).encode()
        yield str(batch.iteration(0)).encode()

    return Saved(make, lambda batch: batch.save(0), load, go_on)


def lesson() -> _core.Lesson:
    """Of a search that found a perturbation."""
    batch = make_batch(BALL, IMAGE, seed=3)
    slot = batch.add(IMAGE, 0, 20)
    for iteration in range(8):
        rows = rows_of(batch, slot)
        images = ask(batch, rows, SHAPE)
        hits = [iteration == 3 and i == 1 for i in range(len(rows))]
        tell(batch, rows, [0.0 if hit else degree_of(image) for hit, image in zip(hits, images, strict=True)])
    return batch.lesson(slot)


def archive() -> _core.Archive:
    taught = _core.Archive(IMAGE.size)
    for goal in (4, -1, 4, 2):
        taught.learn(goal, lesson())
    return taught


def go_on_with_archive(taught: _core.Archive) -> Iterator[bytes]:
    """What it teaches and what that makes of a search."""
    for goal in (4, 2, 9):
        plan = taught.plan(goal, 700.0)
        batch = make_batch(BALL, IMAGE, seed=21)
        slot = batch.add(IMAGE, 8, 20, plan)
        yield str(plan.num_starts).encode()
        for _ in range(8):
            yield answer(batch, slot).tobytes()
        taught.learn(goal, batch.lesson(slot))
        yield str(len(taught)).encode()


def go_on_with_lesson(taught: _core.Lesson) -> Iterator[bytes]:
    other = _core.Archive(IMAGE.size)
    other.learn(4, taught)
    yield from go_on_with_archive(other)


class Window:
    """Places for three searches, of which a batch holds seven candidates."""

    def __init__(self) -> None:
        self.batch = _core.Batch(config_of(BALL), SHAPE, 13, 1)
        self.curriculum = _core.Curriculum(IMAGE.size)
        self.places = _core.Places(self.batch, self.curriculum, 3, 7, 200, None)
        self.images = np.zeros((7, *SHAPE), np.uint8)

    def round(self) -> bytes:
        indices, goals = self.places.propose(self.images)
        images = self.images[: len(indices)]
        finished = self.places.tell(np.array([degree_of(image) for image in images]), 0.5, 100.0)
        while self.curriculum.advance():
            pass
        learned = self.curriculum.now, self.curriculum.has_room(), self.curriculum.plan(3, 1.0).num_starts
        return indices.tobytes() + goals.tobytes() + images.tobytes() + repr((finished, learned)).encode()


def window() -> Window:
    """With one place free, and one search younger than the other and in the midst of an iteration."""
    made = Window()
    made.places.admit(0, made.batch.add(IMAGE, 30, 20), 30, 3, float("inf"))
    for _ in range(4):
        made.round()
    made.places.admit(2, made.batch.add(255 - IMAGE, 31, 9), 31, -4, 1_000.0)
    made.round()
    return made


def load_window(state: bytes) -> Window:
    loaded = Window()
    loaded.places.load(state, 50.0)
    return loaded


def go_on_with_window(made: Window) -> Iterator[bytes]:
    for _ in range(10):
        yield made.round()
    for place in (0, 2):
        places = made.places
        told = (places.spent(place), places.answered(place), places.seconds(place), places.trace(place))
        yield repr((told, places.iteration(place))).encode()


RADII = (np.arange(IMAGE.size).reshape(SHAPE) * 7 % 256).astype(np.uint8)

STATES = {
    "ball": search(BALL, lambda: 20, 7),
    "ordered": search(ORDERED, lambda: _core.RadiusMap(RADII), 3),
    "rays": search(RAYS, lambda: 20, 60, told=0, num_more=60, degree=distance_of),
    "box": search(BOX, lambda: _core.Box("tiled", SHAPE, {"epsilon": 9, "factor": 2}), 3),
    "lesson": Saved(
        lesson, lambda taught: taught.save(), lambda state: _core.Lesson.load(IMAGE.size, state), go_on_with_lesson
    ),
    "archive": Saved(archive, lambda taught: taught.save(), _core.Archive.load, go_on_with_archive),
    "places": Saved(window, lambda made: made.places.save(50.0), load_window, go_on_with_window),
}


def main() -> None:
    """Write all states, and how each goes on."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, kind in STATES.items():
        (FOLDER / f"{name}.state").write_bytes(kind.save(kind.make()))
    digests = {name: kind.digest(kind.make()) for name, kind in STATES.items()}
    DIGESTS.write_text(json.dumps(digests, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
