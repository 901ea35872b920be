"""One audit, batch by batch: images are made ready in threads, beside the oracles that are asked about them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dfa.auditing.audit_report import NO_CLASS, AuditReport
from dfa.auditing.normalizers import AnyNormalizer, as_normalizer, checked_vectors
from dfa.auditing.roundings import Rounding
from dfa.auditing.variants import Preparation, Variants
from dfa.auditing.vector_oracle import image_and_vector_oracles
from dfa.auditing.vectors import GivenVectors, checked_claims, read_vectors
from dfa.engine.inputs import Inputs, StreamIds
from dfa.engine.interrupts import carrying_result
from dfa.errors import InvalidInputError
from dfa.oracle.codecs import Codec
from dfa.oracle.gate import Gate, Purpose
from dfa.search.goals import Rank, Targets, check_label_range, parse_labels, parse_targets, resolve_targets
from dfa.search.objectives import found_class, predicted
from dfa.types import Classes, Indices, Scores

_SLICE: Final = 16
"""Images that one task of the pool prepares."""

_CLEAN_CHECKS: Final = 16
"""Clean images about which a model of vectors must agree with the oracle."""

_Item = TypeVar("_Item")


class AuditRun:
    """One audit: what `dfa.audit` was given, and the report as it grows."""

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
        layout: str | None,
    ) -> None:
        """Take the arguments of `dfa.audit`, and check those that it has not.

        Raises:
            InvalidInputError: One is not as it must be.
        """
        self._inputs = Inputs(originals, layout=layout)
        number = self._inputs.num_images
        assert self._inputs.shape is not None
        self._shape: tuple[int, int, int] = self._inputs.shape
        self._normalizer: AnyNormalizer = as_normalizer(normalizer)
        self._oracle, model = image_and_vector_oracles(oracle, vector_oracle, claimed, self._normalizer)
        own = self._inputs.labels_in(self._oracle.class_names) if labels is None else None
        self._labels = parse_labels(labels, number) if own is None else own
        self._targets: Targets = parse_targets(targets, num_images=number, labels=self._labels)
        # Given apart, the two may contradict each other.
        self._checks_clean = oracle is not None and vector_oracle is not None
        one = checked_vectors(self._normalizer, self._inputs.load(0)[None])
        self._vectors: GivenVectors = read_vectors(vectors, number, one.shape[1:])
        self._stream_ids = StreamIds(ids, number)
        self._batch_size, self._threads = batch_size, threads
        self._preparation = Preparation(self._normalizer, self._vectors, self._shape, roundings, codecs, seed)
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
            names=self._inputs.names,
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
        with carrying_result(lambda: self._partial(started)):
            self._gate.prepare(self._shape, self._batch_size)
            pool = ThreadPoolExecutor(self._threads, thread_name_prefix="dfa-audit")
            try:
                for tasks in _one_ahead(self._submitted(pool)):
                    self._finish([task.result() for task in tasks])
            finally:
                pool.shutdown(cancel_futures=True)
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

    def _submitted(self, pool: ThreadPoolExecutor) -> Iterator[list[Future[Variants]]]:
        """Yield batches of tasks that prepare slices of images; reading the originals is the caller's thread's work."""
        number = self._inputs.num_images
        for start in range(0, number, self._batch_size):
            indices = np.arange(start, min(start + self._batch_size, number), dtype=np.int64)
            tasks = []
            for rows in np.split(indices, range(_SLICE, len(indices), _SLICE)):
                images = np.stack([self._inputs.load(int(index)) for index in rows])
                for index, image in zip(rows, images, strict=True):
                    self._report.ids[index] = self._stream_ids.name(int(index), image)
                tasks.append(pool.submit(self._preparation.variants, rows, images, self._report.ids[rows]))
            yield tasks

    def _finish(self, slices: list[Variants]) -> None:
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

    def _check_clean(self, first: Variants, scores: NDArray[np.float64]) -> None:
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

    def _ask_vectors(self, slices: list[Variants], attacked: NDArray[np.bool_]) -> None:
        if self._vector_gate is None:
            return
        indices = np.concatenate([each.indices for each in slices])
        indices = indices[attacked[indices] & self._vectors.present[indices]]
        if len(indices):
            scores = self._vector_gate.ask(self._vectors.load(indices), indices, Purpose.VERIFICATION)
            self._check_classes(scores.shape[1])
            self._report.class_vector[indices] = self._found(scores, indices)

    def _found(self, scores: Scores, indices: Indices) -> Classes:
        """Return the class of each variant, a tie counted against the attack."""
        targets = self._report.targets
        goals = (self._report.class_before if targets is None else targets)[indices]
        return found_class(scores, goals, is_targeted=targets is not None)

    def _check_classes(self, number: int) -> None:
        if number != self._gate.num_classes:
            raise InvalidInputError(
                f"the vector oracle must know the oracle's {self._gate.num_classes} classes, and knows {number}"
            )

    def _ask_variants(self, slices: list[Variants], attacked: NDArray[np.bool_]) -> None:
        """Ask about the distinct images of each original, the original itself excepted, and spread the answers."""
        report = self._report
        counted = [
            (each, row)
            for each in slices
            for row in np.flatnonzero(attacked[each.indices] & self._vectors.present[each.indices])
        ]
        asked = [(each.indices[row], image) for each, row in counted for image in each.distinct[row][1:]]
        answers: list[int] = []
        for start in range(0, len(asked), self._batch_size):
            part = asked[start : start + self._batch_size]
            indices = np.array([index for index, _ in part], dtype=np.int64)
            scores = self._gate.ask(np.stack([image for _, image in part]), indices, Purpose.VERIFICATION)
            answers += self._found(scores, indices).tolist()
        left = iter(answers)
        for each, row in counted:
            index = each.indices[row]
            classes = np.array([report.class_before[index], *(next(left) for _ in each.distinct[row][1:])])
            report.class_image[:, index] = classes[each.image_place[:, row]]
            report.class_file[:, :, index] = classes[each.file_place[:, :, row]]


def _one_ahead(items: Iterable[_Item]) -> Iterator[_Item]:
    """Yield items, each only once the next has been made."""
    waiting: list[_Item] = []
    for item in items:
        waiting.append(item)
        if len(waiting) == 2:
            yield waiting.pop(0)
    yield from waiting
