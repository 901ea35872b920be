"""The documentation's pages: what they show runs, and they are short and say whom they are for.

The Python of tutorials is run by `make docs`, whose output they hold. That of the other pages is run here, in order, in
the names that `tests/pages/FOLDER_PAGE.py` prepares (`names(folder)`, which may skip); its commands are read by the
command line's own parser.
"""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

import dfa

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
MOST_LINES = 250


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    found = re.findall(r"^(`{3,})(\S*)[^\n]*\n(.*?)^\1$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    return [text for _, language, text in found if language in languages]


WITH_PYTHON = [page for page in PAGES if blocks(page, "python", "py", "pycon")]
WITH_COMMANDS = [page for page in PAGES if blocks(page, "console", "bash", "sh", "shell")]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=name_of)
def test_every_block_of_python_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: Path) -> None:
    assert not blocks(page, "py", "pycon"), "blocks are python"
    assert "tutorials" not in page.parts, "a tutorial's Python stands in {code-cell}s, which `make docs` runs"
    relative = page.relative_to(DOCS if DOCS in page.parents else ROOT).with_suffix("")
    prepared = importlib.import_module("pages." + "_".join(relative.parts).replace("-", "_"))
    names = prepared.names(data.resolve())
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks(page, "python")):
        exec(compile(block, f"{name_of(page)}, block {number}", "exec"), names)
    if hasattr(prepared, "check"):
        prepared.check(names)


@pytest.mark.parametrize("page", WITH_COMMANDS, ids=name_of)
def test_every_command_is_one(page: Path) -> None:
    """Of `dfa COMMAND ...` every option and argument is taken; that it does what is said of it others hold."""
    pytest.importorskip("click")
    from dfa.cli.commands.app import app

    for block in blocks(page, "console", "bash", "sh", "shell"):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.split(line.removeprefix("$ "), comments=True)
            if words[:1] != ["dfa"]:
                continue
            name, *rest = words[1:]
            with app.make_context("dfa", [], resilient_parsing=True) as context:
                command = app.get_command(context, name)
                assert command is not None, line
                parser = command.make_parser(context)
                parser.ignore_unknown_options = False
                parser.parse_args(rest)


@pytest.mark.parametrize("page", [page for page in PAGES if DOCS in page.parents], ids=name_of)
def test_a_page_says_at_once_whom_it_is_for_and_is_short(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if text.startswith("---\n"):
        text = text.split("---\n", 2)[2].lstrip()
    title, first = text.split("\n\n", 2)[:2]
    assert title.startswith("# ")
    assert page.name == "index.md" or re.match(r"(For|This page is for) ", first), first
    assert "reference" in page.parts or len(page.read_text(encoding="utf-8").splitlines()) <= MOST_LINES


def test_the_first_pages_are_among_those_that_are_run() -> None:
    for name in ("README.md", "docs/index.md", "docs/guides/models.md", "docs/guides/coming-from.md"):
        assert ROOT / name in WITH_PYTHON
    assert ROOT / "README.md" in WITH_COMMANDS
    assert len(re.findall(r"\]\(([^)#:]+)\)", (ROOT / "README.md").read_text(encoding="utf-8"))) >= 10


def test_pages_link_to_files_that_are_there() -> None:
    missing = []
    for page in PAGES:
        # In C++, `[=](const ...)` is no link.
        prose = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
        for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?[^)]*\)", prose):
            target = page.parent / link if link else page
            if "://" in link or link.startswith("mailto:"):
                continue
            if not target.exists() or (anchor and anchor not in anchors(target)):
                missing.append(f"{name_of(page)}: {link}#{anchor}")
    assert missing == []


def anchors(page: Path) -> set[str]:
    """Return what may stand behind `#`: titles, as GitHub and MyST write them, and public names of the reference."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    titles = re.findall(r"^#{1,3} (.+)$", text, re.MULTILINE)
    words = [re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles]
    return {*words, *re.findall(r"^\.\. auto\w+:: (\S+)$", page.read_text(encoding="utf-8"), re.MULTILINE)}


def test_an_anchor_that_is_not_there_would_be_found() -> None:
    assert "exit-statuses" in anchors(DOCS / "reference" / "errors.md")
    assert "exit-status" not in anchors(DOCS / "reference" / "errors.md")
    linked = {anchor for page in PAGES for anchor in re.findall(r"\]\([^)\s]*#([\w.-]+)\)", page.read_text("utf-8"))}
    assert "exit-statuses" in linked


def test_a_page_that_saves_says_how_to_save_again() -> None:
    """Who runs a block a second time meets a folder that is there: an error, unless told of `overwrite=True`."""
    saving = re.compile(r"""\.save\(["']|\bstore=(?:dfa\.Storage\()?["']""")
    saves = [page for page in PAGES if any(map(saving.search, blocks(page, "python", "{code-cell}")))]
    assert len(saves) >= 8
    assert [name_of(page) for page in saves if "overwrite=True" not in page.read_text(encoding="utf-8")] == []


def test_what_a_guide_says_of_a_model_that_guesses_is_what_the_tool_says() -> None:
    words = "usual causes are a wrong normalisation, order of channels (RGB or BGR) or order of classes"
    pages = [DOCS / "guides" / "models.md", DOCS / "reference" / "errors.md"]
    for path in [*pages, ROOT / "python" / "dfa" / "engine" / "first_look.py"]:
        assert words in " ".join(path.read_text(encoding="utf-8").split()), path


def test_a_folder_of_classes_has_another_name_than_a_folder_of_images() -> None:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        assert re.findall(r"""image_folder\(["']photos/|photos/\S* --labels folders""", text) == [], page


def test_the_gallery_shows_every_space() -> None:
    cells = "".join(blocks(DOCS / "guides" / "gallery-of-spaces.md", "{code-cell}"))
    shown = set(re.findall(r"^attack\(dfa\.(\w+)\(", cells, re.MULTILINE))
    public = {name: getattr(dfa, name) for name in dfa.__all__}
    assert shown == {
        name for name, each in public.items() if isinstance(each, type) and issubclass(each, dfa.Space)
    } - {"Space"}
