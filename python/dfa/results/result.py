"""A run's result: its records and images, and doors to what can be made of them.

`load` and `save` are those of `dfa.runs`; `plot`, `curve`, `report` and `show` those of `dfa.views`, which lie above
plain data; they are methods because that is where a user looks for them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from numpy.typing import NDArray

from dfa.errors import InvalidInputError
from dfa.oracle.base import Oracle
from dfa.results.class_names import class_name, name_columns
from dfa.results.columns import Columns
from dfa.results.dataframe import frame_of
from dfa.results.images import ImagesByIndex
from dfa.results.profile import Profile
from dfa.results.rates import FreshAnswers
from dfa.results.record import Record
from dfa.results.refuted import tell_refuted, warn_of_refuted
from dfa.results.setting import setting_words
from dfa.results.summary import Summary, distance_names, name_of_prior, summarise
from dfa.results.whole import whole
from dfa.types import ImageSequence

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image as Picture

    from dfa.runs.saving import SaveReport
    from dfa.views.charts import Figure, Series


@dataclass(eq=False, repr=False)
class Result(Columns):
    """What a run found.

    Attributes:
        records: One per image of the run, in its order.
        images: The adversarial images by index, None where there is none.
        profile: Where the time went.
        config: Every setting of the run and the versions involved. `max_queries` and `batch_size` are read
            from it where present.
        oracle: What was attacked; `save` asks it about the files. None for a result read from disk.
        originals: The images that were attacked, read again one at a time when `save` measures distances.
        refuted: What is wrong with images, by index, that were read back from their files and asked about by the last
            `save`, by a run that is kept in a folder, or before `load`; empty where all held, or none was looked at.
        fresh: By index, how many answers found an image adversarial, and how many were asked, when it was read back
            from its file likewise. They had no part in choosing it, unlike those of its record.
    """

    records: list[Record]
    images: ImagesByIndex
    profile: Profile = field(default_factory=Profile)
    config: dict[str, Any] = field(default_factory=dict)
    oracle: Oracle | None = None
    originals: ImageSequence | None = None
    refuted: dict[int, str] = field(default_factory=dict)
    fresh: dict[int, FreshAnswers] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse records that are not one per image, in order.

        Raises:
            InvalidInputError: They are not, or `images` has another length.
        """
        is_whole = len(self.records) == len(self.images)
        if not is_whole or any(record.index != place for place, record in enumerate(self.records)):
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
        from dfa.runs.loading import load

        return load(folder)

    def class_name(self, number: int | None) -> str:
        """Return what a class is called: its name where the run was given `class_names`, else its id; "" for None."""
        return class_name(number, self.config)

    def summary(self) -> Summary:
        """Return the paper's figures of this run (SR, TSR, GAP, ATC) and its query quantiles.

        Never fails, not even for a run that attacked nothing: a figure over an empty set is nan.
        """
        budget = self.config.get("max_queries")
        return summarise(
            self.records,
            max_queries=budget,
            wall=self.profile.wall,
            calls=self.profile.batches,
            refuted=self.refuted,
            fresh=self.fresh,
            prior=name_of_prior(self.config),
            setting=setting_words(self.config),
        )

    def adversarial(self, originals: ImageSequence | NDArray[Any] | None = None) -> NDArray[Any]:
        """Return all images of the run as one array: adversarial where the attack succeeded, else as they were.

        That is what other libraries' attacks return, and what a pipeline goes on with. In torch, say::

            images = torch.from_numpy(result.adversarial()).permute(0, 3, 1, 2) / 255
            answers = model((images - mean) / std).argmax(dim=1)
            robust_accuracy = (answers == labels).float().mean()

        Args:
            originals: The images of the run, (N, H, W, C). None: `originals`; a result that was loaded has them only
                of images that fell.

        Returns:
            uint8, (N, H, W, C), 0..255, the caller's own. Of a space whose inputs are no images, what it takes.

        Raises:
            InvalidInputError: An original is needed and cannot be had, or images differ in shape.
        """
        return whole(self.images, self.success, self.originals if originals is None else originals)

    def to_pandas(self) -> pd.DataFrame:
        """Return one row per image: the fields of `Record`, then its confidence and the interval of that.

        Unknown integers are `pandas.NA`.

        Where class names are known, `label_name`, `target_name`, `class_before_name` and `class_after_name` have them,
        None where there is no class. Each of the space's distances has a column, called `distance_` and its name.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        names = {
            column: [self.class_name(getattr(record, name)) or None for record in self.records]
            for column, name in name_columns(self.config).items()
        }
        frame = frame_of(Record, self.records, _PANDAS_TYPES, texts=names)
        for name in distance_names(self.records):
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
        from dfa.views.curves import plot

        return plot(self, name)

    def curve(self, name: str = "this run", *, of: Literal["queries", "seconds"] = "queries") -> Series:
        """Return what success cost, as charts take it.

        Args:
            name: What to call the run.
            of: Queries, or each image's share of the run's wall time.
        """
        from dfa.views.curves import curve

        return curve(self, name, of=of)

    def report(self, out: str | Path, *, gallery: int = 240) -> Path:
        """Write one HTML page about this run, and return its path; `dfa.write_report` compares several.

        Args:
            out: The HTML file.
            gallery: Images to show; of more, every n-th by queries is shown.

        Raises:
            StoreError: The page cannot be written.
            MissingDependencyError: jinja2 or matplotlib is not installed.
        """
        from dfa.views.report import write_report

        return write_report(self, out, gallery=gallery)

    def show(self, index: int) -> Picture:
        """Return a picture of one image: original, adversarial image and difference, with words.

        Args:
            index: The image, -N..N-1.

        Returns:
            A `PIL.Image.Image`, which a notebook shows and `save` writes. Of an image that did not fall, the frame of
            the adversarial image is empty.

        Raises:
            InvalidInputError: The original cannot be had, or is no image.
            IndexError: There is no such image.
            MissingDependencyError: Pillow is older than 10.1.
        """
        from dfa.views.shown import show

        return show(self, index)

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

        Warns:
            RefutedFilesWarning: Files are refuted; it tells the first of them, and TSR by the files.
        """
        from dfa.runs.saving import save

        report = save(self, folder, oracle=oracle, overwrite=overwrite)
        if self.refuted:
            warn_of_refuted(tell_refuted(self.refuted, self.summary()), self)
        return report

    def _repr_html_(self) -> str:
        """Show figures and some pictures in a notebook."""
        from dfa.views.notebook import html_of

        return html_of(self)

    def __repr__(self) -> str:
        """Return one line; there may be many thousand records."""
        number = int(self.success.sum())
        return f"Result({len(self.records)} images, {number} successes, {self.profile.wall:.1f} s)"


_PANDAS_TYPES: Final = {
    "Status": "str",
    "str": "str",
    "str | None": "object",
    "bool": "bool",
    "int": "int64",
    "int | None": "Int64",
    "int | float | None": "Int64",
    "float": "float64",
    "float | None": "float64",
    "tuple[tuple[int, float], ...]": "object",
}
