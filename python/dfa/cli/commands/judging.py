"""What `dfa attack` and `dfa resume` are held against, and the files that tell others: `--fail-above` and its kin."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import click

import dfa
from dfa.cli.commands.flags import RUN, Decorated, flag
from dfa.cli.commands.options import allow_missing_option, fail_above_option
from dfa.cli.commands.outcome import ABOVE, DONE, LIKELY_CAUSES, MISSING, WORSE, judge, tell_missing
from dfa.errors import InvalidInputError, StoreError
from dfa.results.rates import ratio
from dfa.runs.folder import plain
from dfa.verdicts.comparison import Comparison, told_against
from dfa.verdicts.judgement import Outcome, why_blind, why_open
from dfa.verdicts.junit import junit_xml
from dfa.verdicts.sarif import sarif
from dfa.verdicts.words import budget_words, told_share

BAR_WORDS: Final = ("fail_above", "allow_missing", "baseline", "junit", "sarif")
"""The parameters of `Bar.of`, which commands have as flags."""

_OUTCOMES: Final = {DONE: Outcome.PASSED, ABOVE: Outcome.BELOW, WORSE: Outcome.WORSE, MISSING: Outcome.NOT_JUDGED}


def bar_options(command: Decorated) -> Decorated:
    """Give a command the flags of `BAR_WORDS`."""
    for option in (
        flag(
            "--sarif",
            section=RUN,
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write the images that broke in SARIF 2.1.0, for code scanning.",
        ),
        flag(
            "--junit",
            section=RUN,
            type=click.Path(dir_okay=False, path_type=Path),
            metavar="FILE",
            help="Write the run as JUnit's XML: a test for each image, above 1,000 images for each class, and one for "
            "the verdict. An image that broke is a failure, or skipped where --fail-above or --baseline allows it.",
        ),
        flag(
            "--baseline",
            section=RUN,
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="FOLDER",
            help="The folder of an earlier run, of the same attack on the same images. Exit 6 where the model is "
            "easier to break than that one's, beyond chance (McNemar's exact test, p below 0.05).",
        ),
        allow_missing_option,
        fail_above_option,
    ):
        command = option(command)
    return command


@dataclass(frozen=True)
class Judged:
    """How a run is judged.

    Attributes:
        status: The exit status.
        words: The verdict, in words.
        lines: What else is to be said of it.
        comparison: With the baseline, or None.
        is_held: Whether there was anything to hold it against.
    """

    status: int
    words: str
    lines: tuple[str, ...] = ()
    comparison: Comparison | None = None
    is_held: bool = False

    @property
    def outcome(self) -> Outcome | None:
        """The same as other reports know it; None where nothing was asked for and the run says enough."""
        return None if self.status == DONE and not self.is_held else _OUTCOMES[self.status]


@dataclass(frozen=True)
class Bar:
    """What a run is held against, and where that is written.

    Attributes:
        fail_above: The highest TSR that is no failure, or None.
        allow_missing: The largest share of images not attacked with which the run is judged; None as of `judge`.
        baseline: An earlier result, or None.
        junit: Where JUnit's XML goes, or None.
        sarif: Where SARIF goes, or None.
        folder: That the command was given in; one that goes on with a run changes to the run's.
    """

    fail_above: float | None
    allow_missing: float | None
    baseline: dfa.Result | None
    junit: Path | None
    sarif: Path | None
    folder: Path

    @classmethod
    def of(
        cls,
        *,
        fail_above: float | None,
        allow_missing: float | None,
        baseline: Path | None,
        junit: Path | None,
        sarif: Path | None,
        out: Path,
    ) -> Bar:
        """Return what words say, with everything looked at that could fail only after a long run.

        Raises:
            InvalidInputError: The baseline is the run's own folder.
            StoreError: The baseline cannot be read, or a file has no folder to lie in.
        """
        if baseline is not None and baseline.resolve() == out.resolve():
            raise InvalidInputError(f"--baseline must be an earlier run, and {str(out)!r} is where this one goes")
        for file in (junit, sarif):
            if file is not None and not file.parent.is_dir():
                raise StoreError(f"cannot write {file}: there is no folder {file.parent}; make it first")
        before = None if baseline is None else dfa.Result.load(baseline.resolve())
        here = Path.cwd()
        return cls(
            fail_above=fail_above,
            allow_missing=allow_missing,
            baseline=before,
            junit=None if junit is None else here / junit,
            sarif=None if sarif is None else here / sarif,
            folder=here,
        )

    def check_number(self, number: int) -> None:
        """Refuse a run of another number of images than the baseline's, before it begins.

        Raises:
            InvalidInputError: It is.
        """
        if self.baseline is not None and len(self.baseline.records) != number:
            raise InvalidInputError(
                f"--baseline must be of the same images, and is of {len(self.baseline.records):,}; here are {number:,}"
            )

    def judge(self, result: dfa.Result) -> Judged:
        """Return how a run is judged.

        Raises:
            InvalidInputError: The baseline is of other images, labels or another attack.
        """
        summary = result.summary()
        is_held = self.fail_above is not None or self.baseline is not None
        status = judge(
            summary.total,
            summary.attacked,
            [summary.TSR],
            self.fail_above,
            self.allow_missing,
            errors=summary.errors,
            is_held=is_held,
        )
        share = f"{told_share(summary.verified, summary.attacked)} broken by at most {budget_words(result.config)}"
        if status == MISSING:
            return Judged(status, tell_missing(summary.total, summary.attacked), is_held=is_held)
        why = (why_blind(result, LIKELY_CAUSES) or self._why_open(result, status)) if is_held else ""
        if why:
            return Judged(MISSING, f"the run is not judged: {why}", is_held=is_held)
        comparison = None if self.baseline is None else dfa.compare(self.baseline, result)
        lines = () if comparison is None else tuple(told_against(comparison, result, "--baseline"))
        if status == ABOVE:
            words = f"TSR {summary.TSR:.3f} is above --fail-above {self.fail_above}: {share}"
            return Judged(status, words, lines, comparison, is_held)
        if comparison is not None and comparison.is_worse:
            return Judged(
                WORSE, f"the model is easier to break than that of --baseline: {share}", lines, comparison, True
            )
        return Judged(status, share, lines, comparison, is_held)

    def _why_open(self, result: dfa.Result, status: int) -> str:
        """Return why attacks that told nothing leave the bar open."""
        summary = result.summary()

        def hangs_on(broken: int) -> bool:
            if self.fail_above is None or status == ABOVE:
                return False
            is_allowed = self.allow_missing is not None and broken <= self.allow_missing * summary.total
            return not is_allowed and ratio(summary.verified + broken, summary.attacked) > self.fail_above

        return why_open(result, hangs_on, compares=self.baseline is not None and status != ABOVE)

    def write(self, result: dfa.Result, judged: Judged, name: str, files: Sequence[Path]) -> None:
        """Write the files that tell others of a run.

        Args:
            result: Of the run.
            judged: How it is judged.
            name: Of the model.
            files: Of each image, the file that it is in.

        Raises:
            StoreError: A file cannot be written.
        """
        fell = () if judged.comparison is None else judged.comparison.fell
        words = judged.words if judged.outcome is not None else f"nothing to hold it against: {judged.words}"
        if self.junit is not None:
            _write(self.junit, junit_xml(result, name=name, outcome=judged.outcome, verdict=words, fell=fell))
        if self.sarif is not None:
            document = sarif(result, files=files, folder=self.folder, verdict=words, fell=fell)
            _write(self.sarif, json.dumps(plain(document), indent=2, allow_nan=False))


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise StoreError(f"cannot write {file}: {error}") from error
