import enum
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

CHOICES: dict[str, tuple[str, ...]]
NUM_TEXTURED_STARTS: int
STATE_VERSION: int
__version__: str

_Shape: TypeAlias = tuple[int, int, int]
_Limits: TypeAlias = int | RadiusMap | Box

class Config:
    """Everything that decides a trajectory beside the image, its id, the seed and the degrees.

    What `CHOICES` lists for a setting are the names that it may have.
    """

    def __init__(
        self,
        *,
        samples: int,
        positives: int,
        coordinates: int,
        region: str,
        shape: str,
        values: str,
        start: str,
        domain: str,
        ties: str,
        window_share: float,
        window_halvings: Sequence[int],
        placements: int,
        starts: int,
        restart_after: int,
        rest_ratio: float,
        improvements: float,
        prior: bool = False,
    ) -> None: ...
    @property
    def population(self) -> int:
        """Members of the population, samples + positives."""

class RadiusMap:
    """A radius for every coordinate, which images may share; 0 keeps the coordinate as it is."""

    def __init__(self, radii: NDArray[np.uint8]) -> None: ...

class Box:
    """Intervals of integers, and the renderer of a space of the core, which images of a shape may share."""

    @overload
    def __init__(self, kind: str, shape: _Shape, parameters: Mapping[str, int]) -> None: ...
    @overload
    def __init__(
        self,
        kind: str,
        shape: _Shape,
        parameters: Mapping[str, int],
        low: NDArray[np.int16],
        high: NDArray[np.int16],
    ) -> None: ...
    @property
    def low(self) -> NDArray[np.int16]:
        """The least value of each integer."""

    @property
    def high(self) -> NDArray[np.int16]:
        """The largest value of each integer."""

class Plan:
    """What a search is given of the images before it."""

    @staticmethod
    def alone(num_starts: int, prior: NDArray[np.uint8] | None = None) -> Plan:
        """Return the plan of a search that knows of no other image, with a prior's start before its own.

        Of the prior's start a coordinate that is not 0 is raised.
        """

    @property
    def num_starts(self) -> int:
        """Candidates that are drawn as starts."""

class Lesson:
    """What one search teaches an archive, from its first `CANDIDATES` candidates only."""

    CANDIDATES: Final[int]
    def save(self) -> bytes:
        """Return it as bytes."""

    @staticmethod
    def load(num_coordinates: int, state: bytes) -> Lesson:
        """Return what `save` described."""

class Archive:
    """What the images of a run learn from one another; a plan depends on the lessons before it, in their order."""

    def __init__(self, num_coordinates: int) -> None: ...
    def plan(self, goal: int, scale: float, prior: NDArray[np.uint8] | None = None) -> Plan:
        """Return the plan of the next search; `scale` is the clean image's degree, above 0, `prior` a prior's start."""

    def learn(self, goal: int, lesson: Lesson) -> None:
        """Take a lesson of a search for that goal."""

    def save(self) -> bytes:
        """Return the exact state."""

    @staticmethod
    def load(state: bytes) -> Archive:
        """Return the archive that `save` described."""

    def __len__(self) -> int:
        """Return the number of perturbations kept."""

class Curriculum:
    """Who learns from whom, told by a clock that does not depend on the machine.

    In a tick every active image makes one iteration; `Places` reports them.
    """

    def __init__(self, num_coordinates: int) -> None: ...
    @staticmethod
    def capacity(num_coordinates: int) -> int:
        """Return how many images of so many coordinates may be active at a time."""

    @property
    def now(self) -> int:
        """The present tick, from 0."""

    def has_room(self) -> bool:
        """Tell whether the next image may begin at this tick."""

    def plan(self, goal: int, scale: float, prior: NDArray[np.uint8] | None = None) -> Plan:
        """Return what an image knows that begins at this tick; arguments as of `Archive.plan`."""

    def advance(self) -> bool:
        """End the tick if every active image has made its iteration, and tell whether it has ended."""

