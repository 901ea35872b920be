"""What a page says of one run."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dfa.results.rates import Interval, clopper_pearson
from dfa.results.record import Status
from dfa.results.refuted import listed
from dfa.results.result import Result
from dfa.results.summary import Summary
from dfa.runs.documents import RunDocument
from dfa.runs.folder import plain
from dfa.runs.saved_run import shape_of
from dfa.views.gallery import Gallery, Picture, gallery, what_is_allowed
from dfa.views.reproduction import reproduction, shell_word
from dfa.views.run_charts import charts_of
from dfa.views.tables import Tables, tables_of
from dfa.views.verdict import Words, interval_of, words_of

WORST: Final = 6
"""Pictures that are shown large."""

_PAGE: Final = 24


@dataclass(frozen=True)
class RunView:
    """What a page says of one run.

    Attributes:
        name: Of the run.
        key: What its ids on the page begin with.
        result: What it found.
        summary: Its figures.
        words: The verdict, and what it is about.
        charts: Its charts, by name.
        tables: Its tables.
        gallery: Its pictures.
        allowed: What it was allowed to do, if that is one epsilon.
        folder: Where it lies, or None.
        about: What run.json says, or None.
    """

    name: str
    key: str
    result: Result
    summary: Summary
    words: Words
    charts: dict[str, str]
    tables: Tables
    gallery: Gallery
    allowed: Picture | None
    folder: Path | None
    about: RunDocument | None

    @classmethod
    def of(
        cls, result: Result, name: str, key: str, *, pictures: int, folder: Path | None, about: RunDocument | None
    ) -> RunView:
        """Look at a run.

        Args:
            result: What it found.
            name: What to call it.
            key: What its ids on the page begin with.
            pictures: Small ones, at most.
            folder: Where it lies, or None.
            about: What run.json says, or None.
        """
        summary = result.summary()
        return cls(
            name=name,
            key=key,
            result=result,
            summary=summary,
            words=words_of(result, summary, about),
            charts=charts_of(result, summary, name=name, key=key),
            tables=tables_of(result, summary),
            gallery=gallery(result, pictures, worst=min(WORST, pictures)),
            allowed=what_is_allowed(result),
            folder=folder,
            about=about,
        )

    @property
    def interval(self) -> Interval:
        """Of TSR."""
        return interval_of(self.summary)

    @property
    def files_interval(self) -> Interval:
        """Of `Summary.TSR_of_files`: which images count was decided by answers that did not choose them."""
        return clopper_pearson(self.summary.verified - self.summary.refuted, self.summary.attacked)

    @property
    def pages(self) -> list[list[Picture]]:
        """The small pictures, some at a time."""
        pictures = self.gallery.pictures
        return [pictures[start : start + _PAGE] for start in range(0, len(pictures), _PAGE)]

    @property
    def refuted(self) -> str:
        """Which files do not hold, and why; empty where all do."""
        return listed(self.result.refuted)

    @property
    def has_accuracy_after(self) -> bool:
        """Whether labels tell how many images the model still gets right."""
        return not math.isnan(self.summary.robust_accuracy)

    @property
    def config(self) -> dict[str, Any]:
        """The settings as JSON has them."""
        settings = plain(self.result.config)
        assert isinstance(settings, dict)
        return settings

    @property
    def shape(self) -> tuple[int, ...]:
        """That of the images; empty where the run does not tell."""
        return shape_of(self.config) or ()

    @property
    def command(self) -> str:
        """How it is done again."""
        return reproduction(self.config, self.about)

    @property
    def verification(self) -> str:
        """The command that checks the files; empty where there are none."""
        return "" if self.folder is None else f"dfa verify {shell_word(str(self.folder))} --model MODEL"

    @property
    def settings(self) -> str:
        """Everything the run was given, and of which build it is."""
        model = {"model": self.about.model} if self.about is not None and self.about.model else {}
        return json.dumps({**self.config, **model}, indent=2)

    @property
    def has_sources(self) -> bool:
        """Whether the run knows where its images came from."""
        return any(record.source for record in self.result.records)

    @property
    def statuses(self) -> list[str]:
        """Those that occur."""
        present = {record.status for record in self.result.records}
        return [status.value for status in Status if status in present]
