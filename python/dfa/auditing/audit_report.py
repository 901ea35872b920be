"""What an audit found: arrays by rounding, codec and original, and what follows from them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from dfa.auditing.audit_summary import AuditSummary, bars, table
from dfa.auditing.roundings import ROUNDING_SLACK, Rounding
from dfa.data.image_set import UNKNOWN
from dfa.errors import InvalidInputError
from dfa.oracle.codecs import Codec
from dfa.results.dataframe import frame_of
from dfa.results.rates import wilson
from dfa.results.skips import Mislabelled, tell_skips

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NO_CLASS: Final = -1
"""In arrays of classes: never asked."""


@dataclass(frozen=True)
class AuditRecord:
    """What became of one vector under one rounding and one codec. Distances are in grey levels.

    Attributes:
        index: Place of the original in the audit.
        id: Name of its random stream, for stochastic rounding.
        rounding: How its levels were rounded.
        codec: The file it went through.
        reason: Why it does not count ("misclassified", "already the target class"), or cannot be a success ("no
            vector"); or empty.
        label: The label given, or None.
        target: The target class, or None in an untargeted audit.
        class_before: Class of the original image.
        class_vector: Class of the vector, None where it was not asked.
        class_image: Class of the rounded image.
        class_file: Class of the image that its file gave back.
        adversarial_vector: Adversarial as a vector (or so the attack claims).
        adversarial_image: Adversarial as an image, rounded.
        adversarial_file: Adversarial after the codec.
        linf_vector: Largest distance of the vector from the original, before rounding; real.
        linf_image: Largest distance of the rounded image.
        linf_file: Largest distance after the codec.
        budget_broken: Within epsilon as a vector and outside as an image: rounding alone broke the budget. None without
            an epsilon.
        source: The file that the original came from, or another name of it; None without one.
    """

    index: int
    id: int
    rounding: str
    codec: str
    reason: str
    label: int | None
    target: int | None
    class_before: int
    class_vector: int | None
    class_image: int | None
    class_file: int | None
    adversarial_vector: bool
    adversarial_image: bool
    adversarial_file: bool
    linf_vector: float | None
    linf_image: int | None
    linf_file: int | None
    budget_broken: bool | None
    source: str | None = None


@dataclass(eq=False, repr=False)
class AuditReport:
    """What an audit found. Arrays are by rounding (R), codec (C) and original (N), in the order they were given.

    Attributes:
        roundings: The roundings, R.
        codecs: The codecs, C.
        ids: int64, (N,): names of random streams.
        labels: int64, (N,), or None: the labels given, -1 of an original without one.
        targets: int64, (N,), or None in an untargeted audit.
        present: bool, (N,): the original has a vector.
        class_before: int64, (N,).
        class_vector: int64, (N,); -1 where it was not asked.
        class_image: int64, (R, N); -1 where it was not asked.
        class_file: int64, (R, C, N); -1 where it was not asked.
        linf_vector: float64, (N,), grey levels; nan without a vector.
        linf_image: int64, (R, N), grey levels; -1 without a vector.
        linf_file: int64, (R, C, N), grey levels; -1 without a vector.
        claimed: bool, (N,), or None: what the attack said, where no model of vectors was asked.
        epsilon: The attack's budget in grey levels, or None.
        queries: Images and vectors sent: "clean", "vectors", "images", and "vectors_clean" (a check of the normalizer).
        seconds: Wall time, and inside the oracles: "wall", "oracle".
        config: The audit's settings.
        vectors: What the attack returned, where `dfa.audit_attack` ran it: float, (N, ...).
        names: Files that the originals came from, or other names, one for each; or None.
    """

    roundings: tuple[Rounding, ...]
    codecs: tuple[Codec, ...]
    ids: NDArray[np.int64]
    labels: NDArray[np.int64] | None
    targets: NDArray[np.int64] | None
    present: NDArray[np.bool_]
    class_before: NDArray[np.int64]
    class_vector: NDArray[np.int64]
    class_image: NDArray[np.int64]
    class_file: NDArray[np.int64]
    linf_vector: NDArray[np.float64]
    linf_image: NDArray[np.int64]
    linf_file: NDArray[np.int64]
    claimed: NDArray[np.bool_] | None
    epsilon: float | None
    queries: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    vectors: NDArray[Any] | None = None
    names: list[str] | None = None

    def __len__(self) -> int:
        """Return N, the number of originals."""
        return len(self.class_before)

    @property
    def attacked(self) -> NDArray[np.bool_]:
        """Whether each original counts: bool, (N,)."""
        counts = ~self._misclassified
        if self.targets is not None:
            counts &= self.class_before != self.targets
        return counts

    @property
    def _misclassified(self) -> NDArray[np.bool_]:
        """Whether each has a label, and is not what it says: bool, (N,)."""
        if self.labels is None:
            return np.zeros(len(self), dtype=np.bool_)
        wrong: NDArray[np.bool_] = (self.labels != UNKNOWN) & (self.labels != self.class_before)
        return wrong

    @property
    def adversarial_vector(self) -> NDArray[np.bool_]:
        """Whether each is adversarial as a vector, or was claimed to be: bool, (N,)."""
        if self.claimed is not None:
            return self.claimed & self.attacked & self.present
        return self._adversarial(self.class_vector)

    @property
    def adversarial_image(self) -> NDArray[np.bool_]:
        """Whether each is adversarial when rounded: bool, (R, N)."""
        return self._adversarial(self.class_image)

    @property
    def adversarial_file(self) -> NDArray[np.bool_]:
        """Whether each is adversarial after the codec: bool, (R, C, N)."""
        return self._adversarial(self.class_file)

    @property
    def budget_broken(self) -> NDArray[np.bool_] | None:
        """Whether rounding alone broke the budget: bool, (R, N); None without an epsilon."""
        if self.epsilon is None:
            return None
        was_within = self.present & (self.linf_vector <= self.epsilon + ROUNDING_SLACK)
        broken: NDArray[np.bool_] = was_within & (self.linf_image > self.epsilon + ROUNDING_SLACK)
        return broken

    def summary(self, rounding: Rounding | str | None = None, codec: Codec | str | None = None) -> AuditSummary:
        """Return the figures of one rounding and codec; of the first ones given, unless said otherwise.

        Raises:
            InvalidInputError: They were not audited.
        """
        r = 0 if rounding is None else _place(Rounding.of(rounding).value, [each.value for each in self.roundings])
        name = codec.name if isinstance(codec, Codec) else codec
        c = 0 if name is None else _place(name, [each.name for each in self.codecs])
        attacked = self.attacked
        vector = self.adversarial_vector
        as_file = self.adversarial_file[r, c]
        num_attacked, num_vectors = int(attacked.sum()), int(vector.sum())
        num_files = int((vector & as_file).sum())
        seen = attacked & self.present
        broken = self.budget_broken
        return AuditSummary(
            rounding=self.roundings[r].value,
            codec=self.codecs[c].name,
            attacked=num_attacked,
            vectors=num_vectors,
            images=int((vector & self.adversarial_image[r]).sum()),
            files=num_files,
            gained=int((as_file & ~vector).sum()),
            SR=_ratio(num_vectors, num_attacked),
            TSR=_ratio(num_files, num_attacked),
            GAP=_ratio(num_vectors - num_files, num_vectors),
            SR_interval=wilson(num_vectors, num_attacked),
            TSR_interval=wilson(num_files, num_attacked),
            GAP_interval=wilson(num_vectors - num_files, num_vectors),
            linf_vector=_largest(self.linf_vector[seen]),
            linf_image=_largest(self.linf_image[r, seen]),
            linf_file=_largest(self.linf_file[r, c, seen]),
            budget_broken=None if broken is None else int((broken[r] & seen).sum()),
        )

    def summaries(self) -> list[AuditSummary]:
        """Return the figures of every rounding and codec."""
        return [self.summary(rounding, codec) for rounding in self.roundings for codec in self.codecs]

    @property
    def records(self) -> list[AuditRecord]:
        """One per rounding, codec and original, in this order."""
        attacked, vector = self.attacked, self.adversarial_vector
        as_image, as_file, broken = self.adversarial_image, self.adversarial_file, self.budget_broken
        records = []
        for r, rounding in enumerate(self.roundings):
            for c, codec in enumerate(self.codecs):
                for index in range(len(self)):
                    present = bool(self.present[index])
                    records.append(
                        AuditRecord(
                            index=index,
                            id=int(self.ids[index]),
                            rounding=rounding.value,
                            codec=codec.name,
                            reason=self._reason(index, attacked=bool(attacked[index])),
                            label=None if self.labels is None else _class(self.labels[index]),
                            target=None if self.targets is None else int(self.targets[index]),
                            class_before=int(self.class_before[index]),
                            class_vector=_class(self.class_vector[index]),
                            class_image=_class(self.class_image[r, index]),
                            class_file=_class(self.class_file[r, c, index]),
                            adversarial_vector=bool(vector[index]),
                            adversarial_image=bool(as_image[r, index]),
                            adversarial_file=bool(as_file[r, c, index]),
                            linf_vector=float(self.linf_vector[index]) if present else None,
                            linf_image=int(self.linf_image[r, index]) if present else None,
                            linf_file=int(self.linf_file[r, c, index]) if present else None,
                            budget_broken=None if broken is None else bool(broken[r, index]),
                            source=None if self.names is None else self.names[index],
                        )
                    )
        return records

    def skips(self, cure: str, names: Sequence[str] | None = None) -> str:
        """Return what to tell where most originals do not count, as `dfa.results.skips` does; else nothing."""
        found = [
            Mislabelled(index, int(self.labels[index]), int(self.class_before[index]))
            for index in np.flatnonzero(self._misclassified).tolist()
            if self.labels is not None
        ]
        return tell_skips(len(self), int((~self.attacked).sum()), found, cure, names)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per record, its columns the fields of `AuditRecord`; unknown integers are `pandas.NA`.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        return frame_of(AuditRecord, self.records, _PANDAS_TYPES)

    def plot(self, path: str | Path | None = None) -> Figure:
        """Draw SR, TSR and GAP as bars, one group per rounding and codec, as in the paper's Figure 2.

        Args:
            path: Where to save the picture too, in the format of its suffix.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        return bars({f"{each.rounding}\n{each.codec}": each for each in self.summaries()}, path)

    def __str__(self) -> str:
        """Return a table, one line per rounding and codec."""
        return table(self.summaries())

    def __repr__(self) -> str:
        """Return one line."""
        return f"AuditReport({len(self)} vectors, {len(self.roundings)} roundings, {len(self.codecs)} codecs)"

    def first(self, number: int) -> AuditReport:
        """Return the part of the report about the first originals."""
        cut: dict[str, Any] = {
            name: value[..., :number]
            for name, value in vars(self).items()
            if isinstance(value, np.ndarray) and name != "vectors"
        }
        return dataclasses.replace(self, **cut, names=None if self.names is None else self.names[:number])

    def _adversarial(self, classes: NDArray[np.int64]) -> NDArray[np.bool_]:
        goal = self.class_before if self.targets is None else self.targets
        reached = (classes != goal) if self.targets is None else (classes == goal)
        adversarial: NDArray[np.bool_] = reached & (classes != NO_CLASS) & self.attacked
        return adversarial

    def _reason(self, index: int, *, attacked: bool) -> str:
        if attacked:
            return "" if self.present[index] else "no vector"
        return "misclassified" if self._misclassified[index] else "already the target class"


def _place(name: str, known: list[str]) -> int:
    if name not in known:
        raise InvalidInputError(f"the audit must have been made with {name!r}, and was made with {', '.join(known)}")
    return known.index(name)


def _class(value: np.int64) -> int | None:
    return None if value == NO_CLASS else int(value)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else math.nan


def _largest(values: NDArray[Any]) -> float:
    return float(values.max()) if values.size else math.nan


_PANDAS_TYPES: Final = {
    "str": "str",
    "str | None": "object",
    "bool": "bool",
    "bool | None": "boolean",
    "int": "int64",
    "int | None": "Int64",
    "float | None": "float64",
}