class Batch:
    """Searches on many images at once. A slot holds one search; a freed slot is used again.

    A batch is for one Python thread at a time. `ask` and `tell` release the GIL; while they are at work, on it or on
    places of it, any call of another thread raises RuntimeError.
    """

    threads: int
    """Threads of `ask` and `tell`, at least 1, which may change from call to call."""

    def __init__(self, config: Config, shape: _Shape, seed: int, threads: int) -> None: ...
    def add(self, original: NDArray[np.uint8], image_id: int, limits: _Limits, plan: Plan | None = None) -> int:
        """Start a search around an image, uint8 (H, W, C), and return its slot; without a plan it knows no other."""

    def lesson(self, slot: int) -> Lesson:
        """Return what a search has taught that was not handed over to a curriculum."""

    def remove(self, slot: int) -> None:
        """Forget a search."""

    def ask(self, slots: NDArray[np.int64], candidates: NDArray[np.int64], images: NDArray[np.uint8]) -> None:
        """Write candidate `candidates[i]` of the search in `slots[i]` into `images[i]`; releases the GIL."""

    def tell(self, slots: NDArray[np.int64], candidates: NDArray[np.int64], degrees: NDArray[np.float64]) -> None:
        """Record one degree per row; iterations that are complete advance. Nothing changes if a row is refused."""

    def iteration(self, slot: int) -> int:
        """Return the number of the current iteration; 0 is the start."""

    def iteration_size(self, slot: int) -> int:
        """Return the number of candidates in the current iteration."""

    def wants_prior(self, slot: int) -> bool:
        """Tell whether no candidate can be asked before the best member's signs are given."""

    def give_prior(self, slot: int, raised: NDArray[np.uint8]) -> None:
        """Say which coordinates of the best member, (H, W, C), should be raised: those that are not 0."""

    def population(self, slot: int) -> tuple[NDArray[np.float64], NDArray[np.uint64], list[NDArray[np.int16] | None]]:
        """Return degrees, births and vectors in rank order; None for negatives that no region reads."""

    def save(self, slot: int) -> bytes:
        """Return the exact state of a search. Candidates asked but not told are not part of it."""

    def load(self, state: bytes) -> int:
        """Continue a search that `save` described, and return its slot."""

    def save_all(self) -> bytes:
        """Return the exact state of all searches, with their slots."""

    def load_all(self, state: bytes) -> None:
        """Fill an empty batch with the searches that `save_all` described, in their slots."""

    def __len__(self) -> int: ...

