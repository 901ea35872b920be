"""A run as JUnit's XML, which continuous integration shows as tests: one of each image, and one of the verdict."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Collection, Iterator
from typing import Final, NamedTuple

from dfa.checks import counted
from dfa.results.record import Record, Status
from dfa.results.result import Result
from dfa.verdicts.judgement import Outcome
from dfa.verdicts.words import named, shown, told_ending

MOST_IMAGES: Final = 1_000
"""Up to so many, a test is an image; of more, a class."""

_LISTED: Final = 20


class _Case(NamedTuple):
    """A test: its name, how long it took, what it ended with (nothing where it passed), and why."""

    name: str
    seconds: float
    tag: str = ""
    message: str = ""
    text: str = ""


def junit_xml(result: Result, *, name: str, outcome: Outcome | None, verdict: str, fell: Collection[int] = ()) -> str:
    """Return a run as a JUnit document.

    An image that broke is a failure, unless a bar is held: then it is one that was skipped, since a reader that sees
    a failure takes all for failed. An image that was wrong before the attack was skipped; one without an answer is an
    error. Of more than `MOST_IMAGES` images, a test is a class, which ends as the worst of its images.

    Args:
        result: Of the run.
        name: Of the suite.
        outcome: What the verdict says; None where nothing was asked for.
        verdict: The verdict in words.
        fell: Places of the images that were not broken in the baseline, and are.
    """
    by_image = len(result.records) <= MOST_IMAGES
    cases = [*(_cases(result, outcome, fell) if by_image else _classes(result, outcome, fell)), _of(outcome, verdict)]
    tags = [case.tag for case in cases]
    counts = {
        "tests": str(len(cases)),
        "failures": str(tags.count("failure")),
        "errors": str(tags.count("error")),
        "skipped": str(tags.count("skipped")),
        "time": f"{result.profile.wall:.3f}",
    }
    root = ET.Element("testsuites", {"name": "dfa", **counts})
    suite = ET.SubElement(root, "testsuite", {"name": shown(name), **counts})
    for case in cases:
        attributes = {"classname": f"dfa.{shown(name)}", "name": case.name, "time": f"{case.seconds:.3f}"}
        element = ET.SubElement(suite, "testcase", attributes)
        if case.tag:
            told = {"message": case.message} | ({} if case.tag == "skipped" else {"type": case.tag})
            ET.SubElement(element, case.tag, told).text = case.text or None
        elif case.message:
            ET.SubElement(element, "system-out").text = case.message
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=False).join(
        ('<?xml version="1.0" encoding="UTF-8"?>\n', "\n")
    )


def _of(outcome: Outcome | None, verdict: str) -> _Case:
    tag = {None: "skipped", Outcome.PASSED: "", Outcome.NOT_JUDGED: "error"}.get(outcome, "failure")
    return _Case("verdict", 0.0, tag, shown(verdict))


def _tag(record: Record, outcome: Outcome | None) -> str:
    if record.status is Status.SUCCESS:
        return "skipped" if outcome is Outcome.PASSED else "failure"
    return {Status.FAILURE: "", Status.SKIPPED: "skipped"}.get(record.status, "error")


def _told(result: Result, record: Record, outcome: Outcome | None, fell: Collection[int]) -> str:
    new = "not broken in the baseline, and now " if record.index in fell else ""
    held = ", which the bar allows" if record.status is Status.SUCCESS and outcome is Outcome.PASSED else ""
    return f"{new}{told_ending(result, record)}{held}"


def _cases(result: Result, outcome: Outcome | None, fell: Collection[int]) -> Iterator[_Case]:
    for record in result.records:
        told = _told(result, record, outcome, fell)
        yield _Case(named(record), record.seconds, _tag(record, outcome), told)


def _classes(result: Result, outcome: Outcome | None, fell: Collection[int]) -> Iterator[_Case]:
    groups: dict[int | None, list[Record]] = {}
    for record in result.records:
        groups.setdefault(record.class_before if record.label is None else record.label, []).append(record)
    for number, records in sorted(groups.items(), key=lambda group: (group[0] is None, group[0] or 0)):
        tags = [_tag(record, outcome) for record in records]
        # A class of which some images were skipped has tests that passed.
        tag = next((each for each in ("error", "failure", "", "skipped") if each in tags), "")
        told = [record for record, each in zip(records, tags, strict=True) if each == tag]
        lines = [f"{named(record)}: {_told(result, record, outcome, fell)}" for record in told[:_LISTED]]
        more = [f"and {len(told) - _LISTED:,} more"] if len(told) > _LISTED else []
        broken = sum(record.status is Status.SUCCESS for record in records)
        yield _Case(
            f"class {shown(result.class_name(number)) or 'unknown'}",
            sum(record.seconds for record in records),
            tag,
            f"{broken:,} of {counted(len(records), 'image')} broken",
            "\n".join([*lines, *more]) if tag else "",
        )
