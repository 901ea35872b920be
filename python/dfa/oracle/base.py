"""What every oracle is: a black box from uint8 images to what it shows of each one's classes."""

from __future__ import annotations

import copy
import functools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from enum import Enum
from typing import Any, ClassVar, Final, TypeAlias

import numpy as np

from dfa.checks import is_integer, one_of
from dfa.errors import InvalidInputError
from dfa.types import Images

DEFAULT_TOLERANCE: Final = 1e-3
"""How far the probabilities of one image may sum from 1, unless the user says otherwise."""

_MOST_SHOWN: Final = 60
"""Characters of an argument, in the name of a function that has it already."""

Preprocess: TypeAlias = Callable[[Any], Any]
"""What keras.applications calls `preprocess_input`: float32 (B, H, W, C), 0..255, to what the model takes."""


class ScoreKind(Enum):
    """What an oracle answers to a batch of n images; K classes, of which it may show only the likeliest."""

    PROBABILITIES = "probabilities"
    """Real numbers (n, K), each row summing to 1."""
    LOGITS = "logits"
    """Real numbers (n, K)."""
    TOP_K = "top_k"
    """A pair: class ids (n, k), the likeliest first, and their probabilities (n, k)."""
    TOP_1 = "top_1"
    """A pair: the class (n,) and its probability (n,)."""
    LABEL = "label"
    """The class (n,)."""

    @classmethod
    def of(cls, value: ScoreKind | str) -> ScoreKind:
        """Return the kind that `value` names.

        Raises:
            InvalidInputError: If `value` names none.
        """
        return one_of(cls, value, "returns")


