"""A user's search behind a guard: its errors are told as such, and its candidates are held to what was promised."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import numpy as np

from dfa.checks import counted
from dfa.errors import OptimizerError, shown, told_with_place
from dfa.search.protocol import Optimizer, Search, Task, Yielding
from dfa.types import Degrees, Image, Images

T = TypeVar("T")


class Guarded:
    """The search of one image, made by a user's optimizer.

    Attributes:
        digest: Of all that it has asked so far, in its order.
    """

    def __init__(self, optimizer: Optimizer, task: Task, index: int) -> None:
        """Begin the search.

        Args:
            optimizer: The user's.
            task: The image.
            index: Its place in the run, for messages.

        Raises:
            OptimizerError: It failed, or began what is no search.
        """
        self.digest = b""
        # Arrays of its own: of those in the task, a user's code can replace or reshape each.
        self._low, self._high = task.low.view(), task.high.view()
        self._index = index
        self._name = type(optimizer).__qualname__
        begun = self._call("begin", lambda: optimizer.begin(task))
        # Looking at it runs code of the user as well.
        search = self._call("begin", lambda: _as_search(begun, self._low.shape))
        if search is None:
            raise OptimizerError(
                f"the optimizer {self._name} must begin a search with ask() and tell(degrees), or a generator, and "
                f"began {shown(begun)} for image {index}; see dfa.Search"
            )
        self._search = search

    def ask(self) -> Images:
        """Return the candidates of its next iteration, uint8 (n, H, W, C), in memory of their own; n = 0: it gives up.

        Raises:
            OptimizerError: It failed, or its candidates are not what they must be.
        """
        answer: Any = self._call("ask", lambda: np.asarray(self._search.ask()))
        shape = self._low.shape
        if answer.dtype != np.uint8 or answer.shape[1:] != shape or answer.ndim != len(shape) + 1:
            raise OptimizerError(
                f"the optimizer {self._name} must ask about uint8 candidates of shape "
                f"(n, {', '.join(map(str, shape))}), and asked about {self._described(answer)}"
            )
        # It may use the memory of what it returned again.
        candidates: Images = np.array(answer, order="C")
        beyond = (candidates < self._low) | (candidates > self._high)
        if beyond.any():
            raise OptimizerError(self._tell_beyond(candidates, int(np.flatnonzero(beyond.any(axis=(1, 2, 3)))[0])))
        # Chained, so that it is known after each iteration at the cost of that one.
        self.digest = hashlib.blake2b(self.digest + candidates.tobytes(), digest_size=16).digest()
        return candidates

    def tell(self, degrees: Degrees) -> None:
        """Tell it the degrees of what it asked last.

        Raises:
            OptimizerError: It failed.
        """
        self._call("tell", lambda: self._search.tell(degrees))

    def _call(self, what: str, function: Callable[[], T]) -> T:
        try:
            return function()
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # also what asks the process to exit: a run does not end without its result
            raise OptimizerError(
                f"the optimizer {self._name} failed in {what}, image {self._index}: {told_with_place(error)}"
            ) from error

    def _described(self, answer: Any) -> str:
        """Return what it asked about in place of candidates, and how to mend it."""
        shape = self._low.shape
        if answer.dtype == object:
            return f"{shown(answer.tolist())} for image {self._index}; return an array, one that is empty to give up"
        hint = ""
        if answer.dtype.kind in "fiu" and answer.dtype != np.uint8:
            hint = "; round and clip: numpy.rint(x).clip(task.low, task.high).astype(numpy.uint8)"
        elif answer.shape == shape:
            hint = "; a single candidate is candidate[numpy.newaxis]"
        return f"{answer.dtype} of shape {answer.shape} for image {self._index}{hint}"

    def _tell_beyond(self, candidates: Images, row: int) -> str:
        """Return the message about a candidate that leaves the ball."""
        low, high = self._low, self._high
        value = candidates[row].astype(np.int16)
        distances = np.maximum(low - value, value - high)
        where = tuple(int(each) for each in np.argwhere(distances > 0)[0])
        return (
            f"the optimizer {self._name} must keep candidates within epsilon of the original, and candidate {row} of "
            f"an iteration of image {self._index} has {counted(int((distances > 0).sum()), 'value')} beyond, by up to "
            f"{counted(int(distances.max()), 'grey level')}: {value[where]} at {where}, where {low[where]} to "
            f"{high[where]} may be; clip it to task.low and task.high before it is uint8"
        )


def _as_search(begun: Any, shape: tuple[int, ...]) -> Search | None:
    """Return what was begun as a search, None where it is none."""
    if isinstance(begun, Generator):
        return _Yielded(begun, shape)
    return begun if isinstance(begun, Search) and not isinstance(begun, type) else None


class _Yielded:
    """A generator as a search."""

    def __init__(self, generator: Yielding, shape: tuple[int, ...]) -> None:
        """Take a generator that has not begun."""
        self._generator = generator
        self._nothing: Image = np.empty((0, *shape), dtype=np.uint8)
        self._degrees: Any = None  # what a generator is sent first

    def ask(self) -> Images:
        """Return what it yields next; nothing where it returns."""
        try:
            return self._generator.send(self._degrees)
        except StopIteration:
            return self._nothing

    def tell(self, degrees: Degrees, /) -> None:
        """Keep what it is sent when it is asked again."""
        self._degrees = degrees
