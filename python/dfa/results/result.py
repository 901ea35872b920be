"""What a run found: plain data, its summary, and its copy on disk.

No loop lives here. The runner builds a `Result` from plain parts; `Result.summary` condenses them into the
figures that the paper reports, and `Result.save` writes the adversarial images as files, reads every file
back and asks the oracle about what it read.
"""

from __future__ import annotations

import dataclasses
import math
import os
import tempfile
import threading
import weakref
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
from numpy.typing import NDArray

from dfa.errors import DfaError, InvalidInputError, OracleError, StoreError
from dfa.oracle import as_oracle
from dfa.oracle.base import Oracle
from dfa.oracle.gate import Gate, Purpose
from dfa.originals import Form, difference
from dfa.results.dataframe import frame_of
from dfa.results.intervals import Interval, wilson
from dfa.results.spans import Spans
from dfa.runs.folder import (
    IMAGES,
    ORIGINALS,
    Plain,
    begin_document,
    check_folder,
    complete_document,
    image_file,
    plain,
    read_image,
    remove_other_images,
    write_epsilon,
    write_image,
    write_records,
)
from dfa.runs.journal import SavedRun, read_run
from dfa.search.confirmation import Confirmation
from dfa.search.objectives import predicted
from dfa.types import Image, ImageSequence
from dfa.views.charts import Figure, Series, success_chart

if TYPE_CHECKING:
    import pandas as pd


class Status(Enum):
    """How an image's attack ended."""

    SUCCESS = "success"
    """An adversarial image was found and confirmed by queries of its own."""
    FAILURE = "failure"
    """The search ended (queries, iterations, time) without a confirmed adversarial image."""
    SKIPPED = "skipped"
    """There was nothing to attack: misclassified from the start, or already in the target class."""
    ERROR = "error"
    """This image could not be attacked; `Record.reason` says why."""
    UNFINISHED = "unfinished"
    """The run ended before this image did."""


@dataclass(frozen=True)
class Record:
    """What happened to one image. Distances are in grey levels, on the uint8 images.

    Attributes:
        index: Place of the image in the run's `images`.
        id: Name of the image's random stream.
        status: How the attack ended.
        reason: Why, in words; empty for a success.
        label: The label given for the image, or None.
        target: The target class, or None in an untargeted run.
        class_before: Class of the original image, None if it was never asked.
        class_after: Class of the adversarial image, None if there is none.
        probability_before: Probability of `class_before` on the original image, 0..1; nearly 1 where an oracle
            answers with labels alone.
        probability_after: Probability of `class_after` on the adversarial image, 0..1.
        found: The search claims an adversarial image, or claimed one that was not confirmed.
        verified: The uint8 image, queried on its own, was adversarial, as often as the run's `confirmations` ask for.
            True exactly for a success.
        answers: How often the oracle was asked, apart from the search, about the adversarial image.
        agreeing: How many of these answers found it adversarial.
        unconfirmed: Candidates that were adversarial when first asked and that repeated answers did not confirm.
        queries: Images asked up to and including the first adversarial one; what the paper counts.
        queries_sent: Images sent to the oracle for this image, the rest of the hit's batch included, and what is asked
            besides the candidates of an oracle of labels.
        seconds: The image's share of the run's wall time.
        l0: Number of values (of H * W * C) that differ from the original.
        l2: Euclidean length of the difference, grey levels.
        linf: Largest difference, grey levels.
        distances: What else matters in the run's search space, by name: pixels, area, steps; None if nothing was found.
        degree: Smallest dissatisfaction degree reached; 0 for an adversarial image.
        trace: (queries, degree) at each improvement.
    """

    index: int
    id: int
    status: Status
    reason: str = ""
    label: int | None = None
    target: int | None = None
    class_before: int | None = None
    class_after: int | None = None
    probability_before: float | None = None
    probability_after: float | None = None
    found: bool = False
    verified: bool = False
    answers: int = 0
    agreeing: int = 0
    unconfirmed: int = 0
    queries: int = 0
    queries_sent: int = 0
    seconds: float = 0.0
    l0: int | None = None
    l2: float | None = None
    linf: int | float | None = None
    distances: dict[str, float] | None = None
    degree: float | None = None
    trace: tuple[tuple[int, float], ...] = ()

    def __post_init__(self) -> None:
        """Refuse a record that contradicts itself, since every rate is counted from these three fields.

        Raises:
            InvalidInputError: The status is SUCCESS without `verified`, or the reverse, or `verified` without
                `found`.
        """
        if (self.status is Status.SUCCESS) != self.verified or (self.verified and not self.found):
            raise InvalidInputError(
                f"the record of image {self.index} must be verified exactly if its status is success, and "
                f"found if it is verified; got status={self.status.value!r}, found={self.found}, "
                f"verified={self.verified}"
            )

    @property
    def confidence(self) -> float:
        """Share of the repeated answers that found the adversarial image adversarial; nan if it was never asked."""
        return _ratio(self.agreeing, self.answers)

    @property
    def confidence_interval(self) -> Interval:
        """Wilson's 95 % interval of the chance that one more answer would find it adversarial."""
        return wilson(self.agreeing, self.answers)