class Places:
    """Places for active images: fills batches with candidates of their searches, and books the answers.

    Several batches may be under way, from `propose` to `tell`, told in any order in which the rows of each place keep
    theirs. Both release the GIL, and until they return the batch and the curriculum are theirs.
    """

    def __init__(
        self,
        batch: Batch,
        curriculum: Curriculum | None,
        capacity: int,
        batch_size: int,
        max_queries: int,
        max_iterations: int | None,
        give_up_after: int = 0,
        budgets: NDArray[np.uint64] | None = None,
        forecast: float = 0.0,
    ) -> None:
        """Keep `capacity` places for searches of `batch`, held to limits per image; the curriculum hears of them.

        `give_up_after` is the number of candidates from which on a search is given up where it rests; 0: never. With
        `forecast` above 0 it rests where, going on as it did last, it would not reach 0 within that share of its
        budget. `budgets`, (N,), says by image what it may ask; None: `max_queries` for each.
        """

    def admit(self, place: int, slot: int, image: int, goal: int, deadline: float) -> None:
        """Give a free place to a search that has just begun; it ends with the iteration told at `deadline` or later.

        `image` and `goal` are given back with every row of it.
        """

    def dismiss(self, place: int) -> None:
        """Free a place and remove its search."""

    @property
    def capacity(self) -> int:
        """Number of places."""

    @property
    def num_ready(self) -> int:
        """Candidates that can be asked before anything more is told."""

    @property
    def num_again(self) -> int:
        """Batches that were under way when the state was saved, and have not been proposed again."""

    def wanting_prior(self) -> list[int]:
        """Return the places, ascending, whose next candidates wait for the best member's signs."""

    def best(self, place: int) -> NDArray[np.uint8]:
        """Return the image of the best member of the place's search, (H, W, C)."""

    def give_prior(self, place: int, raised: NDArray[np.uint8]) -> None:
        """Say which coordinates of that image should be raised: those that are not 0."""

    def propose(
        self, images: NDArray[np.uint8], most: int | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Write as many candidates into `images` as a batch holds, or `most`; return image and goal of each row."""

    def may_be_told(self, batch: int) -> bool:
        """Tell whether no older batch under way holds candidates of an iteration that come before those of this one.

        Args:
            batch: Counted among those under way from the oldest, which is 0 and can always be told.
        """

    def row(self, row: int, batch: int = 0) -> NDArray[np.uint8]:
        """Return a row of a batch under way, written anew: what `propose` wrote has been in others' hands."""

    def tell(self, degrees: NDArray[np.float64], seconds: float, now: float, batch: int = 0) -> list[int]:
        """Record a degree per row, and keep images of first hits, written anew; return the places whose searches end.

        Args:
            degrees: float64, one per row of the batch; 0 is a hit.
            seconds: Added to the place of every row.
            now: The time, in the unit of the deadlines.
            batch: As of `may_be_told`.

        Raises:
            RuntimeError: It may not be told yet.
        """

    def slot(self, place: int) -> int:
        """Return the slot of the place's search."""

    def spent(self, place: int) -> int:
        """Return the queries sent in the iterations that are complete."""

    def iteration(self, place: int) -> int:
        """Return the number of the current iteration, or of the last one of a search that ended; 0 is the start."""

    def answered(self, place: int) -> int:
        """Return how many candidates of the place have been told."""

    def save(self, now: float) -> bytes:
        """Return the exact state of all places, searches and the curriculum; deadlines are kept as time left at `now`.

        Of rows under way it says which shared a batch: whoever loads it proposes these batches again.
        """

    def load(self, state: bytes, now: float) -> None:
        """Fill free places, of the same number and batch size, with what `save` described."""

    def is_at_rest(self, place: int) -> bool:
        """Tell whether its search is over because it came to rest."""

    def seconds(self, place: int) -> float:
        """Return the sum of what `tell` added to the place."""

    def trace(self, place: int) -> list[tuple[int, float]]:
        """Return, for each candidate better than all before it, the queries that it took and its degree."""

    def hit_vector(self, place: int) -> NDArray[np.int16]:
        """Return the vector of that image, where the space has a renderer; else nothing."""

    def hit(self, place: int) -> NDArray[np.uint8] | None:
        """Return the first adversarial image, or None before there is one."""

class LatticeStage(enum.Enum):
    NEAREST = 0
    OUTWARD = 1
    STOCHASTIC = 2
    BLOCKS = 3
    COORDINATES = 4

class LatticeBatch:
    """Searches among the images that round vectors up or down, around many vectors at once; see `dfa.repair`.

    It is for one Python thread at a time: while `add`, `propose` or `tell` is at work, any call of another thread
    raises RuntimeError.
    """

    def __init__(
        self, *, size: int, stages: Sequence[LatticeStage], num_stochastic: int, seed: int, threads: int, slack: float
    ) -> None:
        """Take searches of `size` values that go through `stages`; levels within `slack` of a whole one are whole."""

    def add(
        self, levels: NDArray[np.float64], originals: NDArray[np.uint8], epsilons: Sequence[int], ids: Sequence[int]
    ) -> list[int]:
        """Add a search per row of grey levels, float64 0..255, and of originals; return their slots."""

    def remove(self, slot: int) -> None:
        """Forget a search."""

    def num_free(self, slot: int) -> int:
        """Return the number of coordinates with a choice of two integers."""

    def propose(self, slots: NDArray[np.int64], images: NDArray[np.uint8]) -> list[LatticeStage | None]:
        """Write the next candidate of the search in `slots[i]` into `images[i]`; None where nothing is left.

        The first one of each search is the nearest image.
        """

    def tell(self, slots: NDArray[np.int64], degrees: NDArray[np.float64]) -> None:
        """Record one degree per slot. Nothing changes if one is refused."""

    def __len__(self) -> int: ...

class Stream:
    """The random words of one candidate: Philox4x32-10, counter (block, candidate, iteration, image)."""

    def __init__(self, seed: int, image_id: int, iteration: int, candidate: int) -> None: ...
    def next(self) -> int:
        """Return the next word, 0..2**32 - 1."""

    def below(self, n: int) -> int:
        """Return an unbiased integer in 0..n-1."""

def philox(counter: Sequence[int], key: Sequence[int]) -> list[int]:
    """Return one Philox4x32-10 block."""

def draw_from(
    config: Config,
    shape: _Shape,
    original: NDArray[np.uint8],
    limits: _Limits,
    members: NDArray[np.int32],
    seed: int,
    count: int,
) -> NDArray[np.int32]:
    """Draw candidates of iteration 1 from a population given in rank order: for studies of the sampler."""

def build_info() -> dict[str, Any]:
    """Return compiler, build type and OpenMP version of the core."""
