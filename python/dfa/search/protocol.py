"""Ask and tell: what an optimizer is to dfa's loop, and to any other."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike

from dfa.checks import is_integer, require_count, require_flag, require_integer
from dfa.errors import InvalidInputError, told_with_place
from dfa.originals import Form
from dfa.types import Degrees, Image, Images


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """What a search is given: one image, what may become of it, and a random stream of its own.

    `dfa.run` makes one for every image; make your own to search outside of it.

    Attributes:
        original: uint8, (H, W, C). A copy that cannot be written to.
        epsilon: The largest change in grey levels: an integer 1..255, or uint8 (H, W, C), where 0 keeps a value as it
            is; an array that cannot be written to either.
        goal: The target class, or in an untargeted run the original one; None where nobody has said it.
        is_targeted: Which of the two it is.
        max_queries: The most candidates that will be asked, or None. A search may stretch its schedule over them.
        seed: Of the run, 0..2**64 - 1.
        id: Names the image's random stream, 0..2**32 - 1: as of `dfa.run`, from its bytes or from `ids=`.

    Raises:
        InvalidInputError: A value is not as described.
    """

    original: Image
    epsilon: ArrayLike
    goal: int | None = None
    is_targeted: bool = False
    max_queries: int | None = None
    seed: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        """Check every field."""
        original = np.array(self.original)
        if problem := Form.IMAGES.why_not(original):
            raise InvalidInputError(f"the original of a task {problem}")
        epsilon = np.array(self.epsilon)
        is_map = epsilon.dtype == np.uint8 and epsilon.shape == original.shape and epsilon.any()
        if not is_map and not (epsilon.ndim == 0 and is_integer(epsilon[()]) and 1 <= epsilon <= 255):
            raise InvalidInputError(
                f"epsilon of a task must be an integer of 1..255, or uint8 of shape {original.shape} that is not 0 "
                f"everywhere, got {self.epsilon!r:.60}"
            )
        if self.goal is not None:
            require_count("goal (unless None)", self.goal, 0)
        require_flag("is_targeted", self.is_targeted)
        if self.max_queries is not None:
            require_integer("max_queries (unless None)", self.max_queries, 1)
        require_integer("seed", self.seed, 0, 2**64 - 1)
        require_integer("id", self.id, 0, 2**32 - 1)
        object.__setattr__(self, "original", _sealed(original))
        object.__setattr__(self, "epsilon", _sealed(epsilon) if is_map else int(epsilon))

    @cached_property
    def low(self) -> Image:
        """The least value that each value may have: uint8, (H, W, C), not below 0."""
        return self._end(-1)

    @cached_property
    def high(self) -> Image:
        """The largest, likewise: not above 255."""
        return self._end(1)

    @cached_property
    def rng(self) -> np.random.Generator:
        """The image's own random stream, `np.random.default_rng([seed, id])`. All that is random must come from it."""
        return np.random.default_rng([int(self.seed), int(self.id)])

    def _end(self, sign: int) -> Image:
        moved = self.original.astype(np.int16) + sign * np.asarray(self.epsilon).astype(np.int16)
        return _sealed(moved.clip(0, 255).astype(np.uint8))


def _sealed(image: Image) -> Image:
    """Return a copy that nobody can make writable: a flag alone could be set again, and an image could be moved."""
    return np.frombuffer(image.tobytes(), dtype=np.uint8).reshape(image.shape)


@runtime_checkable
class Search(Protocol):
    """The search of one image: it is asked for candidates, and told how good they were, in turns.

    What it asks must depend on its task and on what it was told, and on nothing else: no clock, no other image, no
    generator but `Task.rng`. Then results depend neither on the batch size nor on which image had its turn first, and
    a run that was killed goes on from the degrees that its folder keeps: they are told again, which costs no query.
    """

    def ask(self) -> Images:
        """Return the candidates of the next iteration: uint8, (n, H, W, C), n >= 1, within epsilon of the original.

        All of them are asked, also those after one that is adversarial. An array of none (n = 0) gives the image up;
        it then counts as one that came to rest.
        """
        ...

    def tell(self, degrees: Degrees, /) -> None:
        """Learn how good they were; called once after each `ask`, but not after the last one.

        A search is over, and called no more, with an iteration that holds an adversarial candidate, or with which the
        budget is spent. The last iteration is cut where the budget ends.

        Args:
            degrees: float64, (n,): one per candidate, lower is better, above 0, finite. With `confirmations=` those of
                candidates that were not confirmed are means of repeated answers.
        """
        ...


Yielding: TypeAlias = Generator[Images, Degrees, None]
"""A search as a generator: what it yields is asked, and it is sent the degrees. Where it returns, it gives up."""


class Optimizer(Protocol):
    """Begins a search for every image: what `optimizer=` of `dfa.run` takes. `dfa.Racos` is one.

    Make it a frozen dataclass: the run's folder then keeps its fields, and a run that is resumed with others is
    refused. Each field must have a value with a text, nested no deeper than 24 levels. Of any other object it keeps no
    more than the name of the class.
    """

    def begin(self, task: Task, /) -> Search | Yielding:
        """Return the search of an image, or a generator that is one (so `begin` may hold `yield` itself).

        Args:
            task: The image, what may become of it, and its random stream.
        """
        ...


def describe_optimizer(optimizer: Optimizer) -> dict[str, Any]:
    """Return what run.json says of a user's optimizer: its class, and of a dataclass its fields.

    Raises:
        InvalidInputError: A field has no value.
    """
    kind = type(optimizer)
    fields: Any = dataclasses.fields(optimizer) if dataclasses.is_dataclass(optimizer) else ()
    settings = {}
    for each in fields:
        try:
            settings[each.name] = getattr(optimizer, each.name)
        except Exception as error:  # a user's property may raise anything
            raise InvalidInputError(
                f"each field of an optimizer must have a value, and the field {each.name} of {kind.__qualname__} has "
                f"none: {told_with_place(error)}; give it one, in __post_init__ or as a default"
            ) from error
    return {"kind": f"{kind.__module__}.{kind.__qualname__}", "settings": settings}