class Oracle(ABC):
    """A classifier that is asked for scores and never looked into.

    A subclass gives `scores`, and says what they are in `returns`. The normalizer belongs to the oracle: the
    attack sees uint8 images only. Counting, timing and checking are the gate's work, so an oracle does none
    of it.

    Attributes:
        kind: What sort of oracle records say this is.
        takes: The scalar type of its batches: uint8, except of an oracle that is asked about an attack's vectors.
        name: What records and messages call it.
        returns: What `scores` gives.
        tolerance: How far the probabilities of one image may sum from 1.
        num_classes: K. An oracle that does not show all classes must say it; of others the answers tell.
        num_shown: k of `ScoreKind.TOP_K`, 1 of `ScoreKind.TOP_1`; None of those that do not show the probabilities
            of the likeliest classes only.
        class_names: What its classes are called, in their order, where the model tells.
        num_channels: C of the images that it takes, where that is known.
        in_callers_thread: Whether a run asks it in the thread that the run was begun in, and not beside it.
        calls_at_once: How many calls of `scores` a run may make at the same time, each from a thread of its own; what
            it answers must not depend on which of them comes first.
        calls_in_line: For each of these, how many calls it may be given at a time: the one that is answered, and others
            that wait where that is done.
        rows_per_call: The most images of one call of `scores` in a run, where that is less than the run's batches hold:
            a request to a service carries so many.
        keeps_record: Whether a run in a folder writes down each answer as it arrives, so that none is paid for twice.
        books: What was sent to a service and what it costs (`dfa.oracle.services.books.Books`).
        currency: Of what it costs.
        watch_every: Attack queries after which a run asks about an unchanged image again, to see that the service
            answers as it did; None: never.
        on_drift: What a run does where it answers otherwise: "stop", or "mark".
    """

    kind: ClassVar[str] = "custom"
    takes: ClassVar[type[np.generic]] = np.uint8
    name: str = "oracle"
    returns: ScoreKind = ScoreKind.PROBABILITIES
    tolerance: float = DEFAULT_TOLERANCE
    num_classes: int | None = None
    num_shown: int | None = None
    class_names: tuple[str, ...] | None = None
    num_channels: int | None = None
    in_callers_thread: bool = False
    calls_at_once: int = 1
    calls_in_line: int = 1
    rows_per_call: int | None = None
    keeps_record: bool = False
    books: Any = None
    currency: str = ""
    watch_every: int | None = None
    on_drift: str = "stop"

    @property
    def names_came(self) -> bool:
        """Whether classes were numbered as their names came in answers, so that nobody knew their ids before."""
        return False

    @property
    def rows_per_batch(self) -> int | None:
        """Rows of every batch that the model is given, filled up to them, once prepared; None: as many as are asked."""
        return None

    @property
    def shows_distance(self) -> bool:
        """Whether an answer tells an image that is nearly of another class from one that is not; a label does not."""
        return self.returns is not ScoreKind.LABEL

    @property
    def num_ranked(self) -> int | None:
        """How many of the likeliest classes an answer names in their order; None for all."""
        return 1 if self.returns is ScoreKind.LABEL else self.num_shown

    @property
    def shows_all(self) -> bool:
        """Whether an answer shows all classes with their probabilities."""
        return self.num_ranked is None or (self.shows_distance and self.num_ranked == self.num_classes)

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:  # noqa: B027 -- optional
        """Get ready for a run; called before its first query, at times more than once, and not counted as a query.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one call of `scores` will hold.

        Raises:
            InvalidInputError: If the oracle cannot take such images.
        """

    @abstractmethod
    def scores(self, images: Images) -> Any:
        """Return the scores of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255, n at most the batch size given to `prepare`. It belongs to
                the caller, who reuses its memory: it is not to be changed, nor kept.

        Returns:
            What `returns` names, see `ScoreKind`; every array may be anything that `dfa.oracle.raw` reads.
        """

    def keep_with(self, books: Any, names: Any) -> None:  # noqa: B027 -- of services
        """Go on from the books and class names that a run in a folder has kept, and keep them there from now on.

        Args:
            books: A `dfa.oracle.services.books.Keeper`.
            names: The same of names: `load() -> Sequence[str]`, `add(number, name)`.
        """

    def hang_up(self) -> None:  # noqa: B027 -- of services
        """Let calls that are under way end soon, since the run is over: what has not come is not asked for again."""

    def stand_for(self, service: Oracle) -> None:
        """Take over what a run must know of an oracle that this one asks, where that is a service."""
        self.keeps_record, self.books, self.currency = service.keeps_record, service.books, service.currency
        self.watch_every, self.on_drift = service.watch_every, service.on_drift

    def taking(self, scalar: type[np.generic]) -> Oracle:
        """Return this oracle of uint8 as one of batches of another scalar type, for spaces whose inputs are no images.

        One that says itself what it takes is returned as it is.
        """
        if self.takes is scalar or self.takes is not np.uint8:
            return self
        other = copy.copy(self)
        other.takes = scalar  # type: ignore[misc]
        return other

    def shares(self) -> list[Any]:
        """Return what each of its workers has done (`WorkerShare`), where it has workers."""
        return []

    def who_answered(self) -> str:
        """Return what to call whoever answered the last call of the thread that asks: the oracle, or a worker of it."""
        return "oracle"

    def describe_workers(self) -> dict[str, Any] | None:
        """Return what a record should keep of its workers, where it has some."""
        return None

    def fingerprint(self) -> str | None:
        """Return what names the model's parameters, the same in every process, or None where nothing does."""
        return None

    def describe(self) -> dict[str, Any]:
        """Return what a record should keep of this oracle, in plain JSON types."""
        # What an oracle of all classes knows of their number the answers tell.
        declared = {"num_classes": self.num_classes, "num_shown": self.num_shown} if self.num_ranked else {}
        return {
            "kind": self.kind,
            "name": self.name,
            "returns": self.returns.value,
            "tolerance": self.tolerance,
        } | {name: number for name, number in declared.items() if number is not None}


