"""What runs where a worker is: a model that is asked, and says what it is."""

from __future__ import annotations

import importlib.metadata
import pickle
import platform
import sys
import traceback
import warnings
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dfa.errors import DfaError, PartialAnswer, place_of, told
from dfa.oracle.answers import Answer, Reader, reader_of
from dfa.oracle.base import Oracle, ScoreKind
from dfa.oracle.workers.factory import Factory
from dfa.types import Images

_FRAMEWORKS: Final = ("torch", "tensorflow", "keras", "jax", "onnxruntime", "sklearn", "ai_edge_litert")
_NUM_PROBES: Final = 4


@dataclass(frozen=True)
class About:
    """What a worker's oracle says of itself, for the one who asks it from afar.

    Attributes:
        kind: As of `Oracle`, like all up to `num_channels`.
        name: Likewise.
        returns: Likewise.
        tolerance: Likewise.
        num_classes: Likewise.
        num_shown: Likewise.
        class_names: Likewise.
        num_channels: Likewise.
        takes: Name of the scalar type of its batches.
        described: `Oracle.describe`.
        fingerprint: `Oracle.fingerprint`.
        versions: Of what its answers may depend on, by name.
        process: Of the machine that it is in.
        node: The machine's name.
    """

    kind: str
    name: str
    returns: ScoreKind
    tolerance: float
    num_classes: int | None
    num_shown: int | None
    class_names: tuple[str, ...] | None
    num_channels: int | None
    takes: str
    described: dict[str, Any]
    fingerprint: str | None
    versions: dict[str, str]
    process: int
    node: str


@dataclass(frozen=True)
class Ready:
    """What a worker says when it is prepared.

    Attributes:
        rows_per_batch: As of `Oracle`.
        probes: Its answers to the same noise, asked twice; None where a model of anything but images refused noise.
        warnings: Kinds and words of what was warned of.
    """

    rows_per_batch: int | None
    probes: tuple[Answer, Answer] | None
    warnings: tuple[tuple[type[Warning], str], ...]


class Host:
    """A worker's model, made where the worker is."""

    def __init__(self, packed: bytes, device: str | None) -> None:
        """Make the model.

        Args:
            packed: Of a `Factory`.
            device: Given to it.
        """
        self._made: Oracle = Factory.unpacked(packed).make(device)
        self._oracle = self._made
        self._reader: Reader = reader_of(self._oracle)

    def about(self, process: int) -> About:
        """Return what the oracle says of itself."""
        oracle = self._oracle
        loaded = {name: sys.modules[name] for name in _FRAMEWORKS if name in sys.modules}
        return About(
            kind=oracle.kind,
            name=oracle.name,
            returns=oracle.returns,
            tolerance=oracle.tolerance,
            num_classes=oracle.num_classes,
            num_shown=oracle.num_shown,
            class_names=oracle.class_names,
            num_channels=oracle.num_channels,
            takes=oracle.takes.__name__,
            described=oracle.describe(),
            fingerprint=oracle.fingerprint(),
            versions={
                "dfa": importlib.metadata.version("dfa-attack"),
                "python": platform.python_version(),
                "numpy": np.__version__,
                **{name: str(getattr(module, "__version__", "?")) for name, module in loaded.items()},
            },
            process=process,
            node=platform.node(),
        )

    def prepare(self, shape: tuple[int, ...], batch_size: int, takes: str) -> Ready:
        """Let the oracle get ready, and answer a little noise, which counts as no query.

        Args:
            shape: As of `Oracle.prepare`.
            batch_size: Likewise.
            takes: Name of the scalar type of the batches to come.
        """
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self._oracle = self._made.taking(getattr(np, takes))
            self._oracle.prepare(shape, batch_size)  # type: ignore[arg-type]
            probes = self._probes((min(_NUM_PROBES, batch_size), *shape))
        told_of = tuple((each.category, str(each.message)) for each in caught if _may_travel(each.category))
        return Ready(self._oracle.rows_per_batch, probes, told_of)

    def _probes(self, shape: tuple[int, ...]) -> tuple[Answer, Answer] | None:
        noise = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        if self._oracle.takes is np.uint8:
            return self.scores(noise), self.scores(noise)
        numbers: Any = noise.astype(np.float64)
        try:
            return self.scores(numbers), self.scores(numbers)
        except Exception:  # of another dtype, say, or indices of a table: nobody knows what such a model takes
            return None

    def scores(self, images: Images) -> Answer:
        """Return an answer as arrays."""
        try:
            return self._reader.arrays(self._oracle.scores(images))
        except PartialAnswer as error:
            # Parts of any kind, which might not travel.
            rows = np.array(list(error.rows), dtype=np.int64)
            answer: Any = self._reader.arrays(error.answers) if rows.size else ()
            given = answer if len(answer) != 1 else answer[0]
            raise PartialAnswer(rows.tolist(), given, error.cause and RuntimeError(told(error.cause))) from None


def _may_travel(category: type[Warning]) -> bool:
    try:
        pickle.dumps(category)
    except Exception:  # whatever an object's own pickling raises
        return False
    return True


def packed_error(error: BaseException) -> tuple[str, Any]:
    """Return what travels of an error: itself where it can, or its words."""
    if isinstance(error, PartialAnswer):
        return "partial", (error.rows, error.answers, str(error.cause) if error.cause else None)
    text = "".join(traceback.format_exception(error)) if not isinstance(error, DfaError) else ""
    rest = told(error), text, place_of(error)
    try:
        return "error", (pickle.dumps(error), *rest)
    except Exception:  # whatever an object's own pickling raises
        return "error", (None, *rest)


def raise_packed(kind: str, packed: Any) -> None:
    """Raise what `packed_error` made of an error."""
    if kind == "partial":
        rows, answers, cause = packed
        raise PartialAnswer(rows, answers, None if cause is None else RuntimeError(cause))
    content, words, text, place = packed
    error: BaseException | None = None
    if content is not None:
        try:
            error = pickle.loads(content)
        except Exception:  # a class whose making takes other arguments
            error = None
    where = RemoteError(text, place) if text else None
    if isinstance(error, Exception):
        raise error from where
    raise RuntimeError(words) from where


class RemoteError(Exception):
    """Where in a worker an error came from.

    Attributes:
        place: The file and line of the user's code, or nothing.
    """

    def __init__(self, text: str, place: str) -> None:
        """Keep a worker's traceback, and what of it a message has room for."""
        super().__init__(text, place)
        self.place = place

    def __str__(self) -> str:
        """Return the worker's traceback."""
        return f"\n{self.args[0]}"