@dataclass
class Profile:
    """Where a run's time went. All times are in seconds.

    The main thread's time is `propose + wait + score + update + other = wall`. The oracle works beside it in
    a thread of its own, so `oracle` overlaps them; what of it was not hidden shows up as `wait`.

    Attributes:
        wall: From the start of the run to its end.
        propose: The core writing candidates.
        oracle: Inside the oracle, for attack queries.
        wait: The main thread waiting for an answer.
        score: From answers to dissatisfaction degrees.
        update: The core ranking candidates, and finished images leaving.
        other: Everything else: reading images, clean predictions, verification, records.
        rows_sent: Attack queries, images.
        rows_capacity: Rows that the batches could have carried.
        batches: Batches of attack queries.
        clean: Images sent for clean predictions; no attack queries.
        verification: Images sent to confirm what the search claims, as often as they were sent; no attack queries.
        resent: Images sent beyond all these, because a run that was cut short was taken up again.
        spans: What the run was doing when; empty once it is read back from a folder.
    """

    wall: float = 0.0
    propose: float = 0.0
    oracle: float = 0.0
    wait: float = 0.0
    score: float = 0.0
    update: float = 0.0
    other: float = 0.0
    rows_sent: int = 0
    rows_capacity: int = 0
    batches: int = 0
    clean: int = 0
    verification: int = 0
    resent: int = 0
    spans: Spans = field(default_factory=Spans, repr=False, compare=False)

    @property
    def occupancy(self) -> float:
        """Rows sent over the rows that the batches could have carried, 0..1; nan before the first batch."""
        return _ratio(self.rows_sent, self.rows_capacity)

    @property
    def queries_per_second(self) -> float:
        """Attack queries over wall time; nan for a run that took none."""
        return _ratio(self.rows_sent, self.wall)

    @property
    def oracle_share(self) -> float:
        """Part of the wall time during which the oracle was answering attack queries, 0..1."""
        return _ratio(self.oracle, self.wall)

    def totals(self) -> dict[str, Any]:
        """Return the times and numbers by name."""
        return {name: getattr(self, name) for name in _TOTALS}

    def save_trace(self, path: str | Path) -> None:
        """Write what the run was doing when, as a trace that chrome://tracing and ui.perfetto.dev show.

        Raises:
            StoreError: The file cannot be written.
        """
        self.spans.save(path)

    def as_dict(self) -> dict[str, float]:
        """Return the fields and the derived figures by name."""
        return {
            **self.totals(),
            "occupancy": self.occupancy,
            "queries_per_second": self.queries_per_second,
            "oracle_share": self.oracle_share,
        }


_TOTALS = tuple(entry.name for entry in dataclasses.fields(Profile) if entry.name != "spans")