def declare_shown(returns: ScoreKind, num_classes: int | None, num_shown: int | None) -> tuple[int | None, int | None]:
    """Return K and how many of the classes an answer shows with their probabilities, if they go with `returns`.

    Raises:
        InvalidInputError: They are no such numbers, or missing where the answers do not tell them, or given where there
            is nothing to say.
    """
    needs_classes = returns in (ScoreKind.TOP_K, ScoreKind.TOP_1, ScoreKind.LABEL)
    if (needs_classes or num_classes is not None) and (not is_integer(num_classes) or num_classes < 2):
        why = f", since an answer of returns={returns.value!r} does not tell it" if needs_classes else ""
        raise InvalidInputError(f"num_classes must be an integer of 2 or more{why}, got {num_classes!r}")
    if returns is ScoreKind.TOP_1:
        num_shown = 1 if num_shown is None else num_shown
    if returns in (ScoreKind.TOP_K, ScoreKind.TOP_1):
        assert num_classes is not None
        most = num_classes if returns is ScoreKind.TOP_K else 1
        if not is_integer(num_shown) or not 1 <= num_shown <= most:
            raise InvalidInputError(
                f"k, the number of classes that an answer of returns={returns.value!r} shows, must be an integer of "
                f"1..{most}, got {num_shown!r}"
            )
    elif num_shown is not None:
        raise InvalidInputError(
            f"k says how many classes an answer shows, and goes with returns='top_k', got {num_shown!r} with "
            f"returns={returns.value!r}"
        )
    return num_classes, num_shown


def declare_all(returns: ScoreKind | str, model: str) -> ScoreKind:
    """Return the kind of answer of a model that gives one score per class.

    Args:
        returns: Of the two kinds that show all classes.
        model: What a message calls the model.

    Raises:
        InvalidInputError: It is another kind.
    """
    kind = ScoreKind.of(returns)
    if kind not in (ScoreKind.PROBABILITIES, ScoreKind.LOGITS):
        raise InvalidInputError(
            f"{model} gives one score per class, so it returns 'probabilities' or 'logits', got {kind.value!r}; to "
            "show less of them, wrap it: dfa.top_k(model, k), dfa.top_1(model) or dfa.label_only(model)"
        )
    return kind


def checked_tolerance(tolerance: float) -> float:
    """Return `tolerance` if it is one.

    Raises:
        InvalidInputError: If it is not a finite number of 0 or more.
    """
    if not isinstance(tolerance, int | float) or not (0 <= tolerance < math.inf):
        raise InvalidInputError(
            f"tolerance must be a finite number of 0 or more, the distance allowed between 1 and a sum of "
            f"probabilities, got {tolerance!r}"
        )
    return float(tolerance)


def checked_preprocess(preprocess: Preprocess | None) -> Preprocess | None:
    """Return `preprocess` if it is a function or None.

    Raises:
        InvalidInputError: If it is neither.
    """
    if preprocess is not None and not callable(preprocess):
        raise InvalidInputError(
            "preprocess must be a function of a float32 batch, such as keras.applications' preprocess_input, "
            f"got {preprocess!r}"
        )
    return preprocess


def name_of(function: object) -> str:
    """Return what to call a function or a callable object, the same in every process."""
    if isinstance(function, functools.partial):
        given = [("", value) for value in function.args] + [(f"{name}=", v) for name, v in function.keywords.items()]
        return f"{name_of(function.func)}({', '.join(name + _cut(text_of(value)) for name, value in given)})"
    return str(getattr(function, "__qualname__", type(function).__qualname__))


def _cut(text: str) -> str:
    # A model that is given to a function shows pages of itself.
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def text_of(value: object) -> str:
    """Return what a value shows of itself, in one line and without addresses, which are others in every process."""
    return re.sub(" at 0x[0-9A-Fa-f]+", "", " ".join(repr(value).split()))


def descends_from(model: object, package: str, class_name: str) -> bool:
    """Tell whether `model` descends from a class of a package, without importing the package to find out."""
    return any(
        base.__name__ == class_name and base.__module__.partition(".")[0] == package for base in type(model).__mro__
    )
