"""The gate: the only way to a model, so that counts, budgets, times and checks have one truth."""

from __future__ import annotations

import time
from enum import Enum
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from dfa.errors import BudgetExceededError, DfaError, InvalidInputError, OracleError
from dfa.oracle.base import Oracle, ScoreKind
from dfa.types import Indices, Scores

_LOOKS_LIKE_PROBABILITIES = 1e-6
"""Real logits do not lie in [0, 1] with every row summing to 1 this closely."""


class Purpose(Enum):
    """Why an image is asked; only attack queries are held to the budget."""

    ATTACK = "attack"
    CLEAN = "clean"
    VERIFICATION = "verification"


class Gate:
    """Asks an oracle, and counts, times and checks every answer.

    A query is one image sent to the oracle. It counts from the moment it is sent, whether or not the oracle
    answers. `ask` is `send` and then `check`. `send` is to be called from one thread at a time; `check` may run
    beside it in another, so that the oracle need not wait for it.

    Attributes:
        sent: int64, (N,): attack queries sent so far per image of the run; read it, never write it.
        counts: Images sent per purpose.
        calls: Batches sent per purpose.
        seconds: Seconds spent inside the oracle per purpose, its answer brought to the host included.
        max_queries: The most attack queries per image.
        num_classes: K, fixed by the first answer; None before it.
    """

    def __init__(self, oracle: Oracle, *, num_images: int, max_queries: int) -> None:
        """Put a gate before an oracle.

        Args:
            oracle: The oracle.
            num_images: N, the images of the run.
            max_queries: The most attack queries per image.

        Raises:
            InvalidInputError: If either number is negative.
        """
        if num_images < 0 or max_queries < 0:
            raise InvalidInputError(f"num_images and max_queries must be 0 or more, got {num_images} and {max_queries}")
        self.sent: Indices = np.zeros(num_images, dtype=np.int64)
        self.counts: dict[Purpose, int] = dict.fromkeys(Purpose, 0)
        self.calls: dict[Purpose, int] = dict.fromkeys(Purpose, 0)
        self.seconds: dict[Purpose, float] = dict.fromkeys(Purpose, 0.0)
        self.max_queries = max_queries
        self.num_classes: int | None = None
        self._oracle = oracle

    def prepare(self, shape: tuple[int, int, int], batch_size: int) -> None:
        """Let the oracle get ready for batches of up to `batch_size` images of `shape`; no query is sent.

        Args:
            shape: (H, W, C) of the images to come.
            batch_size: The most images that one `ask` will hold.

        Raises:
            InvalidInputError: If the oracle cannot take such images.
            OracleError: If the oracle fails otherwise.
        """
        try:
            self._oracle.prepare(shape, batch_size)
        except DfaError:
            raise
        except Exception as error:
            raise OracleError(
                f"the oracle {self._oracle.name!r} could not get ready for batches of up to {batch_size} "
                f"images of shape {shape}: {type(error).__name__}: {error}"
            ) from error

    def ask(self, images: NDArray[Any], indices: Indices, purpose: Purpose) -> Scores:
        """Return the probabilities of a batch.

        Args:
            images: uint8, (n, H, W, C), 0..255; of an oracle of vectors, what it takes.
            indices: int64, (n,), 0..N-1: the image of the run that each row belongs to.
            purpose: Why they are asked. Only `Purpose.ATTACK` adds to `sent` and is held to the budget.

        Returns:
            float64, (n, K), C-contiguous and the caller's own: finite, >= 0, rows summing to 1 within the
            oracle's tolerance. Logits are turned into probabilities by softmax.

        Raises:
            BudgetExceededError: If an image would pass `max_queries`; then nothing was sent.
            InvalidInputError: If images and indices do not fit together; then nothing was sent.
            OracleError: If the oracle fails, or its answer cannot be used.
        """
        return self.check(self.send(images, indices, purpose), indices)

    def send(self, images: NDArray[Any], indices: Indices, purpose: Purpose) -> NDArray[Any]:
        """Return the oracle's answer to a batch, counted and timed, but not yet checked.

        Takes and raises what `ask` does, except that an answer that cannot be used is for `check` to refuse.
        """
        num_rows = len(images)
        takes = self._oracle.takes
        if not np.issubdtype(images.dtype, takes) or indices.shape != (num_rows,):
            raise InvalidInputError(
                f"the gate needs {takes.__name__} images and one index per image, got "
                f"{images.dtype} images of shape {images.shape} and indices of shape {indices.shape}"
            )
        if num_rows == 0:
            return np.empty((0, 0), dtype=np.float64)
        if purpose is Purpose.ATTACK:
            self._spend(indices)
        self.counts[purpose] += num_rows
        self.calls[purpose] += 1
        # Always a copy: an oracle may answer in memory that it uses again for the next batch.
        return np.array(self._answer(images, purpose), order="C")

    def check(self, answer: NDArray[Any], indices: Indices) -> Scores:
        """Return the probabilities that an answer of `send` holds, as `ask` returns them.

        Args:
            answer: What `send` returned; it belongs to the gate from now on.
            indices: Those given to `send`.

        Raises:
            OracleError: If the answer cannot be used.
        """
        if len(indices) == 0:
            return np.empty((0, self.num_classes or 0), dtype=np.float64)
        self._check_form(answer, len(indices))
        scores: Scores = answer.astype(np.float64, copy=False)
        if self._oracle.returns is ScoreKind.LOGITS:
            self._check_logits(scores, indices)
            probabilities = _softmax(scores)
        else:
            probabilities = self._checked_probabilities(scores, indices)
        self.num_classes = scores.shape[1]
        return probabilities

    def _spend(self, indices: Indices) -> None:
        """Add one attack query per row to the books, or none at all where the budget does not allow it."""
        if indices.min() < 0 or indices.max() >= len(self.sent):
            raise InvalidInputError(f"indices must be 0..{len(self.sent) - 1}, got {indices.min()}..{indices.max()}")
        np.add.at(self.sent, indices, 1)
        sent = self.sent[indices]
        if sent.max() > self.max_queries:
            row = int(np.argmax(sent))
            np.subtract.at(self.sent, indices, 1)
            raise BudgetExceededError(
                f"image {indices[row]} may be asked {self.max_queries} times, and this batch would make it "
                f"{sent[row]}; nothing was sent"
            )

    def _answer(self, images: NDArray[Any], purpose: Purpose) -> np.ndarray:
        """Return the oracle's raw answer as an array, and time it."""
        started = time.perf_counter()
        try:
            # Inside the clock: a framework may only compute when its answer is read.
            return np.asarray(self._oracle.scores(images))
        except DfaError:
            raise
        except Exception as error:
            raise OracleError(
                f"the oracle {self._oracle.name!r} failed on a batch of shape {images.shape}: "
                f"{type(error).__name__}: {error}"
            ) from error
        finally:
            self.seconds[purpose] += time.perf_counter() - started

    def _check_form(self, answer: np.ndarray, num_rows: int) -> None:
        """Refuse an answer that is not a table of real numbers with one row per image and the known K."""
        if answer.ndim != 2 or answer.shape[0] != num_rows:
            self._refuse(
                f"must answer {num_rows} images with scores of shape ({num_rows}, "
                f"{self.num_classes or 'K'}), one row per image and one column per class; it gave shape "
                f"{answer.shape}"
            )
        if answer.dtype.kind not in "fiu":
            self._refuse(f"must answer with real numbers; it gave dtype {answer.dtype}")
        if answer.shape[1] < 2:
            self._refuse(
                f"must score at least two classes; it gave shape {answer.shape}. For a binary classifier "
                "with one output p, return the two columns 1 - p and p"
            )
        if self.num_classes not in (None, answer.shape[1]):
            self._refuse(
                f"must score the same classes every time; it gave {answer.shape[1]} columns, and "
                f"{self.num_classes} before"
            )

    def _check_logits(self, scores: Scores, indices: Indices) -> None:
        """Refuse logits that are not finite, or that are probabilities under a wrong name."""
        lowest, highest = scores.min(), scores.max()
        # A NaN makes both of these NaN, and an infinity one of them infinite.
        if not (lowest > -np.inf and highest < np.inf):
            self._refuse_non_finite(scores, indices)
        # One look suffices: a wrong name is wrong from the first answer on.
        if self.num_classes is None and lowest >= 0.0 and highest <= 1.0:
            off = np.abs(scores.sum(axis=1) - 1.0).max()
            if off <= _LOOKS_LIKE_PROBABILITIES:
                self._refuse(
                    "was declared to return logits, but its answer looks like probabilities: all within [0, "
                    "1], and each row sums to 1; pass returns='probabilities'"
                )

    def _checked_probabilities(self, scores: Scores, indices: Indices) -> Scores:
        """Return the probabilities, rounding errors below 0 lifted to 0, or refuse them."""
        tolerance = self._oracle.tolerance
        lowest, highest = scores.min(), scores.max()
        # A NaN makes these comparisons false; the range goes first, so that the sums cannot overflow.
        if not (lowest >= -tolerance and highest <= 1.0 + tolerance):
            self._refuse_range(scores, indices)
        off = np.abs(scores.sum(axis=1) - 1.0)
        if off.max() > tolerance:
            self._refuse_sums(scores, int(off.argmax()), indices)
        if lowest < 0.0:
            np.maximum(scores, 0.0, out=scores)
        return scores

    def _refuse_range(self, scores: Scores, indices: Indices) -> NoReturn:
        """Say which probability is not one."""
        if not np.isfinite(scores).all():
            self._refuse_non_finite(scores, indices)
        tolerance = self._oracle.tolerance
        row, column = np.argwhere((scores < -tolerance) | (scores > 1.0 + tolerance))[0]
        self._refuse(
            f"must answer with probabilities within [0, 1]; it gave {scores[row, column]:.6g} for class "
            f"{column} in row {row} (image {indices[row]}); looks like logits? pass returns='logits'"
        )

    def _refuse_sums(self, scores: Scores, row: int, indices: Indices) -> NoReturn:
        """Say which row of probabilities does not sum to 1."""
        self._refuse(
            f"must answer with probabilities that sum to 1 within {self._oracle.tolerance:g}; row {row} "
            f"(image {indices[row]}) sums to {scores[row].sum():.6g}; looks like logits? pass "
            "returns='logits'. If they are probabilities that were rounded or cut off, pass a larger "
            "tolerance"
        )

    def _refuse_non_finite(self, scores: Scores, indices: Indices) -> NoReturn:
        """Say where an answer is not finite."""
        row, column = np.argwhere(~np.isfinite(scores))[0]
        self._refuse(
            f"must answer with finite scores; it gave {scores[row, column]} for class {column} in row {row} "
            f"(image {indices[row]})"
        )

    def _refuse(self, what: str) -> NoReturn:
        """Raise the error of an answer that cannot be used."""
        raise OracleError(f"the oracle {self._oracle.name!r} {what}")


def _softmax(logits: Scores) -> Scores:
    """Return the softmax of each row, overwriting `logits`; no exponent is above 0, so none overflows."""
    # Two finite logits may lie further apart than doubles reach; the lower one's probability is 0 all the
    # same.
    with np.errstate(over="ignore", under="ignore"):
        logits -= logits.max(axis=1, keepdims=True)
        np.exp(logits, out=logits)
    logits /= logits.sum(axis=1, keepdims=True)
    return logits