@dataclass(frozen=True)
class Summary:
    """A run in a few figures, with the paper's names for the paper's figures.

    A figure over an empty set is nan: the rates of a run in which no image was attacked, the queries of a run
    without a success.

    Attributes:
        total: Images of the run.
        attacked: Images whose attack ended, N_a: successes and failures.
        skipped: Images with nothing to attack.
        errors: Images that could not be attacked.
        unfinished: Images that the run's end cut off.
        found: Images for which the search claims success, N_v.
        verified: Images for which the uint8 image, asked again, is adversarial, N_i.
        SR: Success rate N_v / N_a.
        TSR: True success rate N_i / N_a.
        GAP: (SR - TSR) / SR.
        confidence: Share of the repeated answers about the successes that found them adversarial. 1 where one answer
            each is asked for.
        confidence_interval: Wilson's 95 % interval of it, of all these answers together.
        answers: Repeated answers about the successes.
        unconfirmed: Candidates that were adversarial when first asked and not confirmed, of all attacked images.
        ATC: Average time cost of an adversarial image: mean over successes of `Record.seconds`, the image's
            share of the run's wall time.
        queries_mean: Mean queries over successes.
        queries_median: Median queries over successes.
        queries_p90: 90 % of the successes needed at most about this many queries.
        queries_mean_with_failures: Mean over attacked images, a failure counted at its whole budget.
        queries_sent: All attack queries sent to the oracle.
        distances: Mean over successes of the size of each of `Record.distances`, by name.
        max_queries: Budget per image, None if the run's configuration does not tell.
        wall: Seconds of the whole run.

    Source: section 3.2.1 (SR, TSR, GAP), section 5.2 (ATC), Table 10 (queries over successes).
    """

    total: int
    attacked: int
    skipped: int
    errors: int
    unfinished: int
    found: int
    verified: int
    SR: float
    TSR: float
    GAP: float
    confidence: float
    confidence_interval: Interval
    answers: int
    unconfirmed: int
    ATC: float
    queries_mean: float
    queries_median: float
    queries_p90: float
    queries_mean_with_failures: float
    queries_sent: int
    max_queries: int | None
    wall: float
    distances: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return a small table."""
        budget = "" if self.max_queries is None else f" of {self.max_queries:,}"
        rows = [
            ("images", f"{self.total:,}, {self.attacked:,} attacked"),
            (
                "not attacked",
                f"{self.skipped:,} skipped, {self.errors:,} errors, {self.unfinished:,} unfinished",
            ),
            ("SR", _percent(self.SR)),
            ("TSR", _percent(self.TSR)),
            ("GAP", _percent(self.GAP)),
            ("ATC", "-" if math.isnan(self.ATC) else f"{self.ATC:.3g} s"),
            (
                "queries, successes",
                f"{_count(self.queries_mean)} mean, {_count(self.queries_median)} median, "
                f"{_count(self.queries_p90)} 90 %",
            ),
            ("queries, failures at budget", f"{_count(self.queries_mean_with_failures)} mean{budget}"),
            ("queries sent", f"{self.queries_sent:,} in {self.wall:.1f} s"),
        ]
        if self.answers > self.verified or self.unconfirmed:
            low, high = self.confidence_interval
            told = f"{_percent(self.confidence)} of {self.answers:,} answers ({_percent(low)} to {_percent(high)})"
            rows.insert(5, ("confirmed by", f"{told}; {self.unconfirmed:,} candidates were not confirmed"))
        if self.distances:
            rows.append(("distances", ", ".join(f"{_count(size)} {name}" for name, size in self.distances.items())))
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def summarise(records: Iterable[Record], *, max_queries: int | None = None, wall: float = 0.0) -> Summary:
    """Condense records into the paper's figures.

    Args:
        records: One per image.
        max_queries: Budget per image, at which a failure counts; None counts what the failure did send.
        wall: Seconds of the whole run.
    """
    records = list(records)
    attacked = [record for record in records if record.status in (Status.SUCCESS, Status.FAILURE)]
    successes = [record for record in attacked if record.verified]
    num_found = sum(record.found for record in attacked)
    success_rate = _ratio(num_found, len(attacked))
    true_success_rate = _ratio(len(successes), len(attacked))
    num_answers = sum(record.answers for record in successes)
    num_agreeing = sum(record.agreeing for record in successes)
    queries = np.array([record.queries for record in successes], dtype=np.float64)
    costs = [
        record.queries if record.verified else max(record.queries_sent, max_queries if max_queries is not None else 0)
        for record in attacked
    ]

    def number(status: Status) -> int:
        return sum(record.status is status for record in records)

    return Summary(
        total=len(records),
        attacked=len(attacked),
        skipped=number(Status.SKIPPED),
        errors=number(Status.ERROR),
        unfinished=number(Status.UNFINISHED),
        found=num_found,
        verified=len(successes),
        SR=success_rate,
        TSR=true_success_rate,
        GAP=_ratio(num_found - len(successes), num_found),
        confidence=_ratio(num_agreeing, num_answers),
        confidence_interval=wilson(num_agreeing, num_answers),
        answers=num_answers,
        unconfirmed=sum(record.unconfirmed for record in attacked),
        ATC=_ratio(sum(record.seconds for record in successes), len(successes)),
        queries_mean=float(queries.mean()) if queries.size else math.nan,
        queries_median=float(np.median(queries)) if queries.size else math.nan,
        queries_p90=float(np.quantile(queries, 0.9)) if queries.size else math.nan,
        queries_mean_with_failures=_ratio(sum(costs), len(costs)),
        queries_sent=sum(record.queries_sent for record in records),
        max_queries=max_queries,
        wall=wall,
        distances={
            name: float(np.mean([abs((record.distances or {}).get(name, 0)) for record in successes]))
            for name in (_distance_names(successes) if successes else ())
        },
    )


def _distance_names(records: Iterable[Record]) -> list[str]:
    """Return what the distances of a run's space are called, in their order."""
    return list(dict.fromkeys(name for record in records for name in record.distances or {}))


