"""An object of the core that a call is at work on refuses every other thread, and is free again afterwards."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from core_driver import config_of
from core_problem import integers
from dfa import _core
from reference.settings import Settings

SIZE = (256, 256, 3)
IMAGE = np.full(SIZE, 100, np.uint8)
ROWS = 200
SETTINGS = Settings(samples=ROWS - 2, positives=2, coordinates=2)
EMPTY = np.zeros((0, *SIZE), np.uint8)
NONE = 999
"""No slot and no place: a call that is not refused as another thread's is refused for that, and changes nothing."""

# Calls of every method, by name, whatever the object is.
BATCH: dict[str, Callable[[_core.Batch], Any]] = {
    "add": lambda batch: batch.add(EMPTY, 0, 9),
    "lesson": lambda batch: batch.lesson(NONE),
    "remove": lambda batch: batch.remove(NONE),
    "ask": lambda batch: batch.ask(integers(NONE), integers(0), EMPTY),
    "tell": lambda batch: batch.tell(integers(NONE), integers(0), np.zeros(1)),
    "iteration": lambda batch: batch.iteration(NONE),
    "iteration_size": lambda batch: batch.iteration_size(NONE),
    "population": lambda batch: batch.population(NONE),
    "save": lambda batch: batch.save(NONE),
    "load": lambda batch: batch.load(b""),
    "save_all": lambda batch: batch.save_all(),
    "load_all": lambda batch: batch.load_all(b""),
    "threads": lambda batch: batch.threads,
    "wants_prior": lambda batch: batch.wants_prior(NONE),
    "give_prior": lambda batch: batch.give_prior(NONE, IMAGE),
}
CURRICULUM: dict[str, Callable[[_core.Curriculum], Any]] = {
    "now": lambda curriculum: curriculum.now,
    "has_room": lambda curriculum: curriculum.has_room(),
    "plan": lambda curriculum: curriculum.plan(0, 1.0),
    "advance": lambda curriculum: curriculum.advance(),
}
PLACES: dict[str, Callable[[_core.Places], Any]] = {
    "admit": lambda places: places.admit(NONE, 0, 0, 0, 0.0),
    "dismiss": lambda places: places.dismiss(NONE),
    "capacity": lambda places: places.capacity,
    "num_ready": lambda places: places.num_ready,
    "num_again": lambda places: places.num_again,
    "propose": lambda places: places.propose(EMPTY),
    "tell": lambda places: places.tell(np.zeros(ROWS + 1), 0.0, 0.0),
    "save": lambda places: places.save(0.0),
    "load": lambda places: places.load(b"", 0.0),
    "wanting_prior": lambda places: places.wanting_prior(),
    "give_prior": lambda places: places.give_prior(NONE, IMAGE),
} | {
    name: lambda places, name=name: getattr(places, name)(NONE)  # type: ignore[misc]
    for name in (
        *("row", "iteration", "spent", "slot", "answered", "seconds", "trace", "hit", "hit_vector", "best"),
        "is_at_rest",
        "may_be_told",
    )
}
LATTICE: dict[str, Callable[[_core.LatticeBatch], Any]] = {
    "add": lambda lattice: lattice.add(np.zeros(1), np.zeros(1, np.uint8), [], []),
    "remove": lambda lattice: lattice.remove(NONE),
    "num_free": lambda lattice: lattice.num_free(NONE),
    "propose": lambda lattice: lattice.propose(integers(NONE), EMPTY),
    "tell": lambda lattice: lattice.tell(integers(NONE), np.zeros(1)),
}
CALLS: dict[type, dict[str, Callable[[Any], Any]]] = {
    _core.Batch: BATCH,
    _core.Curriculum: CURRICULUM,
    _core.Places: PLACES,
    _core.LatticeBatch: LATTICE,
}


@pytest.mark.parametrize("kind", CALLS, ids=lambda kind: kind.__name__)
def test_the_calls_below_are_all_that_there_are(kind: type) -> None:
    public = {name for name in vars(kind) if not name.startswith("_")}
    assert set(CALLS[kind]) == (public - {"capacity"} if kind is _core.Curriculum else public)  # of no curriculum


class MissedError(Exception):
    """The long call was over before all others were made, since the machine had other things to do."""


