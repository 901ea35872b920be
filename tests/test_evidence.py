"""The main tables of `docs/evidence` say what the files of `benchmarks/results` say, and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from evidence_tables import RESULTS, TABLES, beside_square, readme
from evidence_texts import (
    anywhere,
    calls,
    repaired,
    repaired_by_stage,
    sentences,
    table_4,
    tables_6_to_9,
    written_small,
)

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
EVIDENCE = ROOT / "docs" / "evidence"

pytestmark = pytest.mark.skipif(not RESULTS.is_dir(), reason="benchmarks/results is not part of an sdist")


def tables_of(page: str) -> list[list[str]]:
    """Return the rows of a page's tables, without their two lines of header."""
    text = (EVIDENCE / f"{page}.md").read_text(encoding="utf-8")
    return [block.strip().splitlines()[2:] for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


@pytest.mark.parametrize(
    ("page", "place"), [(page, place) for page, all_ in TABLES.items() for place in range(len(all_))]
)
def test_a_table_says_what_its_file_says(page: str, place: int) -> None:
    """The whole table: a row that is left out fails like one that is another."""
    made = list(TABLES[page][place]())
    assert len(made) > 1
    assert made in tables_of(page), f"`python tests/evidence_tables.py` prints table {place} of {page} as it should be"


@pytest.mark.parametrize(
    ("page", "make"),
    [
        ("audit", table_4),
        ("audit", repaired),
        ("paper", lambda: tables_6_to_9("LeNet-1")),
        ("paper", lambda: tables_6_to_9("ResNet-20")),
        ("paper", lambda: tables_6_to_9("MobileNetV2-224")),
        ("paper", lambda: tables_6_to_9("SqueezeNet 1.1")),
    ],
    ids=[
        "table 4",
        "repaired",
        *(f"tables 6 to 9, {model}" for model in ("LeNet-1", "ResNet-20", "MobileNetV2", "SqueezeNet")),
    ],
)
def test_the_papers_tables_are_those_of_the_file_that_the_benchmark_prints(
    page: str, make: Callable[[], Iterator[str]]
) -> None:
    made = list(make())
    assert len(made) > 15
    assert made in tables_of(page)


def test_the_tools_that_were_written_small_have_the_figures_that_were_printed() -> None:
    made = list(written_small())
    assert len(made) > 9
    assert made in tables_of("study")


def test_what_repair_closes_by_stage_is_what_the_rows_say() -> None:
    assert list(repaired_by_stage()) in tables_of("audit")


def test_what_minimises_l2_stands_at_any_distance_too() -> None:
    made = list(anywhere())
    assert len(made) > 7
    assert made in tables_of("paper")


def test_calls_of_the_oracle_are_those_of_the_files() -> None:
    """Of the columns that a file has; version 0.2's are of a build without one."""
    page = (EVIDENCE / "queries.md").read_text(encoding="utf-8").split("## Calls of the oracle")[1].split("\n## ")[0]
    cells = cells_of([line for line in page.splitlines() if line.startswith("| ")][1:])
    assert [[row[0], row[1], *row[3:6]] for row in cells] == list(calls())


def cells_of(rows: list[str]) -> list[list[str]]:
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


SENTENCES = list(sentences()) if RESULTS.is_dir() else []


@pytest.mark.parametrize(("page", "sentence"), SENTENCES, ids=[sentence for _, sentence in SENTENCES])
def test_a_sentence_says_what_its_file_says(page: str, sentence: str) -> None:
    text = " ".join((ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8").split())
    assert sentence in text


@pytest.mark.parametrize(
    ("page", "of_guide", "of_evidence", "rows"),
    [("audit", range(7), (0, 1, 2, 3, 4, 5, 7), 6), ("defended", range(1, 6), range(1, 6), 7)],
)
def test_a_guide_says_no_other_figures_than_the_evidence(
    page: str, of_guide: Iterable[int], of_evidence: Iterable[int], rows: int
) -> None:
    """By the places of the columns that both have; a name of a row may be "the same" on one of the pages."""
    text = (ROOT / "docs" / "guides" / f"{page}.md").read_text(encoding="utf-8").split("## What to expect")[1]
    ours = cells_of([line for line in text.splitlines() if line.startswith("| ")][1:])
    assert len(ours) == rows
    held = [[row[place] for place in of_evidence] for row in cells_of(tables_of(page)[0])]
    assert [row for row in ours if [row[place] for place in of_guide] not in held] == []


def mean_ratios(place: int) -> list[str]:
    """Return the geometric means of a column of ratios: of known models, and of those of another kind."""
    ratios = [float(row.strip("|").split("|")[place]) for row in beside_square()]
    return [f"{math.exp(sum(map(math.log, some)) / len(some)):.2f}" for some in (ratios[:6], ratios[6:])]


def test_the_mean_ratios_to_square_are_those_of_the_table() -> None:
    means, alone = mean_ratios(-2), mean_ratios(-1)
    page = " ".join((EVIDENCE / "queries.md").read_text(encoding="utf-8").split())
    assert f"{means[0]} over the first six rows and {means[1]} over the last four" in page
    assert f"with independent images {alone[0]} and {alone[1]}" in page
    index = (EVIDENCE / "index.md").read_text(encoding="utf-8")
    assert f"| {means[0]} of Square's (geometric mean)" in index
    assert f"| {means[1]} of Square's |" in index


def test_the_readme_says_what_the_evidence_says() -> None:
    text = README.read_text(encoding="utf-8")
    rows = [row for row in text.splitlines() if re.match(r"\| .*\| \d+ \|", row)]
    assert rows == list(readme()), "`python tests/evidence_tables.py` prints the README's rows as they should be"
    means, alone = mean_ratios(-2), mean_ratios(-1)
    prose = " ".join(text.split())
    assert f"{means[0]} of Square's queries (geometric mean), on the others, in italics, {means[1]}" in prose
    assert f"({alone[0]} and {alone[1]})" in prose


def test_every_file_that_a_page_names_is_there() -> None:
    named = {
        name
        for page in EVIDENCE.glob("*.md")
        for name in re.findall(
            r"`(?:benchmarks/results/)?([\w-]+(?:/[\w-]+)?\.json)`", page.read_text(encoding="utf-8")
        )
    }
    assert len(named) > 10
    assert [name for name in sorted(named) if not (RESULTS / name).is_file()] == []
