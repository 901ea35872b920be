"""Calls of everything public in `dfa._core` with values of any kind, right ones often enough to come far.

What is public is read off the module: a function, method or argument that is added is called, or asked for here.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from core_fuzz_configs import CONFIGS
from dfa import _core

SHAPES = [(3, 4, 2), (3, 4, 2), (1, 12, 2), (2, 2, 6)]
"""All of 24 values, so that what is of one may nearly fit another."""
SIZE = 24

REFUSALS = (TypeError, ValueError, RuntimeError)
"""What a refused call may raise. MemoryError is none: sizes are refused before memory is asked for."""

# Where a number is none of these it is right, or refused: what a size could just about be would only take memory.
NUMBERS = [-1, 0, 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**31), -(2**63), 10**30]
FLOATS = [0.0, -0.0, -1.0, 1e-320, 1e300, float("inf"), float("-inf"), float("nan")]
SHAPES_THAT_CANNOT_BE = [
    (0, 4, 2),
    (2**22, 2**22, 2**20),
    (2**32 - 1, 2**32 - 1, 2**32 - 1),
    (2**31, 1, 1),
    (2**32, 1, 1),
    (-3, 4, 2),
    (3, 8),
    (3.0, 4, 2),
]
ANYTHING = [None, True, 1.5, "text", b"", [], {}, (), object(), np.float32(2), np.int8(-3), _core, *NUMBERS, *FLOATS]

KINDS: dict[str, dict[str, int]] = {
    "frame": {"width": 1},
    "lighting": {"brightness": 9, "contrast": 5, "gamma": 2},
    "patch": {"size": 1},
    "pixels": {"number": 2},
    "rectangle": {"height": 2, "width": 2, "colour": -1},
    "shift": {"rows": 0, "columns": 1},
    "tiled": {"epsilon": 9, "factor": 2},
    "tiny_rectangles": {"number": 2, "height": 1, "width": 1},
    "values": {},
}


@dataclass(frozen=True)
class Call:
    """Something that can be called: on an object of `owner`, or on nothing; `names` are of its arguments."""

    owner: type | None
    name: str
    names: tuple[str, ...]
    function: Callable[..., Any]

    def __str__(self) -> str:
        return f"{self.owner.__name__ + '.' if self.owner else ''}{self.name}({', '.join(self.names)})"


def signatures(text: str) -> Iterator[tuple[str, ...]]:
    """The names of the arguments, for each way to call it, as pybind11 lists them in a docstring."""
    for line in text.splitlines():
        if found := re.match(r"(?:\d+\. )?\w*\((.*)\) -> ", line):
            names = re.findall(r"(?:^|, )(\w+): ", found[1])
            yield tuple(name for name in names if name not in ("self", "arg0"))


def calls() -> list[Call]:
    """Everything public."""
    found: list[Call] = []
    for name, each in vars(_core).items():
        if not isinstance(each, type):
            if callable(each):
                found += [Call(None, name, names, each) for names in signatures(each.__doc__ or "")]
        elif each is not _core.LatticeStage:
            for method, function in vars(each).items():
                found += calls_of(each, method, function)
    return found


def calls_of(owner: type, name: str, function: Any) -> list[Call]:
    if isinstance(function, property):
        reads = [Call(owner, name, (), function.fget)] if function.fget else []
        return reads + ([Call(owner, name, (name,), function.fset)] if function.fset else [])
    if isinstance(function, staticmethod):
        static = getattr(owner, name)
        return [Call(None, f"{owner.__name__}.{name}", names, static) for names in signatures(static.__doc__)]
    if name == "__init__":
        return [Call(None, owner.__name__, names, owner) for names in signatures(function.__doc__)]
    if callable(function) and (not name.startswith("_") or name == "__len__"):
        return [Call(owner, name, names, function) for names in signatures(function.__doc__ or "")]
    return []


CALLS = calls()


def misaligned(array: np.ndarray) -> np.ndarray:
    """The same values, one byte beside where their type may stand."""
    copy = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def strided(array: np.ndarray) -> np.ndarray:
    return np.repeat(array.reshape(-1), 2)[::2].reshape(array.shape)


def readonly(array: np.ndarray) -> np.ndarray:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


class Fuzzer:
    """Objects of the core, and calls of them; the same calls for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._numbers = np.random.default_rng(seed)
        self.objects: dict[type, list[Any]] = {}
        self.states: dict[str, bytes] = {"": b""}
        self._last_state = b""
        self._batch_of: dict[_core.Places, _core.Batch] = {}
        self.made: set[str] = set()
        """Calls that were not refused."""

    def step(self) -> Call | None:
        """Make one call, and keep what it returned; return what was called unless it was refused."""
        call = self._random.choice(CALLS)
        self_argument = () if call.owner is None else (self._one_of(call.owner),)
        if self_argument == (None,):
            return None
        values = self._arguments(call)
        try:
            if call.owner is not None and isinstance(vars(call.owner)[call.name], property):
                returned = call.function(*self_argument, *values.values())
            else:
                returned = call.function(*self_argument, **values)
        except REFUSALS:
            return None
        self._keep(returned, values)
        if isinstance(returned, bytes):
            self._last_state = self.states[str(call)] = returned
        self.made.add(str(call))
        return call

    def round(self) -> None:
        """Take an object as far as its next answers: what single calls hardly ever do."""
        kind = self._random.choice([_core.Batch, _core.Places, _core.LatticeBatch])
        if (each := self._one_of(kind)) is None:
            return
        with contextlib.suppress(*REFUSALS):
            if isinstance(each, _core.Batch):
                chance = self._random.random()
                if chance < 0.2:
                    return self._clear(each)
                if chance < 0.21:
                    return self._begin_with_a_prior()
                if len(each) < 4:
                    self._add(each)
                self._round_of_batch(each)
            elif isinstance(each, _core.Places):
                self._round_of_places(each)
            else:
                self._round_of_lattices(each)

    def check(self) -> None:
        """Save an object, which what has been saved must be able to become again."""
        if (batch := self._one_of(_core.Batch)) is not None:
            try:
                state = batch.save(self._random.randrange(3))
            except ValueError:
                return  # a slot that holds no search
            loaded = batch.load(state)
            assert batch.save(loaded) == state
            batch.remove(loaded)
        if (archive := self._one_of(_core.Archive)) is not None:
            assert _core.Archive.load(archive.save()).save() == archive.save()

    def _add(self, batch: _core.Batch) -> int:
        """Begin a search in a batch whose shape is one of them."""
        for shape in SHAPES:
            limits = self._random.choice([9, self._limits()])
            with contextlib.suppress(*REFUSALS):
                return batch.add(self._original().reshape(shape), 5, limits, self._plan())
        return 0

    def _begin_with_a_prior(self) -> None:
        """Keep a batch that asks for a prior, and places of it: few configurations do."""
        config = _core.Config(**self._random.choice(CONFIGS) | {"prior": True})
        batch = _core.Batch(config, self._random.choice(SHAPES), 0, 1)
        self._keep(batch, {})
        self._keep(_core.Places(batch, None, 3, 8, 1000, None), {"batch": batch})

    def _clear(self, batch: _core.Batch) -> None:
        """Remove all searches, even where places know of them, and keep what they were; load all, one or none again."""
        self._last_state = self.states["Batch.save_all()"] = batch.save_all()
        states = []
        for slot in range(20):
            with contextlib.suppress(*REFUSALS):
                states.append(batch.save(slot))
                batch.remove(slot)
        again = self._random.randrange(4)
        if again == 0:
            batch.load_all(self._last_state)
            self.made.add("Batch.load_all(state)")
        elif again == 1 and states:
            batch.load(states[0])
            self.made.add("Batch.load(state)")

    def _round_of_batch(self, batch: _core.Batch) -> None:
        slot = self._random.randrange(3)
        if batch.wants_prior(slot) and self._random.random() < 0.7:
            batch.give_prior(slot, self._raised())
            self.made.add("Batch.give_prior(slot, raised)")
        number = batch.iteration_size(slot)
        slots, candidates = np.full(number, slot), np.arange(number)
        for shape in SHAPES:
            with contextlib.suppress(ValueError):
                batch.ask(slots, candidates, np.zeros((number, *shape), np.uint8))
        batch.tell(slots, candidates, self._some_degrees(number))
        self.made.add("Batch.tell(slots, candidates, degrees)")

    def _round_of_places(self, places: _core.Places) -> None:
        if self._random.random() < 0.2:
            self._last_state = self.states["Places.save(now)"] = places.save(0.0)
            for place in range(3):
                with contextlib.suppress(*REFUSALS):
                    places.dismiss(place)
            places.load(self._last_state, 0.0)
            self.made.add("Places.load(state, now)")
            return
        place = self._random.randrange(2)
        with contextlib.suppress(*REFUSALS):
            places.admit(place, self._add(self._batch_of[places]), place, 3, float("inf"))
        for wanting in places.wanting_prior():
            if self._random.random() < 0.7:
                with contextlib.suppress(*REFUSALS):
                    places.give_prior(wanting, self._raised())
                    self.made.add("Places.give_prior(place, raised)")
        for shape in SHAPES:
            images = np.zeros((8, *shape), np.uint8)
            with contextlib.suppress(ValueError):
                indices, _ = places.propose(images)
                self._tell_places(places, len(indices))

    def _tell_places(self, places: _core.Places, rows: int) -> None:
        """Tell batches under way of so many rows, some before their turn; some stay under way."""
        for batch in self._random.choice([(0, 1, 2), (1,), ()]):
            with contextlib.suppress(*REFUSALS):
                for done in places.tell(self._some_degrees(rows), 0.5, 0.0, batch):
                    places.dismiss(done)
                    self.made.add("Places.dismiss(place)")

    def _round_of_lattices(self, lattice: _core.LatticeBatch) -> None:
        if len(lattice) < 4:
            lattice.add(self._levels(), self._originals(), [3, 255], [0, 7])
        slots = self._numbers.permutation(4)[: self._random.randrange(5)]
        stages = lattice.propose(slots, np.zeros((len(slots), SIZE), np.uint8))
        waiting = [slot for slot, stage in zip(slots.tolist(), stages, strict=True) if stage is not None]
        lattice.tell(np.array(waiting, np.int64), self._some_degrees(len(waiting)))

    def _some_degrees(self, number: int) -> np.ndarray:
        degrees = self._numbers.uniform(0, 9, number).round(self._random.randrange(3))
        return degrees if self._random.random() < 0.8 else degrees * self._random.choice([0.0, -1.0, 1e300])

    def _one_of(self, kind: type) -> Any:
        pool = self.objects.get(kind)
        return self._random.choice(pool) if pool else None

    def _keep(self, returned: Any, arguments: dict[str, Any]) -> None:
        """Keep a few objects of each type, for long enough to get somewhere."""
        if type(returned).__module__ == "dfa._core" and not isinstance(returned, _core.LatticeStage):
            pool = self.objects.setdefault(type(returned), [])
            if len(pool) == 4 and self._random.random() < 0.9:
                return
            if len(pool) == 4:
                self._batch_of.pop(pool.pop(self._random.randrange(4)), None)
            pool.append(returned)
            if isinstance(returned, _core.Places):
                self._batch_of[returned] = arguments["batch"]

    def _arguments(self, call: Call) -> dict[str, Any]:
        """Values for all arguments: right ones, or all but one, or any."""
        if call.name == "Config":
            right: dict[str, Any] = {"prior": False} | self._random.choice(CONFIGS)
        elif call.name == "Box" and "low" in call.names:
            low = np.arange(12, dtype=np.int16) - 5
            right = {"kind": "values", "shape": (1, 12, 2), "parameters": {}, "low": low, "high": low + np.int16(2)}
        elif call.name == "Box":
            kind = self._random.choice(list(KINDS))
            right = {"kind": kind, "parameters": KINDS[kind]}
        elif call.owner is _core.Places:
            # Of places it is a batch's number among those under way.
            right = {"batch": self._random.choice([0, 0, 1, 2**64 - 1])}
        else:
            right = {}
        names = list(call.names)
        odd = self._random.sample(names, self._random.choice([0, 0, 1, 1, len(names) // 2]) if names else 0)
        values = {name: right.get(name, self._value(name)) for name in names}
        for name in odd:
            values[name] = self._odd(values[name] if self._random.random() < 0.7 else self._value(name))
        return values

    def _value(self, name: str) -> Any:
        """A right value for an argument, as far as it depends on that alone."""
        return self._random.choice(VALUES[name]) if name in VALUES else getattr(self, f"_{name}")()

    def _odd(self, value: Any) -> Any:
        """What is passed instead of a right value."""
        if self._random.random() < 0.2:
            return self._random.choice(ANYTHING)
        if isinstance(value, np.ndarray):
            layouts = [misaligned, readonly, strided, lambda array: array.astype(array.dtype.newbyteorder())]
            return self._random.choice([self._array, self._random.choice(layouts)])(value)
        if isinstance(value, tuple):
            return self._random.choice(SHAPES_THAT_CANNOT_BE)
        return self._random.choice(FLOATS if isinstance(value, float) else NUMBERS)

    def _array(self, array: np.ndarray) -> Any:
        """An array of another type or shape."""
        odd: Callable[[], Any] = self._random.choice(
            [
                lambda: array.astype(self._random.choice([np.float32, np.float64, object, complex])),
                lambda: np.zeros(
                    array.shape, self._random.choice([bool, np.int8, np.uint16, np.uint64, "S3", "M8[s]"])
                ),
                lambda: array.T,
                lambda: array[:0],
                lambda: array[None],
                lambda: array.reshape(-1),
                lambda: array.tolist(),
                lambda: array.reshape(-1)[0].item() if array.size else array,
                lambda: np.empty((2**62, 0), np.uint8),
                lambda: np.full(array.shape, self._random.choice([-(2**63), 2**63 - 1, -1, 255]), np.int64),
                lambda: np.full(array.shape, self._random.choice(FLOATS)),
            ]
        )
        return odd()

    # Right values, one function for each argument that is more than one of a list.
    def _prior(self) -> Any:
        """A flag of a configuration, or the start that a prior gives."""
        return self._random.choice([False, False, True, None, self._raised()])

    def _raised(self) -> np.ndarray:
        return self._numbers.integers(0, 2, self._random.choice(SHAPES), dtype=np.uint8)

    def _config(self) -> Any:
        return self._one_of(_core.Config)

    def _batch(self) -> Any:
        return self._one_of(_core.Batch)

    def _curriculum(self) -> Any:
        return self._random.choice([None, self._one_of(_core.Curriculum)])

    def _plan(self) -> Any:
        return self._random.choice([None, self._one_of(_core.Plan)])

    def _lesson(self) -> Any:
        return self._one_of(_core.Lesson)

    def _limits(self) -> Any:
        return self._random.choice([1, 9, 255, self._one_of(_core.RadiusMap), self._one_of(_core.Box)])

    def _state(self) -> bytes:
        return self._random.choice([*self.states.values(), *[self._last_state] * len(self.states)])

    def _original(self) -> np.ndarray:
        return self._numbers.integers(0, 256, self._random.choice(SHAPES), dtype=np.uint8)

    def _originals(self) -> np.ndarray:
        return self._numbers.integers(0, 256, (2, SIZE), dtype=np.uint8)

    def _levels(self) -> np.ndarray:
        return self._numbers.uniform(0, 255, (2, SIZE)).round(self._random.randrange(3))

    def _radii(self) -> np.ndarray:
        return self._numbers.integers(0, self._random.choice([2, 256]), SIZE, dtype=np.uint8)

    def _members(self) -> np.ndarray:
        config = self._one_of(_core.Config)
        number = 3 if config is None else config.population
        return self._numbers.integers(-1, 2, (number, SIZE), dtype=np.int32)

    def _images(self) -> np.ndarray:
        return np.zeros((self._random.randrange(9), *self._random.choice(SHAPES)), np.uint8)

    def _slots(self) -> np.ndarray:
        return self._numbers.integers(0, 3, self._random.randrange(4))

    def _candidates(self) -> np.ndarray:
        return self._slots()

    def _degrees(self) -> np.ndarray:
        return self._some_degrees(self._random.randrange(9))

    def _parameters(self) -> dict[str, Any]:
        parameters: dict[str, Any] = dict(self._random.choice(list(KINDS.values())))
        if parameters and self._random.random() < 0.2:
            parameters[self._random.choice(list(parameters))] = self._random.choice(
                [-1, 0, 255, 2**31 - 1, 2**31, None]
            )
        return parameters

    def _budgets(self) -> np.ndarray | None:
        return self._random.choice([None, np.full(self._random.choice([1, 4]), 40, dtype=np.uint64)])

    def _low(self) -> np.ndarray:
        return self._numbers.integers(-2, 1, self._random.choice([3, 4, 12, SIZE])).astype(np.int16)

    def _high(self) -> np.ndarray:
        return self._low() + np.int16(2)


VALUES: dict[str, list[Any]] = {
    "samples": [1, 2, 3],
    "positives": [1, 2],
    "coordinates": [1, 2, 30, 2**32 - 1],
    **{name: list(choices) for name, choices in _core.CHOICES.items() if name != "shape"},
    "window_share": [0.1, 1.0, 1e-300],
    "window_halvings": [[], [2, 6], [2**64 - 1], [3, 2], [0] * 2000],
    "placements": [1, 4],
    "starts": [0, 0, 5, 8],
    "restart_after": [0, 4, 2**32 - 1],
    "give_up_after": [0, 4, 2**32 - 1],
    "forecast": [0.0, 0.5, 1.0],
    "rest_ratio": [0.5, 1.0],
    "improvements": [0.0, 0.0, 1.0, 64.0],
    "shape": [*SHAPES, "scattered", "window", "own"],
    "seed": [0, 7, 2**64 - 1],
    "threads": [1, 2, 1024],
    "image_id": [0, 5, 2**32 - 1],
    "iteration": [0, 2**32 - 1],
    "candidate": [0, 2**32 - 1],
    "kind": [*KINDS, "none"],
    "slot": [0, 1, 2, 3],
    "place": [0, 1, 2, 3],
    "row": [0, 1, 5, 40],
    "image": [0, 1, -(2**63)],
    "goal": [0, 3, -(2**63), 2**63 - 1],
    "deadline": [float("inf"), 0.0, 5.0],
    "seconds": [0.5, -1.0],
    "now": [0.0, 9.0],
    "scale": [1.0, 1e-9, 700.0],
    "num_starts": [0, 3, 12, 40],
    "num_coordinates": [SIZE, SIZE, 0, 7, 2**31 - 1],
    "capacity": [1, 3],
    "batch_size": [1, 3, 8, 2**31 - 1],
    "most": [None, None, 1, 3],
    "max_queries": [5, 40, 2**64 - 1],
    "max_iterations": [None, 0, 3, 2**64 - 1],
    "size": [SIZE, 4],
    "stages": [[], list(_core.LatticeStage)[1:], list(_core.LatticeStage), [_core.LatticeStage.BLOCKS] * 3],
    "num_stochastic": [0, 3],
    "slack": [0.0, 1e-3, 1.0],
    "epsilons": [[3, 9], [255, 0], [256, 1], [2**31 - 1, 1], [-1, 3], [3], []],
    "ids": [[0, 2**32 - 1], [3], []],
    "n": [1, 7, 2**32 - 1],
    "counter": [(0, 1, 2, 3)],
    "key": [(0, 2**32 - 1)],
    "count": [0, 4],
}