def until_seen(test: Callable[[], None]) -> Callable[[], None]:
    """Try a test again that missed what it was to see."""

    @functools.wraps(test)
    def tried() -> None:
        for _ in range(20):
            with contextlib.suppress(MissedError):
                return test()
        raise AssertionError("the long call was always over before all others were made")

    return tried


def refusal(call: Callable[[], Any]) -> str:
    try:
        call()
    except (RuntimeError, ValueError) as error:
        return str(error)
    return ""


def assert_refused_during(long_call: Callable[[], Any], objects: list[Any], name: str) -> None:
    """Make one call in another thread, and meanwhile each of those on these objects, all of which must be refused."""
    calls = [(each, call) for each in objects for call in CALLS[type(each)].values()]
    failures: list[BaseException] = []
    is_over = threading.Event()

    def work() -> None:
        try:
            long_call()
        except BaseException as error:
            failures.append(error)
        is_over.set()

    expected = f"this {name} is in use by another thread. It is for one thread at a time"
    thread = threading.Thread(target=work)
    thread.start()
    seen: list[str] = []
    while not is_over.is_set() and not seen:
        # Holds the GIL throughout, so that it is not what the other thread is refused for.
        if refusal(lambda: PROBES[type(objects[0])](objects[0])).startswith(expected):
            seen = [refusal(lambda each=each, call=call: call(each)) for each, call in calls]  # type: ignore[misc]
            was_over = is_over.is_set()
    thread.join()
    assert failures == []
    if not seen or was_over:
        raise MissedError
    assert [each for each in seen if "is in use by another thread" not in each] == []
    for each in objects:
        assert "in use" not in refusal(lambda each=each: PROBES[type(each)](each))  # type: ignore[misc]


PROBES: dict[type, Callable[[Any], Any]] = {
    _core.Batch: len,
    _core.Curriculum: lambda curriculum: curriculum.now,
    _core.Places: lambda places: places.num_ready,
    _core.LatticeBatch: len,
}


@until_seen
def test_a_batch_is_for_one_thread_at_a_time() -> None:
    batch = _core.Batch(config_of(SETTINGS), SIZE, 1, 1)
    slot = batch.add(IMAGE, 0, 9)
    images = np.zeros((ROWS, *SIZE), np.uint8)
    rows = np.full(ROWS, slot), np.arange(ROWS)
    assert_refused_during(lambda: batch.ask(*rows, images), [batch], "Batch")
    assert_refused_during(lambda: batch.tell(*rows, np.arange(float(ROWS))), [batch], "Batch")
    assert batch.iteration(slot) == 1


@until_seen
def test_places_at_work_keep_other_threads_from_their_batch_and_curriculum() -> None:
    batch, curriculum = _core.Batch(config_of(SETTINGS), SIZE, 1, 1), _core.Curriculum(IMAGE.size)
    places, others = (_core.Places(batch, curriculum, 1, ROWS, 10_000, None) for _ in range(2))
    places.admit(0, batch.add(IMAGE, 0, 9), 0, 0, float("inf"))
    images = np.zeros((ROWS, *SIZE), np.uint8)
    objects = [places, others, batch, curriculum]
    assert_refused_during(lambda: places.propose(images), objects, "Batch")
    assert_refused_during(lambda: places.tell(np.arange(1.0, ROWS + 1), 0.0, 0.0), objects, "Batch")
    assert (places.iteration(0), places.answered(0)) == (1, ROWS)


@until_seen
def test_a_lattice_is_for_one_thread_at_a_time() -> None:
    number = 40
    lattice = _core.LatticeBatch(size=IMAGE.size, stages=[], num_stochastic=0, seed=0, threads=1, slack=0.0)
    levels = np.full((number, IMAGE.size), 99.5)
    originals = np.full(levels.shape, 100, np.uint8)
    slots = np.arange(number)
    assert_refused_during(lambda: lattice.add(levels, originals, [9] * number, list(slots)), [lattice], "LatticeBatch")
    assert_refused_during(lambda: lattice.propose(slots, originals), [lattice], "LatticeBatch")
    assert_refused_during(lambda: lattice.tell(slots, np.zeros(number)), [lattice], "LatticeBatch")


def test_one_thread_after_another_is_served() -> None:
    batch = _core.Batch(config_of(SETTINGS), SIZE, 1, 1)
    done: list[int] = []
    for _ in range(3):
        thread = threading.Thread(target=lambda: done.append(batch.add(IMAGE, 0, 9)))
        thread.start()
        thread.join()
    assert done == [0, 1, 2]
