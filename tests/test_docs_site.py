"""The site that `make docs` builds, looked at in a browser without a network: nothing is asked of anybody else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

from browser import PROGRAM, Browser, browser

SITE = Path(__file__).parents[1] / "build" / "docs"
PAGES = sorted(SITE.rglob("*.html"))

pytestmark = pytest.mark.skipif(not PAGES, reason=f"{SITE} is not built: `make docs`")
in_a_browser = pytest.mark.skipif(PROGRAM is None, reason="there is no Chromium")


class Parts(HTMLParser):
    """What a page loads: all but links that a reader follows."""

    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value for name, value in attributes if value}
        if tag != "a" and given.get("rel") not in ("author", "search", "next", "prev", "index", "canonical"):
            self.loaded += [given[name] for name in ("src", "href", "data", "srcset", "poster") if name in given]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_a_page_loads_nothing_from_elsewhere(page: Path) -> None:
    parts = Parts()
    parts.feed(page.read_text(encoding="utf-8"))
    elsewhere = [each for each in parts.loaded if re.match(r"(\w+:)?//", each)]
    missing = [
        each
        for each in parts.loaded
        if not re.match(r"\w+:|//|#", each) and not (page.parent / each.partition("?")[0].partition("#")[0]).exists()
    ]
    assert (elsewhere, missing) == ([], [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_no_output_holds_a_warning(page: Path) -> None:
    errors = re.findall(r'<div class="output stderr.*?</pre>', page.read_text(encoding="utf-8"), re.DOTALL)
    assert [each for each in errors if "Warning" in each] == []


def test_styles_load_nothing_from_elsewhere() -> None:
    found = [
        (style.name, each)
        for style in SITE.rglob("*.css")
        for each in re.findall(
            r"(?:url\(|@import )\s*['\"]?((?:https?:)?//[^'\")\s]+)", style.read_text(encoding="utf-8")
        )
    ]
    assert found == []


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as page:
        yield page


@pytest.mark.weekly_but(30)
@in_a_browser
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(SITE).as_posix())
def test_a_page_works_on_a_phone_and_in_the_dark(chromium: Browser, page: Path) -> None:
    chromium.open(page, width=360, height=740, dark=True)
    assert [each for each in chromium.requests if not each.startswith(("file:", "data:"))] == []
    assert chromium.complaints == []
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 360
    shade = chromium.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(map(int, re.findall(r"\d+", shade)[:3])) < 80


@in_a_browser
def test_the_search_finds_a_page(chromium: Browser) -> None:
    chromium.open(SITE / "search.html", query="?q=epsilon")
    found = """new Promise(resolve => {
        const look = () => document.querySelectorAll("#search-results li a").length || 0;
        const wait = setInterval(() => { if (look() > 2) { clearInterval(wait); resolve(look()); } }, 100);
        setTimeout(() => resolve(look()), 20000);
    })"""
    assert chromium.evaluate(found) > 2
