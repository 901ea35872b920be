"""`dfa.audit`: what is left of an attack's vectors once they are images."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.normalizers import (
    Affine,
    AnyNormalizer,
    as_normalizer,
    check_round_trip,
    checked_levels,
    checked_vectors,
)
from dfa.auditing.report import NO_CLASS, AuditReport
from dfa.auditing.roundings import Rounding, rounded
from dfa.auditing.vectors import (
    GivenVectors,
    NormalizedOracle,
    VectorOracle,
    as_vector_oracle,
    of_levels,
    read_vectors,
)
from dfa.checks import as_array, require_integer
from dfa.engine.inputs import Inputs, StreamIds
from dfa.errors import DfaError, Interrupted, InvalidInputError
from dfa.oracle import as_oracle
from dfa.oracle.base import Oracle
from dfa.oracle.codecs import Codec
from dfa.oracle.gate import Gate, Purpose
from dfa.search.goals import Rank, Targets, check_label_range, parse_labels, parse_targets, resolve_targets
from dfa.search.objectives import predicted
from dfa.types import Image, Images, ImageSequence

_SLICE: Final = 16
"""Images that one task of the pool prepares."""

_CLEAN_CHECKS: Final = 16
"""Clean images about which a model of vectors must agree with the oracle."""

T = TypeVar("T")


def audit(
    oracle: Any,
    originals: ImageSequence | Images,
    vectors: ArrayLike | str | Path,
    labels: ArrayLike | None = None,
    *,
    targets: Rank | ArrayLike | None = None,
    normalizer: Any = Affine(),  # noqa: B008 -- frozen
    vector_oracle: Any = None,
    claimed: ArrayLike | None = None,
    rounding: Rounding | str | Sequence[Rounding | str] = "nearest",
    codec: Codec | str | Sequence[Codec | str] = "png",
    epsilon: float | None = None,
    ids: ArrayLike | None = None,
    seed: int = 0,
    batch_size: int = 256,
    threads: int = 2,
) -> AuditReport:
    """Bring an attack's adversarial vectors back to 8-bit images, ask again, and report what is left.

    A vector is asked about in its own space, and the oracle takes images; so there are two models, which are one
    classifier: g, of vectors, and f = g o T, of images.

    | you have | pass |
    |---|---|
    | g, such as the torch module that was attacked | `oracle=None, vector_oracle=g`: f is g behind the normalizer |
    | both, f being what is deployed | `oracle=f, vector_oracle=g` |
    | a Keras model of 0..255, its normalizer inside | `oracle=f` alone: g is f on levels that are not rounded |
    | f alone, and what the attack says of itself | `oracle=f, claimed=success` (bool, (N,)) |

    An image counts (N_a) if the oracle classifies the original as labelled, and not as the target. SR is the share of
    those that are adversarial as vectors, TSR the share that are so as vectors and still are in the file that the codec
    gave back; GAP is what was lost.

    Args:
        oracle: Anything `dfa.as_oracle` takes, or None for `vector_oracle` behind `normalizer`.
        originals: uint8, (N, H, W, C), or any sequence of uint8 (H, W, C) images.
        vectors: What the attack returned: float, (N, ...), in its own space; or a path to .npy, .npz or .csv, see
            `dfa.auditing.vectors`.
        labels: Class ids, (N,). None: the oracle's own answers.
        targets: None for an untargeted attack; class ids; or `dfa.rank(j)`.
        normalizer: T and its inverse: a `dfa.Affine`, or a pair of functions. The default is 0..1, (N, H, W, C); torch
            users need `dfa.Affine(layout="NCHW")`.
        vector_oracle: g: a torch module, a Keras model, or a function from vectors to scores (probabilities or logits).
        claimed: bool, (N,): the attack's own word for which vectors are adversarial, instead of asking.
        rounding: "nearest", "truncate", "floor", "ceil", "stochastic", or several of them.
        codec: "png", "webp", "jpeg:QUALITY", "none", a `dfa.Codec`, or several.
        epsilon: The attack's L-infinity budget in grey levels, a number of at least 1, to see whether rounding breaks
            it; it may be fractional (an attack's 0.03 is 7.65).
        ids: Integers that name the images' random streams, (N,). None: made from the originals' bytes.
        seed: 0..2**64 - 1, of stochastic rounding. Its draws depend on (seed, id), not on order or batch.
        batch_size: The most images per call of an oracle.
        threads: Threads that round, write and read images beside the oracle.

    Returns:
        The report: `str(report)`, `report.summary()`, `report.records`, `report.to_pandas()`, `report.plot(path)`.
        Images that are equal to one that was asked about already (lossless codecs give them back as they were) are not
        asked about again; `report.queries` counts what was sent.

    Raises:
        InvalidInputError: An argument is not as described: among others vectors that are not finite, or lie outside the
            range under the normalizer, a normalizer under which T^-1(T(d)) is not d, a codec that changes the size. If
            images were finished before it showed, `.result` holds the report on them.
        OracleError: An oracle failed, or its answer cannot be used; `.result` as above.
        Interrupted: On KeyboardInterrupt; `.result` as above.

    Source:
        Paper, sections 2.3 and 3.2.1. It counts all images; here those that are misclassified from the start are left
        out, as its subjects had none.
    """
    started = time.perf_counter()
    job = _Job(
        oracle=oracle,
        originals=originals,
        vectors=vectors,
        labels=labels,
        targets=targets,
        normalizer=normalizer,
        vector_oracle=vector_oracle,
        claimed=claimed,
        roundings=tuple(Rounding.of(each) for each in _several(rounding, (Rounding, str), "rounding")),
        codecs=tuple(Codec.of(each) for each in _several(codec, (Codec, str), "codec")),
        epsilon=_checked_epsilon(epsilon),
        ids=ids,
        seed=require_integer("seed", seed, 0, 2**64 - 1),
        batch_size=require_integer("batch_size", batch_size, 1),
        threads=require_integer("threads", threads, 1, 1024),
    )
    return job.run(started)


@dataclass
class _Prepared:
    """A slice of the images, made ready to be asked about.

    `variants[i]` are the distinct images of image i, the original first; `image_slot` (R, n) and `file_slot` (R, C, n)
    say which of them a rounding and a codec made.
    """

    indices: NDArray[np.int64]
    originals: Images
    variants: list[list[Image]]
    image_slot: NDArray[np.int64]
    file_slot: NDArray[np.int64]
    linf_vector: NDArray[np.float64]
    linf_image: NDArray[np.int64]
    linf_file: NDArray[np.int64]


class _Job:
    """One audit."""

    def __init__(
        self,
        *,
        oracle: Any,
        originals: Any,
        vectors: Any,
        labels: ArrayLike | None,
        targets: Rank | ArrayLike | None,
        normalizer: Any,
        vector_oracle: Any,
        claimed: ArrayLike | None,
        roundings: tuple[Rounding, ...],
        codecs: tuple[Codec, ...],
        epsilon: float | None,
        ids: ArrayLike | None,
        seed: int,
        batch_size: int,
        threads: int,
    ) -> None:
        self._inputs = Inputs(originals)
        number = self._inputs.num_images
        assert self._inputs.shape is not None
        self._shape: tuple[int, int, int] = self._inputs.shape
        self._normalizer: AnyNormalizer = as_normalizer(normalizer)
        self._labels = parse_labels(labels, number)
        self._targets: Targets = parse_targets(targets, num_images=number, labels=self._labels)
        self._oracle, model = models(oracle, vector_oracle, claimed, self._normalizer)
        # Given apart, the two may contradict each other.
        self._checks_clean = oracle is not None and vector_oracle is not None
        one = checked_vectors(self._normalizer, self._inputs.load(0)[None])
        self._vectors: GivenVectors = read_vectors(vectors, number, one.shape[1:])
        self._stream_ids = StreamIds(ids, number)
        self._roundings, self._codecs = roundings, codecs
        self._seed, self._batch_size, self._threads = seed, batch_size, threads
        # Audits have no budget; an attack query would be refused.
        self._gate = Gate(self._oracle, num_images=number, max_queries=0)
        self._vector_gate = None if model is None else Gate(model, num_images=number, max_queries=0)
        self._done = 0
        shape = (len(roundings), len(codecs), number)
        self._report = AuditReport(
            roundings=roundings,
            codecs=codecs,
            ids=np.zeros(number, dtype=np.int64),
            labels=self._labels,
            targets=None if self._targets is None else np.zeros(number, dtype=np.int64),
            present=self._vectors.present,
            class_before=np.full(number, NO_CLASS, dtype=np.int64),
            class_vector=np.full(number, NO_CLASS, dtype=np.int64),
            class_image=np.full((shape[0], number), NO_CLASS, dtype=np.int64),
            class_file=np.full(shape, NO_CLASS, dtype=np.int64),
            linf_vector=np.full(number, np.nan),
            linf_image=np.full((shape[0], number), -1, dtype=np.int64),
            linf_file=np.full(shape, -1, dtype=np.int64),
            claimed=checked_claims(claimed, number),
            epsilon=epsilon,
            config={
                "num_images": number,
                "shape": list(self._shape),
                "normalizer": self._normalizer.describe(),
                "oracle": self._oracle.describe(),
                "vector_oracle": None if model is None else model.describe(),
                "seed": seed,
                "batch_size": batch_size,
            },
        )

    def run(self, started: float) -> AuditReport:
        """Audit every image; what ends it early carries the report on those that were finished."""
        try:
            self._gate.prepare(self._shape, self._batch_size)
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="dfa-audit")
            try:
                for tasks in _one_ahead(self._submitted(pool)):
                    self._finish([task.result() for task in tasks])
            finally:
                pool.shutdown(cancel_futures=True)
        except DfaError as error:
            error.result = self._partial(started)
            raise
        except KeyboardInterrupt as error:
            raise Interrupted(
                "interrupted; `.result` is the report on what was finished", result=self._partial(started)
            ) from error
        report = self._partial(started)
        assert report is not None
        return report

    def _partial(self, started: float) -> AuditReport | None:
        if not self._done:
            return None
        counts = self._gate.counts
        vector_counts = dict.fromkeys(Purpose, 0) if self._vector_gate is None else self._vector_gate.counts
        inside = sum(sum(gate.seconds.values()) for gate in (self._gate, self._vector_gate) if gate is not None)
        report = self._report.first(self._done)
        report.queries = {
            "clean": counts[Purpose.CLEAN],
            "images": counts[Purpose.VERIFICATION],
            "vectors": vector_counts[Purpose.VERIFICATION],
            "vectors_clean": vector_counts[Purpose.CLEAN],
        }
        report.seconds = {"wall": time.perf_counter() - started, "oracle": inside}
        return report

    def _submitted(self, pool: ThreadPoolExecutor) -> Iterator[list[Future[_Prepared]]]:
        """Yield batches of tasks that prepare slices of images; reading the originals is the caller's thread's work."""
        number = self._inputs.num_images
        for start in range(0, number, self._batch_size):
            indices = np.arange(start, min(start + self._batch_size, number), dtype=np.int64)
            tasks = []
            for rows in np.split(indices, range(_SLICE, len(indices), _SLICE)):
                images = np.stack([self._inputs.load(int(index)) for index in rows])
                for index, image in zip(rows, images, strict=True):
                    self._report.ids[index] = self._stream_ids.name(int(index), image)
                tasks.append(pool.submit(self._prepare, rows, images))
            yield tasks

    def _prepare(self, indices: NDArray[np.int64], originals: Images) -> _Prepared:
        """Round, write and read back the vectors of a slice; runs beside the oracle."""
        check_round_trip(self._normalizer, originals, self._vectors.dtype, int(indices[0]))
        has_vector = self._vectors.present[indices]
        rows = np.flatnonzero(has_vector)
        number = len(indices)
        shape = (len(self._roundings), len(self._codecs), number)
        image_slot = np.zeros((shape[0], number), dtype=np.int64)
        file_slot = np.zeros(shape, dtype=np.int64)
        linf_vector = np.full(number, np.nan)
        linf_image = np.full((shape[0], number), -1, dtype=np.int64)
        linf_file = np.full(shape, -1, dtype=np.int64)
        variants = [[original] for original in originals]
        places = [{original.tobytes(): 0} for original in originals]

        def slot(row: int, image: Image) -> int:
            place = places[row].setdefault(image.tobytes(), len(variants[row]))
            if place == len(variants[row]):
                variants[row].append(image)
            return place

        if len(rows):
            vectors = self._vectors.load(indices[rows])
            levels = checked_levels(self._normalizer, vectors, self._shape, int(indices[rows[0]]))
            base = originals[rows]
            linf_vector[rows] = _distances(levels, base)
            ids = self._report.ids[indices[rows]]
            for r, rounding in enumerate(self._roundings):
                images = rounded(levels, rounding, seed=self._seed, ids=ids)
                linf_image[r, rows] = _distances(images.astype(np.int16), base)
                for place, row in enumerate(rows.tolist()):
                    image_slot[r, row] = slot(row, images[place])
                    for c, codec in enumerate(self._codecs):
                        file = codec.round_trip(images[place], int(indices[row]))
                        file_slot[r, c, row] = slot(row, file)
                        linf_file[r, c, row] = _distances(file[None].astype(np.int16), originals[row : row + 1])[0]
        return _Prepared(indices, originals, variants, image_slot, file_slot, linf_vector, linf_image, linf_file)

    def _finish(self, slices: list[_Prepared]) -> None:
        """Ask about one batch of images, and write down what came of it."""
        indices = np.concatenate([each.indices for each in slices])
        scores = self._gate.ask(np.concatenate([each.originals for each in slices]), indices, Purpose.CLEAN)
        check_label_range(self._labels, scores.shape[1])
        report = self._report
        report.class_before[indices] = predicted(scores)
        goals = resolve_targets(self._targets, scores, indices)
        if report.targets is not None and goals is not None:
            report.targets[indices] = goals
        attacked = report.attacked
        for each in slices:
            report.linf_vector[each.indices] = each.linf_vector
            report.linf_image[:, each.indices] = each.linf_image
            report.linf_file[:, :, each.indices] = each.linf_file
        self._check_clean(slices[0], scores)
        self._ask_vectors(slices, attacked)
        self._ask_variants(slices, attacked)
        self._done = int(indices[-1]) + 1

    def _check_clean(self, first: _Prepared, scores: NDArray[np.float64]) -> None:
        """Refuse a model of vectors that calls clean images something else than the oracle: not the same normalizer."""
        if not self._checks_clean or self._done or self._vector_gate is None:
            return
        images = first.originals[:_CLEAN_CHECKS]
        vectors = checked_vectors(self._normalizer, images).astype(self._vectors.dtype)
        clean = self._vector_gate.ask(vectors, first.indices[:_CLEAN_CHECKS], Purpose.CLEAN)
        self._check_classes(clean.shape[1])
        found = predicted(clean)
        differ = int((found != predicted(scores)[: len(images)]).sum())
        if 4 * differ > len(images):
            raise InvalidInputError(
                f"the vector oracle must agree with the oracle about clean images, and calls {differ} of the first "
                f"{len(images)} something else under the normalizer {self._normalizer.describe()}; name the space that "
                "the model of vectors takes (normalizer=...)"
            )

    def _ask_vectors(self, slices: list[_Prepared], attacked: NDArray[np.bool_]) -> None:
        if self._vector_gate is None:
            return
        indices = np.concatenate([each.indices for each in slices])
        indices = indices[attacked[indices] & self._vectors.present[indices]]
        if len(indices):
            scores = self._vector_gate.ask(self._vectors.load(indices), indices, Purpose.VERIFICATION)
            self._check_classes(scores.shape[1])
            self._report.class_vector[indices] = predicted(scores)

    def _check_classes(self, number: int) -> None:
        if number != self._gate.num_classes:
            raise InvalidInputError(
                f"the vector oracle must know the oracle's {self._gate.num_classes} classes, and knows {number}"
            )

    def _ask_variants(self, slices: list[_Prepared], attacked: NDArray[np.bool_]) -> None:
        """Ask about the distinct images of each original, the original itself excepted, and spread the answers."""
        report = self._report
        counted = [
            (each, row)
            for each in slices
            for row in np.flatnonzero(attacked[each.indices] & self._vectors.present[each.indices])
        ]
        asked = [(each.indices[row], image) for each, row in counted for image in each.variants[row][1:]]
        answers: list[int] = []
        for start in range(0, len(asked), self._batch_size):
            part = asked[start : start + self._batch_size]
            indices = np.array([index for index, _ in part], dtype=np.int64)
            scores = self._gate.ask(np.stack([image for _, image in part]), indices, Purpose.VERIFICATION)
            answers += predicted(scores).tolist()
        left = iter(answers)
        for each, row in counted:
            index = each.indices[row]
            classes = np.array([report.class_before[index], *(next(left) for _ in each.variants[row][1:])])
            report.class_image[:, index] = classes[each.image_slot[:, row]]
            report.class_file[:, :, index] = classes[each.file_slot[:, :, row]]


def models(
    oracle: Any,
    vector_oracle: Any,
    claimed: ArrayLike | None,
    normalizer: AnyNormalizer,
    *,
    needs_vectors: bool = True,
) -> tuple[Oracle, VectorOracle | None]:
    """Return f, and g or None.

    Raises:
        InvalidInputError: Neither is there, both ways to judge vectors are, or none is although it is needed.
    """
    if vector_oracle is not None and claimed is not None:
        raise InvalidInputError(
            "pass vector_oracle, to ask about the vectors, or claimed, to believe the attack; not both"
        )
    model = None if vector_oracle is None else as_vector_oracle(vector_oracle)
    if oracle is None:
        if model is None:
            raise InvalidInputError("audit needs an oracle of images, or a vector_oracle to put behind the normalizer")
        return NormalizedOracle(model, normalizer), model
    images = as_oracle(oracle)
    if model is None and claimed is None:
        model = of_levels(images, normalizer)
        if model is None and needs_vectors:
            raise InvalidInputError(
                f"whether a vector is adversarial cannot be asked of {images.name!r}, which takes uint8 images; pass "
                "vector_oracle= the model that takes the attack's vectors, or claimed= a boolean per vector, the "
                "attack's own word"
            )
    return images, model


def _one_ahead(items: Iterable[T]) -> Iterator[T]:
    """Yield items, each only once the next has been made."""
    waiting: list[T] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == 2:
            yield waiting.pop(0)
    yield from waiting


def _distances(changed: NDArray[Any], originals: Images) -> Any:
    """Return the largest distance of each image from its original, in the dtype of `changed`, which can hold it."""
    difference = np.abs(changed - originals)
    return difference.reshape(len(difference), -1).max(axis=1)


def _several(value: Any, single: tuple[type, ...], name: str) -> list[Any]:
    """Return one value or a sequence of them as a list."""
    if isinstance(value, (*single, Codec)):
        return [value]
    try:
        values = list(value)
    except TypeError:
        return [value]
    if not values:
        raise InvalidInputError(f"{name} must name at least one, got none")
    if len({each.name if isinstance(each, Codec) else each for each in values}) != len(values):
        raise InvalidInputError(f"{name} must name each one once, got {value!r}")
    return values


def _checked_epsilon(epsilon: float | None) -> float | None:
    if epsilon is None:
        return None
    if isinstance(epsilon, bool) or not isinstance(epsilon, int | float | np.number) or not 1 <= epsilon <= 255:
        is_share = isinstance(epsilon, float) and 0 < epsilon < 1
        hint = f"; did you mean {epsilon * 255:g}, which is {epsilon:g} of 255?" if is_share else ""
        raise InvalidInputError(f"epsilon must be None or a number of grey levels in 1..255, got {epsilon!r}{hint}")
    return float(epsilon)


def checked_claims(claimed: ArrayLike | None, number: int) -> NDArray[np.bool_] | None:
    """Return the attack's own word, bool, (N,), or None.

    Raises:
        InvalidInputError: It is something else.
    """
    if claimed is None:
        return None
    given = as_array(claimed)
    if given.dtype != np.bool_ or given.shape != (number,):
        raise InvalidInputError(f"claimed must be bool, ({number},), got {given.dtype} of shape {given.shape}")
    claims: NDArray[np.bool_] = given.copy()
    return claims