class ImagesByIndex(Sequence["Image | None"]):
    """Images by index, where index i may have none: uint8, (H, W, C), or None."""

    @abstractmethod
    def held(self) -> list[int]:
        """Return the indices that have an image, ascending."""

    @abstractmethod
    def _read(self, index: int) -> Image | None:
        """Return image `index`, in 0..N-1, or None."""

    @overload
    def __getitem__(self, index: int) -> Image | None: ...

    @overload
    def __getitem__(self, index: slice) -> list[Image | None]: ...

    def __getitem__(self, index: int | slice) -> Image | list[Image | None] | None:
        """Return image `index`, or None where there is none; a list of such for a slice."""
        if isinstance(index, slice):
            return [self._read(i) for i in range(*index.indices(len(self)))]
        return self._read(self._checked(index))

    def __repr__(self) -> str:
        """Return how many of how many images there are."""
        return f"{type(self).__name__}({len(self.held())} of {len(self)})"

    def _checked(self, index: int) -> int:
        number = len(self)
        if not -number <= index < number:
            # An IndexError, because it ends iteration over a sequence.
            raise IndexError(f"the image index must be in {-number}..{number - 1}, got {index}")
        return int(index) % number


class AdversarialImages(ImagesByIndex):
    """The adversarial images of a run, by index: uint8, (H, W, C), or None where image i has none.

    The images lie in one temporary file that stays in memory while it is small, so memory does not grow with
    the number of images. Reading one gives a copy that the caller may change.
    """

    def __init__(
        self,
        num_images: int,
        *,
        form: Form = Form.IMAGES,
        memory_limit: int = 128 * 2**20,
        folder: str | Path | None = None,
    ) -> None:
        """Hold nothing yet.

        Args:
            num_images: N, the images of the run.
            form: What they are, if they are no images.
            memory_limit: Bytes to keep in memory before moving to disk, at least 1.
            folder: Where the temporary file goes then; None for the system's folder for such files.

        Raises:
            InvalidInputError: `num_images` is negative, or `memory_limit` below 1.
        """
        if num_images < 0:
            raise InvalidInputError(f"num_images must be 0 or more, got {num_images}")
        if memory_limit < 1:
            # A limit of 0 would mean "no limit" to the file underneath.
            raise InvalidInputError(f"memory_limit must be at least 1 byte, got {memory_limit}")
        self._slots = np.full(num_images, -1, dtype=np.int64)
        self._num_held = 0
        self._form = form
        self._shape: tuple[int, ...] | None = None
        self._dtype = np.dtype(np.uint8)
        # Opened here and closed with this object: results outlive any `with` block.
        self._file = tempfile.SpooledTemporaryFile(  # noqa: SIM115
            max_size=memory_limit, mode="w+b", dir=None if folder is None else str(folder)
        )
        self._lock = threading.Lock()
        weakref.finalize(self, self._file.close)

    def put(self, index: int, image: Image) -> None:
        """Keep a copy of the adversarial image of image `index`, instead of any kept before.

        Raises:
            InvalidInputError: No such index, or `image` is not uint8 (H, W, C) of the shape of the others.
            StoreError: The temporary file cannot grow.
        """
        index = self._checked(index)
        problem = self._form.why_not(image)
        if problem:
            raise InvalidInputError(f"an adversarial image {problem}")
        if self._shape is None:
            self._shape, self._dtype = image.shape, image.dtype
        if image.shape != self._shape or image.dtype != self._dtype:
            raise InvalidInputError(
                f"all images of a run must have one shape, here {self._shape}, got {image.shape}"
                + (f" of {image.dtype} instead of {self._dtype}" if image.dtype != self._dtype else "")
            )
        with self._lock:
            slot = int(self._slots[index])
            if slot < 0:
                slot = self._num_held
            try:
                self._file.seek(slot * image.nbytes)
                self._file.write(image.tobytes())
            except OSError as error:
                raise StoreError(
                    f"cannot keep adversarial image {index} in a temporary file: {error}; make room there, "
                    "or choose another folder for temporary files (environment variable TMPDIR)"
                ) from error
            self._num_held = max(self._num_held, slot + 1)
            self._slots[index] = slot

    def held(self) -> list[int]:
        """Return the indices that have an adversarial image, ascending."""
        return [int(index) for index in np.flatnonzero(self._slots >= 0)]

    def __len__(self) -> int:
        """Return N, the number of images of the run, with an adversarial image or not."""
        return len(self._slots)

    def _read(self, index: int) -> Image | None:
        slot = int(self._slots[index])
        if slot < 0 or self._shape is None:
            return None
        size = math.prod(self._shape) * self._dtype.itemsize
        with self._lock:
            self._file.seek(slot * size)
            stored = self._file.read(size)
        image: Image = np.frombuffer(stored, dtype=self._dtype).reshape(self._shape).copy()
        return image


@dataclass(frozen=True)
class SavedImage:
    """One adversarial image on disk, and what reading it back showed.

    Attributes:
        index: Place of the image in the run's `images`.
        file: Path inside the folder.
        verified: The file, read back, is the image of the run to the byte, lies as far from the original as
            the record says, and the oracle finds it adversarial. None if no oracle could be asked.
        problem: What is wrong where `verified` is not True.
    """

    index: int
    file: str
    verified: bool | None = None
    problem: str = ""


@dataclass(frozen=True)
class SaveReport:
    """What `Result.save` wrote.

    Attributes:
        folder: Where.
        written: Image files written.
        verified: Those that were read back, asked about, and found adversarial.
        refuted: Those that were not what they should be, as (index, why).
        unchecked: Those that no oracle was asked about.
        TSR: True success rate on the files: verified files of attacked images over attacked images, nan if
            some file is unchecked or no image was attacked.
    """

    folder: Path
    written: int
    verified: int
    refuted: tuple[tuple[int, str], ...]
    unchecked: int
    TSR: float

    def __str__(self) -> str:
        """Return one line."""
        text = f"{self.written:,} images in {self.folder}, {self.verified:,} verified from their files"
        if self.refuted:
            text += f", {len(self.refuted):,} refuted (first: image {self.refuted[0][0]}, {self.refuted[0][1]})"
        return text + (f", {self.unchecked:,} not checked" if self.unchecked else "")


@dataclass(eq=False, repr=False)
class Result:
    """What a run found.

    Attributes:
        records: One per image of the run, in its order.
        images: The adversarial images by index, None where there is none.
        profile: Where the time went.
        config: Every setting of the run and the versions involved. `max_queries` and `batch_size` are read
            from it where present.
        oracle: What was attacked; `save` asks it about the files. None for a result read from disk.
        originals: The images that were attacked, read again one at a time when `save` measures distances.
    """

    records: list[Record]
    images: ImagesByIndex
    profile: Profile = field(default_factory=Profile)
    config: dict[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None
    originals: ImageSequence | None = None

    def __post_init__(self) -> None:
        """Refuse records that are not one per image, in order.

        Raises:
            InvalidInputError: They are not, or `images` has another length.
        """
        if [record.index for record in self.records] != list(range(len(self.images))):
            raise InvalidInputError(
                f"records must be one per image, in order, here 0..{len(self.images) - 1}, got "
                f"{len(self.records)} records (an image that was not finished has one too)"
            )

    @classmethod
    def load(cls, folder: str | Path) -> Result:
        """Read back what `save` or a stored run wrote; the images stay in their files until they are asked for.

        Of a run that was killed, or is still going on, the finished images are there, and the others unfinished.

        Raises:
            StoreError: The folder holds neither a run nor a complete saved result, or one of another format version.
        """
        saved = read_run(folder)
        try:
            records = [
                read_record(saved.rows[index])
                if index in saved.rows
                else Record(index, 0, Status.UNFINISHED, "the run has not ended")
                for index in range(saved.num_images)
            ]
            # A folder of before `resent` was counted has nothing to say of it.
            profile = {name: saved.profile[name] for name in _TOTALS if name in saved.profile}
            files = {index: row["file"] for index, row in saved.rows.items() if row["file"] is not None}
            return cls(
                records=records,
                images=_SavedImages(saved, files),
                profile=Profile(**profile),
                config=saved.config,
                originals=_SavedOriginals(saved, files),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise StoreError(
                f"the result in {saved.folder} must be as it was saved, and is not: {error!r}; save it again"
            ) from error

    @property
    def status(self) -> list[Status]:
        """How each image's attack ended."""
        return [record.status for record in self.records]

    @property
    def success(self) -> NDArray[np.bool_]:
        """Whether each image has a verified adversarial image: bool, (N,)."""
        return np.array([record.status is Status.SUCCESS for record in self.records], dtype=np.bool_)

    @property
    def queries(self) -> NDArray[np.int64]:
        """Queries of each image up to its first hit: int64, (N,)."""
        return np.array([record.queries for record in self.records], dtype=np.int64)

    @property
    def queries_sent(self) -> NDArray[np.int64]:
        """Images sent to the oracle for each image: int64, (N,)."""
        return np.array([record.queries_sent for record in self.records], dtype=np.int64)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Each image's share of the run's wall time: float64, (N,)."""
        return np.array([record.seconds for record in self.records], dtype=np.float64)

    @property
    def class_before(self) -> NDArray[np.int64]:
        """Class of each original image: int64, (N,), -1 where it was never asked."""
        return _classes(record.class_before for record in self.records)

    @property
    def class_after(self) -> NDArray[np.int64]:
        """Class of each adversarial image: int64, (N,), -1 where there is none."""
        return _classes(record.class_after for record in self.records)

    def summary(self) -> Summary:
        """Return the paper's figures of this run (SR, TSR, GAP, ATC) and its query quantiles.

        Never fails, not even for a run that attacked nothing: a figure over an empty set is nan.
        """
        return summarise(self.records, max_queries=self.config.get("max_queries"), wall=self.profile.wall)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per image: the fields of `Record`, then its confidence and the interval of that.

        Unknown integers are `pandas.NA`.

        Each of the space's distances has a column, called `distance_` and its name.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        frame = frame_of(Record, self.records, _PANDAS_TYPES)
        for name in _distance_names(self.records):
            frame[f"distance_{name}"] = [(record.distances or {}).get(name) for record in self.records]
            frame[f"distance_{name}"] = frame[f"distance_{name}"].astype("float64")
        confidences = [(record.confidence, *record.confidence_interval) for record in self.records]
        for place, name in enumerate(("confidence", "confidence_low", "confidence_high")):
            frame[name] = [each[place] for each in confidences]
            frame[name] = frame[name].astype("float64")
        return frame

    def plot(self, *, name: str = "this run") -> Figure:
        """Return a chart of the share of the attacked images that had fallen, over queries.

        Returns:
            A `matplotlib.figure.Figure`, which a notebook shows and `savefig` writes.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        return success_chart([self.curve(name)], unit="queries")

    def curve(self, name: str = "this run", *, of: Literal["queries", "seconds"] = "queries") -> Series:
        """Return what success cost, as charts take it.

        Args:
            name: What to call the run.
            of: Queries, or each image's share of the run's wall time.
        """
        attacked = np.array([each in (Status.SUCCESS, Status.FAILURE) for each in self.status], dtype=np.bool_)
        # A share of a run's time can be below what a clock shows, which a logarithmic axis does not take.
        costs = np.maximum(self.seconds, 1e-6) if of == "seconds" else self.queries.astype(np.float64)
        budget = self.config.get("max_queries") if of == "queries" else None
        most = [float(budget or 0), *costs[attacked].tolist()]
        return Series(name, np.sort(costs[self.success]), int(attacked.sum()), max(most))

    def save(self, folder: str | Path, *, oracle: object | None = None, overwrite: bool = False) -> SaveReport:
        """Write images and records to a folder, read every image back, and ask the oracle about it.

        Writes `images/<index>.png` (lossless; `.npy` where a PNG cannot hold the number of channels), its
        original likewise in `originals/`, `records.csv` and, last, a complete `results.json`. In both, a file is
        marked (`png_verified`, `png_problem`) that differs from the image in memory, whose L-infinity distance
        from the original is not the record's, or that the oracle does not find adversarial, as often as the run's
        `confirmations` ask for. Adversarial means here that the class is the target, or no longer the original's.
        These queries count against no budget.

        An error leaves this object as it was, so a result that could not be saved can be saved elsewhere.

        Args:
            folder: Made if absent. May hold other files; they are left alone.
            oracle: Asked about the files instead of the oracle of the run; anything that `dfa.as_oracle`
                takes. Without either, files are compared but not asked about, and marked as unknown.
            overwrite: Replace a result saved there before.

        Raises:
            StoreError: The folder holds a saved result and `overwrite` is False, or holds files under the
                names needed here that no save wrote, or cannot be written.
            OracleError: The oracle failed. All images and records have been written by then, those it was not
                asked about marked as unknown.
        """
        checker = self.oracle if oracle is None else as_oracle(oracle).taking(self._form.takes)
        folder = check_folder(folder, overwrite=overwrite)
        begin_document(folder)
        write_epsilon(folder, self.config.get("epsilon"))
        files = {index: self._write_image(folder, index) for index in self.images.held()}
        remove_other_images(folder, keep=set(files.values()) | self._write_originals(folder, files))
        return self._complete(folder, files, checker)

    def save_run(self, folder: Path, *, oracle: Oracle | None) -> SaveReport:
        """Complete the folder of a stored run, most of whose images lie there already.

        Args:
            folder: The folder, which `Store` has begun and still holds.
            oracle: Asked about the files, if given.

        Raises:
            StoreError: The folder cannot be written.
            OracleError: As in `save`.
        """
        begin_document(folder, is_run=True)
        files = {}
        there = set(os.listdir(folder / IMAGES)) if (folder / IMAGES).is_dir() else set()
        for index in self.images.held():
            file = image_file(self._held(index), index)
            # What was not confirmed was not stored on the way.
            if not (self.records[index].verified and Path(file).name in there):
                self._write_image(folder, index)
                self._write_originals(folder, [index])
            files[index] = file
        keep = {*files.values(), *(file.replace(IMAGES, ORIGINALS, 1) for file in files.values())}
        remove_other_images(folder, keep=keep)
        return self._complete(folder, files, oracle)

    def _complete(self, folder: Path, files: Mapping[int, str], oracle: Oracle | None) -> SaveReport:
        """Check the image files, and write what the folder says of them."""
        saved, failure = self._check_files(folder, files, oracle)
        report = self._report(folder, saved)
        rows = [self._row(record, saved.get(record.index)) for record in self.records]
        names = _distance_names(self.records)
        table = [
            {**row, **{f"distance_{name}": (record.distances or {}).get(name) for name in names}}
            for row, record in zip(rows, self.records, strict=True)
        ]
        columns = [name for name in _COLUMNS if name not in ("trace", "distances")]
        write_records(folder, [*columns, *(f"distance_{name}" for name in names)], table)
        complete_document(
            folder,
            {
                "config": self.config,
                "summary": self.summary(),
                "saved": {
                    "written": report.written,
                    "verified": report.verified,
                    "refuted": len(report.refuted),
                    "unchecked": report.unchecked,
                    "TSR": report.TSR,
                },
                "profile": self.profile.as_dict(),
                "records": rows,
            },
        )
        if failure is not None:
            raise OracleError(
                f"the files are written, but {report.unchecked} of them are not checked, because the oracle "
                f"failed: {failure}; mend the oracle and save again with overwrite=True",
                result=self,
            ) from failure
        return report

    def __repr__(self) -> str:
        """Return one line; there may be many thousand records."""
        number = int(self.success.sum())
        return f"Result({len(self.records)} images, {number} successes, {self.profile.wall:.1f} s)"

    @property
    def _form(self) -> Form:
        """What the run's originals are."""
        return Form.recorded(self.config)

    def _held(self, index: int) -> Image:
        image = self.images[index]
        if image is None:
            raise InvalidInputError(f"images.held() names image {index}, which is None")
        return image

    def _write_image(self, folder: Path, index: int) -> str:
        return write_image(folder, index, self._held(index))

    def _write_originals(self, folder: Path, indices: Iterable[int]) -> set[str]:
        """Write the originals of images, and return their files; one that cannot be read again is left out."""
        files = set()
        for index in indices if self.originals is not None else ():
            assert self.originals is not None
            try:
                original = self.originals[index]
            except Exception:  # a user's sequence may raise anything, and the rest is still worth saving
                continue
            files.add(write_image(folder, index, original, place=ORIGINALS))
        return files

    def _check_files(
        self, folder: Path, names: Mapping[int, str], oracle: Oracle | None
    ) -> tuple[dict[int, SavedImage], DfaError | None]:
        """Read every image back, compare it, and ask the oracle about it.

        Args:
            folder: The folder.
            names: File by index.
            oracle: What to ask, if anything.

        Returns:
            What came of it by index; and the oracle's first error, after which it was not asked again.
        """
        saved: dict[int, SavedImage] = {}
        failure: DfaError | None = None
        # A gate of its own, so that checking spends no image's budget; attack queries it would refuse.
        gate = None if oracle is None else Gate(oracle, num_images=len(self.records), max_queries=0)
        is_prepared = False
        batch_size = int(self.config.get("batch_size", 256))
        for batch in _batches(list(names), batch_size):
            read = {index: read_image(folder / names[index]) for index in batch}
            for index, pixels in read.items():
                problem = self._why_not_the_same(index, pixels)
                saved[index] = SavedImage(index, names[index], False if problem else None, problem)
            asked = [index for index in batch if saved[index].verified is None]
            if gate is None or failure is not None or not asked:
                continue
            images = np.stack([read[index] for index in asked])
            confirmation = Confirmation.parse(self.config.get("confirmations", 1))
            try:
                if not is_prepared:
                    gate.prepare(images.shape[1:], batch_size)
                    is_prepared = True
                indices = np.array(asked, dtype=np.int64)
                answers = [predicted(gate.ask(images, indices, Purpose.VERIFICATION)) for _ in range(confirmation.of)]
            except DfaError as error:
                failure = error
                continue
            for index, found in zip(asked, np.stack(answers, axis=1).tolist(), strict=True):
                problems = [why for each in found if (why := _why_not_adversarial(self.records[index], each))]
                agreeing = len(found) - len(problems)
                problem = problems[0] if problems and agreeing < confirmation.needed else ""
                if problem and confirmation.is_repeated:
                    problem = (
                        f"adversarial in {agreeing} of {len(found)} answers, of which {confirmation.needed} must be"
                    )
                saved[index] = SavedImage(index, names[index], not problem, problem)
        return saved, failure

    def _why_not_the_same(self, index: int, pixels: Image) -> str:
        """Return in what an image read back is not what the run recorded, or nothing if it is."""
        image = self.images[index]
        if image is None or not np.array_equal(pixels, image):
            return "the file differs from the image in memory"
        if self.originals is None or self.records[index].linf is None:
            return ""
        try:
            distance = np.abs(difference(pixels, self.originals[index])).max().item()
        except Exception as error:  # a user's sequence may raise anything, and the rest is still worth saving
            return f"the original cannot be read again: {type(error).__name__}: {error}"
        if distance == self.records[index].linf:
            return ""
        return f"it is {distance} grey levels from the original, not {self.records[index].linf}"

    def _report(self, folder: Path, saved: Mapping[int, SavedImage]) -> SaveReport:
        verified = [image for image in saved.values() if image.verified]
        unchecked = sum(image.verified is None for image in saved.values())
        summary = self.summary()
        return SaveReport(
            folder=folder,
            written=len(saved),
            verified=len(verified),
            refuted=tuple((image.index, image.problem) for image in saved.values() if image.verified is False),
            unchecked=unchecked,
            TSR=math.nan
            if unchecked
            else _ratio(sum(self.records[image.index].verified for image in verified), summary.attacked),
        )

    def _row(self, record: Record, image: SavedImage | None) -> dict[str, Plain]:
        """Return what the files say about one image."""
        fields = [plain(getattr(record, name)) for name in _FIELDS]
        on_disk = (None, None, "") if image is None else (image.file, image.verified, image.problem)
        return dict(zip(_COLUMNS, [*fields, *on_disk], strict=True))


class _SavedImages(ImagesByIndex):
    """The images of a saved result, each read from its file when it is asked for."""

    def __init__(self, saved: SavedRun, files: Mapping[int, str]) -> None:
        self._saved = saved
        self._files = files

    def held(self) -> list[int]:
        return sorted(self._files)

    def __len__(self) -> int:
        return self._saved.num_images

    def _read(self, index: int) -> Image | None:
        picture = self._saved.picture(index)
        if picture is not None:
            return np.array(picture.image)
        file = self._files.get(index)
        return None if file is None else read_image(self._saved.folder / file)


class _SavedOriginals:
    """The originals of a saved result's images, each read from its file when it is asked for."""

    def __init__(self, saved: SavedRun, files: Mapping[int, str]) -> None:
        self._saved = saved
        self._files = files

    def __len__(self) -> int:
        return self._saved.num_images

    def __getitem__(self, index: int, /) -> Image:
        folder = self._saved.folder
        if index not in self._files:
            raise StoreError(f"{folder} keeps the originals of its adversarial images only; {index} is not one")
        picture = self._saved.picture(index)
        return (
            np.array(picture.original)
            if picture is not None
            else read_image(folder / ORIGINALS / Path(self._files[index]).name)
        )


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def _percent(rate: float) -> str:
    return "-" if math.isnan(rate) else f"{100 * rate:.1f} %"


def _count(number: float) -> str:
    return "-" if math.isnan(number) else f"{number:,.1f}"


def _classes(classes: Iterable[int | None]) -> NDArray[np.int64]:
    return np.array([-1 if each is None else each for each in classes], dtype=np.int64)


def _batches(items: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    return (items[start : start + size] for start in range(0, len(items), size))


def _why_not_adversarial(record: Record, found: int) -> str:
    """Return why an image of class `found` is not adversarial, or nothing if it is.

    Source: section 3.1 (untargeted: not the original class; targeted: the target class).
    """
    if record.target is not None:
        return "" if found == record.target else f"class {found}, not the target {record.target}"
    original = record.class_before if record.label is None else record.label
    return f"still of class {found}" if found == original else ""


def read_record(entry: Mapping[str, Any]) -> Record:
    """Return the record that an entry of results.json or of a journal describes."""
    # A folder of before answers were counted, or a space had distances of its own, has nothing to say of them.
    later = {*_COUNTS_OF_ANSWERS, "distances"}
    values = {name: entry[name] for name in _FIELDS if name in entry or name not in later}
    values["status"] = Status(values["status"])
    values["trace"] = tuple(map(tuple, values["trace"]))
    return Record(**values)


_FIELDS = tuple(each.name for each in dataclasses.fields(Record))
_COUNTS_OF_ANSWERS = ("answers", "agreeing", "unconfirmed")
_COLUMNS = (*_FIELDS, "file", "png_verified", "png_problem")

_PANDAS_TYPES = {
    "Status": "str",
    "str": "str",
    "bool": "bool",
    "int": "int64",
    "int | None": "Int64",
    "int | float | None": "Int64",
    "float": "float64",
    "float | None": "float64",
    "tuple[tuple[int, float], ...]": "object",
}
